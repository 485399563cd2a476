// docs/api.md, "What ends a product": the storage buffers that it says, by planning every kernel and format with each ending.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { UnsupportedError } from '../../src/errors.js';
import { storageBindings } from '../../src/kernels/fits.js';
import { kernels, shaders } from '../../src/kernels/index.js';
import { packedLayout } from '../../src/plan/packed-layout.js';
import { makePlan } from '../../src/plan/plan.js';
import type { Problem } from '../../src/problem/problem.js';
import type { RowScale } from '../../src/problem/row-scale.js';
import { LEGAL_FORMATS } from '../../src/problem/weight-format.js';
import { GPU, LAVAPIPE, MATRIX_GPU, problemOf } from '../support/problems.js';

const M = 1;
const [N, K] = [64, 512];
const rowScale: RowScale = { of: 'rms', beside: true, offset: 1024, pitch: K, width: K, epsilon: 1e-5, by: 'rows' };
/** What each word of the table asks of a problem. */
const WORDS: Readonly<Record<string, (problem: Problem) => Problem>> = {
  none: (problem) => problem,
  add: (problem) => ({ ...problem, adds: true }),
  rowScale: (problem) => ({ ...problem, rowScale }),
  twin: (problem) => ({ ...problem, twin: 2 * N, weights: { ...problem.weights, twinned: true } }),
  glu: (problem) => ({ ...problem, yPitch: N / 2, weights: { ...problem.weights, glu: 'silu' } }),
};
const text = readFileSync(join(import.meta.dirname, '../../docs/api.md'), 'utf8');
const section = text.slice(text.indexOf('## What ends a product'), text.indexOf('## Rows of weights'));
const table = [...section.matchAll(/^\| ([a-zA-Z`, ]+) \| (\d+) \|/gm)].map(
  ([, words, count]) => [words!.replaceAll('`', ''), Number(count)] as const,
);

test('the table has a row for each ending', () => {
  expect(new Set(table.flatMap(([words]) => words.split(', ')))).toEqual(new Set(Object.keys(WORDS)));
});

test.each(table)('%s: at most %i storage buffers, and at most 8 in every dispatch', (words, most) => {
  let largest = 0;
  let planned = 0;
  for (const format of LEGAL_FORMATS)
    for (const caps of [GPU, LAVAPIPE, MATRIX_GPU])
      for (const { name } of kernels) {
        const { problem: plain, operands } = problemOf({ m: M, n: N, k: K, group: 256, format: { ...format, bits: format.held } });
        const problem = words.split(', ').reduce((made, word) => WORDS[word]!(made), { ...plain, innerPrecise: 1 });
        try {
          const plan = makePlan({ problem, packed: packedLayout(operands, caps), caps }, { force: { kernel: name } });
          for (const { shader, params } of plan.dispatches) {
            const count = storageBindings(shaders.get(shader)!, params);
            if (shader === name) largest = Math.max(largest, count);
            else expect(count).toBeLessThanOrEqual(8);
          }
          planned++;
        } catch (error) {
          if (!(error instanceof UnsupportedError)) throw error; // this kernel takes no such format
        }
      }
  expect(planned).toBeGreaterThan(LEGAL_FORMATS.length);
  expect(largest).toBe(most);
});
