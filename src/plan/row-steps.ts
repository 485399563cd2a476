// The dispatches that bring rows of weights, named by ids on the GPU, to y as floats: one for each slab and window of y. Pure.
import { BYTES, type FloatDType } from '../dtype.js';
import { countOutside, gatherWeights } from '../kernels/helpers.js';
import { formatParams, hasOffset, Y } from '../kernels/operands.js';
import type { Caps } from '../problem/caps.js';
import { groupWords, type Weights } from '../problem/problem.js';
import { fitting, pieces, type Slice, window } from './binding.js';
import { type Dispatch, dispatch } from './dispatch.js';
import { codebookSlice, inputScaleSlice, type Packed, permutationSlice } from './packed-layout.js';
import { IDS } from './pair-steps.js';

/** The role of the counter of ids that name no row. */
export const OUTSIDE = 'outside';

export interface RowsAsked {
  readonly m: number;
  /** The first element of ids, and of y. */
  readonly ids: number;
  readonly y: number;
  readonly yDtype: FloatDType;
  /** Are ids that name no row counted? Default: yes. */
  readonly counted?: boolean;
}

/** @throws UnsupportedError if a row of y exceeds a binding */
export function rowSteps(
  { weights, packed, caps }: { readonly weights: Weights; readonly packed: Packed; readonly caps: Caps },
  { m, ids, y, yDtype, counted = true }: RowsAsked,
): Dispatch[] {
  const { n, k, codebook, permuted, inputScaled } = weights;
  const bytes = BYTES[yDtype];
  // An id takes no more bytes than its row, but for one element of 16 bits.
  const rows = fitting(caps, { what: `y (${m}, ${k})`, bytes: Math.max(4, k * bytes) });
  const params = { ...formatParams(weights), READ: 1, ROUND: 0, Y: Y[yDtype]!, PERM: permuted ? 1 : 0, SCALED: inputScaled ? 1 : 0 };
  const once: Readonly<Record<string, Slice>> = {
    ...(codebook === 'table' && { codebook: codebookSlice }),
    ...(permuted && { permutation: permutationSlice(weights) }),
    ...(inputScaled && { input_scale: inputScaleSlice(weights) }),
  };
  return [...pieces({ end: m }, rows)].flatMap(({ begin, count }) => {
    const [firstId, firstY] = [ids + begin, y + begin * k];
    const { base: idsBase, ...idsSlice } = window(caps, { buffer: IDS, bits: 32, first: firstId, length: count });
    const { base, ...ySlice } = window(caps, { buffer: 'y', bits: 8 * bytes, first: firstY, length: count * k });
    const first = base + firstY;
    const inWord = 4 / bytes;
    const firstWord = Math.floor(first / inWord);
    const counting = (): Dispatch =>
      dispatch(caps, {
        shader: countOutside,
        params: {},
        workgroups: Math.ceil(count / 64),
        uniforms: { count, base: idsBase + firstId, n },
        bindings: { ids: idsSlice, outside: { buffer: OUTSIDE, offset: 0, size: 4 } },
      });
    return [
      ...(counted ? [counting()] : []),
      ...packed.slabs.map((slab) =>
        dispatch(caps, {
          shader: gatherWeights,
          params,
          workgroups: Math.ceil((Math.ceil((first + count * k) / inWord) - firstWord) / 64),
          uniforms: {
            count: count * k,
            k,
            first,
            first_word: firstWord,
            ids_base: idsBase + firstId,
            n,
            begin: slab.begin,
            columns: slab.count,
            w_pitch: slab.pitch,
            group_words: groupWords(weights),
          },
          bindings: {
            ids: idsSlice,
            w: slab.w,
            scale: slab.scale,
            ...(hasOffset(params) && { offset: slab.offset! }),
            ...once,
            y: ySlice,
          },
        }),
      ),
    ];
  });
}
