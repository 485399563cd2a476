// Every case of the table in headless Chromium, one browser page for all.
import { test as base, expect, type Page } from '@playwright/test';
import { cases, runsOn } from './cases.js';
import type { TestPage } from './page.js';

interface Opened {
  readonly page: Page;
  readonly adapter: string;
  readonly caps: Awaited<ReturnType<TestPage['open']>>['caps'];
}
const test = base.extend<object, { opened: Opened }>({
  opened: [
    async ({ browser }, use, info) => {
      const page = await browser.newPage({ baseURL: info.project.use.baseURL ?? '' });
      await page.goto('/e2e/page.html');
      await page.waitForFunction(() => 'antiquant' in globalThis);
      // Without an adapter this throws, and every test fails.
      const { adapter, caps } = await page.evaluate(() => (globalThis as unknown as { antiquant: TestPage }).antiquant.open());
      await use({ page, adapter, caps });
      await page.close();
    },
    { scope: 'worker', timeout: 60_000 },
  ],
});

test('the adapter', async ({ opened }, info) => {
  console.log(`${info.project.name}: ${opened.adapter} ${JSON.stringify(opened.caps)}`);
  if (info.project.name === 'chromium-f16') expect(opened.caps.f16).toBe(true);
});

for (const c of cases) {
  test(c.name, async ({ opened: { page, caps } }) => {
    test.skip(!runsOn(c, caps), 'a tile for subgroups, matrices or workgroups that this device has not');
    const report = await page.evaluate((name) => (globalThis as unknown as { antiquant: TestPage }).antiquant.run(name), c.name);
    expect(report.failures).toEqual([]);
  });
}
