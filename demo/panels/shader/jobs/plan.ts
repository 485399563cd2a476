// Plans a choice of shapes, dtypes and device by the library, and collects every kernel's verdict. Pure; it needs no weights.

import type { DType, FloatDType } from '../../../../src/dtype.js';
import { UnsupportedError } from '../../../../src/errors.js';
import { kernels } from '../../../../src/kernels/index.js';
import type { Kernel } from '../../../../src/kernels/kernel.js';
import { type ChooseContext, type Force, survey, tryTile, type Verdict, variantOf } from '../../../../src/plan/choose.js';
import type { Dispatch } from '../../../../src/plan/dispatch.js';
import { type Findings, NO_FINDINGS, tileOf } from '../../../../src/plan/findings.js';
import { loadSteps } from '../../../../src/plan/load-steps.js';
import { packedBytes, packedLayout } from '../../../../src/plan/packed-layout.js';
import { makePlan, type Plan } from '../../../../src/plan/plan.js';
import { whyOf } from '../../../../src/plan/why.js';
import type { Caps } from '../../../../src/problem/caps.js';
import { checkOptions, checkWeights, checkX } from '../../../../src/problem/checks.js';
import { type Bits, FLOAT_BITS, widthOf } from '../../../../src/problem/code-width.js';
import { makeProblem, type Operands, type Problem, type WeightTensors } from '../../../../src/problem/problem.js';
import type { View } from '../../../../src/problem/view.js';
import type { Codebook } from '../../../../src/problem/weight-format.js';
import type { Params } from '../../../../src/wgsl/preprocess.js';

export interface ShaderChoice {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly bits: Bits;
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
  /** Meaning of a code: a number relative to the code of weight 0, a number above a minimum, an index of 16 values, or a float of 8 bits. */
  readonly codes: 'number' | 'minimum' | 'codebook' | 'float';
  /** x is stored transposed. */
  readonly transposed: boolean;
  /** The order of inputs in the weights differs from x's. */
  readonly permuted: boolean;
  /** Each input of x has a scale. */
  readonly inputScaled: boolean;
  readonly force?: Force;
}

/** Verdicts of a kernel and its tiles. */
export interface KernelVerdict {
  readonly kernel: string;
  /** runs: it runs. next: it would run if no kernel before it did. declines: another kernel is better. cannot: it is not able to run. */
  readonly state: 'runs' | 'next' | 'declines' | 'cannot';
  readonly reason: string;
  readonly tiles: readonly TileVerdict[];
}
export interface TileVerdict {
  readonly tile: Params;
  /** The tile that runs, or that this kernel would choose. */
  readonly preferred: boolean;
  /** Rows and columns of y that a workgroup computes. */
  readonly makes?: { readonly rows: number; readonly columns: number };
  /** The missing property of the problem or the device. */
  readonly lacks?: string;
}

export interface Planned {
  readonly choice: ShaderChoice;
  readonly problem: Problem;
  readonly caps: Caps;
  /** Undefined if the device cannot run it; `refusal` says why. */
  readonly plan?: Omit<Plan, 'dispatches' | 'main'>;
  /** The plan's reasons as sentences. */
  readonly why: readonly string[];
  readonly refusal?: string;
  /** The first dispatches of the call; all of them if `more` is 0. */
  readonly dispatches: readonly Dispatch[];
  readonly more: number;
  /** Index of the product in `dispatches`. */
  readonly main: number;
  /** The dispatches that repack the weights once. Weights of other formats come in pieces, whose dispatches depend on the file. */
  readonly load: readonly Dispatch[];
  readonly moreLoad: number;
  /** The planner's choice without a forced kernel. */
  readonly own?: string;
  readonly verdicts: readonly KernelVerdict[];
  /** A text to show even if it cannot run. */
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

/** Views of the tensors of `load`, without elements; for other formats those of `loadMatrix`. */
function viewsOf(choice: ShaderChoice, imported: boolean): WeightTensors<View> {
  const { n, k, bits, mode, group, dtype, scales, format, offset, bias, int8, int8Offset } = choice;
  const shape = { tensor: [1], channel: [n], group: [n, Math.ceil(k / group)] }[mode];
  const packed = scales === 'int64' && !imported;
  const { inElement, dtype: stored } = widthOf(bits);
  const weight = imported ? view([n, k], 'int8') : view([n, Math.ceil(k / inElement)], stored);
  return {
    weight: imported ? weight : { ...weight, format },
    antiquantScale: view(shape, packed ? 'int64' : dtype),
    ...(offset && !imported && { antiquantOffset: view(shape, packed ? 'int32' : dtype) }),
    ...(bias && { bias: view([n], dtype === 'bfloat16' ? 'float32' : dtype) }),
    ...(int8 && { quantScale: view([n], 'float32') }),
    ...(int8 && int8Offset && { quantOffset: view([n], 'float32') }),
  };
}

const CODEBOOK_OF: Readonly<Record<ShaderChoice['codes'], Codebook>> = {
  number: 'none',
  minimum: 'none',
  codebook: 'table',
  float: 'e4m3',
};

/** @throws ArgumentError if the layer refuses the choice */
function problemOf(choice: ShaderChoice) {
  const { m, n, k, mode, group, dtype, offset, bias, int8, int8Offset, precise, codes, permuted, inputScaled } = choice;
  const bits = codes === 'float' ? FLOAT_BITS : choice.bits;
  const imported = codes !== 'number' || permuted || inputScaled;
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
  const operands: Operands = imported
    ? { ...checked, bits, held: bits, shift, codebook: CODEBOOK_OF[codes], permuted, inputScaled }
    : checked;
  const x = choice.transposed ? { ...view([m, k], dtype), strides: [1, m] } : view([m, k], dtype);
  const problem = makeProblem({ spec, weights: operands }, { m, x: checkX(spec, x).view });
  return { problem, operands, views, imported };
}

/** A verdict as the page's state. A kernel whose tiles all lack something cannot run, even if it only declines. */
const stateOf = (verdict: Verdict['verdict'], tiles: readonly TileVerdict[]): KernelVerdict['state'] => {
  if (verdict === 'chosen' || verdict === 'tuned') return 'runs';
  if (verdict === 'able') return 'next';
  return verdict === 'declined' && tiles.some(({ lacks }) => !lacks) ? 'declines' : 'cannot';
};

function kernelVerdict(kernel: Kernel, { verdict, reason }: Verdict, context: ChooseContext, plan: Plan | undefined): KernelVerdict {
  const { problem, caps } = context;
  const chosen = kernel.choose(problem, caps);
  const runs = plan?.kernel === kernel.name;
  const wanted = runs ? tileOf(kernel, plan.params) : typeof chosen === 'string' ? undefined : tileOf(kernel, chosen.tile);
  const tiles = kernel.tiles.map((tile): TileVerdict => {
    const { verdict: said, variant } = tryTile(context, { kernel, tile });
    const answer = variant ? { makes: { rows: variant.extent.rows, columns: 4 * variant.extent.quads } } : { lacks: said.reason };
    return { tile, preferred: tile === wanted, ...answer };
  });
  return { kernel: kernel.name, state: stateOf(verdict, tiles), reason, tiles };
}

/** A plan, or the UnsupportedError of planning; other errors are thrown. */
function attempt(make: () => Plan): Plan | UnsupportedError {
  try {
    return make();
  } catch (error) {
    if (error instanceof UnsupportedError) return error;
    throw error;
  }
}

/**
 * @param known findings about the device
 * @throws ArgumentError if the layer refuses the choice
 */
export function planChoice(choice: ShaderChoice, caps: Caps, known: Findings = NO_FINDINGS): Planned {
  const { problem, operands, views, imported } = problemOf(choice);
  const nothing = { choice, problem, caps, why: [], dispatches: [], more: 0, main: 0, load: [], moreLoad: 0, verdicts: [], bytes: 0 };
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
  const own = attempt(() => makePlan({ problem, packed, caps }, { findings: known }));
  // As in a layer, a forced kernel ignores findings.
  const plan = force ? attempt(() => makePlan({ problem, packed, caps }, { force })) : own;
  const made = plan instanceof Error ? undefined : plan;
  const { dispatches: _all, main: _main, ...rest } = made ?? ({} as Plan);
  const context: ChooseContext = { problem, caps, findings: known };
  const load = imported ? [] : loadSteps({ operands, packed, caps }, { ...views });
  const asked = kernels.find(({ name }) => name === force?.kernel);
  const tile = force?.tile ?? asked?.tiles[0];
  return {
    ...nothing,
    ...(made && {
      plan: rest,
      why: whyOf(made),
      main: made.dispatches.indexOf(made.main),
      dispatches: made.dispatches.slice(0, LISTED),
      more: Math.max(0, made.dispatches.length - LISTED),
    }),
    ...(plan instanceof Error && { refusal: plan.message }),
    ...(plan instanceof Error &&
      asked &&
      tile && { variant: { shader: asked.name, params: variantOf({ problem, caps }, { kernel: asked, tile }).params } }),
    load: load.slice(0, LISTED),
    moreLoad: Math.max(0, load.length - LISTED),
    ...(!(own instanceof Error) && { own: own.kernel }),
    verdicts: survey(context, made).map((verdict, i) => kernelVerdict(kernels[i]!, verdict, context, made)),
    bytes: packedBytes(operands, packed),
  };
}
