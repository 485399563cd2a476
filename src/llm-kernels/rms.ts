// Norms of rows as dispatches, and the choice of experts, which begins with one. Pure.
import { ArgumentError } from '../errors.js';
import { sortedWords } from '../problem/experts.js';
import { checkWhole, quadBytes, rowBytes } from './checks.js';
import { MOST_EXPERTS } from './limits.js';
import { type LlmDispatch, normAdd, rmsRows, route, uniformsOf } from './shaders.js';

/** Rows of `width` numbers, and what is added to the mean of their squares. */
interface Rows {
  readonly rows: number;
  readonly width: number;
  readonly epsilon: number;
}

/**
 * y = x · weight / √(mean x² + epsilon) for each row. Bindings: `x` and `y` [rows, width], `weight` [width], float32.
 * @param width d, a multiple of 4
 * @throws ArgumentError
 */
export function rmsDispatch({ rows, width, epsilon }: Rows): LlmDispatch {
  const size = rowBytes(rows, width);
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
  const size = rowBytes(rows, width);
  return {
    shader: normAdd,
    params: {},
    workgroups: [rows, 1],
    uniforms: uniformsOf(normAdd, { quads: width / 4, lanes: 64, epsilon, scale }),
    bytes: { h: size, x: size, weight: 4 * width, next: 4 * width },
  };
}

/** Of llm/route; each has four experts, and where these are few several share them. */
const ROUTE_LANES = 256;

/** The experts of a layer, and how many a row meets. */
export interface Routed {
  /** E */
  readonly count: number;
  /** k, at most E. */
  readonly top: number;
  /** Of the weights. */
  readonly scale: number;
}

/** Lanes that share four experts: as many as there are for them, in a power of two. */
const partsOf = (count: number): number => 2 ** Math.floor(Math.log2(ROUTE_LANES / Math.min(ROUTE_LANES / 4, Math.ceil(count / 4))));

/**
 * The experts of each row and their weights: of h = RMSNorm(x) the products with all rows of the router and their biases, the `top` largest of
 * them, and their softmax. Bindings: `x` and `h` [rows, width], `weight` [width], `router` [E, width] and behind it biases [E], `weights` [rows, top], float32; `ids` [rows, top] int32, or
 * with `sorted`, for one row, the pairs as sortPairs leaves them.
 * @param width d, a multiple of 4
 * @throws ArgumentError
 */
export function routeDispatch(
  { count, top, scale }: Routed,
  { rows, width, epsilon, sorted }: { readonly rows: number; readonly width: number; readonly epsilon: number; readonly sorted: boolean },
): LlmDispatch {
  const size = rowBytes(rows, width);
  checkWhole('count', count, { most: MOST_EXPERTS });
  checkWhole('top', top, { most: count });
  if (!Number.isFinite(scale)) throw new ArgumentError('scale', 'a finite number', String(scale));
  if (sorted && rows !== 1) throw new ArgumentError('rows', '1, whose pairs are sorted', String(rows));
  return {
    shader: route,
    params: { SORTED: sorted ? 1 : 0 },
    workgroups: [rows, 1],
    uniforms: uniformsOf(route, { quads: width / 4, lanes: ROUTE_LANES, experts: count, top, parts: partsOf(count), epsilon, scale }),
    bytes: {
      ...{ x: size, weight: 4 * width, router: 4 * count * width + quadBytes(count), h: size, weights: 4 * rows * top },
      ...(sorted ? { sorted: 4 * sortedWords(top, count) } : { ids: 4 * rows * top }),
    },
  };
}
