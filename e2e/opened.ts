// One browser page with an open device for all tests of a file.
import { test as base, type Page } from '@playwright/test';
import type { TestPage } from './page.js';

export interface Opened {
  readonly page: Page;
  readonly adapter: string;
  readonly caps: Awaited<ReturnType<TestPage['open']>>['caps'];
}

export const test = base.extend<object, { opened: Opened }>({
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
