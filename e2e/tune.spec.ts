// Measured choices in a browser's IndexedDB: they are measured once and found after a reload; without storage there are none.
import { expect, type Page, test } from '@playwright/test';
import type { TestPage } from './page.js';

type Held = typeof globalThis & { antiquant: TestPage };
const open = async (page: Page): Promise<void> => {
  await page.goto('/e2e/page.html');
  await page.waitForFunction(() => 'antiquant' in globalThis);
};
const prepare = (page: Page, options: object) => page.evaluate((given) => (globalThis as Held).antiquant.prepare(given), options);

test('a choice is kept over a reload', async ({ page }) => {
  await open(page);
  await page.evaluate(() => (globalThis as Held).antiquant.forget());
  const before = await prepare(page, {});
  expect(before).toMatchObject({ measured: false, choices: {}, wrong: 0, failed: 0 });
  const tuned = await prepare(page, { tune: true, budgetMs: 500 });
  console.log(`tuned in ${tuned.ms.toFixed(0)} ms, compiling included: ${JSON.stringify(tuned.choices)}`);
  console.log(`self-test of the variants for 1, 2 and 4 rows: ${tuned.selfTestMs.toFixed(1)} ms`);
  expect(tuned).toMatchObject({ measured: true, wrong: 0, failed: 0 });
  expect(Object.keys(tuned.choices)).toHaveLength(1);
  expect(tuned.why.join('\n')).toContain('tuned: ');
  await page.reload();
  await page.waitForFunction(() => 'antiquant' in globalThis);
  for (const options of [{}, { tune: true, budgetMs: 500 }]) {
    const again = await prepare(page, options);
    expect(again).toMatchObject({ measured: false, choices: tuned.choices, why: tuned.why, wrong: 0 });
  }
  expect(await prepare(page, { store: null })).toMatchObject({ measured: false, choices: {}, wrong: 0 });
});

test('without storage, nothing is kept and nothing fails', async ({ page }) => {
  await page.addInitScript(() => {
    Object.defineProperty(globalThis, 'indexedDB', {
      get: () => {
        throw new DOMException('denied', 'SecurityError');
      },
    });
  });
  await open(page);
  expect(await prepare(page, { tune: true, budgetMs: 50 })).toMatchObject({ measured: true, wrong: 0 });
  expect(await prepare(page, {})).toMatchObject({ measured: false, choices: {}, wrong: 0 });
});
