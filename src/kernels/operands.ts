// The operands that all matmul kernels share: shaders/lib/operands.wgsl and shaders/lib/result.wgsl, seen from TypeScript.

import type { DType, FloatDType } from '../dtype.js';
import type { Caps } from '../problem/caps.js';
import type { Part, Problem, XOf } from '../problem/problem.js';
import type { Params } from '../wgsl/preprocess.js';
import { type Binding, variantId } from './kernel.js';

export const operandBindings: readonly Binding[] = [
  { name: 'params', binding: 0, access: 'uniform' },
  { name: 'x', binding: 1, access: 'read' },
  { name: 'w', binding: 2, access: 'read' },
  { name: 'scale', binding: 3, access: 'read' },
  { name: 'offset', binding: 4, access: 'read', when: (params) => params.OFFSET! > 0 },
  { name: 'bias', binding: 5, access: 'read' },
  { name: 'quant', binding: 6, access: 'read', when: (params) => params.Y === 3 },
  { name: 'y', binding: 7, access: 'write' },
  { name: 'codebook', binding: 9, access: 'read', when: (params) => params.CODEBOOK === 1 },
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
] as const;

/** Parts that y may have at most. */
export const MAX_PARTS = 4;
/** No column is as far. */
const NONE = 0xffffffff;

/** Where kernels write each part of y: lib/result.wgsl. */
export function placeUniforms(parts: readonly Part[]): Readonly<Record<string, number>> {
  const uniforms: Record<string, number> = { y_base: parts[0]!.yOffset, y_pitch: parts[0]!.count };
  for (let i = 1; i < MAX_PARTS; i++) {
    const { begin, yOffset, count } = parts[i] ?? { begin: NONE, yOffset: 0, count: 0 };
    Object.assign(uniforms, { [`part_${i}`]: begin, [`y_base_${i}`]: yOffset, [`y_pitch_${i}`]: count });
  }
  return uniforms;
}

/** Values of the params X, SCALE and Y. */
const X = { float32: 0, float16: 1, float16Bits: 2, bfloat16: 3 } as const;
const SCALES = { float32: 0, float16: 1, bfloat16: 2 } as const;
export const Y: Readonly<Partial<Record<DType, number>>> = { float32: 0, float16: 1, bfloat16: 2, int8: 3 };

/**
 * Can kernels read x where it is? They read whole words of k as vec4s: rows without gaps, a K of whole words, and a first element on a
 * vec4, in the order of the codes. Anything else passes through gather-rows first.
 */
export const readsInPlace = (problem: XOf): boolean => {
  const { x, k, permuted } = problem;
  const codes = 32 / problem.bits;
  return !permuted && x.strideK === 1 && x.strideM === k && x.strideB === x.batchRows * k && k % codes === 0 && x.offset % 4 === 0;
};

/** The param X of shaders that read x where it is, or as gather-rows left it. */
export const xParam = (problem: XOf, caps: Caps): number =>
  !readsInPlace(problem) ? X.float32 : problem.xDtype === 'float16' && !caps.f16 ? X.float16Bits : X[problem.xDtype];

/** The param X of gather-rows, which reads float16 as bits everywhere. */
export const gatherParam = (xDtype: FloatDType): number => (xDtype === 'float16' ? X.float16Bits : X[xDtype]);

/** Can kernels write y where it is? They write whole quads of a row; otherwise f32 sums pass through round-rows. */
export const writesInPlace = ({ n, yOffset, parts = [{ begin: 0, count: n, yOffset }] }: Problem): boolean =>
  parts.every((part) => part.count % 4 === 0 && part.yOffset % 4 === 0);

/** Why `need` is too much for the device; undefined if it is not. */
export const withinLimit = (limit: keyof Caps, need: number, caps: Caps): string | undefined =>
  need <= Number(caps[limit]) ? undefined : `needs ${need}, ${limit} is ${caps[limit]}`;

/** Of workgroup memory, where codes are indices. */
export const CODEBOOK_BYTES = 64;

/** Why a kernel that takes codes for numbers will not do; undefined if it will. */
export const codebookRefused = ({ codebook }: Problem): string | undefined => (codebook ? 'codes are indices of a codebook' : undefined);

/** Columns in a load of w, scale and offset. A kernel's tile may say otherwise. */
const READ = 4;

/** The operand params for a problem. */
export function operandParams(problem: Problem, caps: Caps): Params {
  return {
    BITS: problem.bits,
    X: xParam(problem, caps),
    SCALE: SCALES[problem.scaleDtype],
    OFFSET: { none: 0, offset: 1, minimum: 2 }[problem.shift],
    CODEBOOK: problem.codebook ? 1 : 0,
    READ,
    Y: writesInPlace(problem) ? Y[problem.yDtype]! : Y.float32!,
  };
}

/** What X and Y can be together, by x's dtype: X is 0 after gather-rows, Y is 0 before round-rows. Scales may be of any dtype. */
const COMBINATIONS = [
  { x: [0], y: [0, 3] },
  { x: [1, 2, 0], y: [1, 0, 3] },
  { x: [3, 0], y: [2, 0, 3] },
] as const;

/** What codes mean: numbers, to which something may be added, or indices. */
const MEANINGS = [
  { OFFSET: 0, CODEBOOK: 0, bits: [4, 8] },
  { OFFSET: 1, CODEBOOK: 0, bits: [4, 8] },
  { OFFSET: 2, CODEBOOK: 0, bits: [4, 8] },
  { OFFSET: 0, CODEBOOK: 1, bits: [4] },
] as const;

/** Every combination of operand params that a problem can lead to. */
export function operandVariants(): Params[] {
  const variants = new Map<string, Params>();
  for (const { x, y } of COMBINATIONS)
    for (const { bits, ...meaning } of MEANINGS)
      for (const BITS of bits)
        for (const X of x)
          for (const SCALE of Object.values(SCALES))
            for (const Y of y) {
              const params = { BITS, X, SCALE, ...meaning, READ, Y };
              variants.set(variantId('', params), params);
            }
  return [...variants.values()];
}
