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

/** Numbers of a group that the shader sums up: squares of weights, squares of errors, and the largest error. */
export const SUMS = 3;

/** Bytes of a row in each buffer. `sums` is not always made. */
export function rowBytes({ k, bits, groupSize, dtype }: Pick<Settings, 'k' | 'bits' | 'groupSize' | 'dtype'>) {
  const groups = groupsIn({ k, groupSize });
  return { w: k * BYTES[dtype], codes: 4 * wordsOf(k, bits), grids: 8 * groups, sums: 4 * SUMS * groups };
}

/**
 * Roles: `w`, whose element `first` is the first weight, `codes`, `grids`, and `sums` if they are asked for. Each dispatch binds whole rows.
 * @throws UnsupportedError
 */
export function quantizeSteps(
  caps: Caps,
  settings: Settings,
  { dtype, first, sums = false }: { readonly dtype: FloatDType; readonly first: number; readonly sums?: boolean },
): Dispatch[] {
  const { n, k, bits, groupSize, symmetric, scaleDtype } = settings;
  const words = wordsOf(k, bits);
  const groups = groupsIn(settings);
  const what = `weights (${n}, ${k})`;
  const { sums: sumBytes, ...others } = rowBytes({ ...settings, dtype });
  const bytes = { ...others, ...(sums && { sums: sumBytes }) };
  const { w: _, ...made } = bytes;
  for (const need of Object.values(made))
    if (n * need > caps.maxBufferSize)
      throw new UnsupportedError(what, [`needs ${n * need} bytes, maxBufferSize is ${caps.maxBufferSize}`]);
  const rows = fitting(caps, { what, bytes: Math.max(...Object.values(bytes)) });
  const params = { BITS: bits, W: SOURCES.indexOf(dtype), SYMMETRIC: symmetric ? 1 : 0, SUMS: sums ? 1 : 0 };
  return [...pieces({ end: n }, rows)].map(({ begin, count }) => {
    const rowsOf = (buffer: string, bits: number, { pitch, start = 0 }: { pitch: number; start?: number }) =>
      stridedWindow(caps, { buffer, bits, first: start + begin * pitch, pitch, width: pitch, rows: count });
    const w = rowsOf('w', 8 * BYTES[dtype], { pitch: k, start: first });
    const codes = rowsOf('codes', 32, { pitch: words });
    const grids = rowsOf('grids', 64, { pitch: groups });
    const summed = sums ? rowsOf('sums', 32, { pitch: SUMS * groups }) : undefined;
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
        sums_base: summed?.first ?? 0,
      },
      bindings: { w: w.slice, codes: codes.slice, grids: grids.slice, ...(summed && { sums: summed.slice }) },
    });
  });
}
