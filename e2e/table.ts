// Runs the case table, imported matrices and every format in one page of a headless browser.
import { expect } from '@playwright/test';
import { runsOn } from '../test/cases/cases.js';
import { casesOf, type Engine } from '../test/cases/engines.js';
import { matrixRunsOn } from '../test/cases/matrix-cases.js';
import { test } from './opened.js';
import type { TestPage } from './page.js';

type Held = typeof globalThis & { antiquant: TestPage };

export function testTable(engine: Engine): void {
  const { numbers, matrices, experts, formats, nodes, models } = casesOf(engine);

  test('the adapter', async ({ opened }) => {
    console.log(`${engine}: ${opened.adapter} ${JSON.stringify(opened.caps)}`);
    if (engine === 'chromium-f16') expect(opened.caps.f16).toBe(true);
  });

  for (const c of numbers) {
    test(c.name, async ({ opened: { page, caps } }) => {
      test.skip(!runsOn(c, caps), 'a tile for subgroups, matrices or workgroups that this device has not');
      const { failures } = await page.evaluate((name) => (globalThis as Held).antiquant.run(name), c.name);
      expect(failures).toEqual([]);
    });
  }

  for (const c of matrices) {
    test(c.name, async ({ opened: { page, caps } }) => {
      test.skip(!matrixRunsOn(c, caps), 'a kernel for subgroups or packed integers that this device has not');
      const { failures } = await page.evaluate((name) => (globalThis as Held).antiquant.runMatrix(name), c.name);
      expect(failures).toEqual([]);
    });
  }

  for (const c of experts) {
    test(c.name, async ({ opened: { page, caps } }) => {
      test.skip(!runsOn(c, caps), 'a tile for subgroups or workgroups that this device has not');
      const { failures } = await page.evaluate((name) => (globalThis as Held).antiquant.runExperts(name), c.name);
      expect(failures).toEqual([]);
    });
  }

  for (const { name } of models) {
    test(name, async ({ opened: { page } }) => {
      const { failures } = await page.evaluate((one) => (globalThis as Held).antiquant.runLlm(one), name);
      expect(failures).toEqual([]);
    });
  }

  for (const { name } of [...formats, ...nodes]) {
    test(name, async ({ opened: { page } }) => {
      const { failures } = await page.evaluate((one) => (globalThis as Held).antiquant.runFormat(one), name);
      expect(failures).toEqual([]);
    });
  }
}
