// What a kernel rounds, as input of the error bound (docs/numerics.md).

/** What a kernel rounds beside its float32 sums. The interval of correct results follows from it (docs/numerics.md). */
export interface Accuracy {
  /** A constant added to every code, and taken out again by the sum of x. It makes sums larger, and so their rounding. */
  readonly codeBias: number;
  /** x is rounded to multiples of a step: at most this share of the largest |x| among `xRun` adjacent k. 0: x is not rounded. */
  readonly xStep: number;
  readonly xRun: number;
  /** A dequantized weight is rounded by at most this share of its value. 0: it is not rounded. */
  readonly weightStep: number;
}

/** Everything in float32. */
export const PRECISE: Accuracy = { codeBias: 0, xStep: 0, xRun: 1, weightStep: 0 };
