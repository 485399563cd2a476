// The table of all numbers of the three quantizations, with explanations.
import type { Mode } from '../../../src/formats.js';
import { Facts } from '../../ui/facts.js';
import { milliseconds, short, whole } from '../../ui/numbers.js';
import { Table } from '../../ui/table.js';
import { BLUR, MODES, SPOT } from './jobs/data.js';
import { type Shown, shown } from './state.js';

const TITLES: Readonly<Record<Mode, (one: Shown) => string>> = {
  tensor: () => 'Per tensor',
  channel: () => 'Per channel',
  group: ({ matrix }) => `Groups of ${matrix.groupSize}`,
};
const LINES: readonly (readonly [string, (one: Shown) => string])[] = [
  ['PSNR, dB', ({ psnr }) => psnr.toFixed(2)],
  ['Largest difference', ({ largest }) => short(largest)],
  ['RMS difference', ({ rmse }) => short(rmse)],
  ['SQNR of the weights, dB', ({ report }) => report.sqnr.toFixed(2)],
  ['Bytes', ({ report }) => whole(report.bytes)],
  ['Bits per weight', ({ report }) => report.bitsPerWeight.toFixed(3)],
  ['quantize() on the CPU', ({ quantizeTime }) => milliseconds(quantizeTime)],
  ['Multiplied by', ({ ran }) => ('kernel' in ran ? ran.kernel : 'CPU reference')],
];

export function Numbers() {
  const made = MODES.flatMap((mode) => shown.value[mode] ?? []);
  if (made.length === 0) return null;
  return (
    <Table
      caption="All numbers"
      columns={[{ title: 'Scales' }, ...made.map((one) => ({ title: TITLES[one.mode](one), numeric: true }))]}
      rows={LINES.map(([name, value]) => [name, ...made.map(value)])}
    />
  );
}

export const Reading = () => (
  <details>
    <summary>How to read this</summary>
    <Facts
      items={[
        [
          'The weights',
          'A pixel of 0 (black) to 1 (white), less ½, is a weight: row n of the picture has the weights of output n, column k those for input k. quantize() makes codes, scales and zero points of them, with scales in float16; a layer takes them by loadMatrix().',
        ],
        [
          'The product',
          `y = x · Wᵀ, in float32, on your GPU. With x the identity, y is the weights as the layer has them. The blur is a Gaussian of ${BLUR} pixels along the rows. The DCT has cosines of all frequencies in its rows; its pictures show |y|, from −80 dB (dark) to 20 dB.`,
        ],
        [
          'PSNR',
          'Ten times the logarithm of 1 over the mean squared difference between what the GPU returned and the same product of weights that are not quantized, summed in float64. The 1 is black to white. Every 6 dB halve the difference.',
        ],
        [
          'Bytes',
          'Codes, scales and zero points as the layer holds them, by quantize()’s report. A matrix that has one scale is counted with one scale.',
        ],
        [
          'The bright spot',
          `A few pixels up to ${SPOT.brightness} times as bright as white, as a few weights of language models are many times larger than the rest.`,
        ],
      ]}
    />
  </details>
);
