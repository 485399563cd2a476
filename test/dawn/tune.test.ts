// Tuning on a real device: choices are measured, stored and found again, and never make a product wrong.
import { expect, test, vi } from 'vitest';
import { findingsOf } from '../../src/gpu/device-findings.js';
import { formatReport, LinearWeightQuant, requestDevice, Tensor, type TuningStore, tuning, UnsupportedError } from '../../src/index.js';
import { gpu } from '../support/dawn.js';
import { deviceForEach } from '../support/fresh-device.js';
import { codesOf, numbersOf, xOf, yOf } from '../support/small-product.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

const [K, N] = [256, 512];
const PRODUCT = { n: N, k: K, scale: () => 0.5 };
const codes = codesOf(PRODUCT);
const loaded = (on = device): LinearWeightQuant =>
  new LinearWeightQuant(on, { inFeatures: K, outFeatures: N, bias: false, dtype: 'float32', antiquantGroupSize: 32 }).load({
    weight: Tensor.from(on, codes, { shape: [N, K], dtype: 'int8' }),
    antiquantScale: Tensor.from(on, new Float32Array((N * K) / 32).fill(0.5), { shape: [N, K / 32], dtype: 'float32' }),
  });
const x = (rows: number, on = device): Tensor => xOf(on, rows, K);
const wanted = (rows: number): number[] => yOf(rows, PRODUCT);

function memoryStore(): TuningStore & { readonly values: Map<string, unknown> } {
  const values = new Map<string, unknown>();
  return {
    values,
    get: async (key) => values.get(key),
    set: async (key, value) => void values.set(key, JSON.parse(JSON.stringify(value))),
  };
}
/** Does `work` measure anything on `on`? */
async function measures(on: GPUDevice, work: () => Promise<unknown>): Promise<boolean> {
  const made = vi.spyOn(on, 'createBuffer');
  await work();
  const labels = made.mock.calls.map(([{ label }]) => label);
  made.mockRestore();
  return labels.includes('antiquant tuning x');
}

test('is kept, found again by another device, and not measured twice', async () => {
  const store = memoryStore();
  const layer = loaded();
  const own = layer.explain(1);
  const begin = performance.now();
  expect(await measures(device, () => layer.prepare([1], { tune: true, store, budgetMs: 1000 }))).toBe(true);
  const took = performance.now() - begin;
  const { key, choices } = tuning(device).export();
  const [[name, choice], ...more] = Object.entries(choices) as [[string, (typeof choices)[string]]];
  console.log(`tuned ${name} in ${took.toFixed(0)} ms, compiling included: ${JSON.stringify(choice)}`);
  expect(more).toEqual([]);
  expect(choice.candidates).toBeGreaterThan(1);
  expect(choice.date).toMatch(/^\d{4}-\d\d-\d\d$/);
  expect(choice.ratio).toBeLessThanOrEqual(1);
  expect([...store.values]).toEqual([[key, choices]]);
  const { kernel, params, why } = layer.explain(1);
  expect(why.join('\n')).toContain('tuned: ');
  if (choice.ratio === 1) expect([kernel, params]).toEqual([own.kernel, own.params]);
  else expect([kernel, params]).toEqual([choice.kernel, { ...params, ...choice.tile }]);
  expect(await numbersOf(layer.forward(x(1)))).toEqual(wanted(1));
  expect(await measures(device, () => loaded().prepare([1], { tune: true, store, budgetMs: 1000 }))).toBe(false);

  const other = await requestDevice({ gpu });
  const later = loaded(other);
  expect(later.explain(1).why.join('\n')).not.toContain('tuned: ');
  expect(await measures(other, () => later.prepare([1], { store }))).toBe(false);
  expect(later.explain(1)).toMatchObject({ kernel, params, why });
  expect(await measures(other, () => later.prepare([1], { tune: true, store, budgetMs: 1000 }))).toBe(false);
  expect(await numbersOf(later.forward(x(1, other)))).toEqual(wanted(1));
  await tuning(other).clear({ store });
  expect([...store.values.values()]).toEqual([{}]);
  expect(later.explain(1).why.join('\n')).not.toContain('tuned: ');
  other.destroy();
});

test('a choice that comes from elsewhere replaces what was recorded; another kind of device’s does not', async () => {
  const layer = loaded();
  const input = x(4);
  layer.forward(input).destroy();
  const own = layer.explain(4);
  // What measuring would have left, had matmul-plain been the fastest.
  await layer.prepare([4], { tune: true, store: null, budgetMs: 20 });
  const { key, choices } = tuning(device).export();
  const plain = { ...Object.values(choices)[0]!, kernel: 'matmul-plain', tile: {}, ratio: 0.5 };
  const exported = { key, choices: { [Object.keys(choices)[0]!]: plain } };
  expect(tuning(device).import({ ...exported, key: `${key} of another kind` })).toBe(0);
  for (const junk of [undefined, null, 3, {}, { key, choices: 5 }]) expect(tuning(device).import(junk)).toBe(0);
  expect(layer.explain(4).kernel).not.toBe('matmul-plain');
  expect(tuning(device).import(JSON.parse(JSON.stringify(exported)))).toBe(1);
  expect(layer.explain(4)).toMatchObject({ kernel: 'matmul-plain' });
  const bound = vi.spyOn(device, 'createBindGroup');
  const y = layer.forward(input);
  expect(bound.mock.calls[0]![0].label).toMatch(/^matmul-plain\[/);
  expect(await numbersOf(y)).toEqual(wanted(4));
  await tuning(device).clear({ store: null });
  expect(layer.explain(4)).toEqual(own);
});

test('a store that is broken is as good as none', async () => {
  const broken: TuningStore = { get: () => Promise.reject(new Error('no')), set: () => Promise.reject(new Error('no')) };
  const throws: TuningStore = {
    get: () => {
      throw new Error('no');
    },
    set: () => {
      throw new Error('no');
    },
  };
  const junk: TuningStore = { get: async () => ({ x: { kernel: 5 } }), set: async () => {} };
  for (const store of [broken, throws, junk]) await loaded().prepare([1], { tune: true, store, budgetMs: 10 });
  expect(findingsOf(device).tuned.size).toBe(1);
  expect(loaded().explain(1).notes).toEqual(['the store of measured choices failed (no): they are not kept']);
});

test('a store that does not answer is waited for half a second, once, and said in explain()', async () => {
  const never = () => new Promise<never>(() => {});
  const forms: readonly TuningStore[] = [
    { get: vi.fn(never), set: vi.fn(never) },
    { get: vi.fn(async () => undefined), set: vi.fn(never) },
  ];
  const note = 'the store of measured choices did not answer within 0.5 s: they are not kept';
  for (const store of forms) {
    const on = await requestDevice({ gpu });
    const layer = loaded(on);
    await layer.prepare([1, 2], { store: null });
    expect(layer.explain(1).notes).toEqual([]);
    const begin = performance.now();
    // Numbers of rows of two classes: the second is measured although the store is silent since the first.
    await layer.prepare([1, 2], { tune: true, store, budgetMs: 1 });
    await tuning(on).clear({ store });
    expect(performance.now() - begin).toBeLessThan(20_000);
    expect([store.get, store.set].map((ask) => vi.mocked(ask).mock.calls.length)).toEqual(store === forms[0] ? [1, 0] : [2, 1]);
    expect(layer.explain(1).notes).toEqual([note]);
    expect(formatReport(on)).toContain(note);
    expect(await numbersOf(layer.forward(x(1, on)))).toEqual(wanted(1));
    on.destroy();
  }
});

test('measuring keeps to its budget: a larger one measures again', async () => {
  const layer = loaded();
  await layer.prepare([64], { store: null });
  await layer.prepare([64], { tune: true, store: null, budgetMs: 0.001 });
  const [choice] = findingsOf(device).tuned.values();
  expect(choice).toMatchObject({ ratio: 1, candidates: 1, short: 0.001 });
  expect(await measures(device, () => layer.prepare([64], { tune: true, store: null, budgetMs: 0.001 }))).toBe(false);
  expect(await measures(device, () => layer.prepare([64], { tune: true, store: null, budgetMs: 5 }))).toBe(true);
  await expect(layer.prepare([64], { tune: true, budgetMs: 0 })).rejects.toThrow(
    'budgetMs: expected a number of milliseconds above 0, got 0',
  );
});

test('a layer that is destroyed meanwhile leaves nothing behind', async () => {
  const layer = loaded();
  await layer.prepare([2], { store: null });
  const measuring = layer.prepare([2], { tune: true, store: null });
  setTimeout(() => layer.destroy(), 20);
  await expect(measuring).rejects.toBeInstanceOf(UnsupportedError);
  expect(findingsOf(device).tuned.size).toBe(0);
});
