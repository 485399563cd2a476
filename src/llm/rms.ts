// Norms of rows as a dispatch. Pure.
import { ArgumentError } from '../errors.js';
import { type LlmDispatch, rmsRows, uniformsOf } from './shaders.js';

/**
 * y = x · weight / √(mean x² + epsilon) for each row. Bindings: `x` and `y` [rows, width], `weight` [width], float32.
 * @param width d, a multiple of 4
 * @throws ArgumentError
 */
export function rmsDispatch({
  rows,
  width,
  epsilon,
}: {
  readonly rows: number;
  readonly width: number;
  readonly epsilon: number;
}): LlmDispatch {
  if (!Number.isSafeInteger(rows) || rows < 1) throw new ArgumentError('rows', 'a whole number of at least 1', String(rows));
  if (!Number.isSafeInteger(width) || width < 4 || width % 4 !== 0) throw new ArgumentError('width', 'a multiple of 4', String(width));
  const size = 4 * rows * width;
  return {
    shader: rmsRows,
    params: {},
    workgroups: [rows, 1],
    uniforms: uniformsOf(rmsRows, { quads: width / 4, lanes: 64, epsilon }),
    bytes: { x: size, weight: 4 * width, y: size },
  };
}
