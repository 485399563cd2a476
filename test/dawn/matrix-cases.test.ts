// Imported matrices on Dawn, where shader-f16 is real.
import { expect, test } from 'vitest';
import { matrixCases, matrixRunsOn } from '../../e2e/matrix-cases.js';
import { runMatrixCase } from '../../e2e/run-matrix.js';
import { capsOf, requestDevice } from '../../src/index.js';
import { gpu } from './gpu.js';

const device = await requestDevice({ gpu });

test.each(matrixCases.filter((c) => matrixRunsOn(c, capsOf(device))).map((c) => [c.name, c] as const))('%s', async (_, c) => {
  const report = await runMatrixCase(device, c);
  expect(report.failures).toEqual([]);
});
