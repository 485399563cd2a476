// `prepare`: compiles, tests each variant, and measures, all before the first product.
import { type Check, flag, list, onlyFields, optional, refuse, wholeNumber } from '../arguments/check.js';
import { findingsOf } from '../gpu/device-findings.js';
import { loadOwn } from '../gpu/own-file.js';
import { preparePipelines } from '../gpu/pipeline.js';
import { selfTest } from '../gpu/self-test.js';
import { contiguousX, makeProblem, type Problem } from '../problem/problem.js';
import { checkStore, type TuningStore } from '../tuning/store.js';
import { type LoadedWeights, planFor } from './loaded-weights.js';

/** Options of `prepare`. */
export interface PrepareOptions {
  /** Measure the fastest kernel for these numbers of rows, unless it is known; default false. */
  readonly tune?: boolean;
  /** Milliseconds to measure for each number of rows, compiling not counted; default 200. */
  readonly budgetMs?: number;
  /** Store of measured choices; default IndexedDB, or a file under Node; null for no store. */
  readonly store?: TuningStore | null;
}

/** @throws ArgumentError */
export const checkRows = (rows: unknown): number => wholeNumber(1)(rows, 'rows');

const milliseconds: Check<number> = (value, argument) =>
  typeof value === 'number' && value > 0 ? value : refuse(argument, 'a number of milliseconds above 0', value);
const OPTIONS = onlyFields({ tune: optional(flag), budgetMs: optional(milliseconds), store: optional(checkStore) });

/** @throws ArgumentError */
export function checkPrepare(rows: unknown, options: unknown): readonly [rows: readonly number[], options: PrepareOptions] {
  return [list(wholeNumber(1))(rows, 'rows'), OPTIONS(options, 'options')];
}

/** Milliseconds for measuring one number of rows. */
const BUDGET_MS = 200;
/** Bundlers put it into a separate file, with its imports. */
const tuning = () => loadOwn('tuning', () => import('../tuning/tuning.js'));

export async function prepareWeights(loaded: LoadedWeights, rows: readonly number[], options: PrepareOptions): Promise<void> {
  const { tune: measure = false, budgetMs = BUDGET_MS, store } = options;
  const { device, packed, settings, buffers, done } = loaded;
  const { caps, force } = settings;
  await readStored(loaded, options);
  const problems = rows.map((m) => problemOf(loaded, m));
  await compile(loaded, problems);
  if (measure && !force) {
    const { tune } = await tuning();
    for (const problem of problems) await tune(device, { problem, packed, caps, buffers, budgetMs }, store);
    await compile(loaded, problems);
  }
  await done;
}

/** Reads the choices of an earlier tuning. */
export async function readStored({ device, settings: { force } }: LoadedWeights, { store }: PrepareOptions): Promise<void> {
  if (!force && store !== null) await (await tuning()).loadTuning(device, store);
}

/** The product with a contiguous x of `m` rows. */
export const problemOf = (loaded: LoadedWeights, m: number): Problem => makeProblem(loaded, { m, x: contiguousX(m, loaded.weights.k) });

/** Compiles and tests what these problems run. */
export async function preparePlans(loaded: LoadedWeights, problems: readonly Problem[]): Promise<void> {
  await compile(loaded, problems);
  await loaded.done;
}

/** Repeats until every plan's variant works here: a variant that fails its self-test is replaced by the next. */
async function compile(loaded: LoadedWeights, problems: readonly Problem[]): Promise<void> {
  const { device, settings } = loaded;
  const findings = findingsOf(device);
  for (;;) {
    const { changes } = findings;
    const plans = problems.map((problem) => planFor(loaded, problem));
    const compiled = preparePipelines(
      device,
      plans.flatMap(({ dispatches }) => dispatches),
    );
    compiled.catch(() => {}); // awaited below, unless the self-test disables the variant
    if (settings.selfTest) await selfTest(device, plans);
    if (findings.changes === changes) return compiled;
  }
}
