// Lists the variants that planning picks for a kind of GPU, with their numbers of rows.
import { runnerImport } from 'vite';
import { root } from '../setup.mjs';

const load = async (path) => (await runnerImport(path, { root, configFile: false, logLevel: 'error' })).module;
const { makePlan } = await load('/src/plan/plan.ts');
const { packedLayout } = await load('/src/plan/packed-layout.ts');
const { extentOf } = await load('/src/kernels/fits.ts');
const { kernels } = await load('/src/kernels/index.ts');
const { costs } = await load('/src/kernels/costs.ts');
export const { variantId } = await load('/src/kernels/kernel.ts');
const { variantText } = await load('/src/gpu/pipeline.ts');
const { BITS } = await load('/src/problem/code-width.ts');
const { problemOf, GPU, LEAST } = await load('/test/support/problems.ts');
const { llmTexts } = await load('/test/cases/llm-variants.ts');

const ROWS = [1, 2, 3, 4, 5, 8, 12, 16, 17, 24, 32, 64, 128, 512];
const SHAPES = [
  { k: 2048, n: 2048 },
  { k: 896, n: 4864 },
  { k: 4864, n: 896 },
];
/** Formats of the table; `--check` adds `more`. */
const FORMATS = BITS.flatMap((bits) => ['float32', 'float16'].map((dtype) => ({ bits, dtype, group: 32 })));
const MORE = BITS.flatMap((bits) => [
  ...(bits === 4 ? [{ bits, dtype: 'float16', group: 64, scaleDtype: 'float32', codebook: 'table' }] : []),
  ...(bits === 4 ? [{ bits, dtype: 'float16', group: 32, scaleDtype: 'e8m0', codebook: 'e2m1' }] : []),
  ...(bits === 8 ? [{ bits, dtype: 'bfloat16', group: 128, scaleDtype: 'float32', codebook: 'e4m3' }] : []),
  { bits, dtype: 'float16', group: 32, minimum: true },
  { bits, dtype: 'float32', group: 16, scaleDtype: 'float16', minimum: true },
  { bits, dtype: 'bfloat16', group: 32, offset: true },
  { bits, dtype: 'float16', group: 128, offset: true, quant: true },
  { bits, dtype: 'float32', group: 0, offset: true, quant: true },
]);

/** Weights as files have them: the table of `--narrow`. */
const files = {
  Q4_K: { bits: 4, group: 32, format: { held: 4, scaleDtype: 'uint8', shift: 'minimum' } },
  Q5_K: { bits: 5, group: 32, format: { held: 5, scaleDtype: 'uint8', shift: 'minimum' } },
  Q6_K: { bits: 6, group: 16, format: { held: 6, scaleDtype: 'int8' } },
  Q3_K: { bits: 3, group: 16, format: { held: 3, scaleDtype: 'int8' } },
  Q2_K: { bits: 2, group: 16, format: { held: 2, scaleDtype: 'uint4', shift: 'minimum' } },
  Q5_0: { bits: 5, group: 32, format: { held: 5, scaleDtype: 'float16' } },
  'GPTQ 4': { bits: 4, group: 128, format: { held: 4, scaleDtype: 'float16', shift: 'zero8' } },
  MXFP4: { bits: 4, group: 32, format: { held: 4, scaleDtype: 'e8m0', codebook: 'e2m1' } },
  NVFP4: { bits: 4, group: 16, format: { held: 4, scaleDtype: 'e4m3-unit', codebook: 'e2m1' } },
  FP8: { bits: 8, group: 128, format: { held: 8, scaleDtype: 'float32', codebook: 'e4m3' } },
  IQ4_XS: { bits: 4, group: 32, format: { held: 4, scaleDtype: 'int8', codebook: 'table' } },
  NF4: { bits: 4, group: 64, format: { held: 4, scaleDtype: 'float32', codebook: 'table' } },
  'HQQ 3': { bits: 3, group: 64, format: { held: 3, scaleDtype: 'float16', shift: 'zero' } },
};
const NARROW = Object.entries(files).flatMap(([name, { bits, format, ...rest }]) =>
  ['float32', 'float16'].map((dtype) => ({ name, dtype, bits, ...rest, format: { bits, ...format } })),
);

const kernelOf = (name) => kernels.find((kernel) => kernel.name === name);
/** A kernel's tiles, each with its own number of rows. */
const forcedTiles = (names, device) =>
  names.flatMap((kernel) =>
    kernelOf(kernel)
      .tiles.filter((tile) => kernelOf(kernel).suits?.(tile, device) ?? true)
      .map((tile) => ({ m: tile.ROWS ?? 1, force: { kernel, tile } })),
  );

/** Helpers have no cost. */
const costOf = (shader, params) => costs[shader]?.(params);

/**
 * [{ id, shader, params, code, cost, dtype, name, rows: [least, most] }] for a GPU with every feature and common limits, changed by the given
 * caps; with `more` for more formats, and also without features; with `tiles` for every tile that these kernels have for such a GPU.
 */
export function pickedVariants(capsList, { more = false, narrow = false, tiles = [] } = {}) {
  const found = new Map();
  const bare = { ...LEAST, ...capsList[0], f16: false, subgroups: false };
  for (const device of [...capsList.map((caps) => ({ ...GPU, ...caps })), ...(more ? [bare] : [])])
    for (const { name, ...format } of narrow ? NARROW : more ? [...FORMATS, ...MORE, ...NARROW] : FORMATS)
      for (const innerPrecise of [0, 1])
        for (const shape of SHAPES)
          for (const { m, force } of tiles.length > 0 ? forcedTiles(tiles, device) : ROWS.map((m) => ({ m }))) {
            const { problem, operands } = problemOf({ m, ...shape, ...format });
            const context = { problem: { ...problem, innerPrecise }, packed: packedLayout(operands, device), caps: device };
            if (force && typeof extentOf(kernelOf(force.kernel), { ...context, tile: force.tile }) === 'string') continue;
            const plan = makePlan(context, { force });
            for (const { shader, params } of plan.dispatches) {
              const id = variantId(shader, params);
              const old = found.get(id);
              if (!old) {
                const { code } = variantText({ shader, params });
                found.set(id, { id, shader, params, code, cost: costOf(shader, params), dtype: format.dtype, name, rows: [m, m] });
              } else old.rows = [Math.min(old.rows[0], m), Math.max(old.rows[1], m)];
            }
          }
  if (more) for (const one of llmTexts()) found.set(one.id, { ...one, dtype: 'float32', rows: [1, 1] });
  const order = new Map(kernels.map(({ name }, i) => [name, i]));
  const place = ({ shader, rows }) => (order.get(shader) ?? order.size) + 100 * rows[0];
  return [...found.values()].sort((a, b) => place(a) - place(b) || a.id.localeCompare(b.id));
}
