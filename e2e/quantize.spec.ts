// quantizeInWorker in a browser: it runs in a worker, gives the numbers of `quantize`, and leaves the page responsive.
import { expect, type Page, test } from '@playwright/test';
import type { TestPage } from './page.js';

type Held = typeof globalThis & { antiquant: TestPage };
const quantize = async (page: Page, how: { abortAfter?: number; nan?: boolean }) => {
  await page.goto('/e2e/page.html');
  await page.waitForFunction(() => 'antiquant' in globalThis);
  return page.evaluate((given) => (globalThis as Held).antiquant.quantize(given), how);
};

test('the same as on the calling thread, which is free meanwhile', async ({ page }) => {
  const { ms, longest, told, ...rest } = await quantize(page, {});
  console.log(`1024 × 1024 by hqq in ${ms.toFixed(0)} ms; the page stood still for ${longest.toFixed(0)} ms at most`);
  expect(rest).toEqual({ workers: 1, same: true, error: '' });
  expect(told.at(-1)).toBe(1024);
  expect(told.length).toBeGreaterThan(2);
});

test('a signal stops it, and an error comes back as what it is', async ({ page }) => {
  const stopped = await quantize(page, { abortAfter: 1 });
  expect(stopped).toMatchObject({ workers: 1, error: 'Error: enough' });
  expect(stopped.told).toHaveLength(1);
  expect((await quantize(page, { nan: true })).error).toBe(
    'ArgumentError: weights[5, 3]: expected a finite number of at most 2^126, got NaN',
  );
});
