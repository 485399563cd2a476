// Problem + Caps → Plan: the kernel, its params, and every dispatch that makes y. Pure.

import { BYTES } from '../dtype.js';
import { UnsupportedError } from '../errors.js';
import { seenBy } from '../kernels/fits.js';
import { hasOffset, isQuads, readsInPlace, writesInPlace, yUniforms } from '../kernels/operands.js';
import type { Accuracy } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import { blocksBound, sortedWords } from '../problem/experts.js';
import { columnsOfY } from '../problem/glu.js';
import { groupWords, type Problem, rowsOfY } from '../problem/problem.js';
import type { Params } from '../wgsl/preprocess.js';
import { fitting, pieces } from './binding.js';
import { type Choice, choose, type Force, type Verdict } from './choose.js';
import { type Dispatch, dispatch } from './dispatch.js';
import { type Findings, NO_FINDINGS } from './findings.js';
import { codebookSlice, columnQuantSlice, type Packed, twinScaleIn } from './packed-layout.js';
import { expertUniforms, pairBindings, SORTED, sortStep } from './pair-steps.js';
import { FACTORS, gather, gatheredBytes, NOTHING, type Prepared, preparations, rowBytes, rowsOf, X_CODES, type XRows } from './x-steps.js';
import { bestOf, inPlace, inScratch, type Output, round, sumsPitch } from './y-steps.js';

/** A helper dispatch around the product, and its reason. */
export interface Aside {
  readonly shader: 'gather-rows' | 'round-rows';
  readonly reason: string;
}

export interface Plan {
  readonly kernel: string;
  readonly params: Params;
  readonly accuracy: Accuracy;
  /** Verdicts of the kernels that were asked, in planning's order. The last one runs. */
  readonly verdicts: readonly Verdict[];
  readonly asides: readonly Aside[];
  /** In order of execution. `main` is the first that runs `kernel`. */
  readonly dispatches: readonly Dispatch[];
  readonly main: Dispatch;
  /** Bytes of scratch buffers, by role. */
  readonly scratch: Readonly<Record<string, number>>;
}

export interface PlanOptions {
  readonly force?: Force | undefined;
  /** Findings about the device; with a `force` only disabled variants count. */
  readonly findings?: Findings | undefined;
}

/** A problem, the layout of its weights, and the device's caps. */
export interface PlanContext {
  readonly problem: Problem;
  readonly packed: Packed;
  readonly caps: Caps;
}

/**
 * @throws UnsupportedError with the limit, its value and the need; ArgumentError if `force` names no kernel
 */
export function makePlan(given: PlanContext, { force, findings = NO_FINDINGS }: PlanOptions = {}): Plan {
  const { caps } = given;
  const choice = choose({ ...given, force, findings });
  const problem = seenBy(choice.kernel, given.problem);
  const context = { ...given, problem };
  const { m, weights, layers, experts, best } = problem;
  const perRow = experts?.perRow ?? 1; // rows of y for a row of x
  const { n, k } = weights;
  const { splits, params } = choice;
  const direct = { x: readsInPlace(problem), y: !best && writesInPlace(problem) && splits === 1 };
  const preparation = choice.kernel.before && preparations[choice.kernel.before];
  const prepared = preparation?.bytes(problem, params) ?? {};
  const sumsRow = perRow * splits * sumsPitch(n) * 4;
  const what = `y (${rowsOfY(problem)}, ${n}) from K = ${k}`;
  const yRow = perRow * problem.yPitch * BYTES[problem.yDtype];
  const factorsRow = problem.rowScale?.of === 'rms' ? 4 * Math.max(problem.rowScale.pitch, problem.rowScale.width) : 4;
  const inRow = [rowBytes(problem), factorsRow, yRow, ...(direct.y ? [] : [sumsRow]), ...Object.values(prepared)];
  const rows = Math.min(m, ...inRow.map((bytes) => fitting(caps, { what, bytes })));
  if (experts && rows < m)
    throw new UnsupportedError(what, [`${m} rows of x meet their experts at once, and a binding holds ${rows}: multiply fewer at a time`]);
  if (layers && (rows < m || !direct.y)) {
    throw new UnsupportedError(`y (${m}, ${n}) of ${layers.length} layers`, ['layers side by side need one window of whole quads']);
  }
  if (problem.yPitch !== columnsOfY(weights) && !direct.y)
    throw new UnsupportedError(what, ['rows of y with gaps between them must be whole quads']);
  if (problem.twin !== undefined && !(direct.y || (experts?.summed && isQuads(problem))))
    throw new UnsupportedError(what, ['a y with a twin must be whole quads']);
  const dispatches: Dispatch[] = [];
  if (experts?.ids !== undefined) dispatches.push(sortStep(caps, { pairs: m * perRow, experts: experts.count, ids: experts.ids }));
  let main: Dispatch | undefined;
  for (const range of pieces({ end: m }, rows)) {
    if (!direct.x) dispatches.push(...gather(context, range));
    const x = rowsOf(context, range);
    const extra = preparation?.make({ problem, caps, params }, x) ?? NOTHING;
    const pairs = { begin: perRow * range.begin, count: perRow * range.count };
    const top = experts?.summed?.top ?? 1;
    const ofY = { begin: pairs.begin / top, count: pairs.count / top };
    const y = direct.y ? inPlace(context, ofY) : inScratch(problem, { rows: pairs.count, splits });
    const products = multiply(context, choice, { x, y, extra });
    main ??= products[0];
    dispatches.push(...extra.dispatches, ...products);
    if (best) dispatches.push(bestOf(context, best, { ...ofY, splits }));
    else if (!direct.y) dispatches.push(round(context, { ...ofY, splits }));
  }
  return {
    kernel: choice.kernel.name,
    params,
    accuracy: choice.accuracy,
    verdicts: choice.verdicts,
    asides: asidesOf(problem, splits),
    dispatches,
    main: main!,
    scratch: {
      ...(!direct.x && { rows: rows * gatheredBytes(problem) }),
      ...(!direct.x && problem.rowScale?.of === 'rms' && { [FACTORS]: 4 * rows }),
      ...(!direct.y && { sums: rows * sumsRow }),
      ...(experts?.ids !== undefined && { [SORTED]: 4 * sortedWords(m * perRow, experts.count) }),
      ...Object.fromEntries(
        Object.entries(prepared).flatMap(([role, bytes]) => (problem.xDigits && role === X_CODES ? [] : [[role, rows * bytes]])),
      ),
    },
  };
}

function asidesOf(problem: Problem, splits: number): readonly Aside[] {
  const { best, weights, experts } = problem;
  const { permuted, inputScaled } = weights;
  const ofLayer = [
    problem.inputScale !== undefined && 'the call scales each input',
    problem.rowScale && 'each row has a factor',
    permuted && 'the inputs are in another order than those of x',
    inputScaled && 'each input has a scale',
  ].filter(Boolean);
  const unread = ofLayer.join(', and ') || 'x is transposed, or its rows are not whole words, or it does not start on a vec4';
  const unwritten = experts?.summed
    ? 'rows of y are sums of pairs, whose products are rows first'
    : 'rows of y do not start on whole words';
  const shared = `workgroups share k in ${splits} splits, since rows and columns alone do not fill the device`;
  return [
    ...(readsInPlace(problem) ? [] : [{ shader: 'gather-rows' as const, reason: unread }]),
    ...(splits > 1 && !best ? [{ shader: 'round-rows' as const, reason: shared }] : []),
    ...(writesInPlace(problem) || best ? [] : [{ shader: 'round-rows' as const, reason: unwritten }]),
  ];
}

/** The dispatches that multiply rows of x with every slab. */
function multiply(
  { problem, packed, caps }: PlanContext,
  { kernel, params, extent, splits }: Choice,
  { x, y, extra }: { readonly x: XRows; readonly y: Output; readonly extra: Prepared },
): Dispatch[] {
  const { weights, experts } = problem;
  const pairs = x.rows * (experts?.perRow ?? 1);
  const sums = experts?.summed?.by === 'kernel'; // a workgroup goes through all pairs, and each slab adds its own
  const ofPairs = pairBindings(caps, pairs, experts);
  const blocks = sums ? 1 : experts ? blocksBound(pairs, experts.count, extent.rows) : Math.ceil(x.rows / extent.rows);
  return packed.slabs.map((slab, i) => {
    const tilesN = Math.ceil(slab.quads / extent.quads);
    const tiles = tilesN * blocks * splits;
    return dispatch(caps, {
      shader: kernel,
      params,
      workgroups: tiles,
      uniforms: {
        m: x.rows,
        n: slab.count,
        k: weights.k,
        words: packed.words,
        group_words: groupWords(weights),
        w_pitch: slab.pitch,
        x_base: x.first / 4,
        x_pitch: x.pitch / 4,
        column: slab.begin,
        ...yUniforms(y.columns),
        tiles_n: tilesN,
        tiles,
        adds: y.adds || (sums && i > 0) ? 1 : 0,
        twin: sums && i < packed.slabs.length - 1 ? 0 : y.twin,
        twin_scale: twinScaleIn(weights, packed).offset / 16,
        ...x.factor,
        act: y.act,
        ...expertUniforms(experts, packed, { slab, base: ofPairs.base }),
      },
      bindings: {
        x: x.slice,
        ...extra.bindings,
        w: slab.w,
        scale: slab.scale,
        ...(hasOffset(params) && { offset: slab.offset! }),
        ...(weights.codebook === 'table' && { codebook: codebookSlice }),
        bias: packed.bias,
        ...ofPairs.bindings,
        ...(params.Y === 3 && { quant: columnQuantSlice(weights) }),
        y: y.slice,
      },
    });
  });
}
