// The case table on Dawn, which has shader-f16.
import { afterAll, expect, test } from 'vitest';
import { capsOf } from '../../src/gpu/device.js';
import { requestDevice } from '../../src/index.js';
import { kernels, ofNumbers, shaders } from '../../src/kernels/index.js';
import { runsOn } from '../cases/cases.js';
import { casesOf } from '../cases/engines.js';
import { runCase } from '../cases/run-case.js';
import { gpu } from '../support/dawn.js';

const device = await requestDevice({ gpu });
const runnable = casesOf('dawn').numbers.filter((c) => runsOn(c, capsOf(device)));
const reached = new Set<string>();
let ran = 0;

test('the adapter has shader-f16 and subgroups', () => {
  expect(capsOf(device)).toMatchObject({ f16: true, subgroups: true });
});

test.each(runnable.map((c) => [c.name, c] as const))('%s', async (_, c) => {
  const report = await runCase(device, c);
  expect(report.failures).toEqual([]);
  for (const id of report.variants) reached.add(id.slice(0, id.indexOf('[')));
  ran++;
});

// A shader that no case reaches is not tested. (Asked of whole runs only; repack shaders run inside load(), in every case; kernels of
// codebooks in matrix-cases.test.ts; of matrix units in matrix.test.ts where the adapter has none; quantize-weights in
// quantize-gpu.test.ts; sort-pairs in expert-cases.test.ts; gather-weights and count-outside in rows.test.ts.)
const ELSEWHERE = [
  'repack',
  'repack-scale',
  'repack-quant',
  'quantize-weights',
  'sort-pairs',
  'gather-weights',
  'count-outside',
  'row-factors',
  'interleave',
  'best-rows',
];
afterAll(() => {
  if (ran < runnable.length) return;
  const here = ofNumbers.filter(({ name }) => runsOn({ force: { kernel: name }, caps: {} }, capsOf(device)));
  const elsewhere = [...ELSEWHERE, ...kernels.filter((kernel) => !here.includes(kernel)).map(({ name }) => name)];
  expect([...shaders.keys()].filter((name) => !elsewhere.includes(name) && !reached.has(name))).toEqual([]);
});
