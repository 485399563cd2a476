// The dispatches that repack a piece of an imported matrix (roles `codes`, `scales`, `shifts`, which layer/load.ts uploads) into the packed
// layout. Pure.
import { encode16, type FloatDType } from '../dtype.js';
import { repack, repackScale } from '../kernels/helpers.js';
import type { Caps } from '../problem/caps.js';
import { rowsOfWords, widthOf, wordsOf } from '../problem/code-width.js';
import { groupsIn, type QuantizedMatrix } from '../problem/matrix.js';
import { narrowBytes } from '../problem/narrow-scales.js';
import type { Weights } from '../problem/problem.js';
import {
  codebookOf,
  hasOneUnit,
  hasUnits,
  heldBits,
  isFloatDtype,
  isLegal,
  liftOf,
  UNIT_K,
  type WeightFormat,
} from '../problem/weight-format.js';
import { window } from './binding.js';
import { type Dispatch, dispatch } from './dispatch.js';
import { BYTES_SOURCE, SOURCE } from './load-steps.js';
import { type Packed, quadsOf, type Slab } from './packed-layout.js';

/** Position of a piece's first code in the matrix: n is a multiple of 4, k of whole words and groups. */
export interface Corner {
  readonly n: number;
  readonly k: number;
}

/** A piece of a matrix, and the weights that it belongs to. */
interface PieceContext {
  readonly piece: QuantizedMatrix;
  /** What `valuesOf` made of it. */
  readonly values: Readonly<Record<string, Values>>;
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

/** The Weights of a matrix on a device, from the matrix or from a first piece and the matrix's size. */
export function weightsOf(
  matrix: QuantizedMatrix,
  { n, k, groupSize }: Pick<QuantizedMatrix, 'n' | 'k' | 'groupSize'>,
  { wideCodes, scaleUnits }: Pick<Caps, 'wideCodes' | 'scaleUnits'>,
): Omit<Weights, 'biased' | 'requantized'> {
  const groups = Math.ceil(k / groupSize);
  return {
    n,
    k,
    ...formatOf(matrix, { groupSize, whole: groups === 1, wide: wideCodes, scaleUnits }),
    mode: groups > 1 ? 'group' : 'channel',
    groupSize: groups > 1 ? groupSize : k,
    groups,
    permuted: matrix.permutation !== undefined,
    inputScaled: matrix.inputScale !== undefined,
  };
}

/** How a matrix is held: in its narrow form of scales, if kernels can read that. */
function formatOf(
  { bits, scaleDtype, scaleForm, zeroPoint, zeroPointDtype, minimum, codebook, codeForm }: QuantizedMatrix,
  groups: { readonly groupSize: number; readonly whole: boolean; readonly wide: boolean; readonly scaleUnits: boolean },
): WeightFormat {
  const held = codebook || codeForm ? bits : heldBits(bits, groups);
  const shift = minimum
    ? 'minimum'
    : !zeroPoint
      ? 'none'
      : zeroPointDtype === 'uint8'
        ? 'zero8'
        : zeroPointDtype === scaleDtype
          ? 'zero'
          : 'offset';
  const format = { bits, held, scaleDtype, shift, codebook: codeForm ?? codebookOf(codebook) } as const;
  const narrow = scaleForm && (groups.scaleUnits || !hasUnits(scaleForm.kind)) && { ...format, scaleDtype: scaleForm.kind };
  return narrow && isLegal(narrow) ? narrow : format;
}

// ------------------------------------------------------------------------------------------------------------------- data

/** An array that a dispatch reads, and where its values go. */
export interface Values {
  readonly data: Uint32Array | Uint16Array | Float32Array | Uint8Array;
  readonly out: 'scale' | 'offset';
  /** Of an output: values for groups, for units, or one. */
  readonly perOutput: number;
  /** k of a value. */
  readonly each: number;
  /** Bits of a value, here and there. */
  readonly element: 8 | 16 | 32;
  /** repack-scale's SOURCE. */
  readonly source: number;
  /** u32s of a quad of columns, and the first of them that these values fill. */
  readonly perQuad: number;
  readonly first: number;
}

const floats = (values: Float32Array, dtype: FloatDType): Pick<Values, 'data' | 'element' | 'source' | 'perQuad' | 'first'> => {
  const element = dtype === 'float32' ? 32 : 16;
  return { data: dtype === 'float32' ? values : encode16(values, dtype), element, source: SOURCE[dtype]!, perQuad: element / 8, first: 0 };
};
const bytes = (data: Uint8Array, perQuad = 1, first = 0): Pick<Values, 'data' | 'element' | 'source' | 'perQuad' | 'first'> => ({
  data,
  element: 8,
  source: BYTES_SOURCE,
  perQuad,
  first,
});

/** Everything that the dispatches read besides codes, by role. */
export function valuesOf(
  matrix: QuantizedMatrix,
  weights: Pick<Weights, keyof WeightFormat | 'groupSize'>,
): Readonly<Record<string, Values>> {
  const { k, groupSize, scale, scaleForm, zeroPoint, minimum } = matrix;
  const { scaleDtype, shift } = weights;
  const groups = { perOutput: groupsIn(matrix), each: weights.groupSize }; // the last piece may be shorter than a group
  const [scales, offsets] = [
    { out: 'scale', ...groups },
    { out: 'offset', ...groups },
  ] as const;
  if (isFloatDtype(scaleDtype)) {
    const { zero } = widthOf(matrix.bits);
    const lift = liftOf(weights);
    const shifts =
      shift === 'zero8'
        ? bytes(Uint8Array.from(zeroPoint!, (point) => point + lift))
        : shift !== 'none' && floats(minimum ?? (shift === 'zero' ? zeroPoint! : zeroPoint!.map((point) => zero - point)), scaleDtype);
    return { scales: { ...scales, ...floats(scale, scaleDtype) }, ...(shifts && { shifts: { ...offsets, ...shifts } }) };
  }
  const levels = (values: Float32Array, unit: Float32Array | undefined) =>
    narrowBytes(scaleDtype, { values, unit, perOutput: groups.perOutput, perUnit: UNIT_K / groupSize });
  const first = levels(scale, scaleForm!.unit);
  if (hasOneUnit(scaleDtype)) {
    const unit = { out: 'offset', perOutput: 1, each: Number.POSITIVE_INFINITY, ...floats(scaleForm!.unit!, 'float32') } as const;
    return { scales: { ...scales, ...bytes(first) }, units: unit };
  }
  if (!hasUnits(scaleDtype)) return { scales: { ...scales, ...bytes(first) } };
  const units = { out: 'offset', perOutput: Math.ceil(k / UNIT_K), each: UNIT_K } as const;
  if (scaleDtype === 'int8') return { scales: { ...scales, ...bytes(first) }, units: { ...units, ...floats(scaleForm!.unit!, 'float16') } };
  const second = levels(minimum!, scaleForm!.minimumUnit);
  const pairs = new Uint16Array(2 * scaleForm!.unit!.length);
  encode16(scaleForm!.unit!, 'float16').forEach((bits, i) => {
    pairs[2 * i] = bits;
  });
  encode16(scaleForm!.minimumUnit!, 'float16').forEach((bits, i) => {
    pairs[2 * i + 1] = bits;
  });
  const both = { ...units, ...floats(new Float32Array(pairs.buffer), 'float32') };
  return scaleDtype === 'uint4'
    ? { scales: { ...scales, ...bytes(first.map((level, i) => level | (second[i]! << 4))) }, units: both }
    : { scales: { ...scales, ...bytes(first, 2, 0) }, minima: { ...scales, ...bytes(second, 2, 1) }, units: both };
}

// -------------------------------------------------------------------------------------------------------------- dispatches

/** The dispatches that repack a piece. */
export function pieceSteps(context: PieceContext, { slabs }: Packed): Dispatch[] {
  const { piece, corner } = context;
  const values = Object.entries(context.values);
  return slabs.flatMap((slab) => {
    const begin = Math.max(slab.begin, corner.n);
    const end = Math.min(slab.begin + slab.count, corner.n + piece.n);
    if (begin >= end) return [];
    const columns = { slab, first: begin - corner.n, at: begin - slab.begin, count: end - begin };
    return [pieceCodes(context, columns), ...values.map(([role, of]) => pieceValues(context, columns, { role, ...of }))];
  });
}

function pieceCodes({ piece: { n, k, bits }, corner, weights, caps }: PieceContext, { slab, first, at, count }: Columns): Dispatch {
  const { inWord, mask } = widthOf(bits);
  const words = wordsOf(k, bits);
  const rows = rowsOfWords(k, weights.held);
  const { base, ...source } = window(caps, { buffer: 'codes', bits: 32, first: 0, length: n * words });
  return dispatch(caps, {
    shader: repack,
    params: { BITS: weights.held, NZ: 0 },
    workgroups: Math.ceil((count * rows) / 64),
    uniforms: {
      n_count: count,
      row_count: rows,
      n: first,
      row: 0,
      k,
      base,
      stride_n: words * inWord,
      stride_k: 1,
      tile_rows: 0,
      mask,
      flip: 0, // codes are unsigned already
      lift: liftOf(weights),
      packed_base: rowsOfWords(corner.k, weights.held) * slab.pitch * 4 + at,
      packed_pitch: slab.pitch * 4,
    },
    bindings: { source, packed: slab.w },
  });
}

function pieceValues(
  { piece, corner, caps }: PieceContext,
  { slab, first, at, count }: Columns,
  { role, out, perOutput, each, element, source: SOURCE, perQuad, first: from }: Values & { readonly role: string },
): Dispatch {
  const { base, ...source } = window(caps, { buffer: role, bits: element, first: 0, length: piece.n * perOutput });
  const step = element === 8 ? perQuad : 1;
  const outCount = (perQuad / step) * quadsOf(count);
  const pitch = slab.pitch * perQuad;
  return dispatch(caps, {
    shader: repackScale,
    params: { SOURCE, ELEMENT: element },
    workgroups: Math.ceil((perOutput * outCount) / 64),
    uniforms: {
      n: count,
      groups: perOutput,
      base: base + first * perOutput,
      stride_g: 1,
      stride_n: perOutput,
      out_count: outCount,
      out_base: Math.floor(corner.k / each) * pitch + (at / 4) * perQuad + from,
      out_pitch: pitch,
      out_step: step,
    },
    bindings: { source, out: slab[out]! },
  });
}
