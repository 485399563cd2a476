// Every case of the table on Dawn, where shader-f16 is real.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cases, runsOn } from '../../e2e/cases.js';
import { runCase } from '../../e2e/run-case.js';
import { capsOf } from '../../src/gpu/device.js';
import { requestDevice } from '../../src/index.js';
import { shaders } from '../../src/kernels/index.js';
import { gpu } from './gpu.js';

let device: GPUDevice;
const ran = new Set<string>();
beforeAll(async () => {
  device = await requestDevice({ gpu });
});

test('the adapter has shader-f16 and subgroups', () => {
  expect(capsOf(device)).toMatchObject({ f16: true, subgroups: true });
});

test.each(cases.map((c) => [c.name, c] as const))('%s', async (_, c) => {
  expect(runsOn(c, capsOf(device))).toBe(true);
  const report = await runCase(device, c);
  expect(report.failures).toEqual([]);
  for (const id of report.variants) ran.add(id.slice(0, id.indexOf('[')));
});

// repack shaders run inside load(), which reports no variants of its own.
afterAll(() => {
  const unreached = [...shaders.keys()].filter((name) => !name.startsWith('repack') && !ran.has(name));
  if (ran.size > 1) expect(unreached).toEqual([]);
});
