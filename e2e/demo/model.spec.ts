// The panel "Bring a model" on the built page: files of every kind, their lists of tensors, and looking at, quantizing and running a layer.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator } from '@playwright/test';
import { short } from '../../demo/ui/numbers.js';
import type { RawTensor } from '../../src/files/raw-tensor.js';
import { safetensorsHeader } from '../../src/files/write-safetensors.js';
import { importMatMulBnb4 } from '../../src/formats/bitsandbytes4.js';
import { importMatMulNBits } from '../../src/formats/matmul-nbits.js';
import { compressedTensorsTensors } from '../../src/formats/write-compressed-tensors.js';
import { dequantize } from '../../src/problem/matrix.js';
import { quantize } from '../../src/quantize/quantize.js';
import { type OnnxTensor, onnx } from '../../test/support/onnx-file.js';
import { cancelled, expect, test } from './fixture.js';
import { floats, type GivenFile, given, safetensors, someWeights } from './model-files.js';

const fixture = (path: string): Buffer => readFileSync(join(import.meta.dirname, '../../test/fixtures', path));
const give = (panel: Locator, ...files: readonly GivenFile[]): Promise<void> =>
  panel.getByLabel('Drop a model’s files or its folder here').setInputFiles([...files]);
const file = (panel: Locator): Locator => panel.getByRole('region', { name: 'The file' });
const look = (panel: Locator): Locator => panel.getByRole('region', { name: 'View of the layer' });
const grid = (panel: Locator): Locator => panel.getByRole('grid', { name: 'Tensors' });
const pick = (panel: Locator, name: string): Promise<void> => grid(panel).getByRole('row').filter({ hasText: name }).first().click();
const quantizeButton = (panel: Locator): Locator => panel.getByRole('button', { name: 'Quantize', exact: true });
const runButton = (panel: Locator): Locator => panel.getByRole('button', { name: 'Run', exact: true });

/** The page's own model is open until a file has been opened. */
const opened = (panel: Locator, name: string): Promise<void> => expect(file(panel)).toContainText(name, { timeout: 60_000 });
async function madeUp(panel: Locator): Promise<void> {
  await panel.getByRole('button', { name: 'Try it with a made-up file' }).click();
  await opened(panel, 'made-up.safetensors');
  await expect(panel.getByRole('article')).toContainText('compressed-tensors');
  await expect(look(panel)).toBeVisible({ timeout: 60_000 });
}

async function extremes(panel: Locator, weights: Float32Array): Promise<void> {
  const [least, most] = [Math.min(...weights), Math.max(...weights)];
  await expect(look(panel)).toContainText(`${short(least, 4)} to ${short(most, 4)}`, { timeout: 30_000 });
  await expect(look(panel)).toContainText(`${weights.length.toLocaleString('en')} of them`);
}

async function ran(panel: Locator, count: number): Promise<void> {
  await expect(panel).toContainText(`All ${count.toLocaleString('en')} elements are inside their intervals.`, { timeout: 60_000 });
  const shown = await panel.locator('[data-inside]').evaluate((node) => ({ ...(node as HTMLElement).dataset }));
  expect(shown.inside).toBe(shown.count);
  expect(Number(shown.count)).toBe(count);
}

test('the made-up file: listed, looked at, quantized anew, run', async ({ demo }) => {
  const panel = await demo.open('model');
  await expect(panel).toContainText('Nothing leaves this machine');
  await madeUp(panel);
  await expect(file(panel)).toContainText('made-up.safetensors');
  await expect(file(panel)).toContainText('8 × compressed-tensors pack-quantized, 6 × torch_npu int8');
  await file(panel).getByText('1 layer was refused').click();
  await expect(file(panel)).toContainText('model.broken_on_purpose (compressed-tensors pack-quantized)');
  await expect(file(panel)).toContainText(/weight_scale: shape: expected .*, got \(63, 2\)\./);
  await file(panel).getByText('2 values of the header').click();
  await expect(file(panel).getByRole('row', { name: /made_by/ })).toContainText('from a seed');

  await quantizeButton(panel).click();
  await expect(panel.getByRole('row', { name: /int4, groups of 32, minmax/ })).toContainText(/\d dB/, { timeout: 60_000 });
  await runButton(panel).click();
  await ran(panel, 256);

  // A bias, 8 bits, more rows, another dtype.
  await pick(panel, 'model.layers.0.mlp.gate_proj.weight');
  await expect(panel.getByRole('heading', { name: 'model.layers.0.mlp.gate_proj' })).toBeVisible();
  await panel.getByRole('radio', { name: '4', exact: true }).check();
  await panel.getByRole('group', { name: 'dtype of x and y' }).getByRole('radio', { name: 'float32' }).check();
  await runButton(panel).click();
  await ran(panel, 4 * 768);
  await expect(panel).toContainText('x (4, 256) · W (768, 256)ᵀ + bias → y (4, 768) float32');

  // What is refused says why; what is no matrix says so.
  await grid(panel).focus();
  await demo.page.keyboard.press('End');
  await demo.page.keyboard.press('Enter');
  await expect(panel.getByRole('article')).toContainText('The layer of this tensor was refused.');
  await demo.page.keyboard.press('Home');
  await demo.page.keyboard.press('ArrowDown');
  await demo.page.keyboard.press(' ');
  await expect(panel.getByRole('article')).toContainText('nor a float matrix, so it cannot run.');
});

test('it looks as it should, and axe finds nothing, before and after', async ({ demo }) => {
  test.slow(); // six pictures and four looks by axe
  const panel = await demo.open('model');
  await demo.screenshots('model-empty');
  await madeUp(panel);
  await quantizeButton(panel).click();
  await expect(panel.getByRole('row', { name: /int4, groups of 32, minmax/ })).toContainText(/\d dB/, { timeout: 60_000 });
  await runButton(panel).click();
  await ran(panel, 256);
  await demo.screenshots('model');
});

test('numbers are those of the library: floats, and codes that are quantized again', async ({ demo }) => {
  const [n, k] = [96, 160];
  const weights = someWeights(n * k, 3);
  const coded = quantize(someWeights(n * k, 4), { n, k, bits: 4, groupSize: 32 });
  const panel = await demo.open('model');
  await give(
    panel,
    await safetensors('two.safetensors', [floats('head.weight', [n, k], weights), ...compressedTensorsTensors('layer', coded)]),
  );
  await extremes(panel, dequantize(coded.matrix));

  const row = (name: string) => panel.getByRole('row', { name });
  const expected = async (name: string, { report }: ReturnType<typeof quantize>): Promise<void> => {
    await expect(row(name)).toContainText(`${report.sqnr.toFixed(2)} dB`, { timeout: 30_000 });
    await expect(row(name)).toContainText(short(report.maxError));
    await expect(row(name)).toContainText(short(report.rmse));
    await expect(row(name)).toContainText(report.bitsPerWeight.toFixed(2));
  };
  await panel.getByLabel('One scale for').selectOption('each output');
  await quantizeButton(panel).click();
  await expected('int4, per channel, minmax', quantize(dequantize(coded.matrix), { n, k, bits: 4 }));

  await pick(panel, 'head.weight');
  await extremes(panel, weights);
  await expect(panel.getByRole('row', { name: 'int4, per channel' })).toHaveCount(0); // of the layer before
  await panel.getByRole('radio', { name: 'hqq' }).check();
  await expect(panel.getByLabel('Symmetric')).toBeDisabled();
  await panel.getByLabel('One scale for').selectOption('32 inputs');
  await quantizeButton(panel).click();
  await expected('int4, groups of 32, hqq', quantize(weights, { n, k, bits: 4, groupSize: 32, method: 'hqq' }));
  await panel.getByRole('radio', { name: 'int8' }).check();
  await panel.getByRole('radio', { name: 'mse' }).check();
  await panel.getByLabel('Symmetric').check();
  await panel.getByLabel('dtype of scales').selectOption('float32');
  await panel.getByLabel('One scale for').selectOption('the whole matrix');
  await quantizeButton(panel).click();
  const options = { n, k, bits: 8, mode: 'tensor', method: 'mse', symmetric: true, scaleDtype: 'float32' } as const;
  await expected('int8, per tensor, mse, symmetric, float32', quantize(weights, options));
  await expect(panel.getByRole('figure', { name: /^Error of int8, per tensor/ })).toBeVisible();

  // Groups that do not fit are refused in the library's words, and nothing else is lost.
  await panel.getByLabel('One scale for').selectOption('256 inputs');
  await quantizeButton(panel).click();
  await expect(panel.getByRole('alert').filter({ hasText: 'Quantizing did not finish.' })).toContainText(
    'groupSize: expected a multiple of 4 up to K = 160',
  );
  await panel.getByLabel('One scale for').selectOption('32 inputs');
  await runButton(panel).click();
  await ran(panel, n);
});

test('the URL restores settings, and the made-up file, but never names a file', async ({ demo }) => {
  const { page } = demo;
  const panel = await demo.open('model', {
    sample: 1,
    bits: 8,
    groups: 'channel',
    method: 'mse',
    m: 16,
    find: 'q_proj',
    kind: 'layer',
    sort: 'bytes',
    desc: 1,
  });
  await expect(look(panel)).toBeVisible({ timeout: 60_000 });
  await expect(panel.getByRole('radio', { name: 'int8' })).toBeChecked();
  await expect(panel.getByLabel('One scale for')).toHaveValue('channel');
  await expect(panel.getByRole('radio', { name: '16', exact: true })).toBeChecked();
  await expect(panel.getByLabel('Filter by name')).toHaveValue('q_proj');
  await expect(panel.locator('.tensors-count')).toHaveText('8 of 58 tensors');
  await expect(panel.getByRole('columnheader', { name: 'Bytes' })).toHaveAttribute('aria-sort', 'descending');
  await give(panel, await safetensors('private-name.safetensors', [floats('secret.weight', [8, 16], someWeights(128, 1))]));
  await expect(file(panel)).toContainText('private-name.safetensors');
  await expect(page).not.toHaveURL(/sample|private|secret/);
  await expect(page).toHaveURL(/[?&]bits=8\b/);
  await page.reload();
  await expect(panel.getByLabel('Drop a model’s files or its folder here')).toBeVisible();
  await opened(panel, 'kjv.gguf'); // the page's own
  await give(panel, await safetensors('again.safetensors', [floats('again.weight', [8, 16], someWeights(128, 1))]));
  await expect(panel.getByRole('radio', { name: 'int8' })).toBeChecked({ timeout: 30_000 });
  await expect(panel.getByLabel('Filter by name')).toHaveValue('q_proj');
});

test('100,000 tensors scroll, filter and sort, by mouse and by keys', async ({ demo }) => {
  const { page } = demo;
  const count = 100_000;
  const outlines = Array.from({ length: count }, (_, i) => ({ name: `block.${i}.norm`, dtype: 'U8', shape: [1 + (i % 7)] }));
  const header = safetensorsHeader(outlines);
  const data = Buffer.alloc(outlines.reduce((sum, { shape }) => sum + shape[0]!, 0));
  const panel = await demo.open('model');
  await give(panel, given('many.safetensors', Buffer.concat([header, data])));
  const list = grid(panel);
  await expect(list).toHaveAttribute('aria-rowcount', String(count + 1), { timeout: 60_000 });
  const rows = list.locator('.tensors-body').getByRole('row');
  expect(await rows.count()).toBeLessThan(60);

  await list.focus();
  await page.keyboard.press('End');
  await expect(rows.last()).toContainText(`block.${count - 1}.norm`);
  const active = () => list.evaluate((node) => document.getElementById(node.getAttribute('aria-activedescendant')!)?.textContent);
  expect(await active()).toContain(`block.${count - 1}.norm`);
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('PageUp');
  expect(await active()).toMatch(/block\.999\d\d\.norm/);
  await page.keyboard.press('Home');
  expect(await active()).toContain('block.0.norm');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(panel.getByRole('article')).toContainText('block.1.norm');
  await expect(list.locator('[aria-selected="true"]')).toContainText('block.1.norm');

  // A screenful a frame: every frame has its rows, and none waits for long.
  const worst = await list.evaluate(async (node) => {
    let last = performance.now();
    let longest = 0;
    for (let i = 0; i < 60; i++) {
      node.scrollTop += 400;
      await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      const box = node.getBoundingClientRect();
      const seen = document.elementFromPoint(box.left + 60, box.top + box.height / 2)?.closest('[role="row"]');
      if (!seen) throw new Error(`no row in sight after ${i} screens`);
    }
    return longest;
  });
  console.log(`the slowest of 60 screens of 100,000 rows took ${Math.round(worst)} ms`);
  expect(worst).toBeLessThan(500);

  await panel.getByLabel('Filter by name').fill('block.777 U8');
  await expect(panel.locator('.tensors-count')).toHaveText('111 of 100,000 tensors');
  await panel.getByRole('columnheader', { name: 'Bytes' }).getByRole('button').click();
  await expect(rows.first()).toContainText('1 B');
  await panel.getByRole('columnheader', { name: 'Bytes' }).getByRole('button').click();
  await expect(rows.first()).toContainText('7 B');
  await panel.getByRole('columnheader', { name: 'Bytes' }).getByRole('button').click();
  await expect(rows.first()).toContainText('block.777.norm');
  await panel.getByRole('radio', { name: 'Quantized 0' }).check();
  await expect(list).toContainText('No tensor matches this filter.');
  await demo.axe();
});

test('GGUF, also split, and shards with their index and configuration', async ({ demo }) => {
  const panel = await demo.open('model');
  await give(panel, given('types.gguf', fixture('gguf/types.gguf')));
  await expect(file(panel)).toContainText('GGUF');
  await expect(file(panel)).toContainText('types.gguf');
  const parts = [1, 2, 3].map((i) => `split-0000${i}-of-00003.gguf`);
  await give(panel, ...parts.map((name) => given(name, fixture(`gguf/${name}`))));
  await expect(file(panel)).toContainText('in 3 files');
  await expect(grid(panel)).toHaveAttribute('aria-rowcount', '6');
  await pick(panel, 't4');
  await panel.getByLabel('One scale for').selectOption('each output');
  await runButton(panel).click();
  await expect(panel).toContainText('elements are inside their intervals', { timeout: 60_000 });
  await give(panel, given(parts[0]!, fixture(`gguf/${parts[0]}`)));
  await expect(panel.getByRole('alert')).toContainText('The files could not be opened; the one before stays open.');
  await expect(panel.getByRole('alert')).toContainText('split-00002-of-00003.gguf: cannot be read: it is not one of the 1 files given');

  const [n, k] = [32, 96];
  const coded = quantize(someWeights(n * k, 5), { n, k, bits: 4, groupSize: 32 });
  const [first, ...rest] = compressedTensorsTensors('layer', coded);
  const shards = [await safetensors('a.safetensors', [first!]), await safetensors('b.safetensors', rest)];
  const map = Object.fromEntries([[first!.name, 'a.safetensors'], ...rest.map(({ name }) => [name, 'b.safetensors'])]);
  const index = given('model.safetensors.index.json', JSON.stringify({ metadata: {}, weight_map: map }));
  const config = given(
    'config.json',
    JSON.stringify({
      quantization_config: { quant_method: 'compressed-tensors', config_groups: { a: { weights: { num_bits: 4, group_size: 32 } } } },
    }),
  );
  await give(panel, ...shards, index, config);
  await expect(file(panel)).toContainText('config.json');
  await extremes(panel, dequantize(coded.matrix));
  // Without an index they are one model all the same.
  await give(panel, ...shards, given('config.json', '{'));
  await expect(file(panel)).toContainText('a.safetensors and 1 more');
  await expect(file(panel)).toContainText('config.json was not used: it is not JSON');
});

interface OnnxFixture {
  readonly op: string;
  readonly attributes: Readonly<Record<string, number>>;
  readonly tensors: Readonly<Record<string, { readonly type: string; readonly dims: readonly number[]; readonly base64: string }>>;
}
const TYPES = { float32: [1, 'F32'], uint8: [2, 'U8'], int32: [6, 'I32'], float16: [10, 'F16'] } as const;
const onnxFixture = (name: string): OnnxFixture => JSON.parse(fixture(`onnx/${name}.json`).toString()) as OnnxFixture;
const rawOf = ({ tensors }: OnnxFixture): Record<string, RawTensor> =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { type, dims, base64 }]) => [
      name,
      { name, dtype: TYPES[type as keyof typeof TYPES][1], shape: dims, bytes: new Uint8Array(Buffer.from(base64, 'base64')) },
    ]),
  );

test('ONNX: MatMulNBits, MatMulBnb4 with external data, and a float MatMul that lies transposed', async ({ demo }) => {
  const nbits = onnxFixture('nbits-4-block16-zeros-ragged');
  const bnb = onnxFixture('bnb4-nf4-block64');
  const [rows, columns] = [24, 40];
  const plain = someWeights(rows * columns, 8); // (K, N)
  const external: Buffer[] = [Buffer.alloc(64)];
  const tensors: OnnxTensor[] = [];
  for (const [i, one] of [nbits, bnb].entries())
    for (const [name, { type, dims, base64 }] of Object.entries(one.tensors)) {
      const raw = Buffer.from(base64, 'base64');
      const base = { name: `${i}.${name}`, type: TYPES[type as keyof typeof TYPES][0], dims };
      if (i === 0) tensors.push({ ...base, raw });
      else {
        const offset = external.reduce((sum, { length }) => sum + length, 0);
        external.push(raw);
        tensors.push({ ...base, external: { location: 'm.onnx.data', offset: String(offset), length: String(raw.length) } });
      }
    }
  tensors.push({ name: 'plain', type: 1, dims: [rows, columns], float: [...plain] });
  const inputs = (i: number, one: OnnxFixture): string[] => ['x', ...Object.keys(one.tensors).map((name) => `${i}.${name}`)];
  const bytes = onnx(
    [
      { op: 'MatMulNBits', name: 'first', inputs: inputs(0, nbits), ints: nbits.attributes },
      { op: 'MatMulBnb4', name: 'second', inputs: inputs(1, bnb), ints: bnb.attributes },
      { op: 'MatMulNBits', name: 'third', inputs: inputs(0, nbits), ints: { ...nbits.attributes, block_size: 32 } },
      { op: 'MatMul', name: 'fourth', inputs: ['x', 'plain'] },
    ],
    tensors,
  );
  const panel = await demo.open('model');
  await give(panel, given('m.onnx', bytes));
  await expect(panel.getByRole('alert')).toContainText('m.onnx.data: cannot be read: it is not one of the 1 files given');
  await give(panel, given('m.onnx', bytes), given('m.onnx.data', Buffer.concat(external)));
  await expect(file(panel)).toContainText('1 × MatMulNBits, 1 × MatMulBnb4 NF4', { timeout: 30_000 });
  await file(panel).getByText('1 layer was refused').click();
  await expect(file(panel)).toContainText('third (MatMulNBits). m.onnx: third: B.shape: expected (3, 2, 16), got (3, 3, 8).');

  const own = rawOf(nbits) as unknown as Parameters<typeof importMatMulNBits>[0];
  const first = dequantize(importMatMulNBits(own, nbits.attributes as unknown as Parameters<typeof importMatMulNBits>[1]));
  await extremes(panel, first);
  await runButton(panel).click();
  await ran(panel, nbits.attributes.N!);
  await pick(panel, '1.B');
  const { B, absmax } = rawOf(bnb);
  const attributes = bnb.attributes as unknown as Parameters<typeof importMatMulBnb4>[1];
  await extremes(panel, dequantize(importMatMulBnb4({ B: B!, absmax: absmax! }, attributes)));
  await runButton(panel).click();
  await ran(panel, bnb.attributes.N!);

  await pick(panel, 'plain');
  await expect(panel.getByRole('article')).toContainText('F32, not quantized: 40 outputs × 24 inputs');
  await panel.getByLabel('One scale for').selectOption('each output');
  await quantizeButton(panel).click();
  const turned = Float32Array.from({ length: plain.length }, (_, i) => plain[(i % rows) * columns + Math.floor(i / rows)]!);
  const { report } = quantize(turned, { n: columns, k: rows, bits: 4 });
  await expect(panel.getByRole('row', { name: 'int4, per channel, minmax' })).toContainText(`${report.sqnr.toFixed(2)} dB`);
});

test('files that are none, cut off or hostile end in a sentence, and the page stays usable', async ({ demo }) => {
  const panel = await demo.open('model');
  const alert = panel.getByRole('alert').filter({ hasText: 'could not be opened' });
  const good = await safetensors('good.safetensors', [floats('a.weight', [16, 32], someWeights(512, 2))]);
  const huge = Buffer.alloc(64);
  huge.writeBigUInt64LE(2n ** 40n);
  const deep = `{"weight_map":${'['.repeat(100_000)}`;
  const cases: readonly (readonly [GivenFile, RegExp])[] = [
    [given('cut.safetensors', good.buffer.subarray(0, good.buffer.length - 100)), /cut\.safetensors: .*expected/],
    [given('head.safetensors', good.buffer.subarray(0, 20)), /head\.safetensors: .*expected/],
    [given('huge.safetensors', huge), /huge\.safetensors: .*expected/],
    [given('cut.gguf', fixture('gguf/types.gguf').subarray(0, 200)), /cut\.gguf: .*expected/],
    [given('page.gguf', '<!doctype html><title>404</title>'), /a page of HTML/],
    [given('torch.bin', Buffer.from([0x50, 0x4b, 3, 4, 0, 0, 8, 8])), /a zip archive/],
    [given('empty.gguf', ''), /empty\.gguf: .*expected/],
    [given('model.safetensors.index.json', deep), /index\.json: .*expected/],
    [given('config.json', '{}'), /expected weight_map/],
    [given('noise.onnx', Buffer.from(someWeights(64, 1).buffer)), /noise\.onnx: .*expected/],
    [given('empty.onnx', ''), /expected a graph, got none/],
  ];
  for (const [bad, sentence] of cases) {
    await give(panel, bad);
    await expect(alert, bad.name).toContainText(sentence, { timeout: 30_000 });
    await expect(alert).toContainText(/[.?]$/);
  }
  await demo.axe();
  // A good one after all of them; and one whose bytes are no numbers.
  await give(panel, good);
  await opened(panel, 'good.safetensors');
  await expect(look(panel)).toBeVisible({ timeout: 30_000 });
  await expect(alert).toHaveCount(0);
  const broken = someWeights(512, 2);
  broken[77] = Number.NaN;
  await give(panel, await safetensors('nan.safetensors', [floats('a.weight', [16, 32], broken)]));
  await expect(panel.getByRole('alert').filter({ hasText: 'The layer could not be read.' })).toContainText(
    'a.weight: element 77: expected a finite number, got NaN.',
  );
  await give(panel, good);
  await opened(panel, 'good.safetensors');
  await runButton(panel).click();
  await ran(panel, 16);
});

test('long work is cancelled, and the next begins', async ({ demo }) => {
  const [n, k] = [6144, 1024];
  const panel = await demo.open('model', { method: 'hqq' });
  await give(panel, await safetensors('large.safetensors', [floats('large.weight', [n, k], someWeights(n * k, 1))]));
  await opened(panel, 'large.safetensors');
  await expect(look(panel)).toBeVisible({ timeout: 60_000 });
  await quantizeButton(panel).click();
  const card = panel.getByRole('region', { name: 'Quantize it anew' });
  await expect(card.getByRole('progressbar')).toBeVisible();
  await expect(card.locator('.progress-text')).toContainText(/Row \d+ of 6144/, { timeout: 30_000 });
  await card.getByRole('button', { name: 'Cancel' }).click();
  await expect(card.locator('.progress-text')).toHaveText('Cancelled.');
  await panel.getByRole('radio', { name: 'minmax' }).check();
  await quantizeButton(panel).click();
  await expect(panel.getByRole('row', { name: 'int4, groups of 32, minmax' })).toContainText('dB', { timeout: 60_000 });
  const running = panel.getByRole('region', { name: 'Run it' });
  await cancelled(running, () => runButton(panel).click());
  await expect(running.locator('.progress-text')).toHaveText('Cancelled.');
  await runButton(panel).click();
  await ran(panel, n);
});

test('nothing leaves the machine: no request from a file’s choosing on, and none is needed', async ({ demo, context }) => {
  const { page } = demo;
  const panel = await demo.open('model');
  // Whatever code the panel loads when it is first needed is loaded by the made-up file.
  await madeUp(panel);
  await runButton(panel).click();
  await ran(panel, 256);
  await give(panel, given('none.onnx', ''));
  await expect(panel.getByRole('alert')).toContainText('got none');
  const requests: string[] = [];
  context.on('request', (request) => requests.push(request.url()));
  page.on('websocket', (socket) => requests.push(socket.url()));
  await context.setOffline(true);
  await give(panel, await safetensors('mine.safetensors', [floats('mine.weight', [64, 96], someWeights(64 * 96, 7))]));
  await opened(panel, 'mine.safetensors');
  await expect(look(panel)).toBeVisible({ timeout: 30_000 });
  await quantizeButton(panel).click();
  await expect(panel.getByRole('row', { name: 'int4, groups of 32, minmax' })).toContainText('dB', { timeout: 30_000 });
  await runButton(panel).click();
  await ran(panel, 64);
  await context.setOffline(false);
  expect(requests).toEqual([]);
  expect(
    await page.evaluate(() => performance.getEntriesByType('resource').filter(({ name }) => !name.startsWith(location.origin)).length),
  ).toBe(0);
});

test.describe('without a GPU', () => {
  test.use({ gpu: 'none', serviceWorkers: 'block' });
  test('the reference runs alone', async ({ demo }) => {
    const panel = await demo.open('model', { sample: 1 });
    await expect(look(panel)).toBeVisible({ timeout: 60_000 });
    await runButton(panel).click();
    await expect(panel).toContainText('Not run on a GPU: only the CPU reference ran.', { timeout: 60_000 });
    await expect(panel.getByRole('table', { name: 'First elements of y' })).toContainText(/-?\d\.\d{5}/);
  });
});

test('a device that is lost in a run ends it with a sentence', async ({ demo }) => {
  const panel = await demo.open('model', { sample: 1, m: 64 });
  await expect(look(panel)).toBeVisible({ timeout: 60_000 });
  await runButton(panel).click();
  const running = panel.getByRole('region', { name: 'Run it' });
  await expect(running.locator('.progress-text')).toContainText(/GPU (compiles|runs)|reference|time/, { timeout: 30_000 });
  await demo.loseDevice();
  await expect(running.getByRole('alert')).toContainText('The run did not finish.');
  await runButton(panel).click();
  await ran(panel, 64 * 256);
});
