// A small product of whole numbers, worked out by hand: x, codes and the expected y. Holds no test.
import { Tensor } from '../../src/index.js';

export interface Product {
  readonly n: number;
  readonly k: number;
  /** Of output n; the same for all k. */
  readonly scale: (n: number) => number;
}

const xAt = (i: number): number => (i % 7) - 3;

/** int8 (N, K) of -8 … 8. */
export const codesOf = ({ n, k }: Pick<Product, 'n' | 'k'>): Int8Array<ArrayBuffer> =>
  Int8Array.from({ length: n * k }, (_, i) => ((i * 37) % 17) - 8);

export const xOf = (device: GPUDevice, rows: number, k: number): Tensor =>
  Tensor.from(
    device,
    Float32Array.from({ length: rows * k }, (_, i) => xAt(i)),
    { shape: [rows, k], dtype: 'float32' },
  );

/** y (rows, N), which every kernel gives exactly. */
export function yOf(rows: number, { n, k, scale }: Product): number[] {
  const codes = codesOf({ n, k });
  return Array.from({ length: rows * n }, (_, i) => {
    const [row, output] = [Math.floor(i / n), i % n];
    let sum = 0;
    for (let j = 0; j < k; j++) sum += xAt(row * k + j) * codes[output * k + j]! * scale(output);
    return sum;
  });
}

export const numbersOf = async (y: Tensor): Promise<number[]> => Array.from((await y.read()) as Float32Array);
