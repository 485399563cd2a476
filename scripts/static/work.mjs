// What one iteration of each kernel's inner loop, as it is written, does for one lane: rows × columns × k multiply-adds on columns × k
// weights; and how many k one iteration of the loop around it covers (a group of 32, or a tile). Compilers may unroll: the loop that
// they made is some multiple of this, found from its multiply-adds (`macs` says how many there are where they are not one each).
// A matrix instruction counts as one, though it takes as many cycles as dozens.
const GROUP = 32;

export const work = {
  'matmul-rows': ({ BITS, ROWS, LOADS }) => ({ rows: ROWS, columns: 4 * LOADS, k: 32 / BITS, around: GROUP }),
  'matmul-tiled': ({ ROWS }) => ({ rows: ROWS, columns: 4, k: 4, around: 32 }),
  'matmul-matrix': ({ LANES, K_SIZE }) => ({ rows: 16, columns: 256 / LANES, k: K_SIZE, around: GROUP }),
  'matmul-decode': ({ BITS, ROWS, STEP }) => ({ rows: ROWS, columns: 4, k: (STEP * 32) / BITS, around: GROUP }),
  'matmul-prefill': ({ BITS, ROWS }) => ({ rows: ROWS, columns: 4, k: 32 / BITS, around: GROUP, macs: (4 * (ROWS + 1) * 32) / BITS }),
  'matmul-dot4': ({ ROWS, DIGITS }) => ({ rows: ROWS, columns: 4, k: 32, around: GROUP, macs: DIGITS * ROWS * 4 * 32 }),
  'matmul-plain': () => ({ rows: 1, columns: 4, k: 1, around: 8 }),
};

/** What one iteration of the inner loop of a variant does; undefined for a kernel that the table lacks. */
export function writtenWork(kernel, params) {
  const one = work[kernel]?.(params);
  return one && { macs: one.rows * one.columns * one.k, ...one };
}

/** Vector instructions for each multiply-add of y: of the hot loop alone, and with its share of the loop around it. */
export function perMac({ rows, columns, k, around, macs }, loop) {
  const unrolled = Math.max(1, Math.round(loop.hot.macs / macs));
  const inner = loop.hot.alu / (rows * columns * k * unrolled);
  // A loop that was unrolled beyond the one around it is that one.
  const outer = loop.around && k * unrolled <= around ? loop.around.alu / (rows * columns * around) : 0;
  return { tileRows: rows, unrolled, inner, all: inner + outer };
}
