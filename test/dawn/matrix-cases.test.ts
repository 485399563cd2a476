// The table of imported matrices on Dawn, which has shader-f16.
import { afterAll, expect, test } from 'vitest';
import { capsOf, requestDevice } from '../../src/index.js';
import { kernels, ofNumbers } from '../../src/kernels/index.js';
import { casesOf } from '../cases/engines.js';
import { matrixRunsOn } from '../cases/matrix-cases.js';
import { runMatrixCase } from '../cases/run-matrix.js';
import { gpu } from '../support/dawn.js';

const device = await requestDevice({ gpu });
const runnable = casesOf('dawn').matrices.filter((c) => matrixRunsOn(c, capsOf(device)));
const reached = new Set<string>();
let ran = 0;

test.each(runnable.map((c) => [c.name, c] as const))('%s', async (_, c) => {
  const report = await runMatrixCase(device, c);
  expect(report.failures).toEqual([]);
  for (const id of report.variants) reached.add(id.slice(0, id.indexOf('[')));
  ran++;
});

// The kernels that no layer of torch's has. (Asked of whole runs only.)
afterAll(() => {
  if (ran === runnable.length)
    expect([...reached]).toEqual(expect.arrayContaining(kernels.flatMap((kernel) => (ofNumbers.includes(kernel) ? [] : [kernel.name]))));
});
