// The dispatches that bring the columns of gate and up into one packed layout, in pairs that alternate (lib/glu.wgsl). Pure.
import { interleave } from '../kernels/helpers.js';
import type { Slice } from '../plan/binding.js';
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
}

/** uint8: four bytes of scales, then four of minima (docs/format.md). */
const scaleElements = ({ scaleDtype }: Weights): Omit<Elements, 'slice'> =>
  scaleDtype === 'uint8' ? { bits: 8, runs: 2 } : { bits: SCALE_FORMS[scaleDtype].bits, runs: 1 };

/** The buffers of a slab, by what is in them. */
const elementsOf = (weights: Weights, { w, scale, offset }: Slab): readonly Elements[] => [
  { slice: w, bits: 32, runs: 1 },
  { slice: scale, ...scaleElements(weights) },
  ...(offset ? [{ slice: offset, bits: offsetBits(weights), runs: 1 }] : []),
];
/** Bias is a slab of all columns. */
const biasOf = ({ bias }: Packed, n: number): Slab => ({
  ...{ begin: 0, count: n, quads: quadsOf(n), pitch: quadsOf(n) },
  ...{ w: bias, scale: bias, offset: undefined },
});

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
    const move = (source: Slab, out: Slab, elements: (slab: Slab) => readonly Elements[]): Dispatch[] => {
      const joint = elements(out);
      return elements(source).map((own, i) => {
        const { bits, runs, slice } = joint[i]!;
        const words = slice.size / 4;
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
            runs,
          },
          bindings: { source: own.slice, out: slice },
        });
      });
    };
    const meet = (source: Slab, out: Slab): boolean =>
      source.begin - begin < (out.begin + out.count) / 2 && source.begin + source.count - begin > out.begin / 2;
    return [
      ...packed.slabs.flatMap((out) =>
        from.slabs.filter((source) => meet(source, out)).flatMap((source) => move(source, out, (slab) => elementsOf(weights, slab))),
      ),
      ...move(biasOf(from, n), biasOf(packed, weights.n), ({ w }) => [{ slice: w, bits: 32, runs: 1 }]),
    ];
  });
}
