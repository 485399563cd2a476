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
          'A weight is a pixel from 0 (black) to 1 (white), minus ½. Row n of the picture has the weights of output n, column k those of input k. quantize() turns them into codes, float16 scales and zero points; loadMatrix() loads these into a layer.',
        ],
        [
          'The product',
          `y = x · Wᵀ, in float32, on your GPU. With the identity as x, y equals the layer’s weights. The blur is a Gaussian of ${BLUR} pixels along the rows. The DCT has cosines of all frequencies in its rows; its pictures show |y|, from −80 dB (dark) to 20 dB.`,
        ],
        [
          'PSNR',
          'Ten times the logarithm of 1 over the mean squared difference between the GPU’s product and the product of unquantized weights, summed in float64. The 1 is the range from black to white. 6 dB more is half the difference.',
        ],
        [
          'Bytes',
          'Bytes of codes, scales and zero points in the layer, from the report of quantize(). A matrix with one scale counts one scale.',
        ],
        [
          'The bright spot',
          `A few pixels up to ${SPOT.brightness} times as bright as white, as a few weights of language models are many times larger than the rest.`,
        ],
      ]}
    />
  </details>
);
