// All numbers of the three quantizations as a table, and what they are.
import { Facts } from '../../ui/facts.js';
import { bytes, milliseconds, short } from '../../ui/numbers.js';
import { Table } from '../../ui/table.js';
import { BLUR, MODES, SPOT } from '../../worker/picture-data.js';
import { shown } from './state.js';

const NAMES = { tensor: 'Per tensor', channel: 'Per channel', group: 'Groups' } as const;
const COLUMNS = ['PSNR, dB', 'Largest difference', 'RMS difference', 'SQNR of weights, dB', 'Bytes', 'Bits per weight', 'quantize()'];

export function Numbers() {
  const rows = MODES.flatMap((mode) => {
    const one = shown.value[mode];
    if (!one) return [];
    const { matrix, report, psnr, largest, rmse, quantizeTime, ran } = one;
    return [
      [
        mode === 'group' ? `Groups of ${matrix.groupSize}` : NAMES[mode],
        psnr.toFixed(2),
        short(largest),
        short(rmse),
        report.sqnr.toFixed(2),
        bytes(report.bytes),
        report.bitsPerWeight.toFixed(3),
        milliseconds(quantizeTime),
        'kernel' in ran ? <code key="kernel">{ran.kernel}</code> : 'CPU reference',
      ],
    ];
  });
  const columns = [{ title: '' }, ...COLUMNS.map((title) => ({ title, numeric: true })), { title: 'Multiplied by' }];
  return (
    <details>
      <summary>All numbers</summary>
      <Table caption="What quantize() reports of the weights, and what the product differs by" columns={columns} rows={rows} />
    </details>
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
