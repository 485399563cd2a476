// The packed layout that every kernel reads (docs/format.md): a layer's buffers, their sizes, and each slab's slices. A slab is a run of
// columns whose words fit one binding; small weights are one slab. No other file spells a buffer's role. Pure.
import { UnsupportedError } from '../errors.js';
import type { Caps } from '../problem/caps.js';
import { lowWords, rowsOfWords } from '../problem/code-width.js';
import type { Weights } from '../problem/problem.js';
import { offsetBits, offsetRows, SCALE_FORMS } from '../problem/weight-format.js';
import { pieces, type Range, type Slice } from './binding.js';

export interface Slab {
  /** First column; a multiple of 4. */
  readonly begin: number;
  readonly count: number;
  /** Quads (four columns) of it. */
  readonly quads: number;
  /** Quads from a row to the next: more than `quads` if other layers' columns share the row. */
  readonly pitch: number;
  /** [rows, pitch] quads of words of codes. */
  readonly w: Slice;
  /** [groups, pitch] quads. */
  readonly scale: Slice;
  /** What is added, [groups, pitch] quads; or units of scales, [K / 256, pitch] quads. */
  readonly offset: Slice | undefined;
  /** The matrices in it, if there are many of them under each other. */
  readonly experts?: Range | undefined;
}
export interface Packed {
  /** Low words of codes along k. */
  readonly words: number;
  /** Rows of words of codes. */
  readonly rows: number;
  readonly bias: Slice;
  readonly slabs: readonly Slab[];
  /** Of many matrices. */
  readonly experts?: ExpertSteps | undefined;
}

/** Quads from a matrix to the next, in each buffer. */
export interface ExpertSteps {
  readonly count: number;
  readonly w: number;
  readonly scale: number;
  readonly offset: number;
  readonly bias: number;
}

export const quadsOf = (columns: number): number => Math.ceil(columns / 4);

// Buffers that a layer has once, for all its slabs.
/** Behind the bias, the scales of y's twin, at a multiple of what bindings begin at. */
export const biasSlice = ({ n, twinned }: Pick<Weights, 'n' | 'twinned'>): Slice => ({
  buffer: 'columnBias',
  offset: 0,
  size: quadsOf(n) * 16 + (twinned ? twinScaleSlice({ n }).offset : 0),
});
export const twinScaleSlice = ({ n }: Pick<Weights, 'n'>): Slice => ({
  buffer: 'columnBias',
  offset: Math.ceil((quadsOf(n) * 16) / 256) * 256,
  size: quadsOf(n) * 16,
});
/** Where they are behind the biases of all matrices, or of the only one. */
export const twinScaleIn = (weights: Pick<Weights, 'n'>, { bias, experts }: Pick<Packed, 'bias' | 'experts'>): Slice => {
  const own = twinScaleSlice(weights);
  return experts ? { ...own, buffer: bias.buffer, offset: 16 * experts.bias * experts.count } : own;
};
export const columnQuantSlice = ({ n }: Pick<Weights, 'n'>): Slice => ({ buffer: 'columnQuant', offset: 0, size: quadsOf(n) * 32 });
export const codebookSlice: Slice = { buffer: 'codebook', offset: 0, size: 64 };
export const permutationSlice = ({ k }: Pick<Weights, 'k'>): Slice => ({ buffer: 'permutation', offset: 0, size: 4 * k });
export const inputScaleSlice = ({ k }: Pick<Weights, 'k'>): Slice => ({ buffer: 'inputScale', offset: 0, size: 4 * k });

/** Cuts a layer's weights into slabs. @throws UnsupportedError if four columns, or one row of all columns, exceed a binding */
export function packedLayout(weights: Weights, caps: Caps): Packed {
  const { n, k, held, groups, scaleDtype, requantized } = weights;
  const rows = rowsOfWords(k, held);
  const largest = Math.min(caps.maxStorageBufferBindingSize, caps.maxBufferSize);
  const limit = `the smaller of maxStorageBufferBindingSize (${caps.maxStorageBufferBindingSize}) and maxBufferSize (${caps.maxBufferSize}) is ${largest}`;
  const fit = Math.floor(largest / (rows * 16));
  if (fit < 1) throw new UnsupportedError(`weights with K = ${k}`, [`four columns need ${rows * 16} bytes, ${limit}`]);
  const columns = { bias: biasSlice(weights), ...(requantized && { quantScale: columnQuantSlice(weights) }) };
  for (const [name, { size }] of Object.entries(columns)) {
    if (size > largest) throw new UnsupportedError(`${name} of ${n} columns`, [`needs ${size} bytes, ${limit}`]);
  }
  const slabs = [...pieces({ end: quadsOf(n) }, fit)].map(({ begin, count: quads }, i): Slab => {
    const ofQuad = offsetBits(weights) / 2; // bytes
    return {
      begin: 4 * begin,
      count: Math.min(4 * quads, n - 4 * begin),
      quads,
      pitch: quads,
      w: { buffer: `w${i}`, offset: 0, size: rows * quads * 16 },
      scale: { buffer: `scale${i}`, offset: 0, size: (groups * quads * SCALE_FORMS[scaleDtype].bits) / 2 },
      offset: ofQuad === 0 ? undefined : { buffer: `offset${i}`, offset: 0, size: offsetRows(weights) * quads * ofQuad },
    };
  });
  return { words: lowWords(k, held), rows, bias: biasSlice(weights), slabs };
}

/** All slices of a layer's buffers. */
export const slicesOf = (weights: Weights, { bias, slabs }: Packed): readonly Slice[] => [
  bias,
  ...slabs.flatMap(({ w, scale, offset }) => (offset ? [w, scale, offset] : [w, scale])),
  ...(weights.requantized ? [columnQuantSlice(weights)] : []),
  ...(weights.codebook === 'table' ? [codebookSlice] : []),
  ...(weights.permuted ? [permutationSlice(weights)] : []),
  ...(weights.inputScaled ? [inputScaleSlice(weights)] : []),
];

/** Bytes of all buffers of a layer. */
export const packedBytes = (weights: Weights, packed: Packed): number => slicesOf(weights, packed).reduce((sum, { size }) => sum + size, 0);

/** Bits a weight of codes, scales and what is added, by the sizes of their buffers: padding counts. */
export function packedBits({ n, k }: Pick<Weights, 'n' | 'k'>, { slabs, experts }: Packed): number {
  const bytes = slabs.reduce((sum, { w, scale, offset }) => sum + w.size + scale.size + (offset?.size ?? 0), 0);
  return (8 * bytes) / (n * k * (experts?.count ?? 1));
}

/** The layout without offsets, and the slices that it drops. */
export const withoutOffsets = (packed: Packed): { readonly packed: Packed; readonly dropped: readonly Slice[] } => ({
  packed: { ...packed, slabs: packed.slabs.map((slab) => ({ ...slab, offset: undefined })) },
  dropped: packed.slabs.flatMap(({ offset }) => (offset ? [offset] : [])),
});

/** The slab of one layer inside the joint slab of several layers. */
export function besides(own: Packed, joint: Packed, { begin, weights }: { readonly begin: number; readonly weights: Weights }): Packed {
  const [slab, shared] = [own.slabs[0]!, joint.slabs[0]!];
  /** From the layer's first quad in row 0 to the end of the last row. */
  const from = (slice: Slice, rows: number): Slice => {
    const offset = (begin / 4) * (slice.size / (rows * shared.pitch));
    return { buffer: slice.buffer, offset, size: slice.size - offset };
  };
  const offset = shared.offset && from(shared.offset, offsetRows(weights));
  const [w, scale] = [from(shared.w, joint.rows), from(shared.scale, weights.groups)];
  return { ...own, slabs: [{ ...slab, pitch: shared.pitch, w, scale, offset }] };
}
