// The shaders around a matmul: they bring weights, scales and x into the one layout that kernels read, and round y where it is unaligned. And those that
// make something else of weights or ids.
import { CODEBOOKS } from '../problem/weight-format.js';
import type { Shader } from './kernel.js';
import { hasOffset } from './operands.js';

export const repack: Shader = {
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
    'mask',
    'flip',
    'lift',
  ],
};

export const repackScale: Shader = {
  name: 'repack-scale',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'source', binding: 1, access: 'read' },
    { name: 'out', binding: 2, access: 'write' },
  ],
  uniforms: ['n', 'groups', 'base', 'stride_g', 'stride_n', 'out_base', 'out_pitch', 'out_count', 'out_step'],
};

export const repackQuant: Shader = {
  name: 'repack-quant',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'scale', binding: 1, access: 'read' },
    { name: 'offset', binding: 2, access: 'read', when: (params) => params.QUANT_OFFSET === 1 },
    { name: 'out', binding: 3, access: 'write' },
  ],
  uniforms: ['n', 'stride', 'scale_base', 'offset_base', 'out_pitch'],
};

export const gatherRows: Shader = {
  name: 'gather-rows',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'x', binding: 1, access: 'read' },
    { name: 'rows', binding: 2, access: 'write' },
    { name: 'permutation', binding: 3, access: 'read', when: (params) => params.PERM === 1 },
    { name: 'input_scale', binding: 4, access: 'read', when: (params) => params.SCALED === 1 },
    { name: 'factors', binding: 5, access: 'read', when: (params) => params.FACTORS === 1 },
    { name: 'call_scale', binding: 6, access: 'read', when: (params) => params.CALL_SCALED === 1 },
  ],
  uniforms: [
    'm',
    'first_m',
    'first_k',
    'quads',
    'k',
    'base',
    'batch_rows',
    'stride_b',
    'stride_m',
    'stride_k',
    'rows_base',
    'pitch',
    'factors_base',
    'call_base',
  ],
};

export const rowFactors: Shader = {
  name: 'row-factors',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'source', binding: 1, access: 'read' },
    { name: 'factors', binding: 2, access: 'write' },
  ],
  uniforms: ['m', 'base', 'pitch', 'width', 'epsilon'],
};

export const quantizeRows: Shader = {
  name: 'quantize-rows',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'x', binding: 1, access: 'read' },
    { name: 'codes', binding: 2, access: 'write' },
  ],
  uniforms: ['m', 'x_base', 'x_pitch', 'blocks'],
};

export const roundRows: Shader = {
  name: 'round-rows',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'sums', binding: 1, access: 'read' },
    { name: 'quant', binding: 2, access: 'read', when: (params) => params.Y === 3 },
    { name: 'y', binding: 3, access: 'write' },
    { name: 'pair_weights', binding: 4, access: 'read', when: (params) => params.PAIRS === 1 },
    { name: 'twin_scale', binding: 5, access: 'read', when: (params) => params.PAIRS === 1 },
  ],
  uniforms: [
    ...['count', 'n', 'pitch', 'first', 'first_word', 'quant_pitch', 'splits', 'split_pitch', 'adds', 'act'],
    ...['top', 'weights_base', 'twin'],
  ],
};

export const sortPairs: Shader = {
  name: 'sort-pairs',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'ids', binding: 1, access: 'read' },
    { name: 'sorted', binding: 2, access: 'write' },
  ],
  uniforms: ['pairs', 'experts', 'base'],
};

/** Rows of weights → floats, for rows/gather-rows.ts. */
export const gatherWeights: Shader = {
  name: 'gather-weights',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'ids', binding: 1, access: 'read' },
    { name: 'w', binding: 2, access: 'read' },
    { name: 'scale', binding: 3, access: 'read' },
    { name: 'offset', binding: 4, access: 'read', when: hasOffset },
    { name: 'permutation', binding: 5, access: 'read', when: (params) => params.PERM === 1 },
    { name: 'input_scale', binding: 6, access: 'read', when: (params) => params.SCALED === 1 },
    { name: 'y', binding: 7, access: 'write' },
    { name: 'codebook', binding: 9, access: 'read', when: ({ CODEBOOK }) => CODEBOOK === CODEBOOKS.table },
  ],
  uniforms: ['count', 'k', 'first', 'first_word', 'ids_base', 'n', 'begin', 'columns', 'w_pitch', 'group_words'],
};

/** Columns of gate or up → those of both, for epilogues/join-gate-up.ts. */
export const interleave: Shader = {
  name: 'interleave',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'source', binding: 1, access: 'read' },
    { name: 'out', binding: 2, access: 'write' },
  ],
  uniforms: [
    'bits',
    'words',
    'out_pitch',
    'out_begin',
    'side',
    'source_pitch',
    'source_begin',
    'source_columns',
    'columns',
    'out_step',
    'source_step',
    'runs',
  ],
};

/** How many ids name no row. */
export const countOutside: Shader = {
  name: 'count-outside',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'ids', binding: 1, access: 'read' },
    { name: 'outside', binding: 2, access: 'write' },
  ],
  uniforms: ['count', 'base', 'n'],
};

/** The greatest of each row of sums, for epilogues/best.ts. */
export const bestRows: Shader = {
  name: 'best-rows',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'sums', binding: 1, access: 'read' },
    { name: 'ids', binding: 2, access: 'write' },
    { name: 'values', binding: 3, access: 'write' },
  ],
  uniforms: ['rows', 'columns', 'pitch', 'splits', 'split_pitch', 'ids_base', 'values_base'],
};

/** Weights as floats → codes, for layer/quantize-weights.ts. */
export const quantizeWeights: Shader = {
  name: 'quantize-weights',
  bindings: [
    { name: 'params', binding: 0, access: 'uniform' },
    { name: 'w', binding: 1, access: 'read' },
    { name: 'codes', binding: 2, access: 'write' },
    { name: 'grids', binding: 3, access: 'write' },
    { name: 'sums', binding: 4, access: 'write', when: (params) => params.SUMS === 1 },
  ],
  uniforms: ['n', 'k', 'group_size', 'groups', 'words', 'mantissa', 'w_base', 'codes_base', 'grids_base', 'sums_base'],
};

export const helpers: readonly Shader[] = [
  repack,
  repackScale,
  repackQuant,
  gatherRows,
  rowFactors,
  quantizeRows,
  roundRows,
  sortPairs,
  gatherWeights,
  countOutside,
  interleave,
  bestRows,
  quantizeWeights,
];
