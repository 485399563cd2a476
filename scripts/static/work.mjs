// What one iteration of each kernel's inner loop, as it is written, does for one lane: rows × columns × k multiply-adds on columns × k
// weights; and how many k one iteration of the loop around it covers (a group of 32, or a tile). Compilers may unroll: the loop that
// they made is some multiple of this, found from its multiply-adds.
const GROUP = 32;

export const work = {
  'matmul-rows': ({ BITS, ROWS, QUADS }) => ({ rows: ROWS, columns: 4 * QUADS, k: 32 / BITS, around: GROUP }),
  'matmul-tiled': ({ ROWS }) => ({ rows: ROWS, columns: 4, k: 4, around: 16 }),
  'matmul-matrix': ({ LANES, K_SIZE }) => ({ rows: 16, columns: 256 / LANES, k: K_SIZE, around: GROUP }),
  'matmul-plain': () => ({ rows: 1, columns: 4, k: 1, around: 8 }),
};

/** What one iteration of the inner loop of a variant does; undefined for a kernel that the table lacks. */
export function writtenWork(kernel, params) {
  const one = work[kernel]?.(params);
  return one && { ...one, macs: one.rows * one.columns * one.k };
}

/** Vector instructions for each multiply-add: of the hot loop alone, and with its share of the loop around it. */
export function perMac(written, { hot, around }) {
  const unrolled = Math.max(1, Math.round(hot.macs / written.macs));
  const inner = hot.alu / (written.macs * unrolled);
  const covers = written.rows * written.columns * written.around;
  // A loop that was unrolled as far as the one around it reaches has nothing left around it.
  const outer = around && written.macs * unrolled < covers ? around.alu / covers : 0;
  return { tileRows: written.rows, unrolled, inner, all: inner + outer };
}
