// How a kernel sums, as far as the error bound needs it; docs/numerics.md turns it into an interval.

/** How a kernel sums: what it rounds beside float32 sums. The interval of correct results follows from it (docs/numerics.md). */
export interface Accuracy {
  /** Added to every code before it meets x, and taken out again by the sum of x: the price is that much more to round. */
  readonly codeBias: number;
  /** x is rounded to integers of a step that is at most this share of the largest |x| of its run of `xRun` k; 0: x is used as it is. */
  readonly xStep: number;
  readonly xRun: number;
  /** A dequantized weight is rounded by at most this share of itself; 0: not at all. */
  readonly weightStep: number;
}

/** float32 all the way. */
export const PRECISE: Accuracy = { codeBias: 0, xStep: 0, xRun: 1, weightStep: 0 };
