// The packed layout that every kernel reads (docs/format.md): sizes, slabs, and the dispatches that fill it from the caller's tensors.
// Pure. A slab is a run of columns whose words fit one binding; small weights are one slab.

import { BYTES, type DType } from '../dtype.js';
import { UnsupportedError } from '../errors.js';
import { repack, repackQuant, repackScale } from '../kernels/helpers.js';
import type { Caps } from '../problem/caps.js';
import type { ColumnView, Operands, View, Weights } from '../problem/problem.js';
import { fitting, pieces, type Slice, window } from './binding.js';
import { type Step, step } from './step.js';

export interface Slab {
  /** First column; a multiple of 4. */
  readonly begin: number;
  readonly count: number;
  /** Quads (four columns) of it. */
  readonly quads: number;
  /** Quads from a row to the next: more than `quads` where other layers' columns lie beside. */
  readonly pitch: number;
}
export interface Packed {
  /** u32 words along k. */
  readonly words: number;
  readonly slabs: readonly Slab[];
  /** Bytes of every buffer, by role: `w0`, `scale0`, `offset0`, …, `columnBias`, `columnQuant`, `codebook`, `permutation`. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Where a role starts in its buffer, in bytes, if not at 0. */
  readonly starts?: Readonly<Record<string, number>>;
}

export const quadsOf = (columns: number): number => Math.ceil(columns / 4);

/** Sizes and slabs of a layer's packed weights. @throws UnsupportedError if four columns do not fit a binding */
export function packedLayout(weights: Weights, caps: Caps): Packed {
  const { n, k, bits, groups, scaleDtype, shift, codebook, permuted, requantized } = weights;
  const words = Math.ceil(k / (32 / bits));
  const largest = Math.min(caps.maxStorageBufferBindingSize, caps.maxBufferSize);
  const fit = Math.floor(largest / (words * 16));
  const limit = `the smaller of maxStorageBufferBindingSize (${caps.maxStorageBufferBindingSize}) and maxBufferSize (${caps.maxBufferSize}) is ${largest}`;
  if (fit < 1) throw new UnsupportedError(`weights with K = ${k}`, [`four columns need ${words * 16} bytes, ${limit}`]);
  const slabs = [...pieces(quadsOf(n), fit)].map(({ begin, count }) => ({
    begin: 4 * begin,
    count: Math.min(4 * count, n - 4 * begin),
    quads: count,
    pitch: count,
  }));
  for (const [name, need] of Object.entries({ bias: quadsOf(n) * 16, ...(requantized && { quantScale: quadsOf(n) * 32 }) })) {
    if (need > largest) throw new UnsupportedError(`${name} of ${n} columns`, [`needs ${need} bytes, ${limit}`]);
  }
  const scaleBytes = BYTES[scaleDtype];
  const sizes: Record<string, number> = { columnBias: quadsOf(n) * 16 };
  slabs.forEach((slab, i) => {
    sizes[`w${i}`] = words * slab.quads * 16;
    sizes[`scale${i}`] = groups * slab.quads * 4 * scaleBytes;
    if (shift !== 'none') sizes[`offset${i}`] = groups * slab.quads * 4 * scaleBytes;
  });
  if (requantized) sizes.columnQuant = quadsOf(n) * 32;
  if (codebook) sizes.codebook = 64;
  if (permuted) sizes.permutation = 4 * k;
  return { words, slabs, sizes };
}

/** Words of a group; all of them where there are no groups. */
export const groupWords = ({ groupSize, k, bits }: Pick<Weights, 'groupSize' | 'k' | 'bits'>, { words }: Packed): number =>
  groupSize >= k ? words : (groupSize * bits) / 32;

export const whole = (packed: Packed, buffer: string): Slice => ({
  buffer,
  offset: packed.starts?.[buffer] ?? 0,
  size: packed.sizes[buffer]!,
});

/** The dispatches that bring a layer's tensors (roles `weight`, `antiquantScale`, …) into its packed buffers. */
export function packSteps(operands: Operands, packed: Packed, caps: Caps, views: Readonly<Record<string, View | undefined>>): Step[] {
  const steps = packed.slabs.flatMap((slab, i) => [
    ...packWeight(operands, packed, caps, views.weight!.offset, slab, i),
    ...packColumns(caps, 'antiquantScale', views.antiquantScale!, operands.scale, operands, slab, whole(packed, `scale${i}`)),
    ...(operands.offset
      ? packColumns(caps, 'antiquantOffset', views.antiquantOffset!, operands.offset, operands, slab, whole(packed, `offset${i}`))
      : []),
  ]);
  return [...steps, ...packOutputs(operands, packed, caps, views)];
}

/** Those that bring bias and output scale. */
export function packOutputs(
  { n, bias, quant }: Pick<Operands, 'n' | 'bias' | 'quant'>,
  packed: Packed,
  caps: Caps,
  views: Readonly<Record<string, View | undefined>>,
): Step[] {
  const quads = quadsOf(n);
  const all = { begin: 0, count: n, quads, pitch: quads };
  return [
    ...(bias ? packColumns(caps, 'bias', views.bias!, bias, { groups: 1, n }, all, whole(packed, 'columnBias')) : []),
    ...(quant ? [packQuant(n, quant, packed, caps, views.quantScale!, views.quantOffset)] : []),
  ];
}

/** Weight codes: source's slow axis is walked in pieces that fit a binding, and every piece fills a rectangle of [words, n]. */
function packWeight(operands: Operands, packed: Packed, caps: Caps, offset: number, slab: Slab, index: number): Step[] {
  const { n, k, bits, weight } = operands;
  const codes = 32 / bits;
  const tile = 8 * codes; // columns of a FRACTAL_NZ tile: 32 bytes
  const first = offset * (bits === 4 ? 8 : 1); // an element of an int4 tensor is a word
  const tileRows = Math.ceil((weight.nz === 1 ? n : k) / 16);
  // Along which axis source can be cut, in units of how many n or k, and how many codes such a unit is long.
  const cut =
    weight.nz === 1
      ? { axis: 'k', unit: tile, length: tileRows * 16 * tile }
      : weight.nz === 2
        ? { axis: 'n', unit: tile, length: tileRows * 16 * tile }
        : weight.strideK === 1
          ? { axis: 'n', unit: 1, length: weight.strideN }
          : { axis: 'k', unit: codes, length: codes * weight.strideK };
  const total = weight.nz > 0 ? Math.ceil((weight.nz === 1 ? k : n) / tile) * tileRows * 16 * tile : n * k;
  const fit = fitting(caps, 'weight', (cut.length * bits) / 8);
  const [from, to] = cut.axis === 'n' ? [slab.begin, slab.begin + slab.count] : [0, k];
  const units = pieces(Math.ceil(to / cut.unit), fit, Math.floor(from / cut.unit));
  return [...units].map(({ begin, count }) => {
    const low = Math.max(from, begin * cut.unit);
    const high = Math.min(to, (begin + count) * cut.unit);
    const [n0, n1] = cut.axis === 'n' ? [low, high] : [slab.begin, slab.begin + slab.count];
    const [word0, word1] = cut.axis === 'k' ? [low / codes, Math.ceil(high / codes)] : [0, packed.words];
    const source = window(caps, 'weight', bits, first + begin * cut.length, Math.min(count * cut.length, total - begin * cut.length));
    return step(caps, repack, { BITS: bits, NZ: weight.nz }, Math.ceil(((n1 - n0) * (word1 - word0)) / 64), {
      uniforms: {
        n_count: n1 - n0,
        word_count: word1 - word0,
        n: n0,
        word: word0,
        k,
        base: source.base + first,
        stride_n: weight.strideN,
        stride_k: weight.strideK,
        tile_rows: tileRows,
        packed_base: word0 * slab.quads * 4 + (n0 - slab.begin),
        packed_pitch: slab.quads * 4,
        flip: 2 ** (bits - 1),
      },
      bindings: { source, packed: whole(packed, `w${index}`) },
    });
  });
}

const SOURCE: Readonly<Partial<Record<DType, number>>> = { float32: 0, float16: 1, bfloat16: 2, int32: 3, int64: 4 };

/** A scale, offset or bias of (G, n) into [groups, quads]; 16-bit ones keep their bits, except the bias. */
function packColumns(
  caps: Caps,
  name: string,
  view: View,
  columns: ColumnView,
  { groups, n }: { readonly groups: number; readonly n: number },
  slab: Slab,
  out: Slice,
): Step[] {
  const { dtype, strideG, strideN } = columns;
  const sixteen = BYTES[dtype] === 2 && name !== 'bias';
  const params = { SOURCE: SOURCE[dtype]!, SIXTEEN: sixteen ? 1 : 0 };
  const bits = BYTES[dtype] * 8;
  const outPitch = slab.quads * (sixteen ? 2 : 4);
  // (N, G) in memory: a slab's columns are one run. (G, N): cut along the groups. One value or one row: read whole.
  const perGroup = strideG > strideN;
  const length = perGroup ? (groups - 1) * strideG + (n - 1) * strideN + 1 : (slab.count - 1) * strideN + (groups - 1) * strideG + 1;
  const start = view.offset + (perGroup ? 0 : slab.begin * strideN);
  const fit = perGroup ? fitting(caps, name, (strideG * bits) / 8) : groups;
  if (!perGroup) fitting(caps, name, (length * bits) / 8);
  return [...pieces(groups, fit)].map((piece) => {
    const from = perGroup ? start + piece.begin * strideG : start;
    const source = window(caps, name, bits, from, perGroup ? Math.min(piece.count * strideG, length - piece.begin * strideG) : length);
    return step(caps, repackScale, params, Math.ceil((piece.count * outPitch) / 64), {
      uniforms: {
        n: slab.count,
        groups: piece.count,
        base: source.base + view.offset + slab.begin * strideN + piece.begin * strideG,
        stride_g: strideG,
        stride_n: strideN,
        out_base: piece.begin * outPitch,
        out_pitch: outPitch,
        out_count: outPitch,
      },
      bindings: { source, out },
    });
  });
}

function packQuant(
  n: number,
  { packed: isPacked, stride, offset: hasOffset }: NonNullable<Operands['quant']>,
  packed: Packed,
  caps: Caps,
  scale: View,
  offset: View | undefined,
): Step {
  const length = stride === 0 ? 1 : n;
  const scaleWindow = window(caps, 'quantScale', isPacked ? 64 : 32, scale.offset, length);
  const offsetWindow = hasOffset ? window(caps, 'quantOffset', 32, offset!.offset, length) : undefined;
  const groups = Math.ceil(n / 64);
  return step(caps, repackQuant, { SOURCE: isPacked ? SOURCE.int64! : SOURCE.float32!, QUANT_OFFSET: hasOffset ? 1 : 0 }, groups, {
    uniforms: {
      n,
      stride,
      scale_base: scaleWindow.base + scale.offset,
      offset_base: hasOffset ? offsetWindow!.base + offset!.offset : 0,
      out_pitch: quadsOf(n) * 4,
    },
    bindings: { scale: scaleWindow, ...(offsetWindow && { offset: offsetWindow }), out: whole(packed, 'columnQuant') },
  });
}
