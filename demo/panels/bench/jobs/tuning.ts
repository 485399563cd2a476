// Tuning of the bench's products: shows measured choices and measures missing ones. The library's prepare() makes and stores them,
// tuning() deletes them.

import type { Contender, Engine, Operands } from '../../../../bench/contender.js';
import { contender, makeLayer } from '../../../../bench/ours.js';
import { operandsOf } from '../../../../bench/sessions.js';
import { findingsOf } from '../../../../src/gpu/device-findings.js';
import { type LinearWeightQuant, tuning } from '../../../../src/index.js';
import { variantId } from '../../../../src/kernels/kernel.js';
import { problemClass, type Tuned } from '../../../../src/plan/findings.js';
import { contiguousX, makeProblem } from '../../../../src/problem/problem.js';
import { type Candidate, candidates } from '../../../../src/tuning/candidates.js';
import type { JobContext } from '../../../worker/rpc.js';
import { type Settings, sessionOf } from './settings.js';

/** The planner's choice for m rows, and the measured choice if there is one. */
function choiceOf(layer: LinearWeightQuant, m: number): { readonly own: Candidate; readonly tuned: Tuned | undefined } {
  const { device, weights, packed, settings } = layer.loaded;
  const { caps } = settings;
  const problem = makeProblem(layer.loaded, { m, x: contiguousX(m, weights.k) });
  const { disabled, tuned } = findingsOf(device);
  const [own] = candidates({ problem, packed, caps }, { disabled, tuned: new Map() });
  return { own: own!, tuned: tuned.get(problemClass(problem, caps)) };
}

/** The planner's choice as a contender, where it differs from the tuned one. */
export function untuned(engine: Engine, operands: Operands): Contender {
  const made: Contender[] = [];
  return {
    name: 'antiquant, not tuned',
    family: 'ours-other',
    destroy: async () => {
      for (const one of made) await one.destroy();
    },
    prepare: async (m) => {
      const probe = makeLayer(engine, operands);
      try {
        await probe.prepare([m]);
        const { own, tuned } = choiceOf(probe, m);
        if (!tuned || variantId(own.kernel, own.tile) === variantId(tuned.kernel, tuned.tile)) return '';
        const one = contender(engine, operands, 'antiquant, not tuned', 'ours-other', { force: { kernel: own.kernel, tile: own.tile } });
        made.push(one);
        return one.prepare(m);
      } finally {
        probe.destroy();
      }
    },
  };
}

export interface TunedProduct {
  readonly m: number;
  /** The planner's choice: kernel and tile, as one name. */
  readonly own: string;
  readonly chosen: string;
  /** Time of the measured choice divided by that of the planner's choice. */
  readonly ratio: number;
  readonly candidates: number;
  readonly date: string;
  /** Measured earlier and stored. */
  readonly known: boolean;
  /** The budget was too short to decide. */
  readonly short: boolean;
}
export interface TuneResult {
  readonly settings: Settings;
  readonly products: readonly TunedProduct[];
  /** Rows for which no choice could be measured. */
  readonly unknown: readonly number[];
  /** Number of stored choices for this adapter, of all shapes. */
  readonly kept: number;
}

export async function tune(settings: Settings & { readonly budget: number }, context: JobContext): Promise<TuneResult> {
  context.progress(0, 'The CPU makes the weights.');
  const device = await context.device();
  const session = sessionOf(settings);
  const layer = makeLayer({ device }, operandsOf({ ...session, rows: [1] }));
  try {
    const products: TunedProduct[] = [];
    const unknown: number[] = [];
    for (const [i, m] of session.rows.entries()) {
      context.progress((i + 0.1) / session.rows.length, `M = ${m}: compiling and timing kernels and tiles in turns`);
      await context.breathe();
      await layer.prepare([m]);
      const before = choiceOf(layer, m).tuned;
      await layer.prepare([m], { tune: true, budgetMs: settings.budget });
      const { own, tuned } = choiceOf(layer, m);
      if (!tuned) unknown.push(m);
      else {
        const { kernel, tile, ratio, candidates: compared, date } = tuned;
        products.push({
          m,
          own: variantId(own.kernel, own.tile),
          chosen: variantId(kernel, tile),
          ratio,
          candidates: compared,
          date,
          known: before === tuned,
          short: tuned.short !== undefined,
        });
      }
    }
    return { settings, products, unknown, kept: Object.keys(tuning(device).export().choices).length };
  } finally {
    layer.destroy();
  }
}
