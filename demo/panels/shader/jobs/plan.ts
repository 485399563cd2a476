// A choice of shapes, types and device → the library's own plan of it, and what every kernel would say. Pure; no weights are made.

import type { DType, FloatDType } from '../../../../src/dtype.js';
import { UnsupportedError } from '../../../../src/errors.js';
import { kernels } from '../../../../src/kernels/index.js';
import { type Extent, type Kernel, variantId } from '../../../../src/kernels/kernel.js';
import { operandParams, Y } from '../../../../src/kernels/operands.js';
import { type Findings, NO_FINDINGS } from '../../../../src/plan/findings.js';
import { packedLayout, packSteps } from '../../../../src/plan/packed-layout.js';
import { type Force, makePlan, type Plan } from '../../../../src/plan/plan.js';
import type { Step } from '../../../../src/plan/step.js';
import type { Caps } from '../../../../src/problem/caps.js';
import { checkOptions, checkWeights, checkX } from '../../../../src/problem/checks.js';
import { makeProblem, type Operands, type Problem, type View, type WeightTensors } from '../../../../src/problem/problem.js';
import type { Params } from '../../../../src/wgsl/preprocess.js';

export interface ShaderChoice {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly bits: 4 | 8;
  readonly mode: 'tensor' | 'channel' | 'group';
  readonly group: number;
  readonly dtype: FloatDType;
  /** Scales of x's dtype, or packed into 64 bits. */
  readonly scales: 'x' | 'int64';
  readonly format: 'ND' | 'FRACTAL_NZ';
  readonly offset: boolean;
  readonly bias: boolean;
  readonly int8: boolean;
  readonly int8Offset: boolean;
  readonly precise: 0 | 1;
  /** What a code means: a number less the code of weight 0, a number above a minimum, or an index of 16 values. */
  readonly codes: 'number' | 'minimum' | 'codebook';
  /** x is stored the other way round. */
  readonly transposed: boolean;
  /** Inputs are in another order in the weights than in x. */
  readonly permuted: boolean;
  readonly force?: Force;
}

/** What a kernel says to the problem. */
export interface Verdict {
  readonly kernel: string;
  /** Is it what runs; would it run if the ones before it did not; would another be better; or can it not? */
  readonly state: 'runs' | 'next' | 'declines' | 'cannot';
  readonly reason: string;
  readonly tiles: readonly TileVerdict[];
}
export interface TileVerdict {
  readonly tile: Params;
  /** The one that runs, or that this kernel would take. */
  readonly preferred: boolean;
  /** Rows and columns of y that a workgroup makes. */
  readonly makes?: { readonly rows: number; readonly columns: number };
  /** What the problem or the device lacks. */
  readonly lacks?: string;
}

export interface Planned {
  readonly choice: ShaderChoice;
  readonly problem: Problem;
  readonly caps: Caps;
  /** Undefined where the device cannot do it; `refusal` says why. */
  readonly plan?: Omit<Plan, 'steps' | 'main'>;
  readonly refusal?: string;
  /** The first ones of the call, all of it where `more` is 0. */
  readonly steps: readonly Step[];
  readonly more: number;
  /** Where in `steps` the product is. */
  readonly main: number;
  /** What brings weights into the layout that kernels read, once. Weights of other formats come in pieces, whose steps depend on the file. */
  readonly load: readonly Step[];
  readonly moreLoad: number;
  /** What the planner takes if nothing is asked for. */
  readonly own?: string;
  readonly verdicts: readonly Verdict[];
  /** A text to show though it cannot run. */
  readonly variant?: { readonly shader: string; readonly params: Params };
  /** Bytes of the packed weights: codes, scales, offsets, bias. */
  readonly bytes: number;
}

/** More dispatches than this are counted, not listed. */
const LISTED = 100;

const view = (shape: readonly number[], dtype: DType): View => {
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  return { shape, strides, dtype, format: 'ND', offset: 0 };
};

/** Tensors as `load` would get them, less their elements; of other formats' weights what `loadMatrix` makes of them. */
function viewsOf(choice: ShaderChoice, imported: boolean): WeightTensors<View> {
  const { n, k, bits, mode, group, dtype, scales, format, offset, bias, int8, int8Offset } = choice;
  const shape = { tensor: [1], channel: [n], group: [n, Math.ceil(k / group)] }[mode];
  const packed = scales === 'int64' && !imported;
  const weight = bits === 4 && !imported ? view([n, Math.ceil(k / 8)], 'int32') : view([n, k], 'int8');
  return {
    weight: imported ? weight : { ...weight, format },
    antiquantScale: view(shape, packed ? 'int64' : dtype),
    ...(offset && !imported && { antiquantOffset: view(shape, packed ? 'int32' : dtype) }),
    ...(bias && { bias: view([n], dtype === 'bfloat16' ? 'float32' : dtype) }),
    ...(int8 && { quantScale: view([n], 'float32') }),
    ...(int8 && int8Offset && { quantOffset: view([n], 'float32') }),
  };
}

/** @throws ArgumentError for what the layer would not take */
function problemOf(choice: ShaderChoice) {
  const { m, n, k, mode, group, dtype, offset, bias, int8, int8Offset, precise, codes, permuted, bits } = choice;
  const imported = codes !== 'number' || permuted;
  const spec = checkOptions({
    inFeatures: k,
    outFeatures: n,
    dtype,
    bias,
    quantScale: int8,
    quantOffset: int8 && int8Offset,
    antiquantOffset: offset && !imported,
    antiquantGroupSize: mode === 'group' ? group : 0,
    innerPrecise: precise,
  });
  const views = viewsOf(choice, imported);
  const checked = checkWeights(spec, views);
  const shift = codes === 'minimum' ? 'minimum' : codes === 'number' && offset ? 'offset' : 'none';
  const operands: Operands = imported ? { ...checked, bits, shift, codebook: codes === 'codebook', permuted } : checked;
  const x = choice.transposed ? { ...view([m, k], dtype), strides: [1, m] } : view([m, k], dtype);
  const problem = makeProblem(spec, operands, m, checkX(spec, x).view, 0);
  return { problem, operands, views, imported };
}

const isText = (value: unknown): value is string => typeof value === 'string';

/** All params of a tile, as planning makes them. */
function paramsOf(problem: Problem, caps: Caps, kernel: Kernel, tile: Params): Params {
  const splits = kernel.splits?.(problem, caps, tile) ?? 1;
  return { ...operandParams(problem, caps), ...(splits > 1 && { Y: Y.float32! }), ...tile };
}

function verdictOf(kernel: Kernel, problem: Problem, caps: Caps, findings: Findings, plan: Plan | undefined): Verdict {
  const chosen = kernel.choose(problem, caps);
  const runs = plan?.kernel === kernel.name;
  const disabled = (tile: Params): string | undefined =>
    findings.disabled.get(variantId(kernel.name, paramsOf(problem, caps, kernel, tile)));
  const has = (params: Params, tile: Params): boolean => Object.entries(tile).every(([name, value]) => params[name] === value);
  const wanted = isText(chosen) ? undefined : variantId('', chosen.tile);
  const tiles = kernel.tiles.map((tile): TileVerdict => {
    const extent: Extent | string = disabled(tile) ?? kernel.fit(problem, caps, tile);
    const preferred = runs ? has(plan.params, tile) : variantId('', tile) === wanted;
    return { tile, preferred, ...(isText(extent) ? { lacks: extent } : { makes: { rows: extent.rows, columns: 4 * extent.quads } }) };
  });
  const found = { kernel: kernel.name, tiles };
  if (runs) return { ...found, state: 'runs', reason: plan.why[0]!.replace(`${kernel.name}: `, '') };
  if (isText(chosen)) return { ...found, state: tiles.every(({ lacks }) => lacks) ? 'cannot' : 'declines', reason: chosen };
  const lacks = disabled(chosen.tile) ?? kernel.fit(problem, caps, chosen.tile);
  if (isText(lacks)) return { ...found, state: 'cannot', reason: lacks };
  return { ...found, state: 'next', reason: chosen.why };
}

/** Why a plan cannot be made; other errors are thrown. */
function attempt(make: () => Plan): Plan | UnsupportedError {
  try {
    return make();
  } catch (error) {
    if (error instanceof UnsupportedError) return error;
    throw error;
  }
}

/**
 * @param known what is known of the device beyond `caps`
 * @throws ArgumentError for what the layer would not take
 */
export function planChoice(choice: ShaderChoice, caps: Caps, known: Findings = NO_FINDINGS): Planned {
  const { problem, operands, views, imported } = problemOf(choice);
  const nothing = { choice, problem, caps, steps: [], more: 0, main: 0, load: [], moreLoad: 0, verdicts: [], bytes: 0 };
  const packed = (() => {
    try {
      return packedLayout(operands, caps);
    } catch (error) {
      if (error instanceof UnsupportedError) return error;
      throw error;
    }
  })();
  if (packed instanceof Error) return { ...nothing, refusal: packed.message };
  const { force } = choice;
  const own = attempt(() => makePlan(problem, packed, caps, undefined, known));
  // A kernel that is asked for is taken whatever is known of it, as by a layer.
  const plan = force ? attempt(() => makePlan(problem, packed, caps, force)) : own;
  const made = plan instanceof Error ? undefined : plan;
  const load = imported ? [] : packSteps(operands, packed, caps, { ...views });
  const asked = kernels.find(({ name }) => name === force?.kernel);
  const tile = force?.tile ?? asked?.tiles[0];
  return {
    ...nothing,
    ...(made && {
      plan: { kernel: made.kernel, params: made.params, accuracy: made.accuracy, why: made.why, scratch: made.scratch },
      main: made.steps.indexOf(made.main),
      steps: made.steps.slice(0, LISTED),
      more: Math.max(0, made.steps.length - LISTED),
    }),
    ...(plan instanceof Error && { refusal: plan.message }),
    ...(plan instanceof Error && asked && tile && { variant: { shader: asked.name, params: paramsOf(problem, caps, asked, tile) } }),
    load: load.slice(0, LISTED),
    moreLoad: Math.max(0, load.length - LISTED),
    ...(!(own instanceof Error) && { own: own.kernel }),
    verdicts: kernels.map((kernel) => verdictOf(kernel, problem, caps, known, made)),
    bytes: Object.values(packed.sizes).reduce((sum, size) => sum + size, 0),
  };
}
