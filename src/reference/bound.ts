// How far a kernel of this library may be from the exact sum. docs/numerics.md derives it.

const UNIT = 2 ** -24;
/** Roundings of numbers as large as codes: within a block of 32 k, whose sum of codes has the sum of x taken off at its end. */
const OF_CODES = 48;
/** Roundings of numbers as large as sums of weights, beside one for each block: scale, slices and splits of k, the bias. */
const FIXED = 64;
/** The bias goes to the first split of k, to which the others are added. */
const OF_BIAS = 34;
/** Below it, a device may take a float for 0. */
const LEAST_NORMAL = 2 ** -126;

/** What a row of x and a column of weights are made of, added up over k. */
export interface Sizes {
  /** Σ |x| (|W| + (2^(bits-1) + codeBias) |scale| + |minimum|); of a codebook, Σ |x| |W|. */
  readonly codes: number;
  /** Σ |x| |W| */
  readonly weights: number;
  /** |bias| */
  readonly bias: number;
  /** What rounding x or weights may move the sum by. */
  readonly rounded: number;
  /** What flushing subnormals may move the sum by: see `flushedBy`. */
  readonly flushed: number;
}

/** |y - exact| before y is rounded. @param chain additions of sums of weights: one for each block, or each k */
export function errorBound({ codes, weights, bias, rounded, flushed }: Sizes, chain: number): number {
  const moved = OF_CODES * (codes + rounded) + (chain + FIXED) * (weights + rounded) + OF_BIAS * bias;
  // Roundings of roundings, too.
  return rounded + (UNIT / (1 - (chain + FIXED) * UNIT)) * moved + flushed;
}

/**
 * |y - exact| of a row whose sums are multiplied by a factor before the bias, or whose x is: before y is rounded.
 * @param slack by how much a kernel's factor may differ, relatively
 */
export function scaledBound(size: Sizes, chain: number, { factor, slack }: { readonly factor: number; readonly slack: number }): number {
  const apart = slack + 2 * UNIT; // the factor's, and a rounding of x or of the sum with it
  const ofSums = errorBound({ ...size, bias: 0, rounded: size.rounded + apart * size.weights }, chain);
  return Math.abs(factor) * ofSums + OF_BIAS * UNIT * (size.bias + Math.abs(factor) * size.weights) + size.flushed;
}

/**
 * |y + residual - exact| before y is rounded: the product's, and a rounding of the sum of both. A device may flush either of them or the sum.
 * @param exact the product and the residual
 */
export const addedBound = (bound: number, exact: number): number => bound + UNIT * (Math.abs(exact) + bound) + 3 * LEAST_NORMAL;

/** Blocks that kernels settle: 32 k, or less where groups are no whole ones; where a kernel does not, each k. */
export function chainOf({ k, groups, groupSize, sumRun }: { k: number; groups: number; groupSize: number; sumRun: number }): number {
  if (sumRun > k) return k;
  let run = 32;
  if (groups > 1) while (groupSize % run !== 0) run /= 2;
  return Math.ceil(k / Math.min(run, sumRun));
}

/**
 * What a term may lose where a device takes subnormals for 0, as [loss, loss for each |x|]: of an x that meets a code in its place, of
 * products and weights; and the whole term if its scale is one.
 */
export const flushedBy = (weight: number, scale: number): readonly [fixed: number, ofX: number] => {
  const each = 4 * LEAST_NORMAL * (1 + Math.abs(scale) + Math.abs(weight));
  return [2 ** -94 * Math.abs(scale) + each, each + (Math.abs(scale) < LEAST_NORMAL ? Math.abs(weight) : 0)];
};

/**
 * x · scale, which kernels round to float32, and how far they may be from it: a rounding, or all of it where a device may take one of the
 * three for 0. The product is exact here: 24 and 24 bits. Where float32 has an infinity in its place, so has a kernel.
 */
export function scaledX(x: number, scale: number): readonly [value: number, slack: number] {
  const exact = x * scale;
  const single = Math.fround(exact);
  if (!Number.isFinite(single)) return [single, 0];
  const size = Math.abs(exact);
  const lost = Math.min(Math.abs(x), Math.abs(scale), size) < LEAST_NORMAL;
  return [exact, lost ? size : UNIT * size];
}
