// The table of experts on Dawn, which has shader-f16.
import { afterAll, expect, test } from 'vitest';
import { capsOf, requestDevice } from '../../src/index.js';
import { kernels } from '../../src/kernels/index.js';
import { runsOn } from '../cases/cases.js';
import { casesOf } from '../cases/engines.js';
import { runExpertCase } from '../cases/run-experts.js';
import { gpu } from '../support/dawn.js';

const device = await requestDevice({ gpu });
const runnable = casesOf('dawn').experts.filter((c) => runsOn(c, capsOf(device)));
const reached = new Set<string>();
let ran = 0;

test.each(runnable.map((c) => [c.name, c] as const))('%s', async (_, c) => {
  const report = await runExpertCase(device, c);
  expect(report.failures).toEqual([]);
  for (const id of report.variants) reached.add(id.slice(0, id.indexOf('[')));
  ran++;
});

// Every kernel that takes experts. (Asked of whole runs only.)
afterAll(() => {
  device.destroy();
  if (ran < runnable.length) return;
  expect([...reached]).toEqual(expect.arrayContaining(kernels.flatMap(({ name, experts }) => (experts ? [name] : []))));
});
