// Norms of rows as a dispatch. Pure.
import { ArgumentError } from '../errors.js';
import { type LlmDispatch, normAdd, rmsRows, uniformsOf } from './shaders.js';

/** Rows of `width` numbers, and what is added to the mean of their squares. */
interface Rows {
  readonly rows: number;
  readonly width: number;
  readonly epsilon: number;
}

/** @throws ArgumentError */
function bytesOf(rows: number, width: number): number {
  if (!Number.isSafeInteger(rows) || rows < 1) throw new ArgumentError('rows', 'a whole number of at least 1', String(rows));
  if (!Number.isSafeInteger(width) || width < 4 || width % 4 !== 0) throw new ArgumentError('width', 'a multiple of 4', String(width));
  return 4 * rows * width;
}

/**
 * y = x · weight / √(mean x² + epsilon) for each row. Bindings: `x` and `y` [rows, width], `weight` [width], float32.
 * @param width d, a multiple of 4
 * @throws ArgumentError
 */
export function rmsDispatch({ rows, width, epsilon }: Rows): LlmDispatch {
  const size = bytesOf(rows, width);
  return {
    shader: rmsRows,
    params: {},
    workgroups: [rows, 1],
    uniforms: uniformsOf(rmsRows, { quads: width / 4, lanes: 64, epsilon }),
    bytes: { x: size, weight: 4 * width, y: size },
  };
}

/**
 * n = h · weight / √(mean h² + epsilon), x = scale · x + n, h = x · next / √(mean x² + epsilon) for each row. Bindings: `h` and `x` [rows, width],
 * `weight` and `next` [width], float32.
 * @param width d, a multiple of 4
 * @throws ArgumentError
 */
export function normAddDispatch({ rows, width, epsilon, scale }: Rows & { readonly scale: number }): LlmDispatch {
  const size = bytesOf(rows, width);
  return {
    shader: normAdd,
    params: {},
    workgroups: [rows, 1],
    uniforms: uniformsOf(normAdd, { quads: width / 4, lanes: 64, epsilon, scale }),
    bytes: { h: size, x: size, weight: 4 * width, next: 4 * width },
  };
}
