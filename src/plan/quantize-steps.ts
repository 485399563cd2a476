// The dispatches of quantize-weights for a matrix that is on the GPU. Pure.

import { BYTES, type FloatDType } from '../dtype.js';
import { UnsupportedError } from '../errors.js';
import { quantizeWeights } from '../kernels/helpers.js';
import type { Caps } from '../problem/caps.js';
import { groupsIn, wordsInRow } from '../problem/matrix.js';
import { MANTISSA } from '../quantize/grid.js';
import type { Settings } from '../quantize/options.js';
import { fitting, pieces, window } from './binding.js';
import { type Step, step } from './step.js';

/** By the shader's W. */
export const SOURCES: readonly FloatDType[] = ['float32', 'float16', 'bfloat16'];

/**
 * Roles: `w`, whose element `first` is the first weight, `codes` and `grids`. As many dispatches as it takes for each to bind whole rows.
 * @throws UnsupportedError
 */
export function weightSteps(caps: Caps, settings: Settings, dtype: FloatDType, first: number): Step[] {
  const { n, k, bits, groupSize, symmetric, scaleDtype } = settings;
  const words = wordsInRow(k, bits);
  const groups = groupsIn(settings);
  const what = `weights (${n}, ${k})`;
  for (const need of [4 * n * words, 8 * n * groups])
    if (need > caps.maxBufferSize) throw new UnsupportedError(what, [`needs ${need} bytes, maxBufferSize is ${caps.maxBufferSize}`]);
  const rows = fitting(caps, what, Math.max(k * BYTES[dtype], 4 * words, 8 * groups));
  const params = { BITS: bits, W: SOURCES.indexOf(dtype), SYMMETRIC: symmetric ? 1 : 0 };
  return [...pieces(n, rows)].map(({ begin, count }) => {
    const w = window(caps, 'w', 8 * BYTES[dtype], first + begin * k, count * k);
    const codes = window(caps, 'codes', 32, begin * words, count * words);
    const grids = window(caps, 'grids', 64, begin * groups, count * groups);
    return step(caps, quantizeWeights, params, Math.ceil((count * groups) / 64), {
      uniforms: {
        n: count,
        k,
        group_size: groupSize,
        groups,
        words,
        mantissa: MANTISSA[scaleDtype],
        w_base: w.base + first + begin * k,
        codes_base: codes.base + begin * words,
        grids_base: grids.base + begin * groups,
      },
      bindings: { w, codes, grids },
    });
  });
}
