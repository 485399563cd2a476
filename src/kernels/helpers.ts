// The shaders around a matmul: they bring weights, scales and x into the one layout that kernels read, and round y where it is unaligned.
import { BITS, CODE_BITS, isBits } from '../problem/code-width.js';
import type { Params } from '../wgsl/preprocess.js';
import type { Shader } from './kernel.js';

/** A helper and all its variants. */
export interface Helper extends Shader {
  readonly variants: readonly Params[];
}

export const repack: Helper = {
  name: 'repack',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'source', binding: 1, access: 'read' },
    { name: 'packed', binding: 2, access: 'write' },
  ],
  uniforms: [
    'n_count',
    'row_count',
    'n',
    'row',
    'k',
    'base',
    'stride_n',
    'stride_k',
    'tile_rows',
    'packed_base',
    'packed_pitch',
    'flip',
    'lift',
  ],
  variants: CODE_BITS.flatMap((BITS) => (isBits(BITS) ? [0, 1, 2] : [0]).map((NZ) => ({ BITS, NZ }))),
};

export const repackScale: Helper = {
  name: 'repack-scale',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'source', binding: 1, access: 'read' },
    { name: 'out', binding: 2, access: 'write' },
  ],
  uniforms: ['n', 'groups', 'base', 'stride_g', 'stride_n', 'out_base', 'out_pitch', 'out_count', 'out_step'],
  variants: [
    ...[0, 1, 3, 4].map((SOURCE) => ({ SOURCE, ELEMENT: 32 })),
    ...[1, 2].map((SOURCE) => ({ SOURCE, ELEMENT: 16 })),
    { SOURCE: 5, ELEMENT: 8 },
  ],
};

export const repackQuant: Helper = {
  name: 'repack-quant',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'scale', binding: 1, access: 'read' },
    { name: 'offset', binding: 2, access: 'read', when: (params) => params.QUANT_OFFSET === 1 },
    { name: 'out', binding: 3, access: 'write' },
  ],
  uniforms: ['n', 'stride', 'scale_base', 'offset_base', 'out_pitch'],
  variants: [
    { SOURCE: 0, QUANT_OFFSET: 0 },
    { SOURCE: 0, QUANT_OFFSET: 1 },
    { SOURCE: 4, QUANT_OFFSET: 0 },
  ],
};

export const gatherRows: Helper = {
  name: 'gather-rows',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'x', binding: 1, access: 'read' },
    { name: 'rows', binding: 2, access: 'write' },
    { name: 'permutation', binding: 3, access: 'read', when: (params) => params.PERM === 1 },
  ],
  uniforms: ['m', 'first_m', 'first_k', 'quads', 'k', 'base', 'batch_rows', 'stride_b', 'stride_m', 'stride_k', 'rows_base', 'pitch'],
  variants: [0, 1].flatMap((PERM) => [0, 2, 3].map((X) => ({ X, PERM }))),
};

/** X as the kernel that reads the sums: they see the same x. */
export const sumRows: Helper = {
  name: 'sum-rows',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'x', binding: 1, access: 'read' },
    { name: 'sums', binding: 2, access: 'write' },
  ],
  uniforms: ['m', 'x_base', 'x_pitch', 'blocks', 'block_vec4s'],
  variants: [0, 1, 2, 3].map((X) => ({ X })),
};

/** X as the kernel that reads the codes: they see the same x. */
export const quantizeRows: Helper = {
  name: 'quantize-rows',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'x', binding: 1, access: 'read' },
    { name: 'codes', binding: 2, access: 'write' },
  ],
  uniforms: ['m', 'x_base', 'x_pitch', 'blocks'],
  variants: CODE_BITS.flatMap((BITS) => [1, 2].flatMap((DIGITS) => [0, 1, 2, 3].map((X) => ({ BITS, DIGITS, X })))),
};

export const roundRows: Helper = {
  name: 'round-rows',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'sums', binding: 1, access: 'read' },
    { name: 'quant', binding: 2, access: 'read', when: (params) => params.Y === 3 },
    { name: 'y', binding: 3, access: 'write' },
  ],
  uniforms: ['count', 'n', 'pitch', 'first', 'first_word', 'quant_pitch', 'splits', 'split_pitch'],
  variants: [0, 1, 2, 3].map((Y) => ({ Y })),
};

/** Weights as floats → codes, for src/quantize/gpu.ts. */
export const quantizeWeights: Helper = {
  name: 'quantize-weights',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'w', binding: 1, access: 'read' },
    { name: 'codes', binding: 2, access: 'write' },
    { name: 'grids', binding: 3, access: 'write' },
  ],
  uniforms: ['n', 'k', 'group_size', 'groups', 'words', 'mantissa', 'w_base', 'codes_base', 'grids_base'],
  variants: BITS.flatMap((BITS) => [0, 1, 2].flatMap((W) => [0, 1].map((SYMMETRIC) => ({ BITS, W, SYMMETRIC })))),
};

export const helpers: readonly Helper[] = [repack, repackScale, repackQuant, gatherRows, sumRows, quantizeRows, roundRows, quantizeWeights];
