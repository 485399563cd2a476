// The dispatches that repack a caller's tensors (roles of WeightTensors) into the packed layout. Pure.
import { BYTES, type DType } from '../dtype.js';
import { repack, repackQuant, repackScale } from '../kernels/helpers.js';
import type { Caps } from '../problem/caps.js';
import { widthOf } from '../problem/code-width.js';
import type { ColumnView, Operands } from '../problem/problem.js';
import type { View } from '../problem/view.js';
import { fitting, pieces, type Slice, window } from './binding.js';
import { type Dispatch, dispatch } from './dispatch.js';
import { columnQuantSlice, type Packed, quadsOf, type Slab } from './packed-layout.js';

/** Tensors by role. */
export type Views = Readonly<Record<string, View | undefined>>;

interface LoadContext {
  readonly operands: Operands;
  readonly packed: Packed;
  readonly caps: Caps;
}

/** The dispatches that repack a layer's tensors. @throws UnsupportedError */
export function loadSteps(context: LoadContext, views: Views): Dispatch[] {
  const { operands, packed, caps } = context;
  const { groups } = operands;
  const perGroup = (name: string, columns: ColumnView, slab: Slab, out: Slice) =>
    packColumns(caps, { name, view: views[name]!, columns, groups, slab, out });
  return [
    ...packed.slabs.flatMap((slab) => [
      ...packWeight(context, views.weight!, slab),
      ...perGroup('antiquantScale', operands.scale, slab, slab.scale),
      ...(operands.offset ? perGroup('antiquantOffset', operands.offset, slab, slab.offset!) : []),
    ]),
    ...outputSteps(operands, packed, { caps, views }),
  ];
}

/** The dispatches that repack bias and output scale. */
export function outputSteps(
  outputs: Pick<Operands, 'n' | 'bias' | 'quant'>,
  { bias: out }: Pick<Packed, 'bias'>,
  { caps, views }: { readonly caps: Caps; readonly views: Views },
): Dispatch[] {
  const { n, bias, quant } = outputs;
  const slab = { begin: 0, count: n, quads: quadsOf(n) };
  return [
    ...(bias ? packColumns(caps, { name: 'bias', view: views.bias!, columns: bias, groups: 1, slab, out }) : []),
    ...(quant ? [packQuant(caps, { n, quant, scale: views.quantScale!, offset: views.quantOffset })] : []),
  ];
}

/** How to cut a weight tensor into windows: along n or k, in multiples of `unit`; each unit is `length` codes long in memory. */
function cutOf({ n, k, bits, weight }: Operands) {
  const { inWord } = widthOf(bits);
  const tile = 8 * inWord; // columns of a FRACTAL_NZ tile: 32 bytes
  const tileRows = Math.ceil((weight.nz === 1 ? n : k) / 16);
  const length = tileRows * 16 * tile;
  switch (weight.nz) {
    case 1:
      return { axis: 'k', unit: tile, length, total: Math.ceil(k / tile) * length, tileRows };
    case 2:
      return { axis: 'n', unit: tile, length, total: Math.ceil(n / tile) * length, tileRows };
    default:
      return weight.strideK === 1
        ? { axis: 'n', unit: 1, length: weight.strideN, total: n * k, tileRows }
        : { axis: 'k', unit: inWord, length: inWord * weight.strideK, total: n * k, tileRows };
  }
}

/** Repacks codes. The source is cut along its slow axis; every piece fills a rectangle of [words, n]. */
function packWeight({ operands, packed, caps }: LoadContext, view: View, slab: Slab): Dispatch[] {
  const { k, bits, weight } = operands;
  const { inWord, inElement, mask, zero } = widthOf(bits); // codes fill their slots, so that rows of words are words of the source
  const first = view.offset * inElement;
  const { axis, unit, length, total, tileRows } = cutOf(operands);
  const fit = fitting(caps, { what: 'weight', bytes: (length * bits) / 8 });
  const [from, to] = axis === 'n' ? [slab.begin, slab.begin + slab.count] : [0, k];
  const units = pieces({ begin: Math.floor(from / unit), end: Math.ceil(to / unit) }, fit);
  return [...units].map(({ begin, count }) => {
    const low = Math.max(from, begin * unit);
    const high = Math.min(to, (begin + count) * unit);
    const [n0, n1] = axis === 'n' ? [low, high] : [slab.begin, slab.begin + slab.count];
    const [word0, word1] = axis === 'k' ? [low / inWord, Math.ceil(high / inWord)] : [0, packed.words];
    const { base, ...source } = window(caps, {
      buffer: 'weight',
      bits,
      first: first + begin * length,
      length: Math.min(count * length, total - begin * length),
    });
    return dispatch(caps, {
      shader: repack,
      params: { BITS: bits, NZ: weight.nz },
      workgroups: Math.ceil(((n1 - n0) * (word1 - word0)) / 64),
      uniforms: {
        n_count: n1 - n0,
        row_count: word1 - word0,
        n: n0,
        row: word0,
        k,
        base: base + first,
        stride_n: weight.strideN,
        stride_k: weight.strideK,
        tile_rows: tileRows,
        packed_base: word0 * slab.quads * 4 + (n0 - slab.begin),
        packed_pitch: slab.quads * 4,
        mask,
        flip: zero,
        lift: 0,
      },
      bindings: { source, packed: slab.w },
    });
  });
}

/** Values of repack-scale's param SOURCE. */
export const BYTES_SOURCE = 5;
export const SOURCE: Readonly<Partial<Record<DType, number>>> = { float32: 0, float16: 1, bfloat16: 2, int32: 3, int64: 4 };

/** Repacks a scale, offset or bias (G, n) into [groups, quads]. 16-bit values keep their bits, except in the bias. */
function packColumns(
  caps: Caps,
  {
    name,
    view,
    columns: { dtype, strideG, strideN },
    groups,
    slab,
    out,
  }: {
    readonly name: string;
    readonly view: View;
    readonly columns: ColumnView;
    readonly groups: number;
    readonly slab: Pick<Slab, 'begin' | 'count' | 'quads'>;
    readonly out: Slice;
  },
): Dispatch[] {
  const sixteen = BYTES[dtype] === 2 && name !== 'bias';
  const bits = BYTES[dtype] * 8;
  const outPitch = slab.quads * (sixteen ? 2 : 4);
  // (N, G) in memory: a slab's columns are one run. (G, N): cut along the groups. One value or one row: one window.
  const perGroup = strideG > strideN;
  const start = view.offset + (perGroup ? 0 : slab.begin * strideN);
  const length = (groups - 1) * strideG + ((perGroup ? slab.begin : 0) + slab.count - 1) * strideN + 1;
  const fit = perGroup ? fitting(caps, { what: name, bytes: (strideG * bits) / 8 }) : groups;
  if (!perGroup) fitting(caps, { what: name, bytes: (length * bits) / 8 });
  return [...pieces({ end: groups }, fit)].map((piece) => {
    const skipped = perGroup ? piece.begin * strideG : 0;
    const { base, ...source } = window(caps, {
      buffer: name,
      bits,
      first: start + skipped,
      length: perGroup ? Math.min(piece.count * strideG, length - skipped) : length,
    });
    return dispatch(caps, {
      shader: repackScale,
      params: { SOURCE: SOURCE[dtype]!, ELEMENT: sixteen ? 16 : 32 },
      workgroups: Math.ceil((piece.count * outPitch) / 64),
      uniforms: {
        n: slab.count,
        groups: piece.count,
        base: base + view.offset + slab.begin * strideN + piece.begin * strideG,
        stride_g: strideG,
        stride_n: strideN,
        out_base: piece.begin * outPitch,
        out_pitch: outPitch,
        out_count: outPitch,
        out_step: 1,
      },
      bindings: { source, out },
    });
  });
}

function packQuant(
  caps: Caps,
  {
    n,
    quant: { packed, stride, offset: hasOffset },
    scale,
    offset,
  }: { readonly n: number; readonly quant: NonNullable<Operands['quant']>; readonly scale: View; readonly offset: View | undefined },
): Dispatch {
  const length = stride === 0 ? 1 : n;
  const { base: scaleBase, ...scaleSlice } = window(caps, { buffer: 'quantScale', bits: packed ? 64 : 32, first: scale.offset, length });
  const { base: offsetBase, ...offsetSlice } = window(caps, { buffer: 'quantOffset', bits: 32, first: offset?.offset ?? 0, length });
  return dispatch(caps, {
    shader: repackQuant,
    params: { SOURCE: packed ? SOURCE.int64! : SOURCE.float32!, QUANT_OFFSET: hasOffset ? 1 : 0 },
    workgroups: Math.ceil(n / 64),
    uniforms: {
      n,
      stride,
      scale_base: scaleBase + scale.offset,
      offset_base: hasOffset ? offsetBase + offset!.offset : 0,
      out_pitch: quadsOf(n) * 4,
    },
    bindings: { scale: scaleSlice, ...(hasOffset && { offset: offsetSlice }), out: columnQuantSlice({ n }) },
  });
}
