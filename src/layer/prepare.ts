// What `prepare` does before the first product: compile, test each variant, measure what is asked for; all of it off the main path.
import { ArgumentError } from '../errors.js';
import { findingsOf } from '../gpu/device-findings.js';
import { preparePipelines } from '../gpu/pipeline.js';
import { selfTest } from '../gpu/self-test.js';
import { BUDGET_MS, loadTuning, tune } from '../gpu/tuning.js';
import type { TuningStore } from '../gpu/tuning-store.js';
import { contiguousX, makeProblem } from '../problem/problem.js';
import { type Product, planOf } from './loaded-weights.js';

/** What `prepare` does beside compiling and testing. */
export interface PrepareOptions {
  /** Measure which kernel is fastest for these numbers of rows, unless that is known; default false. */
  readonly tune?: boolean;
  /** Milliseconds to measure for each number of rows, compiling not counted; default 200. */
  readonly budgetMs?: number;
  /** Where measured choices are kept; default IndexedDB, or a file under Node; null for nowhere. */
  readonly store?: TuningStore | null;
}

/** @throws ArgumentError */
export function checkRows(rows: number): number {
  if (!Number.isSafeInteger(rows) || rows < 1) throw new ArgumentError('rows', 'a whole number of at least 1', String(rows));
  return rows;
}

export async function prepareProduct(product: Product, list: readonly number[], options: PrepareOptions): Promise<void> {
  const { tune: measure = false, budgetMs = BUDGET_MS, store } = options;
  const rows = list.map(checkRows);
  const { device, spec, weights, packed, caps, buffers, force, done } = product;
  if (!force) await loadTuning(device, store);
  await compile(product, rows);
  if (measure && !force) {
    for (const m of rows) {
      const problem = makeProblem(spec, weights, m, contiguousX(m, weights.k), 0);
      await tune(device, { problem, packed, caps, buffers, budgetMs }, store);
    }
    await compile(product, rows);
  }
  await done;
}

/** Until every plan is of variants that work here: one that fails its self-test makes way for the next. */
async function compile(product: Product, rows: readonly number[]): Promise<void> {
  const { device } = product;
  const findings = findingsOf(device);
  for (;;) {
    const { changes } = findings;
    const plans = rows.map((m) => planOf(product, m));
    const compiled = preparePipelines(
      device,
      plans.flatMap(({ steps }) => steps),
    );
    compiled.catch(() => {}); // awaited below, unless the self-test says it better
    if (product.selfTest) await selfTest(device, plans);
    if (findings.changes === changes) return compiled;
  }
}
