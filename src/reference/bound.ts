// How far a float32 kernel of this library may be from the exact sum. docs/numerics.md derives it.

const UNIT = 2 ** -24;
/** Roundings that every product meets outside the chains over k and over the groups. */
const FIXED_ROUNDINGS = 64;

/**
 * |y - exact| ≤ γ · Σ |x| · (code + |offset - zero|) · |scale| + |bias|, with γ = c·u / (1 - c·u), c the longest chain of roundings,
 * plus what flushing subnormals to zero can lose.
 * @param size Σ |x| · (code + |offset - zero|) · |scale| + |bias|
 */
export function errorBound(sum: {
  readonly k: number;
  readonly groups: number;
  readonly size: number;
  readonly largestScale: number;
}): number {
  const chain = (sum.k + sum.groups + FIXED_ROUNDINGS) * UNIT;
  const flushed = sum.k * 2 ** -94 * Math.max(1, sum.largestScale);
  return (chain / (1 - chain)) * sum.size + flushed;
}
