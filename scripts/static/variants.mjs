// Which variants the planner picks on a GPU of some kind, and for which rows.
import { runnerImport } from 'vite';
import { root } from '../setup.mjs';

const load = async (path) => (await runnerImport(path, { root, configFile: false, logLevel: 'error' })).module;
const { makePlan } = await load('/src/plan/plan.ts');
const { packedLayout } = await load('/src/plan/packed-layout.ts');
const { kernels } = await load('/src/kernels/index.ts');
export const { variantId } = await load('/src/kernels/kernel.ts');
const { variantText } = await load('/src/gpu/pipeline.ts');
const { problemOf, GPU, LEAST } = await load('/test/support/problems.ts');

const ROWS = [1, 2, 3, 4, 5, 8, 12, 16, 17, 24, 32, 64, 128, 512];
const SHAPES = [
  { k: 2048, n: 2048 },
  { k: 896, n: 4864 },
  { k: 4864, n: 896 },
];
/** What the table shows; a check also goes through `more`. */
const FORMATS = [4, 8].flatMap((bits) => ['float32', 'float16'].map((dtype) => ({ bits, dtype, group: 32 })));
const MORE = [4, 8].flatMap((bits) => [
  ...(bits === 4 ? [{ bits, dtype: 'float16', group: 64, scaleDtype: 'float32', codebook: true }] : []),
  { bits, dtype: 'float16', group: 32, minimum: true },
  { bits, dtype: 'float32', group: 16, scaleDtype: 'float16', minimum: true },
  { bits, dtype: 'bfloat16', group: 32, offset: true },
  { bits, dtype: 'float16', group: 128, offset: true, quant: true },
  { bits, dtype: 'float32', group: 0, offset: true, quant: true },
]);

/** Helpers have none. */
const costOf = (shader, params) => kernels.find(({ name }) => name === shader)?.cost(params);

/**
 * [{ id, shader, params, code, cost, dtype, rows: [least, most] }] of devices that differ from a GPU with every feature and common limits by
 * the caps given; with `more`, in more formats, and of such devices without features too.
 */
export function pickedVariants(capsList, { more = false } = {}) {
  const found = new Map();
  const bare = { ...LEAST, ...capsList[0], f16: false, subgroups: false };
  for (const device of [...capsList.map((caps) => ({ ...GPU, ...caps })), ...(more ? [bare] : [])])
    for (const format of more ? [...FORMATS, ...MORE] : FORMATS)
      for (const innerPrecise of [0, 1])
        for (const shape of SHAPES)
          for (const m of ROWS) {
            const { problem, operands } = problemOf({ m, ...shape, ...format });
            const plan = makePlan({ problem: { ...problem, innerPrecise }, packed: packedLayout(operands, device), caps: device });
            for (const { shader, params } of plan.dispatches) {
              const id = variantId(shader, params);
              const old = found.get(id);
              if (!old) {
                const { code } = variantText({ shader, params });
                found.set(id, { id, shader, params, code, cost: costOf(shader, params), dtype: format.dtype, rows: [m, m] });
              } else old.rows = [Math.min(old.rows[0], m), Math.max(old.rows[1], m)];
            }
          }
  const order = new Map(kernels.map(({ name }, i) => [name, i]));
  const place = ({ shader, rows }) => (order.get(shader) ?? order.size) + 100 * rows[0];
  return [...found.values()].sort((a, b) => place(a) - place(b) || a.id.localeCompare(b.id));
}
