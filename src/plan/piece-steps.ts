// The dispatches that repack a piece of an imported matrix (roles `codes`, `scales`, `shifts`, which layer/load.ts uploads) into the packed
// layout. Pure.
import { BYTES, encode16, type FloatDType } from '../dtype.js';
import { repack, repackScale } from '../kernels/helpers.js';
import type { Caps } from '../problem/caps.js';
import { widthOf, wordsOf } from '../problem/code-width.js';
import { groupsIn, type QuantizedMatrix } from '../problem/matrix.js';
import type { Weights } from '../problem/problem.js';
import { type Slice, window } from './binding.js';
import { type Dispatch, dispatch } from './dispatch.js';
import { SOURCE } from './load-steps.js';
import { type Packed, quadsOf, type Slab } from './packed-layout.js';

/** Position of a piece's first code in the matrix: n is a multiple of 4, k of whole words and groups. */
export interface Corner {
  readonly n: number;
  readonly k: number;
}

/** A piece of a matrix, and the weights that it belongs to. */
interface PieceContext {
  readonly piece: QuantizedMatrix;
  readonly corner: Corner;
  readonly weights: Weights;
  readonly caps: Caps;
}

/** The columns of a piece that lie in a slab. */
interface Columns {
  readonly slab: Slab;
  /** First column, counted in the piece and in the slab. */
  readonly first: number;
  readonly at: number;
  readonly count: number;
}

/** The Weights of a matrix, from the matrix or from a first piece and the matrix's size. */
export function weightsOf(
  matrix: QuantizedMatrix,
  { n, k, groupSize }: Pick<QuantizedMatrix, 'n' | 'k' | 'groupSize'> = matrix,
): Omit<Weights, 'biased' | 'requantized'> {
  const { bits, scaleDtype, zeroPoint, minimum, codebook, permutation } = matrix;
  const groups = Math.ceil(k / groupSize);
  return {
    n,
    k,
    bits,
    mode: groups > 1 ? 'group' : 'channel',
    groupSize: groups > 1 ? groupSize : k,
    groups,
    scaleDtype,
    shift: zeroPoint ? 'offset' : minimum ? 'minimum' : 'none',
    codebook: codebook !== undefined,
    permuted: permutation !== undefined,
  };
}

/** The arrays that the dispatches read, by role: codes, and scale and shift in the matrix's scaleDtype. */
export function pieceData(matrix: QuantizedMatrix): Readonly<Record<string, Uint32Array | Uint16Array | Float32Array>> {
  const { bits, codes, scale, zeroPoint, minimum, scaleDtype } = matrix;
  const { zero } = widthOf(bits);
  const shift = zeroPoint ? zeroPoint.map((point) => zero - point) : minimum;
  return { codes, scales: encode(scale, scaleDtype), ...(shift && { shifts: encode(shift, scaleDtype) }) };
}

const encode = (values: Float32Array, dtype: FloatDType): Float32Array | Uint16Array =>
  dtype === 'float32' ? values : encode16(values, dtype);

/** The dispatches that repack a piece. */
export function pieceSteps(context: PieceContext, { slabs }: Packed): Dispatch[] {
  const { piece, corner } = context;
  return slabs.flatMap((slab) => {
    const begin = Math.max(slab.begin, corner.n);
    const end = Math.min(slab.begin + slab.count, corner.n + piece.n);
    if (begin >= end) return [];
    const columns = { slab, first: begin - corner.n, at: begin - slab.begin, count: end - begin };
    return [
      pieceCodes(context, columns),
      pieceValues(context, columns, { role: 'scales', out: slab.scale }),
      ...(slab.offset ? [pieceValues(context, columns, { role: 'shifts', out: slab.offset })] : []),
    ];
  });
}

function pieceCodes({ piece: { n, k, bits }, corner, caps }: PieceContext, { slab, first, at, count }: Columns): Dispatch {
  const { inWord } = widthOf(bits);
  const words = wordsOf(k, bits);
  const { base, ...source } = window(caps, { buffer: 'codes', bits: 32, first: 0, length: n * words });
  return dispatch(caps, {
    shader: repack,
    params: { BITS: bits, NZ: 0 },
    workgroups: Math.ceil((count * words) / 64),
    uniforms: {
      n_count: count,
      word_count: words,
      n: first,
      word: 0,
      k,
      base,
      stride_n: words * inWord,
      stride_k: 1,
      tile_rows: 0,
      flip: 0, // codes are unsigned already
      packed_base: (corner.k / inWord) * slab.quads * 4 + at,
      packed_pitch: slab.quads * 4,
    },
    bindings: { source, packed: slab.w },
  });
}

function pieceValues(
  { piece, corner, weights: { groupSize, scaleDtype }, caps }: PieceContext,
  { slab, first, at, count }: Columns,
  { role, out }: { readonly role: string; readonly out: Slice },
): Dispatch {
  const groups = groupsIn(piece);
  const sixteen = scaleDtype !== 'float32';
  const perQuad = sixteen ? 2 : 4; // u32s
  const { base, ...source } = window(caps, { buffer: role, bits: 8 * BYTES[scaleDtype], first: 0, length: piece.n * groups });
  const outCount = perQuad * quadsOf(count);
  const pitch = slab.quads * perQuad;
  return dispatch(caps, {
    shader: repackScale,
    params: { SOURCE: SOURCE[scaleDtype]!, SIXTEEN: sixteen ? 1 : 0 },
    workgroups: Math.ceil((groups * outCount) / 64),
    uniforms: {
      n: count,
      groups,
      base: base + first * groups,
      stride_g: 1,
      stride_n: groups,
      out_count: outCount,
      out_base: Math.floor(corner.k / groupSize) * pitch + (at / 4) * perQuad,
      out_pitch: pitch,
    },
    bindings: { source, out },
  });
}
