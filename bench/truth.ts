// Checks an answer: a few rows and all columns against the library's float64 reference.

import type { ReferenceResult } from '../src/index.js';
import { expected } from '../test/cases/run-case.js';
import { bytesOf, type Operands } from './contender.js';

export interface Truth {
  /** Rows of x in `result`, ascending. */
  readonly rows: readonly number[];
  readonly result: ReferenceResult;
}

/** A peer's error beyond this share of the largest value is wrong; peers that sum in half precision reach a third of it. */
export const PEER_TOLERANCE = 2e-2;

/** Rows to check: the first ones, the last of each product, and some between. */
export function sampleRows(products: readonly number[]): number[] {
  const most = Math.max(...products);
  const some = [0, 1, 2, 3, ...products.map((m) => m - 1), Math.floor(most * 0.37), Math.floor(most * 0.61)];
  return [...new Set(some.filter((row) => row < most))].sort((a, b) => a - b);
}

export function truthOf(operands: Operands): Truth {
  const { session, x, tensors } = operands;
  const rows = sampleRows(session.rows);
  const pitch = session.k * (x.dtype === 'float32' ? 4 : 2);
  const bytes = new Uint8Array(rows.length * pitch);
  rows.forEach((row, i) => {
    bytes.set(bytesOf(x).subarray(row * pitch, (row + 1) * pitch), i * pitch);
  });
  const data = x.dtype === 'float32' ? new Float32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
  return { rows, result: expected({ groupSize: session.group }, { ...x, data, shape: [rows.length, session.k] }, tensors) };
}

/** Error of the checked rows of y (m, n) relative to the largest value, and the number of elements outside their intervals. */
export function check(
  { rows, result }: Truth,
  y: ArrayLike<number>,
  m: number,
  n: number,
): { readonly error: number; readonly outside: number } {
  let [error, size, outside] = [0, 0, 0];
  rows.forEach((row, i) => {
    if (row >= m) return;
    for (let c = 0; c < n; c++) {
      const [at, got] = [i * n + c, y[row * n + c]!];
      error = Math.max(error, Number.isFinite(got) ? Math.abs(got - result.exact[at]!) : Number.POSITIVE_INFINITY);
      size = Math.max(size, Math.abs(result.exact[at]!));
      if (!(got >= result.low[at]! && got <= result.high[at]!)) outside++;
    }
  });
  return { error: error / size, outside };
}
