// Verifies one layer: weights are finite, codes are the same after writing and reading, and the product on a GPU lies in the interval of
// correct results (docs/numerics.md).
import type { FloatDType } from '../src/dtype.js';
import { encode16, roundTo } from '../src/dtype.js';
import {
  byteSource,
  compressedTensorsTensors,
  dequantize,
  findLayers,
  type LayerSource,
  loadLayer,
  openSafetensors,
  type QuantizedMatrix,
  type RawTensor,
  readBias,
  readMatrix,
  torchNpuTensors,
  writeSafetensors,
} from '../src/formats.js';
import { Tensor } from '../src/gpu/tensor.js';
import { widthOf } from '../src/problem/code-width.js';
import { rowsOf } from '../src/problem/matrix.js';
import type { HostTensor } from '../src/reference/reference.js';
import { referenceMatrix } from '../src/reference/reference-matrix.js';
import type { ReferenceResult } from '../src/reference/sums.js';
import type { Agreement, VerifiedLayer } from './documents.js';

/** Uniform numbers of [-1, 1); the same for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let t = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    t = Math.imul(t ^ (t >>> 13), 0xc2b2ae35);
    return ((t ^ (t >>> 16)) >>> 0) / 2 ** 31 - 1;
  };
}

/** The seed of a layer, independent of the other layers. */
export const seedOf = (name: string, seed: number): number =>
  [...name].reduce((sum, letter) => Math.imul(sum ^ letter.codePointAt(0)!, 0x01000193), seed + 0x811c9dc5);

/** Random numbers that are exact in the dtype. */
export function randomX(
  name: string,
  { seed, rows, k, dtype }: { readonly seed: number; readonly rows: number; readonly k: number; readonly dtype: FloatDType },
): Float32Array<ArrayBuffer> {
  const next = seeded(seedOf(name, seed));
  return Float32Array.from({ length: rows * k }, () => roundTo(next(), dtype));
}

const hostTensor = (values: Float32Array, shape: readonly number[], dtype: FloatDType): HostTensor => ({
  data: dtype === 'float32' ? values : encode16(values, dtype),
  shape,
  dtype,
});

/** Compares y with its intervals. Pure. */
export function agreement(
  y: ArrayLike<number>,
  { exact, low, high }: Pick<ReferenceResult, 'exact' | 'low' | 'high'>,
  n: number,
): Agreement {
  let [outside, worst, index] = [0, -1, 0];
  for (let i = 0; i < exact.length; i++) {
    const [got, want] = [y[i]!, exact[i]!];
    const out = !(got >= low[i]! && got <= high[i]!);
    if (out) outside++;
    const allowed = Math.max(high[i]! - want, want - low[i]!);
    const error = Math.abs(got - want);
    const part = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error === 0 ? 0 : error / allowed;
    if (part > worst) [worst, index] = [part, i];
  }
  return {
    outside,
    elements: exact.length,
    worst,
    at: { row: Math.floor(index / n), output: index % n, got: y[index]!, low: low[index]!, high: high[index]! },
  };
}

/** Number of weights beyond float32; codes and scales are finite. */
export function notFinite(matrix: QuantizedMatrix): number {
  let bad = 0;
  for (const { matrix: part } of rowsOf(matrix, 2 ** 20)) {
    const weights = dequantize(part);
    for (let i = 0; i < weights.length; i++) if (!Number.isFinite(weights[i]!)) bad++;
  }
  return bad;
}

const same = (a: ArrayLike<number> | undefined, b: ArrayLike<number> | undefined, otherwise: number): boolean => {
  if (!a || !b) return Array.from(a ?? b ?? []).every((value) => value === otherwise);
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i]! + 0, b[i]! + 0)) return false;
  return true;
};

/** Are sizes, codes, what these are, scales and zero points equal? Absent zero points count as 2^(bits-1). Pure. */
export function sameMatrix(a: QuantizedMatrix, b: QuantizedMatrix): boolean {
  const sizes = a.n === b.n && a.k === b.k && a.bits === b.bits && a.groupSize === b.groupSize && a.codeForm === b.codeForm;
  const middle = widthOf(a.bits).zero;
  return sizes && same(a.codes, b.codes, 0) && same(a.scale, b.scale, 0) && same(a.zeroPoint, b.zeroPoint, middle);
}

/** The scheme that can hold such a matrix, or why no scheme can. */
export function schemeFor({
  bits,
  k,
  groupSize,
  zeroPoint,
  codebook,
  codeForm,
  minimum,
  permutation,
  inputScale,
}: QuantizedMatrix): 'compressed-tensors' | 'torch_npu' | { readonly why: string } {
  const kept = Object.entries({ codebook, codeForm, minimum, permutation, inputScale }).find(([, value]) => value);
  if (kept) return { why: `no writer holds ${kept[0] === 'inputScale' ? 'an' : 'a'} ${kept[0]}` };
  const { mask, inElement } = widthOf(bits);
  const whole = zeroPoint?.every((zero) => Number.isInteger(zero) && zero >= 0 && zero <= mask) ?? true;
  if (whole && k % groupSize === 0) return 'compressed-tensors';
  if (k % inElement === 0 && (groupSize === k || groupSize % 32 === 0)) return 'torch_npu';
  return { why: 'no writer holds such groups with such zero points' };
}

/** Is the matrix the same after writing and reading it? A reason, if no writer takes it. */
export async function rewritten(matrix: QuantizedMatrix): Promise<boolean | { readonly why: string }> {
  const scheme = schemeFor(matrix);
  if (typeof scheme === 'object') return scheme;
  const tensors: RawTensor[] =
    scheme === 'torch_npu' ? torchNpuTensors('layer', { matrix }) : compressedTensorsTensors('layer', { matrix });
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  await writeSafetensors({ write: (bytes) => pieces.push(bytes as Uint8Array<ArrayBuffer>) }, tensors);
  const file = await openSafetensors(await byteSource(new Blob(pieces)));
  const { layers } = await findLayers(file, { config: { quantization_config: { bits: matrix.bits, group_size: matrix.groupSize } } });
  return sameMatrix(await readMatrix(layers[0]!), matrix);
}

export interface VerifyOptions {
  readonly rows: number;
  readonly seed: number;
  readonly dtype: FloatDType;
  readonly device: GPUDevice | undefined;
  readonly signal: AbortSignal;
}

/** @throws FormatError if it cannot be imported, the reason of `signal`, errors of the GPU */
export async function verifyLayer(source: LayerSource, { rows, seed, dtype, device, signal }: VerifyOptions): Promise<VerifiedLayer> {
  const { name, format, n, k } = source;
  const matrix = await readMatrix(source, { signal });
  const bad = notFinite(matrix);
  const again = await rewritten(matrix);
  const gpu = device ? await onGpu(source, matrix, { rows, seed, dtype, device, signal }) : null;
  const ok = bad === 0 && again !== false && (gpu === null || gpu.outside === 0);
  return { name, format, n, k, ok, notFinite: bad, rewritten: typeof again === 'boolean' ? again : null, gpu };
}

async function onGpu(
  source: LayerSource,
  matrix: QuantizedMatrix,
  { rows, seed, dtype, device, signal }: VerifyOptions & { readonly device: GPUDevice },
): Promise<VerifiedLayer['gpu']> {
  const { name, n, k } = source;
  const values = randomX(name, { seed, rows, k, dtype });
  const bias = await readBias(source, signal);
  const layer = await loadLayer(device, source, { dtype, signal }); // from the file, like a user, not from `matrix`
  try {
    const { kernel, accuracy } = layer.explain(rows);
    const x = Tensor.from(device, values, { shape: [rows, k], dtype });
    const y = layer.forward(x);
    const got = (await y.read()) as Float32Array;
    x.destroy();
    y.destroy();
    const wanted = referenceMatrix(hostTensor(values, [rows, k], dtype), matrix, {
      bias: bias && hostTensor(bias, [n], 'float32'),
      accuracy,
    });
    return { ...agreement(got, wanted, n), kernel };
  } finally {
    layer.destroy();
  }
}
