// The goldens of torch_npu's and ops-nn's tests, and how those tests compare. It shares no code with src/, so that it is a second opinion.
// Holds no test.

export type Half = 'float16' | 'bfloat16';
/** Bits of mantissa, exponent of the least normal number, and the first number that rounds to infinity. */
const FORMS = {
  float16: { precision: 11, least: -14, end: 65520 },
  bfloat16: { precision: 8, least: -126, end: (2 - 2 ** -8) * 2 ** 127 },
} as const;

/** The nearest number of the dtype, ties to even, of a value that is first a float32. */
export function t(value: number, dtype: Half): number {
  const v = Math.fround(value);
  const { precision, least, end } = FORMS[dtype];
  if (!Number.isFinite(v) || v === 0) return v;
  if (Math.abs(v) >= end) return v > 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  let exponent = Math.floor(Math.log2(Math.abs(v)));
  if (2 ** exponent > Math.abs(v)) exponent--; // log2 may round
  if (2 ** (exponent + 1) <= Math.abs(v)) exponent++;
  const unit = 2 ** (Math.max(exponent, least) - precision + 1);
  const steps = v / unit;
  const below = Math.floor(steps);
  const up = steps - below > 0.5 || (steps - below === 0.5 && below % 2 !== 0);
  return (below + (up ? 1 : 0)) * unit;
}

/** W = t(t(w + offset) · scale), or t(w · scale) without an offset. */
export const goldenWeight = (w: number, offset: number | undefined, scale: number, dtype: Half): number =>
  t(Math.fround(t(w + (offset ?? 0), dtype) * scale), dtype);
/** The same by the original's kernel, which rounds bfloat16 once: W = t((w + offset) · scale). */
export const kernelWeight = (w: number, offset: number | undefined, scale: number, dtype: Half): number =>
  dtype === 'float16' ? goldenWeight(w, offset, scale, dtype) : t(Math.fround(Math.fround(w + (offset ?? 0)) * scale), dtype);

export interface GoldenProduct {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly dtype: Half;
  /** (M, K), of the dtype. */
  readonly x: Float32Array;
  /** (N, K) */
  readonly w: Int8Array;
  /** The scale and the offset of a weight. */
  readonly at: (n: number, k: number) => { readonly scale: number; readonly offset: number | undefined };
  readonly bias: Float32Array | undefined;
}

/** x · W + bias in float32, rounded to the dtype. The sum is made in float64: numpy's float32 sums depend on the BLAS beneath it. */
export function golden({ m, k, n, dtype, x, w, at, bias }: GoldenProduct, weightOf = goldenWeight): Float32Array {
  const y = new Float32Array(m * n);
  const column = new Float64Array(k);
  for (let c = 0; c < n; c++) {
    for (let j = 0; j < k; j++) {
      const { scale, offset } = at(c, j);
      column[j] = weightOf(w[c * k + j]!, offset, scale, dtype);
    }
    for (let i = 0; i < m; i++) {
      let sum = 0;
      for (let j = 0; j < k; j++) sum += x[i * k + j]! * column[j]!;
      y[i * n + c] = t(Math.fround(sum) + (bias?.[c] ?? 0), dtype);
    }
  }
  return y;
}

const share = (got: Float32Array, wanted: Float32Array, far: (difference: number, a: number, b: number) => boolean): number =>
  got.reduce((count, a, i) => count + (far(Math.abs(a - wanted[i]!), a, wanted[i]!) ? 1 : 0), 0) / got.length;

/** torch_npu's assertRtolEqual: float16 fails where more than a thousandth is 1e-3 off, absolutely and relatively; bfloat16 is allclose. */
export function torchNpuPasses(got: Float32Array, wanted: Float32Array, dtype: Half): boolean {
  if (dtype === 'bfloat16') return share(got, wanted, (difference, _, b) => difference > 1e-3 + 1e-3 * Math.abs(b)) === 0;
  const absolute = share(got, wanted, (difference) => difference > 1e-3);
  const relative = share(got, wanted, (difference, a, b) => difference / (Math.max(Math.abs(a), Math.abs(b)) + 6e-8) > 1e-3);
  return absolute <= 1e-3 || relative <= 1e-3;
}

/** ops-nn's: at most a thousandth is not close. */
export const opsNnPasses = (got: Float32Array, wanted: Float32Array): boolean =>
  share(got, wanted, (difference, _, b) => difference > 1e-3 + 1e-3 * Math.abs(b)) <= 1e-3;
