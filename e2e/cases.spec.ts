// Every case of the table in headless Chromium, one browser page for all.
import { expect } from '@playwright/test';
import { cases, runsOn } from '../test/cases/cases.js';
import { test } from './opened.js';
import type { TestPage } from './page.js';

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
