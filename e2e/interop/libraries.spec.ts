// What docs/interop.md says about each library: numbers, copies, who owns what, what dies with what.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, type Page } from '@playwright/test';
import { test } from './cdn.js';

/** Runs a program of this folder on a page with the scripts and the import map of an example, and no more. */
async function facts<T>(page: Page, name: string): Promise<T> {
  const html = readFileSync(join(import.meta.dirname, '../../examples', `${name}.html`), 'utf8');
  await page.route(`**/interop/${name}`, (route) =>
    route.fulfill({ contentType: 'text/html', body: html.replace(/<script type="module">[\s\S]*?<\/script>/, '') }),
  );
  await page.goto(`/interop/${name}`);
  return page.evaluate((path) => import(path).then(({ run }) => run()), `/e2e/interop/${name}.ts`);
}

const reluOf = (y: readonly number[]): number[] => y.map((value) => Math.max(0, value));
const STORAGE = 0x80;
const COPY = 0x4 | 0x8;

test('typegpu', async ({ page }) => {
  type Facts = Awaited<ReturnType<typeof import('./typegpu.js').run>>;
  const of = await facts<Facts>(page, 'typegpu');
  expect(of.product).toEqual(of.expected);
  expect(of.readByTypegpu).toEqual(of.relu);
  expect(of.readHere).toEqual(of.relu);
  expect(of).toMatchObject({ sameX: true, sameY: true, copies: 0, usageOfX: STORAGE | COPY });
  expect(of.freed).toEqual({ yByTypegpu: false, xHere: false });
  expect(of.reused).toMatchObject({ same: true, read: of.reused.expected });
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
