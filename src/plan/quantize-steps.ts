// The dispatches of quantize-weights for a matrix on the GPU. Pure.

import { BYTES, type FloatDType } from '../dtype.js';
import { UnsupportedError } from '../errors.js';
import { quantizeWeights } from '../kernels/helpers.js';
import type { Caps } from '../problem/caps.js';
import { wordsOf } from '../problem/code-width.js';
import { groupsIn } from '../problem/matrix.js';
import { MANTISSA } from '../quantize/grid.js';
import type { Settings } from '../quantize/options.js';
import { fitting, pieces, stridedWindow } from './binding.js';
import { type Dispatch, dispatch } from './dispatch.js';

/** Dtypes by the values of the param W. */
export const SOURCES: readonly FloatDType[] = ['float32', 'float16', 'bfloat16'];

/**
 * Roles: `w`, whose element `first` is the first weight, `codes` and `grids`. Each dispatch binds whole rows.
 * @throws UnsupportedError
 */
export function quantizeSteps(
  caps: Caps,
  settings: Settings,
  { dtype, first }: { readonly dtype: FloatDType; readonly first: number },
): Dispatch[] {
  const { n, k, bits, groupSize, symmetric, scaleDtype } = settings;
  const words = wordsOf(k, bits);
  const groups = groupsIn(settings);
  const what = `weights (${n}, ${k})`;
  for (const need of [4 * n * words, 8 * n * groups])
    if (need > caps.maxBufferSize) throw new UnsupportedError(what, [`needs ${need} bytes, maxBufferSize is ${caps.maxBufferSize}`]);
  const rows = fitting(caps, { what, bytes: Math.max(k * BYTES[dtype], 4 * words, 8 * groups) });
  const params = { BITS: bits, W: SOURCES.indexOf(dtype), SYMMETRIC: symmetric ? 1 : 0 };
  return [...pieces({ end: n }, rows)].map(({ begin, count }) => {
    const rowsOf = (buffer: string, bits: number, { pitch, start = 0 }: { pitch: number; start?: number }) =>
      stridedWindow(caps, { buffer, bits, first: start + begin * pitch, pitch, width: pitch, rows: count });
    const w = rowsOf('w', 8 * BYTES[dtype], { pitch: k, start: first });
    const codes = rowsOf('codes', 32, { pitch: words });
    const grids = rowsOf('grids', 64, { pitch: groups });
    return dispatch(caps, {
      shader: quantizeWeights,
      params,
      workgroups: Math.ceil((count * groups) / 64),
      uniforms: {
        n: count,
        k,
        group_size: groupSize,
        groups,
        words,
        mantissa: MANTISSA[scaleDtype],
        w_base: w.first,
        codes_base: codes.first,
        grids_base: grids.first,
      },
      bindings: { w: w.slice, codes: codes.slice, grids: grids.slice },
    });
  });
}
