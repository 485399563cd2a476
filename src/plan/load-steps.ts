// An imported matrix, or a rectangle of one, → the dispatches that put it into a layer's packed buffers. Pure; load-matrix.ts uploads what
// they read (roles `codes`, `scales`, `shifts`).

import { BYTES, encode16, type FloatDType } from '../dtype.js';
import { repack, repackScale } from '../kernels/helpers.js';
import type { Caps } from '../problem/caps.js';
import { groupsIn, type QuantizedMatrix, wordsInRow } from '../problem/matrix.js';
import type { Weights } from '../problem/problem.js';
import { type Slice, window } from './binding.js';
import { type Packed, quadsOf, type Slab, whole } from './packed-layout.js';
import { type Step, step } from './step.js';

/** Where a piece's first code lies in the whole matrix: n a multiple of 4, k one of whole words and groups. */
export interface Corner {
  readonly n: number;
  readonly k: number;
}

/** What a layer is by the matrix it has, or by a first piece of it and the size of the whole. */
export function weightsOf(
  matrix: QuantizedMatrix,
  { n, k, groupSize }: { readonly n: number; readonly k: number; readonly groupSize: number } = matrix,
): Pick<Weights, 'n' | 'k' | 'bits' | 'mode' | 'groupSize' | 'groups' | 'scaleDtype' | 'shift' | 'codebook' | 'permuted'> {
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

/** What the steps read: codes as they are, scale and shift in the matrix's scaleDtype. */
export function pieceData(matrix: QuantizedMatrix): Readonly<Record<string, Uint32Array | Uint16Array | Float32Array>> {
  const { bits, codes, scale, zeroPoint, minimum, scaleDtype } = matrix;
  const shift = zeroPoint ? zeroPoint.map((zero) => 2 ** (bits - 1) - zero) : minimum;
  return { codes, scales: encode(scale, scaleDtype), ...(shift && { shifts: encode(shift, scaleDtype) }) };
}

const encode = (values: Float32Array, dtype: FloatDType): Float32Array | Uint16Array =>
  dtype === 'float32' ? values : encode16(values, dtype);

export function packPiece(piece: QuantizedMatrix, corner: Corner, weights: Weights, packed: Packed, caps: Caps): Step[] {
  return packed.slabs.flatMap((slab, i) => {
    const begin = Math.max(slab.begin, corner.n);
    const end = Math.min(slab.begin + slab.count, corner.n + piece.n);
    if (begin >= end) return [];
    const columns = { slab, first: begin - corner.n, at: begin - slab.begin, count: end - begin };
    return [
      packCodes(piece, corner, columns, caps, whole(packed, `w${i}`)),
      packValues(piece, corner, columns, weights, caps, 'scales', whole(packed, `scale${i}`)),
      ...(weights.shift === 'none' ? [] : [packValues(piece, corner, columns, weights, caps, 'shifts', whole(packed, `offset${i}`))]),
    ];
  });
}

/** Columns of a piece that lie in a slab. */
interface Columns {
  readonly slab: Slab;
  /** The first, counted in the piece; and in the slab. */
  readonly first: number;
  readonly at: number;
  readonly count: number;
}

function packCodes({ n, k, bits }: QuantizedMatrix, corner: Corner, { slab, first, at, count }: Columns, caps: Caps, packed: Slice): Step {
  const codes = 32 / bits;
  const words = wordsInRow(k, bits);
  const source = window(caps, 'codes', 32, 0, n * words);
  return step(caps, repack, { BITS: bits, NZ: 0 }, Math.ceil((count * words) / 64), {
    uniforms: {
      n_count: count,
      word_count: words,
      n: first,
      word: 0,
      k,
      base: 0,
      stride_n: words * codes,
      stride_k: 1,
      tile_rows: 0,
      flip: 0, // codes are unsigned as they are
      packed_base: (corner.k / codes) * slab.quads * 4 + at,
      packed_pitch: slab.quads * 4,
    },
    bindings: { source, packed },
  });
}

const SOURCE: Readonly<Record<FloatDType, number>> = { float32: 0, float16: 1, bfloat16: 2 };

function packValues(
  piece: QuantizedMatrix,
  corner: Corner,
  { slab, first, at, count }: Columns,
  { groupSize, scaleDtype }: Weights,
  caps: Caps,
  role: string,
  out: Slice,
): Step {
  const groups = groupsIn(piece);
  const sixteen = scaleDtype !== 'float32';
  const perQuad = sixteen ? 2 : 4; // u32s
  const source = window(caps, role, 8 * BYTES[scaleDtype], 0, piece.n * groups);
  const made = perQuad * quadsOf(count);
  const pitch = slab.quads * perQuad;
  return step(caps, repackScale, { SOURCE: SOURCE[scaleDtype], SIXTEEN: sixteen ? 1 : 0 }, Math.ceil((groups * made) / 64), {
    uniforms: {
      n: count,
      groups,
      base: first * groups,
      stride_g: 1,
      stride_n: groups,
      out_count: made,
      out_base: Math.floor(corner.k / groupSize) * pitch + (at / 4) * perQuad,
      out_pitch: pitch,
    },
    bindings: { source, out },
  });
}
