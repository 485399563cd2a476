// Explains the terms of a result.
import { Facts } from '../../ui/facts.js';

export const Reading = () => (
  <Facts
    items={[
      [
        'Interval',
        'For each element of y, the least and the greatest value that a correct kernel with float32 sums may give: the float64 sum, less and plus the most that the roundings of this kernel can add up to for these inputs, each end rounded to the dtype of y. docs/numerics.md derives it. A result outside it is an error of the kernel.',
      ],
      [
        'Error of y',
        'The distance between y and the float64 sum of the same quantized weights: what the GPU’s arithmetic costs, not what quantizing costs. With int8 output it is counted in codes, from the reference’s code.',
      ],
      [
        'GPU time',
        'Where the device has timestamps and they agree with the clock, the GPU’s own, of many products in one pass, divided by their number; else the clock’s from submitting them until the queue reports that they are done. One call is what an application waits for: forward(), the round trip to the GPU, and the product.',
      ],
      [
        'Signal to noise',
        'Ten times the decimal logarithm of Σ w² over Σ (w − ŵ)²: how far the quantized weights are from the weights before, and the exact product with them from the product before. 6 dB more is half the error.',
      ],
      ['Bytes', 'Of the codes, scales and offsets as they are given to load(), against the same matrix in floats.'],
      [
        'Int8 output',
        'The scale of each column is set so that its largest |y| of the unquantized product becomes code 120, or 100 with offsets, which are 20 and −20 by turns.',
      ],
    ]}
  />
);
