// The self-test of the kernels of shaders/llm: all pass here, in little time; one that is made wrong is found before the first token, by name.
import { describe, expect, test, vi } from 'vitest';
import { byteSource } from '../../src/files/byte-source.js';
import { openGguf } from '../../src/files/gguf.js';
import { findingsOf } from '../../src/gpu/device-findings.js';
import { capsOf, requestDevice, ShaderError, selfTestReports } from '../../src/index.js';
import { variantId } from '../../src/kernels/kernel.js';
import { Llm } from '../../src/llm.js';
import { trialOf } from '../../src/llm-trials/trials.js';
import { testKernels } from '../../src/sequence/test-kernels.js';
import { sources } from '../../src/wgsl/sources.js';
import { llmVariants } from '../cases/llm-variants.js';
import { idsOf } from '../cases/run-llm.js';
import { sliced, whole } from '../cases/slice.js';
import { gpu } from '../support/dawn.js';
import { llmDevice } from '../support/llm-kernels.js';
import { type ModelOptions, modelFile } from '../support/model-file.js';

const device = await llmDevice();
const MODEL: ModelOptions = { architecture: 'qwen3', seed: 51, sizes: { layers: 1, feedForward: 256, contextLength: 4096 } };
const load = async (own: GPUDevice, more: object = {}): Promise<Llm> =>
  Llm.load(await openGguf(await byteSource(modelFile(MODEL), { name: 'model.gguf' })), { device: own, kv: 'f32', ...more });

/** Dispatches of variants; in `npm test` of small heads and few queries, which compile fast, and so many that each value of a shader's params is in one. */
const some = sliced(
  llmVariants().filter(
    ({ shader, params }) => whole || ((params.E ?? 32) === 32 && (shader.name !== 'llm/attend' || params.QUERIES! <= 2)),
  ),
  ({ shader, params }) => Object.fromEntries(Object.entries(params).map(([name, value]) => [`${shader.name} ${name}`, value])),
).flatMap((one) => trialOf(one, capsOf(device))?.dispatch ?? []);

test('every kernel passes', { timeout: 300_000 /* it compiles them */ }, async () => {
  await testKernels(device, some);
  expect(selfTestReports(device)).toEqual([]);
});

test('takes a few milliseconds of CPU besides compiling, once a device', async () => {
  const { tests } = findingsOf(device);
  const few = some.slice(0, 8);
  const times: number[] = []; // of the CPU, which other work cannot stretch
  for (let i = 0; i < 6; i++) {
    tests.clear();
    const begin = process.cpuUsage();
    await testKernels(device, few);
    const { user, system } = process.cpuUsage(begin);
    times.push((user + system) / 1000);
  }
  console.log(`self-test of ${few.length} variants of shaders/llm: ${times.map((time) => time.toFixed(1)).join(', ')} ms of CPU`);
  expect(Math.min(...times)).toBeLessThan(50);
  const submits = vi.spyOn(device.queue, 'submit');
  await testKernels(device, few);
  expect(submits).not.toHaveBeenCalled();
  submits.mockRestore();
});

/** Runs `work` on a new device with a text of shaders/llm in which `from` is `to`. */
async function withFault([file, from, to]: readonly [string, string, string], work: (own: GPUDevice) => Promise<void>): Promise<void> {
  const texts = sources as Record<string, string>;
  const before = texts[file]!;
  expect(before).toContain(from);
  texts[file] = before.replace(from, to);
  const own = await requestDevice({ gpu });
  try {
    await work(own);
  } finally {
    texts[file] = before;
    own.destroy();
  }
}

/** What is made wrong: a file of shaders/llm, its text, what it becomes; and what says so. */
const FAULTS: readonly (readonly [kernel: string, where: RegExp, ...change: readonly [string, string, string]])[] = [
  ['llm/rms-rows', /y\[\d+\]/, 'llm/rms-rows.wgsl', '* factor * weight[i]', '* factor'],
  ['llm/rms-rows', /y\[528\]: expected NaN as before/, 'llm/rms-rows.wgsl', '|| workgroup.x >= now.rows', ''],
  ['llm/attend', /(att|k_cache)\[\d+\]/, 'llm/rotate.wgsl', 'low.x * high.x - low.y * high.y', 'low.x'],
  ['llm/attend', /att\[\d+\]/, 'llm/attend.wgsl', 'sum / (total', 'sum / (1.0'],
  [
    'llm/attend',
    /v_cache\[\d+\]/,
    'llm/attend.wgsl',
    'v_cache[value_index(kv_head, now.position, i)]',
    'v_cache[value_index(kv_head, now.position + 1u, i)]',
  ],
  ['llm/rope-rows', /q\[\d+\]/, 'llm/rope-rows.wgsl', 'done * params.scale', 'done'],
  ['llm/attend-rows', /att\[\d+\]/, 'llm/attend-rows.wgsl', 'now.position + (first_query + query) / params.group', 'now.position + 1u'],
  ['llm/pick', /state\[\d\]/, 'llm/best.wgsl', 'b.id < a.id', 'b.id > a.id'],
  ['llm/pick', /now\[1\]: expected 6, got 5/, 'llm/pick.wgsl', 'now.position = position;', ''],
  ['llm/pick', /to compile, got shaders\/llm\/pick.wgsl:\d+/, 'llm/pick.wgsl', 'now.position = position;', 'now.place = position;'],
];

describe('a kernel that is made wrong', () => {
  const first = FAULTS.filter(([kernel], i) => FAULTS.findIndex((one) => one[0] === kernel) === i);
  test.each(whole ? FAULTS : first)('%s: %s', async (kernel, where, ...change) => {
    await withFault(change, async (own) => {
      const seen: number[] = [];
      const prompt = /(rope|attend)-rows$/.test(kernel) ? [3, 1] : [3]; // a row alone takes the kernels of a token
      const work = async (): Promise<void> => {
        const llm = await load(own);
        for await (const { id } of llm.generate(prompt, { maxTokens: 3 })) seen.push(id);
      };
      const error = await work().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(ShaderError);
      expect((error as ShaderError).variant).toMatch(new RegExp(`^${kernel}(\\[|$)`));
      expect((error as ShaderError).message).toMatch(where);
      expect(seen).toEqual([]);
      expect(selfTestReports(own).map(({ variant }) => variant)).toContain((error as ShaderError).variant);
    });
  });

  test.runIf(whole)('that only a long sequence needs ends it where the cache grows', async () => {
    await withFault(['llm/attend-join.wgsl', 'exp(parts', 'exp2(parts'], async (own) => {
      const llm = await load(own);
      const prompt = Array.from({ length: 2047 }, (_, i) => (i * 53) % 256);
      const seen: number[] = [];
      await expect(async () => {
        for await (const { id } of llm.generate(prompt, { maxTokens: 4, tokensPerSubmit: 1 })) seen.push(id);
      }).rejects.toThrow(/llm\/attend-join.*att\[\d+\]/);
      expect(seen.length).toBeLessThan(3);
      expect((await idsOf(llm, [3], { maxTokens: 2 })).length).toBe(2); // short ones do without
    });
  });
});

test('a case of each variant is of that variant', () => {
  for (const { shader, params } of some) expect(trialOf({ shader, params }, capsOf(device))!.variant).toBe(variantId(shader.name, params));
});
