// Sums, output scales and offsets with the hardware's int8 results: rounding and the 9-bit clamp come before the offset.
// Naive rounding after adding the offset gives 2, 127, 100 and -128 for the fifth to the eighth.

export type RequantizeVector = readonly [sum: number, scale: number, offset: number, code: number];

export const requantizeVectors: readonly RequantizeVector[] = [
  [0.5, 1, 0, 0],
  [1.5, 1, 0, 2],
  [2.5, 1, 0, 2],
  [-0.5, 1, 0, 0],
  [0.5, 1, 1, 1],
  [400, 1, -256, -1],
  [300, 1, -200, 55],
  [-400, 1, 200, -56],
  [126.5, 1, 0, 126],
  [127.5, 1, 0, 127],
  [-128.5, 1, 0, -128],
  [-1.5, 1, 0, -2],
  [-2.5, 1, 0, -2],
  [255.5, 1, -200, 55], // 256 after rounding, 255 after the clamp
  [-256.5, 1, 200, -56],
  [10, -2, 3, -17],
  [Number.POSITIVE_INFINITY, 1, 0, 127],
  [Number.NEGATIVE_INFINITY, 1, 0, -128],
  [Number.POSITIVE_INFINITY, 1, -200, 55],
  [Number.NEGATIVE_INFINITY, 1, 200, -56],
  [Number.POSITIVE_INFINITY, -1, 200, -56],
  [Number.NaN, 1, 5, 0],
];
