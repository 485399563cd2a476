// Explains the terms of a result.
import { Facts } from '../../ui/facts.js';

export const Reading = () => (
  <Facts
    items={[
      [
        'Interval',
        'For each element of y, the least and the greatest value of a correct kernel with float32 sums: the float64 sum, minus and plus the largest total of this kernel’s roundings for these inputs, each end rounded to the dtype of y. docs/numerics.md derives it. A result outside is an error of the kernel.',
      ],
      [
        'Error of y',
        'The distance between y and the float64 sum with the same quantized weights. It is the error of the GPU’s arithmetic, without that of quantizing. With int8 output it is counted in codes, from the reference’s code.',
      ],
      [
        'GPU time',
        'GPU timestamps around many products in one pass, divided by their number, if the device has timestamps and they agree with the clock. Else the clock’s time from submitting them until the queue is done. One call is the time that an application waits: forward(), the round trip to the GPU, and the product.',
      ],
      [
        'Signal to noise',
        'Ten times the decimal logarithm of Σ w² over Σ (w − ŵ)², where ŵ are the quantized weights; for y, the same with the exact products. 6 dB more is half the error.',
      ],
      ['Bytes', 'Bytes of the codes, scales and offsets that load() takes, compared with the same matrix in floats.'],
      [
        'Int8 output',
        'The scale of each column maps its largest |y| of the unquantized product to code 120, or to 100 with offsets, which alternate between 20 and −20.',
      ],
    ]}
  />
);
