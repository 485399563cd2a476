// Chooses the kernel and tile for a problem, and records every kernel's verdict as data. Pure.
import { ArgumentError, UnsupportedError } from '../errors.js';
import { extentOf, seenBy } from '../kernels/fits.js';
import { kernels } from '../kernels/index.js';
import { type Extent, type Kernel, variantId } from '../kernels/kernel.js';
import { endingOf, operandParams } from '../kernels/operands.js';
import { type Accuracy, PRECISE } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import { rowsOfExpert } from '../problem/experts.js';
import { sameData } from '../problem/key.js';
import { type Problem, pairsOf } from '../problem/problem.js';
import { liftOf } from '../problem/weight-format.js';
import type { Params } from '../wgsl/preprocess.js';
import { accurateEnough, type Findings, problemClass, type Tuned } from './findings.js';

/** Use this kernel, and this tile of it. For tests, benches and comparisons. */
export interface Force {
  readonly kernel: string;
  readonly tile?: Params;
}

/** A kernel's answer to a problem. */
export interface Verdict {
  readonly kernel: string;
  /**
   * chosen: it runs. tuned: it runs, because measuring found it the fastest. able: it would run if no kernel before it did.
   * declined: it could run, but another kernel should. refused: the problem or the device lacks something. disabled: its variant failed
   * its self-test on this device.
   */
  readonly verdict: 'chosen' | 'tuned' | 'able' | 'declined' | 'refused' | 'disabled';
  readonly reason: string;
}

export interface ChooseContext {
  readonly problem: Problem;
  readonly caps: Caps;
  readonly force?: Force | undefined;
  readonly findings: Findings;
}

/** A kernel's tile as a variant that can run. */
export interface Choice {
  readonly kernel: Kernel;
  readonly params: Params;
  readonly accuracy: Accuracy;
  readonly extent: Extent;
  /** Number of splits of k. Each split has its workgroups. */
  readonly splits: number;
  /** Verdicts of the kernels that were asked, in planning's order. The last one runs. */
  readonly verdicts: readonly Verdict[];
}
type Variant = Omit<Choice, 'verdicts'>;
type Answer = { readonly verdict: Verdict; readonly variant?: Variant };

/** All params of a tile for a problem, and its splits of k. Splits give float32 sums. */
export function variantOf({ problem, caps }: Pick<ChooseContext, 'problem' | 'caps'>, { kernel, tile }: { kernel: Kernel; tile: Params }) {
  // Several layers' columns fill a device sooner, and neither their ys nor one with gaps or a twin have a place in scratch memory.
  const whole = !problem.layers && !problem.experts && problem.twin === undefined && problem.yPitch === problem.weights.n;
  const splits = whole ? (kernel.splits?.(problem, caps, tile) ?? 1) : 1;
  const params: Params = { ...operandParams(problem, caps), ...(splits > 1 && endingOf(problem, false)), ...tile };
  const own = kernel.accuracy?.(problem, params) ?? PRECISE;
  const lift = liftOf(problem.weights);
  return { kernel, splits, params, accuracy: lift > 0 ? { ...own, codeBias: own.codeBias + lift } : own };
}

/** A tile as a variant, or why it cannot run here. */
export function tryTile(context: ChooseContext, { kernel, tile }: { kernel: Kernel; tile: Params }): Answer {
  const { caps, findings } = context;
  const problem = seenBy(kernel, context.problem);
  const refuse = (verdict: Verdict['verdict'], reason: string): Answer => ({ verdict: { kernel: kernel.name, verdict, reason } });
  const extent = extentOf(kernel, { problem, caps, tile });
  if (typeof extent === 'string') return refuse('refused', extent);
  const variant = { ...variantOf({ problem, caps }, { kernel, tile }), extent };
  const broken = findings.disabled.get(variantId(kernel.name, variant.params));
  return broken ? refuse('disabled', broken) : { ...refuse('able', ''), variant };
}

/** The first tile that fits; if none fits, the first tile, which then says why. */
const anyTile = (kernel: Kernel, { problem, caps }: ChooseContext): Params =>
  kernel.tiles.find((tile) => typeof extentOf(kernel, { problem, caps, tile }) !== 'string') ?? kernel.tiles[0]!;

/** What a matrix of many has to do on average: kernels choose their tiles for it. */
function asOneMatrix(problem: Problem): Problem {
  const { experts } = problem;
  if (!experts) return problem;
  return { ...problem, m: experts.summed?.by === 'kernel' ? 1 : rowsOfExpert(pairsOf(problem), experts.count) };
}

/** A kernel's answer with its choice of a tile, or with the forced tile. */
function ask(kernel: Kernel, context: ChooseContext): Answer {
  const { problem, caps, force } = context;
  const own = kernel.choose(asOneMatrix(seenBy(kernel, problem)), caps);
  const declined = typeof own === 'string';
  if (declined && !force) return { verdict: { kernel: kernel.name, verdict: 'declined', reason: own } };
  const tile = force?.tile ?? (declined ? anyTile(kernel, context) : own.tile);
  const reason = force?.tile ? 'this tile was asked for' : declined ? `asked for, although: ${own}` : own.why;
  const { verdict, variant } = tryTile(context, { kernel, tile });
  return variant ? { variant, verdict: { ...verdict, reason } } : { verdict };
}

/** The measured choice, if it beats the planner's and this device can still run it. */
function measured(context: ChooseContext, found: Tuned): Answer | undefined {
  const kernel = kernels.find(({ name }) => name === found.kernel);
  const tile = kernel?.tiles.find((one) => sameData(one, found.tile));
  if (!kernel || !tile || found.ratio >= 1) return undefined;
  const { verdict, variant } = tryTile(context, { kernel, tile });
  if (!variant || !accurateEnough(context.problem, variant.accuracy)) return undefined;
  const reason = `${found.ratio.toFixed(2)} of the default's time, measured on ${found.date} among ${found.candidates} candidates`;
  return { variant, verdict: { ...verdict, verdict: 'tuned', reason } };
}

const tunedFor = ({ problem, caps, force, findings }: ChooseContext): Tuned | undefined =>
  force || problem.xDigits || problem.experts || findings.tuned.size === 0 ? undefined : findings.tuned.get(problemClass(problem, caps));

/** The kernels that may be asked. @throws ArgumentError if `force` names none, or no tile of it */
function askable(force: Force | undefined): readonly Kernel[] {
  if (!force) return kernels;
  const kernel = kernels.find(({ name }) => name === force.kernel);
  if (!kernel) throw new ArgumentError('force.kernel', kernels.map(({ name }) => name).join(' or '), force.kernel);
  if (force.tile && !kernel.tiles.some((tile) => sameData(tile, force.tile))) {
    const known = kernel.tiles.map((tile) => variantId(kernel.name, tile));
    throw new ArgumentError('force.tile', known.join(' or '), variantId(kernel.name, force.tile));
  }
  return [kernel];
}

/** @throws UnsupportedError with what each kernel said; ArgumentError if `force` names no kernel or tile */
export function choose(context: ChooseContext): Choice {
  const { problem, force } = context;
  const candidates = askable(force);
  const found = tunedFor(context);
  const faster = found && measured(context, found);
  if (faster?.variant) return { ...faster.variant, verdicts: [faster.verdict] };
  const verdicts: Verdict[] = [];
  for (const kernel of candidates) {
    const { verdict, variant } = ask(kernel, context);
    if (!variant) {
      verdicts.push(verdict);
      continue;
    }
    const runs: Verdict =
      found?.ratio === 1
        ? { ...verdict, verdict: 'tuned', reason: `${verdict.reason}; none of ${found.candidates} candidates was faster on ${found.date}` }
        : { ...verdict, verdict: 'chosen' };
    return { ...variant, verdicts: [...verdicts, runs] };
  }
  const { m, weights } = problem;
  const reasons = verdicts.map(({ kernel, reason }) => `${kernel}: ${reason}`);
  throw new UnsupportedError(`y (${m}, ${weights.n}) from K = ${weights.k}`, reasons);
}

/** The verdicts of all kernels, also of those after the chosen one. @param ran the result of `choose`, if it did not throw */
export function survey(context: ChooseContext, ran: Pick<Choice, 'verdicts'> | undefined): readonly Verdict[] {
  const said = new Map(ran?.verdicts.map((verdict) => [verdict.kernel, verdict]));
  return kernels.map((kernel) => said.get(kernel.name) ?? ask(kernel, { ...context, force: undefined }).verdict);
}
