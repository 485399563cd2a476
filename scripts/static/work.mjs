// Compares a compiled loop with the kernel's `cost` (src/kernels/). A compiler may unroll, so its loop is a multiple of the kernel's, found
// by its multiply-adds. A matrix instruction counts as one, although it takes dozens of cycles.

/** A kernel's cost with its multiply-adds. */
export const withMacs = (cost) => ({ macs: cost.rows * cost.columns * cost.k, ...cost });

/** Vector instructions for each multiply-add of y: in the inner loop, and with its share of the outer loop. */
export function perMac({ rows, columns, k, around, macs }, loop) {
  const unrolled = Math.max(1, Math.round(loop.hot.macs / macs));
  const inner = loop.hot.alu / (rows * columns * k * unrolled);
  // A loop that was unrolled beyond the one around it is that one.
  const outer = loop.around && k * unrolled <= around ? loop.around.alu / (rows * columns * around) : 0;
  return { tileRows: rows, unrolled, inner, all: inner + outer };
}
