// Imported matrices and every format, in headless Chromium: from bytes to numbers on the adapter.
import { expect } from '@playwright/test';
import { formatCases, nodeCases } from '../test/cases/format-cases.js';
import { matrixCases, matrixRunsOn } from '../test/cases/matrix-cases.js';
import { test } from './opened.js';
import type { TestPage } from './page.js';

for (const c of matrixCases) {
  test(c.name, async ({ opened: { page, caps } }) => {
    test.skip(!matrixRunsOn(c, caps), 'a kernel for subgroups or packed integers that this device has not');
    const report = await page.evaluate((name) => (globalThis as unknown as { antiquant: TestPage }).antiquant.runMatrix(name), c.name);
    expect(report.failures).toEqual([]);
  });
}

for (const { name } of [...formatCases, ...nodeCases]) {
  test(name, async ({ opened: { page } }) => {
    const report = await page.evaluate((one) => (globalThis as unknown as { antiquant: TestPage }).antiquant.runFormat(one), name);
    expect(report.failures).toEqual([]);
  });
}
