// What a kernel rounds, as input of the error bound (docs/numerics.md).

/** What a kernel rounds beside its float32 sums. The interval of correct results follows from it (docs/numerics.md). */
export interface Accuracy {
  /** A constant added to every code, and taken out again by the sum of x. It makes sums larger, and so their rounding. */
  readonly codeBias: number;
  /** x is rounded to multiples of a step: at most this share of the largest |x| among `xRun` adjacent k. 0: x is not rounded. */
  readonly xStep: number;
  readonly xRun: number;
  /** k that are added up before their sum goes to a total; Infinity: there is one sum of all k. */
  readonly sumRun: number;
  /** A dequantized weight is rounded by at most this share of its value. 0: it is not rounded. */
  readonly weightStep: number;
}

/** Everything in float32, settled every 32 k. */
export const PRECISE: Accuracy = { codeBias: 0, xStep: 0, xRun: 1, sumRun: 32, weightStep: 0 };
/** Everything in float32, in one sum: how kernels that dequantize weights before they meet x do it, whose sums hold no codes. */
export const ONE_SUM: Accuracy = { ...PRECISE, sumRun: Number.POSITIVE_INFINITY };
