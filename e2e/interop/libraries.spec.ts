// What docs/interop.md says about each library: numbers, copies, who owns what, what dies with what.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, type Page } from '@playwright/test';
import { test } from './cdn.js';

/** Runs a program of this folder on a page with the scripts and the import map of an example, and no more. */
async function facts<T>(page: Page, name: string, { program = name, call = 'run' } = {}): Promise<T> {
  const html = readFileSync(join(import.meta.dirname, '../../examples', `${name}.html`), 'utf8');
  await page.route(`**/interop/${name}`, (route) =>
    route.fulfill({ contentType: 'text/html', body: html.replace(/<script type="module">[\s\S]*?<\/script>/, '') }),
  );
  await page.goto(`/interop/${name}`);
  return page.evaluate(([path, which]) => import(path!).then((module) => module[which!]()), [`/e2e/interop/${program}.ts`, call]);
}

const reluOf = (y: readonly number[]): number[] => y.map((value) => Math.max(0, value));
const STORAGE = 0x80;
const COPY = 0x4 | 0x8;
const VERTEX = 0x20;
const INDIRECT = 0x100;
/** Sessions of onnxruntime-web compute on the device of their option; one without it on one of its own, which ends with it. */
const EACH_ITS_OWN = {
  same: { found: ['device'] },
  without: { found: ['its'], lives: false },
  other: { found: ['otherDevice'], lives: false },
};

test('typegpu', async ({ page }) => {
  type Facts = Awaited<ReturnType<typeof import('./typegpu.js').run>>;
  const of = await facts<Facts>(page, 'typegpu');
  expect(of.product).toEqual(of.expected);
  expect(of.readByTypegpu).toEqual(reluOf(of.expected));
  expect(of.readHere).toEqual(reluOf(of.expected));
  expect(of).toMatchObject({ sameX: true, sameY: true, copies: 0, usageOfX: STORAGE | COPY });
  expect(of.freed).toEqual({ yByTypegpu: false, xHere: false });
  expect(of.reused).toMatchObject({ same: true, read: of.reused.expected });
  expect(of.owned).toEqual({ same: false, buffers: 2, read: [of.expected, of.expected], freed: true });
  expect(of.afterX).toBe('ANTIQUANT_GPU');
  expect(of.afterRoot).toEqual(of.still);
  expect(of.works).toEqual(of.still);
  expect(of.afterOwn).toBe('ANTIQUANT_DEVICE_LOST');
});

test('tfjs', async ({ page }) => {
  type Facts = Awaited<ReturnType<typeof import('./tfjs.js').run>>;
  const of = await facts<Facts>(page, 'tfjs');
  const [first, second, third] = of.expected as [number[], number[], number[]];
  expect(of.its).toEqual({ works: of.still, afterRemoval: of.still });
  expect(of.onCpu).toEqual({ resource: null, toGpu: 'Error' });
  expect(of).toMatchObject({ copiesOut: 1, sameY: true, copiesBack: 0, copyRefused: true, reused: true });
  expect(of.readByTf).toEqual(first);
  expect(of.relu).toEqual(reluOf(first));
  expect(of.withoutZeroCopy).toEqual({ same: false, copies: 1, read: first });
  expect(of.early).not.toEqual(second);
  expect(of.late).toEqual(second);
  expect(of.zeroCopy).toEqual({ read: third, copies: 0 });
  expect(of.usages).toEqual({ storage: 'Error', larger: 52 }); // four elements more than its shape has
  expect(of.freed).toEqual({ y: false });
  expect(of.afterRemoval).toEqual({ layer: of.still, its: true, y: first });
});

test('three', async ({ page }) => {
  type Facts = Awaited<ReturnType<typeof import('./three.js').run>>;
  const of = await facts<Facts>(page, 'three');
  const [first, second] = of.expected as [number[], number[]];
  expect(of.takesHandler).toBe(true);
  expect(of.made).toEqual({ before: null, product: first, relu: reluOf(first), copies: 0, usage: STORAGE | COPY | VERTEX });
  expect(of.foreign).toEqual({ same: true, relu: reluOf(second), here: reluOf(second), copies: 0 });
  expect(of.left).toBe(false);
  expect(of.ended).toEqual({ y: true, own: true, read: 'ANTIQUANT_GPU' });
  expect(of.recycled).toEqual(['ANTIQUANT_GPU', of.still]);
  expect(of.afterRenderer).toEqual(of.still);
  expect(of.its).toMatchObject({ works: of.still, after: 'ANTIQUANT_DEVICE_LOST' });
});

test('jax-js', async ({ page }) => {
  type Facts = Awaited<ReturnType<typeof import('./jax-js.js').run>>;
  const of = await facts<Facts>(page, 'jax-js');
  expect(of.product).toEqual(of.expected);
  expect(of.copies).toBe(0);
  expect(of.written).toEqual({ byJax: reluOf(of.expected), copies: 0, usage: STORAGE | COPY });
  expect(of.disposed).toEqual({ destroyed: false, reused: true });
  expect(of.jaxLives).toEqual([2, 2]);
  expect(of.works).toEqual(of.still);
});

test('transformers', async ({ page }) => {
  type Facts = Awaited<ReturnType<typeof import('./transformers.js').run>>;
  const of = await facts<Facts>(page, 'transformers');
  const y = [1, 2, 3].flatMap((id) => Array.from({ length: 8 }, (_, n) => 64 * 2 * id * n));
  expect(of.first).toEqual({ location: 'gpu-buffer', y, copies: 0, usage: STORAGE | COPY | INDIRECT });
  expect(of.back).toEqual({ same: true, read: y, copies: 0 });
  expect(of.others).toEqual(EACH_ITS_OWN);
  expect(of.disposed).toBe(false);
  expect(of.after).toEqual(Array.from({ length: 8 }, (_, n) => 64 * n));
});

test('transformers ignores env.backends.onnx.webgpu.device', async ({ page }) => {
  type Facts = Awaited<ReturnType<typeof import('./transformers.js').byEnvironment>>;
  expect(await facts<Facts>(page, 'transformers', { call: 'byEnvironment' })).toEqual({ set: true, y: 'ANTIQUANT_GPU', its: false });
});

test('onnxruntime', async ({ page }) => {
  type Facts = Awaited<ReturnType<typeof import('../onnxruntime.js').run>>;
  const of = await facts<Facts>(page, 'onnxruntime-own-device', { program: '../onnxruntime' });
  expect(of.first).toEqual({ product: of.expected.product, readBack: of.expected.relu, copies: 0, usage: STORAGE | COPY | INDIRECT });
  expect(of.others).toEqual(EACH_ITS_OWN);
  expect(of.disposed).toBe(false);
  expect(of.after).toEqual(of.still);
});
