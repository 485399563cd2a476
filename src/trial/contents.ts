// The bytes of a trial's packed buffers. Pure.
import { expertLayout } from '../plan/expert-layout.js';
import { slicesOf } from '../plan/packed-layout.js';
import type { Caps } from '../problem/caps.js';
import { rowsOfWords, widthOf } from '../problem/code-width.js';
import type { Problem, Weights } from '../problem/problem.js';
import { isFloatDtype, type ScaleDType, UNIT_K } from '../problem/weight-format.js';
import {
  biasAt,
  codeAt,
  floatBytes,
  idAt,
  levelAt,
  matrix,
  minimumAt,
  minimumLevelAt,
  minimumUnitAt,
  offsetAt,
  pairWeightAt,
  quantAt,
  scaleAt,
  unitAt,
  VALUES,
  zeroPointAt,
} from './values.js';

/** Words of codes, (rows, columns): low parts, and high parts over them (docs/format.md). */
function packedWords(weights: Weights, { columns, first }: { columns: number; first: number }): Uint32Array<ArrayBuffer> {
  const { n, k, held } = weights;
  const { low, high, inLow, zero } = widthOf(held);
  const w = new Uint32Array(rowsOfWords(k, held) * columns);
  for (let j = 0; j < k; j++) {
    const word = Math.floor(j / inLow);
    const [row, shift] = [high > 0 ? Math.floor(word / low) * held + (word % low) : word, low * (j % inLow)];
    const inBlock = ((word % low) * high) / low; // the high word, and the place in it
    const [highRow, highShift] = [
      Math.floor(word / low) * held + low + Math.floor(inBlock),
      high > 0 ? shift + high * (word % (low / high)) : 0,
    ];
    for (let i = 0; i < n; i++) {
      const code = codeAt(first + i, j, weights) + zero;
      w[row * columns + i]! |= (code & (2 ** low - 1)) << shift;
      if (high > 0) w[highRow * columns + i]! |= (code >>> low) << highShift;
    }
  }
  return w;
}

/** The packed buffers of docs/format.md, of a matrix that has the columns from `first` on. */
function contentsOf({ weights, yDtype }: Problem, first = 0): Readonly<Record<string, Uint8Array<ArrayBuffer>>> {
  const { n, k, groups, scaleDtype, shift, codebook } = weights;
  const columns = Math.ceil(n / 4) * 4;
  const table = (rows: number, at: (n: number, g: number) => number, of = columns) =>
    matrix(new Float32Array(rows * of), of, (g, i) => (i < n ? at(first + i, g) : 0));
  const bytes = (rows: number, at: (n: number, g: number) => number) => Uint8Array.from(table(rows, at));
  const perGroup = (at: (n: number, g: number) => number): Uint8Array<ArrayBuffer> =>
    isFloatDtype(scaleDtype) ? floatBytes(table(groups, at), scaleDtype) : bytes(groups, at);
  const level = (i: number, g: number): number => levelAt(i, g, weights) & 255;
  const units = Math.ceil(k / UNIT_K);
  const unit = (i: number): number => unitAt(i, weights);
  const offset: Readonly<Record<typeof shift, () => Uint8Array<ArrayBuffer> | undefined>> = {
    none: () => undefined,
    offset: () => perGroup(offsetAt),
    minimum: () => perGroup((i, g) => minimumAt(i, g, weights)),
    zero: () => perGroup((i, g) => zeroPointAt(i, g, weights)),
    zero8: () => bytes(groups, (i, g) => zeroPointAt(i, g, weights)),
  };
  /** Units of scales and of minima, next to each other. */
  const pairs = () =>
    floatBytes(
      Float32Array.from({ length: 2 * units * columns }, (_, i) => {
        const column = (i >> 1) % columns;
        return column >= n ? 0 : i % 2 === 0 ? unit(first + column) : minimumUnitAt(first + column, weights);
      }),
      'float16',
    );
  /** Bytes of a quad's scales, then those of its minima. */
  const both = () =>
    Uint8Array.from({ length: 2 * groups * columns }, (_, i) => {
      const g = Math.floor(i / (2 * columns));
      const column = 4 * Math.floor((i % (2 * columns)) / 8) + (i % 4);
      return column >= n ? 0 : i % 8 < 4 ? level(first + column, g) : minimumLevelAt(first + column, g);
    });
  const forms: Readonly<Record<ScaleDType, () => readonly [scale: Uint8Array<ArrayBuffer>, offset: Uint8Array<ArrayBuffer> | undefined]>> =
    {
      float32: () => [perGroup((i, g) => scaleAt(i, g, weights)), offset[shift]()],
      float16: () => [perGroup((i, g) => scaleAt(i, g, weights)), offset[shift]()],
      bfloat16: () => [perGroup((i, g) => scaleAt(i, g, weights)), offset[shift]()],
      int8: () => [bytes(groups, level), floatBytes(table(units, unit), 'float16')],
      uint8: () => [both(), pairs()],
      uint4: () => [bytes(groups, (i, g) => level(i, g) | (minimumLevelAt(i, g) << 4)), pairs()],
      e8m0: () => [bytes(groups, (i, g) => 127 + Math.log2(scaleAt(i, g, weights))), undefined],
      e4m3: () => [bytes(groups, (i, g) => E4M3[levelAt(i, g, weights) - 1]!), undefined],
      'e4m3-unit': () => [bytes(groups, (i, g) => E4M3[levelAt(i, g, weights) - 1]! + 0x10), floatBytes(table(1, unit), 'float32')],
    };
  const [scale0, offset0] = forms[scaleDtype]();
  const quants = new DataView(new ArrayBuffer(8 * columns));
  for (let i = 0; i < n; i++) {
    quants.setFloat32(4 * i, quantAt(i).scale, true);
    quants.setInt32(4 * (columns + i), quantAt(i).offset, true);
  }
  return {
    w0: new Uint8Array(packedWords(weights, { columns, first }).buffer),
    scale0,
    ...(offset0 && { offset0 }),
    columnBias: floatBytes(table(1, biasAt), 'float32'),
    ...(yDtype === 'int8' && { columnQuant: new Uint8Array(quants.buffer) }),
    ...(codebook === 'table' && { codebook: new Uint8Array(VALUES.table!.slice().buffer) }),
  };
}

/** The packed buffers of a problem; of many matrices under each other where the layout says. */
export function packedContents(problem: Problem, caps: Caps): Readonly<Record<string, Uint8Array<ArrayBuffer>>> {
  const { weights, experts } = problem;
  if (!experts) return contentsOf(problem);
  const layout = expertLayout(weights, experts.count, caps);
  const all = Object.fromEntries(slicesOf(weights, layout.packed).map(({ buffer, size }) => [buffer, new Uint8Array(size)]));
  for (let expert = 0; expert < experts.count; expert++) {
    const own = contentsOf(problem, expert * weights.n);
    for (const { buffer, offset } of slicesOf(weights, layout.of(expert))) all[buffer]!.set(own[roleInOne(buffer)]!, offset);
  }
  return all;
}
/** The role of a slab's buffer in a matrix alone, which has one slab. */
const roleInOne = (buffer: string): string => buffer.replace(/\d+$/, '0');

/** Ids of a problem's pairs. */
export const idsOf = ({ m, experts }: Problem): number[] =>
  Array.from({ length: experts ? m * experts.perRow : 0 }, (_, pair) => idAt(pair, experts!.count));
/** Weights of a problem's pairs. */
export const pairWeightsOf = ({ m, experts }: Problem): number[] =>
  Array.from({ length: experts ? m * experts.perRow : 0 }, (_, pair) => pairWeightAt(pair));
/** Quarters 1 to 4 as e4m3; 16 more is four times as much. */
const E4M3 = [0x28, 0x30, 0x34, 0x38];
