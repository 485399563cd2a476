// The operands that all matmul kernels share: shaders/lib/operands.wgsl and shaders/lib/result.wgsl, seen from TypeScript.

import type { DType, FloatDType } from '../dtype.js';
import type { Caps } from '../problem/caps.js';
import { BLOCK, type CodeBits, widthOf } from '../problem/code-width.js';
import { columnsOfY } from '../problem/glu.js';
import type { LayerColumns, Problem, XProblem } from '../problem/problem.js';
import { CODEBOOKS, type Codebook, LEGAL_FORMATS, SCALE_FORMS, SHIFTS, type WeightFormat } from '../problem/weight-format.js';
import type { Params } from '../wgsl/preprocess.js';
import { type Binding, type Kernel, variantId } from './kernel.js';

/** Is there a buffer `offset`: of what is added, or of units of scales? */
export const hasOffset = ({ OFFSET, SCALE }: Params): boolean => OFFSET! > 0 || TWO_LEVELS.includes(SCALE!);
const TWO_LEVELS = Object.values(SCALE_FORMS).flatMap(({ param, unitBits }) => (unitBits > 0 ? [param] : []));

/** The value of EXPERTS where a row of y is a sum of pairs. */
export const EXPERTS_SUMMED = 2;

export const operandBindings: readonly Binding[] = [
  { name: 'params', binding: 0, access: 'uniform' },
  { name: 'x', binding: 1, access: 'read' },
  { name: 'w', binding: 2, access: 'read' },
  { name: 'scale', binding: 3, access: 'read' },
  { name: 'offset', binding: 4, access: 'read', when: hasOffset },
  { name: 'bias', binding: 5, access: 'read' },
  { name: 'quant', binding: 6, access: 'read', when: (params) => params.Y === 3 },
  { name: 'y', binding: 7, access: 'write' },
  { name: 'codebook', binding: 9, access: 'read', when: ({ CODEBOOK }) => CODEBOOK === CODEBOOKS.table },
  { name: 'sorted', binding: 10, access: 'read', when: ({ EXPERTS }) => EXPERTS! > 0 },
  { name: 'pair_weights', binding: 11, access: 'read', when: ({ EXPERTS }) => EXPERTS === EXPERTS_SUMMED },
];

export const operandUniforms = [
  'm',
  'n',
  'k',
  'words',
  'group_words',
  'w_pitch',
  'x_base',
  'x_pitch',
  'column',
  'y_base',
  'y_pitch',
  'part_1',
  'y_base_1',
  'y_pitch_1',
  'part_2',
  'y_base_2',
  'y_pitch_2',
  'part_3',
  'y_base_3',
  'y_pitch_3',
  'tiles_n',
  'tiles',
  'adds',
  'twin',
  'twin_scale',
  'row_scale',
  'row_base',
  'row_width',
  'row_epsilon',
  'act',
  'experts',
  'first_expert',
  'bound_experts',
  'per_row',
  'w_step',
  'scale_step',
  'offset_step',
  'bias_step',
  'weights_base',
] as const;

/** Layers whose columns a dispatch may hold side by side. */
export const MAX_LAYERS = 4;
/** No column is as far. */
const NONE = 0xffffffff;

/** Where the columns from `begin` on go: their row 0 starts at element `first` of the binding `y`, rows are `pitch` elements apart. */
export interface YColumns {
  readonly begin: number;
  readonly first: number;
  readonly pitch: number;
}

/** Where kernels write the columns of each layer: lib/result.wgsl. */
export function yUniforms(layers: readonly YColumns[]): Readonly<Record<string, number>> {
  const uniforms: Record<string, number> = { y_base: layers[0]!.first, y_pitch: layers[0]!.pitch };
  for (let i = 1; i < MAX_LAYERS; i++) {
    const { begin, first, pitch } = layers[i] ?? { begin: NONE, first: 0, pitch: 0 };
    Object.assign(uniforms, { [`part_${i}`]: begin, [`y_base_${i}`]: first, [`y_pitch_${i}`]: pitch });
  }
  return uniforms;
}

/** Values of the params X and Y. */
const X = { float32: 0, float16: 1, float16Bits: 2, bfloat16: 3 } as const;
const INT8 = 3;
export const Y: Readonly<Partial<Record<DType, number>>> = { float32: 0, float16: 1, bfloat16: 2, int8: INT8 };

/**
 * Can kernels read x where it is? They read whole words of k as vec4s: rows that start on vec4s and are the same distance apart, a K of
 * whole words, in the order of the codes, without scales of its own. Anything else passes through gather-rows first.
 */
export function readsInPlace({ m, x, rowScale, inputScale, weights: { k, held, permuted, inputScaled } }: XProblem): boolean {
  const oneRun = m <= x.batchRows || x.strideB === x.batchRows * x.strideM;
  const aligned = x.strideK === 1 && x.offset % 4 === 0 && k % widthOf(held).inLow === 0;
  // What is between rows must not be read with a last block that is short.
  const apart = x.strideM === k || (x.strideM > k && x.strideM % 4 === 0 && k % BLOCK === 0);
  return !permuted && !inputScaled && inputScale === undefined && rowScale?.by !== 'rows' && oneRun && aligned && apart;
}

/** The param X of shaders that read x where it is, or as gather-rows left it. */
export const xParam = (problem: XProblem, caps: Caps): number =>
  !readsInPlace(problem) ? X.float32 : problem.xDtype === 'float16' && !caps.f16 ? X.float16Bits : X[problem.xDtype];

/** The param X of gather-rows, which reads float16 as bits everywhere. */
export const gatherParam = (xDtype: FloatDType): number => (xDtype === 'float16' ? X.float16Bits : X[xDtype]);

/** Can kernels write y where it is? They write whole quads of a row; otherwise f32 sums pass through round-rows, as pairs do that are rows of a sum. */
export const writesInPlace = (problem: Problem): boolean => problem.experts?.summed?.by !== 'rows' && isQuads(problem);

/** Is y whole quads, of rows of a gated linear unit halves of them? */
export const isQuads = (problem: Problem): boolean =>
  outputsOf(problem).every((layer) => [layer.count, layer.yOffset, layer.pitch].every((at) => at % (problem.weights.glu ? 2 : 4) === 0));

/** Where the columns of each layer go; most problems have one layer. */
export const outputsOf = (problem: Problem): readonly (LayerColumns & { readonly pitch: number })[] =>
  problem.layers?.map((layer) => ({ ...layer, pitch: layer.count })) ?? [
    { begin: 0, count: columnsOfY(problem.weights), yOffset: problem.yOffset, pitch: problem.yPitch },
  ];

/** Why `need` is too much for the device; undefined if it is not. */
export const withinLimit = (limit: keyof Caps, need: number, caps: Caps): string | undefined =>
  need <= Number(caps[limit]) ? undefined : `needs ${need}, ${limit} is ${caps[limit]}`;

/** Of workgroup memory, where kernels keep a table of values in it. */
export const tableBytes = ({ weights: { codebook } }: Problem): number => (codebook === 'table' ? 64 : 0);

/** What codes may mean to a kernel. */
export const codebooksOf = ({ codebooks }: Pick<Kernel, 'codebooks'>): readonly Codebook[] => codebooks ?? ['none'];
const MEANINGS: Readonly<Record<Codebook, string>> = {
  none: 'codes are numbers, no indices of a codebook',
  table: 'codes are indices of a codebook',
  e2m1: 'codes are E2M1, indices of a codebook',
  e4m3: 'codes are E4M3, floats of 8 bits',
};
/** Why a kernel will not do for what the codes mean; undefined if it will. */
export const codebookRefused = ({ weights: { codebook } }: Problem, kernel: Pick<Kernel, 'codebooks'>): string | undefined =>
  codebooksOf(kernel).includes(codebook) ? undefined : MEANINGS[codebook];

/** Are groups halves of a block of 32 k? */
export const hasHalves = ({ weights: { groups, groupSize } }: Pick<Problem, 'weights'>): boolean => groups > 1 && groupSize === BLOCK / 2;

/** Why a kernel that takes such groups will not do; undefined if it will. */
export function groupsRefused(problem: Problem, taken: 'words' | 'blocks' | 'halves'): string | undefined {
  const { groups, groupSize } = problem.weights;
  if (taken === 'halves') return hasHalves(problem) ? undefined : `groups of ${groupSize} are not halves of a block of ${BLOCK}`;
  if (taken === 'words' || groups === 1 || groupSize % BLOCK === 0) return undefined;
  return `groups of ${groupSize} are not whole blocks of ${BLOCK}`;
}

/** Codes in a low word, by the param BITS. */
export const codesInLow = (BITS: number): number => widthOf(BITS as CodeBits).inLow;

/** Columns in a load of w, scale and offset. A kernel's tile may say otherwise. */
const READ = 4;

/** The params of a format of weights: those of lib/scale.wgsl and of what it includes, but for READ and ROUND. */
export const formatParams = ({ held, scaleDtype, shift, codebook }: Omit<WeightFormat, 'bits'>): Params => ({
  BITS: held,
  SCALE: SCALE_FORMS[scaleDtype].param,
  OFFSET: SHIFTS[shift],
  CODEBOOK: CODEBOOKS[codebook],
});

/** What a kernel writes: y in place, or sums for round-rows. */
export const endingOf = ({ yDtype, weights: { glu } }: Pick<Problem, 'yDtype' | 'weights'>, inPlace: boolean): Params => ({
  Y: inPlace ? Y[yDtype]! : Y.float32!,
  ENDING: inPlace && glu ? 1 : 0,
});

/** The operand params for a problem. */
export function operandParams(problem: Problem, caps: Caps): Params {
  return {
    ...formatParams(problem.weights),
    X: xParam(problem, caps),
    ROUND: SCALE_FORMS[problem.weightDtype].param,
    EXPERTS: problem.experts?.summed?.by === 'kernel' ? EXPERTS_SUMMED : problem.experts ? 1 : 0,
    READ,
    ...endingOf(problem, writesInPlace(problem)),
  };
}

/**
 * What X, Y and ROUND can be together, by x's dtype: X is 0 after gather-rows, Y is 0 before round-rows, ROUND is 0 without
 * weightRounding. Scales may be of any dtype.
 */
const COMBINATIONS = [
  { x: [0], y: [0, 3], round: [0] },
  { x: [1, 2, 0], y: [1, 0, 3], round: [0, 1] },
  { x: [3, 0], y: [2, 0, 3], round: [0, 2] },
] as const;

/** Every combination of operand params that a problem can lead to. Experts have neither int8 output nor weightRounding; int8 and sums of pairs are not gated. */
export function operandVariants(): Params[] {
  const variants = new Map<string, Params>();
  for (const format of LEGAL_FORMATS)
    for (const { x, y, round } of COMBINATIONS)
      for (const X of x)
        for (const Y of y)
          for (const ROUND of round)
            for (const EXPERTS of ROUND > 0 || Y === INT8 ? [0] : [0, 1, EXPERTS_SUMMED])
              for (const ENDING of Y === INT8 || EXPERTS === EXPERTS_SUMMED ? [0] : [0, 1]) {
                const params = { ...formatParams(format), X, ROUND, EXPERTS, READ, Y, ENDING };
                variants.set(variantId('', params), params);
              }
  return [...variants.values()];
}
