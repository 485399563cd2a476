// The dispatches that bring the columns of gate and up into one packed layout, in pairs that alternate (lib/glu.wgsl). Pure.
import { interleave } from '../kernels/helpers.js';
import type { Range, Slice } from '../plan/binding.js';
import { type Dispatch, dispatch } from '../plan/dispatch.js';
import { type Packed, quadsOf, type Slab } from '../plan/packed-layout.js';
import type { Caps } from '../problem/caps.js';
import type { Weights } from '../problem/problem.js';
import { offsetBits, SCALE_FORMS } from '../problem/weight-format.js';

/** Columns of a layer that are gate or up. Its slices' buffers have names of their own. */
export interface Half {
  readonly packed: Packed;
  /** Columns of the layer. */
  readonly n: number;
  /** First of them in the layer. */
  readonly begin: number;
  readonly count: number;
}

/** Rows of elements: a buffer of a slab. */
interface Elements {
  readonly slice: Slice;
  readonly bits: number;
  /** Of four elements to a quad. */
  readonly runs: number;
  /** Bytes from a matrix of experts to the next; 0 where there is one. */
  readonly step: number;
}

/** uint8: four bytes of scales, then four of minima (docs/format.md). */
const scaleElements = ({ scaleDtype }: Weights): Pick<Elements, 'bits' | 'runs'> =>
  scaleDtype === 'uint8' ? { bits: 8, runs: 2 } : { bits: SCALE_FORMS[scaleDtype].bits, runs: 1 };

/** The buffers of a slab, by what is in them. */
function elementsOf(weights: Weights, { experts }: Packed, { w, scale, offset }: Slab): readonly Elements[] {
  const ofScale = SCALE_FORMS[weights.scaleDtype].bits;
  const ofOffset = offsetBits(weights);
  /** Of so many quads, bits of a column each. */
  const bytes = (quads = 0, bits: number): number => (quads * bits) / 2;
  return [
    { slice: w, bits: 32, runs: 1, step: bytes(experts?.w, 32) },
    { slice: scale, ...scaleElements(weights), step: bytes(experts?.scale, ofScale) },
    ...(offset ? [{ slice: offset, bits: ofOffset, runs: 1, step: bytes(experts?.offset, ofOffset) }] : []),
  ];
}
/** Bias is a slab of all columns, and of all matrices. */
const biasOf = ({ bias, experts }: Packed, n: number): Slab => ({
  ...{ begin: 0, count: n, quads: quadsOf(n), pitch: quadsOf(n) },
  ...{ w: bias, scale: bias, offset: undefined },
  ...(experts && { experts: { begin: 0, count: experts.count } }),
});

/** Matrices that two slabs have in common; one where there are no experts. */
function commonOf(source: Slab, out: Slab): Range {
  const [a, b] = [source.experts ?? { begin: 0, count: 1 }, out.experts ?? { begin: 0, count: 1 }];
  const begin = Math.max(a.begin, b.begin);
  return { begin, count: Math.min(a.begin + a.count, b.begin + b.count) - begin };
}

/** The part of a slab's buffer that has these matrices, and the bytes from one to the next. */
function partOf({ experts }: Slab, { slice, step }: Elements, { begin, count }: Range): { readonly slice: Slice; readonly step: number } {
  if (!experts) return { slice, step: slice.size };
  return { slice: { ...slice, offset: slice.offset + (begin - experts.begin) * step, size: count * step }, step };
}

/**
 * @param halves gate, then up
 * @param weights of both: twice as many columns
 */
export function interleaveSteps(
  halves: readonly [Half, Half],
  { weights, packed }: { readonly weights: Weights; readonly packed: Packed },
  caps: Caps,
): Dispatch[] {
  return halves.flatMap(({ packed: from, n, begin, count }, side) => {
    const move = (source: Slab, out: Slab, elements: (packed: Packed, slab: Slab) => readonly Elements[]): Dispatch[] => {
      const joint = elements(packed, out);
      const matrices = commonOf(source, out);
      return elements(from, source).map((own, i) => {
        const { bits, runs } = joint[i]!;
        const [read, written] = [partOf(source, own, matrices), partOf(out, joint[i]!, matrices)];
        const words = written.slice.size / 4;
        return dispatch(caps, {
          shader: interleave,
          params: {},
          workgroups: Math.ceil(words / 64),
          uniforms: {
            bits,
            words,
            out_pitch: 4 * out.pitch,
            out_begin: out.begin,
            side,
            source_pitch: 4 * source.pitch,
            source_begin: (source.begin - begin) >>> 0,
            source_columns: source.count,
            columns: count,
            out_step: written.step / 4,
            source_step: (8 * read.step) / bits,
            runs,
          },
          bindings: { source: read.slice, out: written.slice },
        });
      });
    };
    const meet = (source: Slab, out: Slab): boolean =>
      source.begin - begin < (out.begin + out.count) / 2 &&
      source.begin + source.count - begin > out.begin / 2 &&
      commonOf(source, out).count > 0;
    return [
      ...packed.slabs.flatMap((out) =>
        from.slabs
          .filter((source) => meet(source, out))
          .flatMap((source) => move(source, out, (of, slab) => elementsOf(weights, of, slab))),
      ),
      ...move(biasOf(from, n), biasOf(packed, weights.n), ({ experts }, { w }) => [
        { slice: w, bits: 32, runs: 1, step: 16 * (experts?.bias ?? 0) },
      ]),
    ];
  });
}
