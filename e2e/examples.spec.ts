// Runs every example of examples/: pages here, those with other libraries in e2e/interop, node-dawn.mjs in test/package.mjs.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, type Page, test } from '@playwright/test';
import { openModel } from '../src/files/open-file.js';
import { findLayers } from '../src/formats/find-layers.js';
import { readMatrix } from '../src/formats/read-layer.js';
import { dequantize } from '../src/problem/matrix.js';
import { makeGguf } from '../test/support/files.js';
import { modelParts } from '../test/support/model-file.js';
import { importMapOf } from './import-maps.js';

const root = join(import.meta.dirname, '..');
const MOST_LINES = 40;

const problems: string[] = [];
test.beforeEach(({ page }) => {
  problems.length = 0;
  page.on('pageerror', ({ message }) => problems.push(message));
});
test.afterEach(() => expect(problems).toEqual([]));

const open = (page: Page, name: string) => page.goto(`/examples/${name}.html`);

test('hello', async ({ page }) => {
  await open(page, 'hello');
  await expect(page.locator('#y')).toHaveText(Array(8).fill(32).join(' '));
});

test('gguf-in-a-page', async ({ page }) => {
  const path = join(root, 'test/fixtures/gguf/types.gguf');
  const { layers } = await findLayers(await openModel(path));
  const matrix = await readMatrix(layers[0]!);
  const weights = dequantize(matrix);
  const sums = Array.from({ length: Math.min(4, matrix.n) }, (_, n) =>
    weights.subarray(n * matrix.k, (n + 1) * matrix.k).reduce((a, b) => a + b, 0),
  );
  await open(page, 'gguf-in-a-page');
  await page.locator('#file').setInputFiles(path);
  const said = page.locator('#said');
  await expect(said).toContainText(`${layers.length} layers; ${layers[0]!.name}, ${layers[0]!.format} ${matrix.n} × ${matrix.k}`);
  const got = /times ones: (.*) …/
    .exec((await said.textContent())!)![1]!
    .split(' ')
    .map(Number);
  expect(got).toHaveLength(sums.length);
  for (const [i, sum] of sums.entries()) expect(Math.abs(got[i]! - sum)).toBeLessThan(1e-4 * Math.max(1, ...sums.map(Math.abs)));
  await page.locator('#file').setInputFiles({ name: 'a.gguf', mimeType: '', buffer: Buffer.from('GGUF, or not quite so') });
  await expect(said).toContainText('a.gguf: header: expected 24 bytes, got 21');
});

test('chat', async ({ page }) => {
  const { metadata, tensors } = modelParts({ architecture: 'llama', seed: 5, sizes: { layers: 1, feedForward: 256 } });
  const template = '{% for m in messages %}{{ m.content }}<|turn|>{% endfor %}';
  metadata.set('tokenizer.chat_template', ['STRING', template]);
  const buffer = Buffer.from(makeGguf(tensors, { metadata }));
  await open(page, 'chat');
  const talk = page.locator('#talk');
  const ask = async (question: string): Promise<void> => {
    await page.locator('#question').fill(question);
    await page.locator('#send').click();
    await expect(page.locator('#send')).toBeEnabled({ timeout: 60_000 });
  };
  await expect(page.locator('#said')).toHaveText(/^kjv\.gguf: llama, \d+ dispatches a token$/, { timeout: 60_000 });
  await ask('And it came to pass');
  expect(await talk.textContent()).toMatch(/^> And it came to pass\n[\s\S]{100,}\n$/);
  /** What is said to two questions, the second behind the first. */
  const conversation = async (): Promise<string> => {
    const before = (await talk.textContent())!.length;
    await page.locator('#file').setInputFiles({ name: 'chat.gguf', mimeType: '', buffer });
    await expect(page.locator('#send')).toBeEnabled();
    await expect(page.locator('#said')).toHaveText(/^chat\.gguf: llama, \d+ dispatches a token$/);
    for (const question of ['hi', 'and then?']) await ask(question);
    return (await talk.textContent())!.slice(before);
  };
  const said = await conversation();
  expect(said).toMatch(/^> hi\n[\s\S]{20,}\n> and then\?\n[\s\S]{20,}\n$/);
  expect(await conversation()).toBe(said); // seeds are the same
  await page.locator('#file').setInputFiles({ name: 'a.gguf', mimeType: '', buffer: Buffer.from('GGUF, or not quite so') });
  await expect(page.locator('#said')).toContainText('a.gguf: header: expected 24 bytes, got 21');
});

test('into-your-own-pass', async ({ page }) => {
  await open(page, 'into-your-own-pass');
  await expect(page.locator('#y')).toHaveText(Array.from({ length: 8 }, (_, n) => 2 * 0.25 * 32 * n).join(' '));
});

test('worker', async ({ page }) => {
  await open(page, 'worker');
  await expect(page.locator('#y')).toHaveText(Array.from({ length: 8 }, (_, n) => (2016 * n) / 2).join(' '));
});

test('onnxruntime', async ({ page }) => {
  await open(page, 'onnxruntime');
  await expect(page.locator('#y')).toHaveText(Array.from({ length: 8 }, (_, n) => 32 * 0.5 * n).join(' '), { timeout: 60_000 });
});

test('onnxruntime-own-device', async ({ page }) => {
  await open(page, 'onnxruntime-own-device');
  const y = Array.from({ length: 64 }, (_, n) => 64 * 0.5 * (n - 32));
  const positive = y.map((value) => Math.max(0, value));
  await expect(page.locator('#y')).toHaveText(`${positive.join(' ')} | ${y.join(' ')}`, { timeout: 60_000 });
});

test('each has at most forty lines, imports the package by its name, and is run by a test', () => {
  const { packages: versions } = JSON.parse(readFileSync(join(root, 'e2e/interop/package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string }>;
  };
  const files = readdirSync(join(root, 'examples')).filter((file) => /\.(html|m?js)$/.test(file));
  const texts = Object.fromEntries(files.map((file) => [file, readFileSync(join(root, 'examples', file), 'utf8')]));
  for (const [file, text] of Object.entries(texts)) {
    expect(text.trimEnd().split('\n').length, file).toBeLessThanOrEqual(MOST_LINES);
    const imported = [...text.matchAll(/from '([^']+)'/g)].map(([, name]) => name!);
    const mapped = importMapOf(text);
    expect(
      imported.filter((name) => !(name in mapped || /^(antiquant(\/(formats|llm))?|onnxruntime-web\/webgpu|webgpu)$/.test(name))),
      file,
    ).toEqual([]);
    // The versions that e2e/interop tests.
    for (const [, name, version] of text.matchAll(/npm\/((?:@[^/@]+\/)?[^/@]+)@([^/]+)/g))
      expect(versions[`node_modules/${name}`]?.version, `${file}: ${name}`).toBe(version);
  }
  const tests = ['e2e/examples.spec.ts', 'e2e/interop/examples.spec.ts', 'test/package.mjs']
    .map((path) => readFileSync(join(root, path), 'utf8'))
    .join('');
  for (const file of files.filter((name) => name !== 'worker.js'))
    expect(tests.includes(file.endsWith('.html') ? `open(page, '${file.slice(0, -5)}')` : file), file).toBe(true);
});
