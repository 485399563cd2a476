// The example that the page carries: seeded inputs for a choice of rows, weights and dtypes, as host tensors in the layer's orientation,
// with weight (N, K) and scales (N,) or (N, G). Pure.
import { convertWeightToInt4Pack, type FloatDType, type HostTensor, type LinearWeightQuantOptions } from '../../src/index.js';

export const K = 1024;
export const N = 1024;

export interface Scheme {
  readonly label: string;
  readonly bits: 4 | 8;
  /** 0: one scale per column. */
  readonly groupSize: number;
  readonly offset: boolean;
}
export const SCHEMES = {
  'int4-g32': { label: 'int4, groups of 32, with offsets', bits: 4, groupSize: 32, offset: true },
  'int4-channel': { label: 'int4, per channel, with offsets', bits: 4, groupSize: 0, offset: true },
  'int8-channel': { label: 'int8, per channel', bits: 8, groupSize: 0, offset: false },
  'int8-g128': { label: 'int8, groups of 128, with offsets', bits: 8, groupSize: 128, offset: true },
} as const satisfies Record<string, Scheme>;

export interface Choice {
  readonly rows: number;
  readonly scheme: keyof typeof SCHEMES;
  readonly dtype: FloatDType;
  readonly int8Output: boolean;
}

/** What the page runs when it opens. */
export const EXAMPLES: readonly Choice[] = [
  { rows: 1, scheme: 'int4-g32', dtype: 'float16', int8Output: false },
  { rows: 1, scheme: 'int8-channel', dtype: 'float16', int8Output: false },
  { rows: 64, scheme: 'int4-g32', dtype: 'float16', int8Output: false },
  { rows: 64, scheme: 'int8-channel', dtype: 'float16', int8Output: false },
];

export const layerOptions = ({ scheme, dtype, int8Output }: Choice): LinearWeightQuantOptions => ({
  inFeatures: K,
  outFeatures: N,
  dtype,
  bias: false,
  antiquantOffset: SCHEMES[scheme].offset,
  quantScale: int8Output,
  antiquantGroupSize: SCHEMES[scheme].groupSize,
});

export interface Inputs {
  readonly x: HostTensor;
  /** By the names that `load` takes. */
  readonly tensors: Readonly<Record<string, HostTensor>>;
}

/** Uniform numbers of [0, 1): mulberry32. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Codes over their whole range; scales that make weights of about ±0.1, as in language models; x near normal. */
export function makeInputs({ rows, scheme, dtype, int8Output }: Choice): Inputs {
  const { bits, groupSize, offset } = SCHEMES[scheme];
  const next = random(2026);
  const largest = 2 ** (bits - 1);
  const codes = Int8Array.from({ length: N * K }, () => Math.floor(next() * 2 * largest) - largest);
  const groups = groupSize === 0 ? 1 : Math.ceil(K / groupSize);
  const shape = groupSize === 0 ? [N] : [N, groups];
  const perGroup = (make: () => number): HostTensor => ({ data: Float32Array.from({ length: N * groups }, make), shape, dtype });
  return {
    tensors: {
      weight:
        bits === 4
          ? { data: convertWeightToInt4Pack(codes, [N, K]), shape: [N, K / 8], dtype: 'int32' }
          : { data: codes, shape: [N, K], dtype: 'int8' },
      antiquantScale: perGroup(() => (0.05 + 0.1 * next()) / largest),
      ...(offset && { antiquantOffset: perGroup(() => largest * (next() - 0.5)) }),
      ...(int8Output && { quantScale: { data: Float32Array.from({ length: N }, () => 20 + 20 * next()), shape: [N], dtype: 'float32' } }),
    },
    x: { data: Float32Array.from({ length: rows * K }, () => next() + next() + next() + next() - 2), shape: [rows, K], dtype },
  };
}

const WIDTH: Readonly<Record<HostTensor['dtype'], number>> = { float32: 4, float16: 2, bfloat16: 2, int8: 1, int32: 4, int64: 8 };
const bytesOf = (tensor: HostTensor | undefined): number => (tensor ? tensor.data.length * WIDTH[tensor.dtype] : 0);

/** Bytes of the weights as given to `load`, and of the same matrix in float16. */
export function weightBytes({ tensors }: Inputs): { readonly codes: number; readonly scales: number; readonly float16: number } {
  return {
    codes: bytesOf(tensors.weight),
    scales: bytesOf(tensors.antiquantScale) + bytesOf(tensors.antiquantOffset),
    float16: 2 * N * K,
  };
}
