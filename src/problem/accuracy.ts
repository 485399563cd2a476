// How a kernel sums, as far as the error bound needs it; docs/numerics.md turns it into an interval.

/** How a kernel sums: what it rounds beside float32 sums. The interval of correct results follows from it (docs/numerics.md). */
export interface Accuracy {
  /** Added to every code before it meets x, and taken out again by the sum of x: the price is that much more to round. */
  readonly codeBias: number;
  /** x is rounded to integers of a step that is at most this share of the largest |x| of its run of `xRun` k; 0: x is used as it is. */
  readonly xStep: number;
  readonly xRun: number;
  /** k that are added up before their sum goes to a total; Infinity: there is one sum of all k. */
  readonly sumRun: number;
  /** A dequantized weight is rounded by at most this share of itself; 0: not at all. */
  readonly weightStep: number;
}

/** float32 all the way, settled every 32 k. */
export const PRECISE: Accuracy = { codeBias: 0, xStep: 0, xRun: 1, sumRun: 32, weightStep: 0 };
/** float32 all the way, in one sum: how kernels that dequantize weights before they meet x do it, whose sums hold no codes. */
export const ONE_SUM: Accuracy = { ...PRECISE, sumRun: Number.POSITIVE_INFINITY };
