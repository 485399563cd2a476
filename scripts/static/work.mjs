// A compiled loop beside what the kernel says that one round of it does (`cost` in src/kernels/): compilers may unroll, so the loop that
// they made is some multiple of it, found from its multiply-adds. A matrix instruction counts as one, though it takes as many cycles as
// dozens.

/** A kernel's cost with the multiply-adds that make it. */
export const withMacs = (cost) => ({ macs: cost.rows * cost.columns * cost.k, ...cost });

/** Vector instructions for each multiply-add of y: of the hot loop alone, and with its share of the loop around it. */
export function perMac({ rows, columns, k, around, macs }, loop) {
  const unrolled = Math.max(1, Math.round(loop.hot.macs / macs));
  const inner = loop.hot.alu / (rows * columns * k * unrolled);
  // A loop that was unrolled beyond the one around it is that one.
  const outer = loop.around && k * unrolled <= around ? loop.around.alu / (rows * columns * around) : 0;
  return { tileRows: rows, unrolled, inner, all: inner + outer };
}
