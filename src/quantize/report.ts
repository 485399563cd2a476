// The report of a quantization: errors of the quantized weights, and their bytes.
import { BYTES } from '../dtype.js';
import type { Settings } from './options.js';

/** Errors of quantized weights, and their bytes. */
export interface QuantizeReport {
  /** Signal to quantization noise, 10 · log10(Σ w² / Σ (w - ŵ)²) in dB; Infinity if there is no error. */
  readonly sqnr: number;
  /** Largest |w - ŵ|. */
  readonly maxError: number;
  /** Root of the mean of (w - ŵ)². */
  readonly rmse: number;
  /** Bytes of codes, scales, zero points and an inputScale in a layer. */
  readonly bytes: number;
  /** Bytes of the weights in their dtype. */
  readonly bytesBefore: number;
  /** 8 · bytes / (N · K). */
  readonly bitsPerWeight: number;
}

/** Sums over a run of weights, for a report. */
export interface Sums {
  squares: number;
  errors: number;
  largest: number;
}

export function addErrors(
  sums: Sums,
  w: Float32Array,
  begin: number,
  end: number,
  codes: Uint8Array,
  at: number,
  scale: number,
  zero: number,
  /** Of the inputs from `begin` on; absent: 1. */
  inputScale?: Float32Array,
): void {
  let { squares, errors, largest } = sums;
  for (let i = begin, j = at; i < end; i++, j++) {
    const value = w[i]!;
    const made = Math.fround(scale * (codes[j]! - zero));
    const error = Math.abs(value - (inputScale ? Math.fround(made * inputScale[i - begin]!) : made));
    squares += value * value;
    errors += error * error;
    if (error > largest) largest = error;
  }
  sums.squares = squares;
  sums.errors = errors;
  sums.largest = largest;
}

/** Adds what shaders/quantize-weights.wgsl has summed up: of each group squares and errors in units of its scale², and the largest error. */
export function addGroups(sums: Sums, scale: Float32Array, ofGroups: Float32Array): void {
  for (let i = 0; i < scale.length; i++) {
    const unit = scale[i]! ** 2;
    sums.squares += ofGroups[3 * i]! * unit;
    sums.errors += ofGroups[3 * i + 1]! * unit;
    sums.largest = Math.max(sums.largest, ofGroups[3 * i + 2]!);
  }
}

export function reportOf({ squares, errors, largest }: Sums, settings: Settings, { scaled = false } = {}): QuantizeReport {
  const { n, k, bits, mode, groupSize, symmetric, scaleDtype, dtype, method } = settings;
  const scales = mode === 'tensor' ? 1 : n * Math.ceil(k / groupSize);
  const ofZero = symmetric ? 0 : method === 'hqq' ? BYTES[scaleDtype] : 1; // whole zero points are bytes
  const bytes = 4 * n * Math.ceil((k * bits) / 32) + scales * (BYTES[scaleDtype] + ofZero) + (scaled ? 4 * k : 0);
  return {
    sqnr: errors === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(squares / errors),
    maxError: largest,
    rmse: Math.sqrt(errors / (n * k)),
    bytes,
    bytesBefore: n * k * BYTES[dtype],
    bitsPerWeight: (8 * bytes) / (n * k),
  };
}
