// How far the numbers of a quantized matrix are from the weights they stand for.
import { BYTES } from '../dtype.js';
import type { Settings } from './options.js';

/** How close quantized weights are to the floats, and what they take. */
export interface QuantizeReport {
  /** Signal to quantization noise, 10 · log10(Σ w² / Σ (w - ŵ)²) in dB; Infinity where every ŵ is its w. */
  readonly sqnr: number;
  /** Largest |w - ŵ|. */
  readonly maxError: number;
  /** Root of the mean of (w - ŵ)². */
  readonly rmse: number;
  /** Of codes, scales and offsets as a layer holds them, in scaleDtype. */
  readonly bytes: number;
  /** Of the weights, in their own dtype. */
  readonly bytesBefore: number;
  /** 8 · bytes / (N · K). */
  readonly bitsPerWeight: number;
}

/** What a run of weights adds to a report. */
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
): void {
  let { squares, errors, largest } = sums;
  for (let i = begin, j = at; i < end; i++, j++) {
    const value = w[i]!;
    const error = Math.abs(value - Math.fround(scale * (codes[j]! - zero)));
    squares += value * value;
    errors += error * error;
    if (error > largest) largest = error;
  }
  sums.squares = squares;
  sums.errors = errors;
  sums.largest = largest;
}

export function reportOf({ squares, errors, largest }: Sums, settings: Settings): QuantizeReport {
  const { n, k, bits, mode, groupSize, symmetric, scaleDtype, dtype } = settings;
  const scales = mode === 'tensor' ? 1 : n * Math.ceil(k / groupSize);
  const bytes = 4 * n * Math.ceil((k * bits) / 32) + scales * BYTES[scaleDtype] * (symmetric ? 1 : 2);
  return {
    sqnr: errors === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(squares / errors),
    maxError: largest,
    rmse: Math.sqrt(errors / (n * k)),
    bytes,
    bytesBefore: n * k * BYTES[dtype],
    bitsPerWeight: (8 * bytes) / (n * k),
  };
}
