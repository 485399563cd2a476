// Sentences about the pictures, from their numbers. Pure.
import type { Mode } from '../../../src/formats.js';
import { widthOf } from '../../../src/problem/code-width.js';
import { counted, short, whole } from '../../ui/numbers.js';
import { median } from '../../worker/timing.js';
import { SPOT } from './jobs/data.js';
import type { Shown } from './state.js';

export const groupsOf = (columns: number, size: number): string => (size >= columns ? `Groups of ${columns}: a row` : `Groups of ${size}`);

/** From black to white, on most screens. */
const SHADES = 255;
/** Steps from the least code to the greatest. */
const stepsOf = ({ settings: { bits, symmetric } }: Shown): number => widthOf(bits).mask - (symmetric ? 1 : 0);
/** Number of scales whose range exceeds black to white. */
const stretched = (one: Shown): number => one.matrix.scale.reduce((sum, scale) => sum + Number(scale * stepsOf(one) > 1.1), 0);

/** Two or three sentences about the visible effects. */
export function whatOneSees({ tensor, channel, group }: Readonly<Record<Mode, Shown>>): string {
  const { spot, bits, basis } = tensor.settings;
  const { n, groupSize, scale: scales } = group.matrix;
  const more = short(group.report.bitsPerWeight - tensor.report.bitsPerWeight, 2);
  const cost = `for ${more} more ${more === '1' ? 'bit' : 'bits'} per weight`;
  const step = short(tensor.matrix.scale[0]!);
  const inBasis = BASIS_WORDS[basis];
  if (spot) {
    const [rows, groups] = [stretched(channel), stretched(group)];
    return (
      `One scale for the whole picture must cover the spot, ${SPOT.brightness} times as bright as white: its step is ${step}, ` +
      `which leaves ${counted(tensor.used, 'code')} of ${widthOf(bits).mask + 1} to all from black to white. ` +
      `With a scale for each row, the ${counted(rows, 'row')} through the spot suffer, of ${whole(n)}. ` +
      `In groups of ${groupSize} it is ${counted(groups, 'group')} of ${whole(scales.length)}: the damage stays near the spot, ${cost}.${inBasis}`
    );
  }
  const finer = tensor.matrix.scale[0]! / median([...scales]);
  return (
    `One scale for the whole picture makes every step ${step}${widthOf(bits).mask < SHADES ? ': smooth parts turn into bands' : ', finer than most screens show'}. ` +
    `Half of the groups of ${groupSize} have a step ${short(finer, 2)} times finer or better, ${cost}.${inBasis} ` +
    'Now add the bright spot.'
  );
}
const BASIS_WORDS = {
  identity: '',
  blur: ' The blur adds up neighbours, so errors of single weights cancel, as they do in a layer.',
  dct: ' Rows are shown as frequencies, the lowest at the left. Rounding adds noise to all of them, and weaker frequencies are lost in it.',
} as const;
