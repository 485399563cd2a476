// What a layer says of how it multiplies: the plan of a problem, in data and in words.
import { findingsOf } from '../gpu/device-findings.js';
import { variantText } from '../gpu/pipeline.js';
import { survey, type Verdict } from '../plan/choose.js';
import type { Dispatch } from '../plan/dispatch.js';
import { packedBits } from '../plan/packed-layout.js';
import { whyOf } from '../plan/why.js';
import type { Accuracy } from '../problem/accuracy.js';
import type { Problem } from '../problem/problem.js';
import type { WeightFormat } from '../problem/weight-format.js';
import type { Params } from '../wgsl/preprocess.js';
import { type LoadedWeights, planFor } from './loaded-weights.js';

/** A layer's weights in GPU memory (docs/format.md). */
export interface HeldWeights extends WeightFormat {
  /** Bits a weight of codes, scales and what is added, from the sizes of their buffers: padding counts. */
  readonly bitsPerWeight: number;
}

/** How a layer multiplies x of some number of rows: the kernel, the reasons for it, its text, and every dispatch. */
export interface Explanation {
  readonly kernel: string;
  readonly params: Params;
  readonly workgroups: readonly [number, number];
  /** What the kernel rounds; the reference's interval takes it. */
  readonly accuracy: Accuracy;
  /** The WGSL that runs. */
  readonly wgsl: string;
  /** Each kernel's verdict on these rows, in planning's order. One is chosen or tuned. */
  readonly verdicts: readonly Verdict[];
  /** The verdicts in words: why this kernel runs, which helpers run around it, and why kernels asked before it do not run. */
  readonly why: readonly string[];
  /** Every dispatch of the call, in order. */
  readonly dispatches: readonly Dispatch[];
  /** How the weights are held. */
  readonly weights: HeldWeights;
  /** Problems of this device that make no product wrong, e.g. measured choices that could not be stored. Each is listed once. */
  readonly notes: readonly string[];
}

/** @throws UnsupportedError */
export function explain(loaded: LoadedWeights, problem: Problem): Explanation {
  const plan = planFor(loaded, problem);
  const { kernel, params, accuracy, main, dispatches } = plan;
  const findings = findingsOf(loaded.device);
  const verdicts = survey({ problem, ...loaded.settings, findings }, plan);
  const wgsl = variantText(main).code;
  const notes = [...findings.notes];
  return {
    kernel,
    params,
    accuracy,
    workgroups: main.workgroups,
    wgsl,
    verdicts,
    why: whyOf(plan),
    dispatches,
    weights: heldOf(loaded),
    notes,
  };
}

function heldOf({ weights, packed }: LoadedWeights): HeldWeights {
  const { bits, held, scaleDtype, shift, codebook } = weights;
  return { bits, held, scaleDtype, shift, codebook, bitsPerWeight: packedBits(weights, packed) };
}
