// FP8: weights of E4M3 with a scale for all, for outputs, for groups or for blocks of both axes. Names of Transformers (fp8, fbgemm_fp8),
// DeepSeek, ModelOpt and compressed-tensors (float-quantized, mxfp8-quantized).
// Rules: github.com/huggingface/transformers, integrations/finegrained_fp8.py; deepseek-ai/DeepSeek-V3, inference/kernel.py (weight_dequant);
// github.com/vllm-project/vllm, quantization/fp8.py, fbgemm_fp8.py and modelopt.py; github.com/vllm-project/compressed-tensors, naive_quantized.

import { FormatError } from '../errors.js';
import { asFloats, at, elementsIn, floatDtypeOf, type RawTensor, requireDtype } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { FLOAT_BITS } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';
import { gcd } from './flat-groups.js';
import { asPowers, codesOfE4m3, POWER_DTYPES } from './float-bytes.js';
import { checkImport, checkLayer } from './given.js';
import { type Found, type LayerContext, type LayerFormat, type WeightFormat, wrong } from './layer-format.js';
import { forOutputs, granularityOf, headersOf, type LayerName, present } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { saidGroupSize } from './quantization-config.js';
import { groupSizeOf, requireMatrix } from './sizes.js';

/** Tensors of a layer. Exactly one of weight_scale and weight_scale_inv, which mean the same: W = q · scale. */
export interface Fp8Tensors<T> {
  /** F8_E4M3 (N, K). */
  readonly weight: T;
  /** F32, BF16 or F16: (), (1), (N), (N, 1), (N, G), or (ceil(N / block), ceil(K / block)). U8 or F8_E8M0, powers of two: (N, G). */
  readonly weight_scale?: T | undefined;
  readonly weight_scale_inv?: T | undefined;
}

/** Settings of the configuration. */
export interface Fp8Options {
  /** `weight_block_size` of N and of K. Default: 128 and 128. */
  readonly blockSize?: readonly number[] | undefined;
  /** `group_size`, for scales (N, G). Needed only if K is not a multiple of it. */
  readonly groupSize?: number | undefined;
}

const BLOCK: readonly number[] = [128, 128];

/** The sizes, after all checks of headers. `rows`: outputs that share a row of scales, 0 for all. */
function planOf({ weight, weight_scale, weight_scale_inv }: Fp8Tensors<RawTensor>, { blockSize = BLOCK, groupSize }: Fp8Options) {
  const scale = weight_scale ?? weight_scale_inv;
  if (!scale || (weight_scale && weight_scale_inv))
    throw new FormatError(at(weight, 'beside it'), 'either weight_scale or weight_scale_inv', scale ? 'both' : 'neither');
  requireDtype(weight, 'F8_E4M3');
  requireDtype(scale, 'F16', 'BF16', 'F32', ...POWER_DTYPES);
  const [n, k] = requireMatrix(weight);
  const [rows = 0, columns = 0] = blockSize;
  if (blockSize.length !== 2 || !blockSize.every((size) => Number.isSafeInteger(size) && size >= 1))
    throw new FormatError(at(scale, 'blockSize'), 'two sizes of at least 1', showShape(blockSize));
  const blocks = [Math.ceil(n / rows), Math.ceil(k / columns)];
  const { shape } = scale;
  const isBlocks = elementsIn(shape) > 1 && shape.length === 2 && shape.every((size, i) => size === blocks[i]);
  if (!isBlocks && shape.length === 2 && shape[0] !== n && elementsIn(shape) > 1)
    throw new FormatError(at(scale, 'shape'), `(1), (${n}, 1), (${n}, groups) or ${showShape(blocks)} for blocks`, showShape(shape));
  if (isBlocks) return { n, k, scale, rows, groupSize: groupSizeOf(columns, { k, bits: FLOAT_BITS, groups: blocks[1]!, scales: scale }) };
  const { granularity, groups } = granularityOf(scale, n);
  return {
    ...{ n, k, scale, rows: granularity === 'tensor' ? 0 : 1 },
    groupSize: groupSizeOf(groups === 1 ? undefined : groupSize, { k, bits: FLOAT_BITS, groups, scales: scale }),
  };
}

/** (ceil(N / rows), G) → (N, G). */
function spread(scales: Float32Array<ArrayBuffer>, { n, rows, groups }: { n: number; rows: number; groups: number }) {
  if (rows === 0) return forOutputs(scales, n, 'tensor');
  if (rows === 1) return scales;
  const out = new Float32Array(n * groups);
  for (let row = 0; row < n; row++) {
    const from = Math.floor(row / rows) * groups;
    out.set(scales.subarray(from, from + groups), row * groups);
  }
  return out;
}

/**
 * Imports FP8 weights: W = q · scale, without rounding the parts. `codes` are the bytes of the weights, `codeForm` is e4m3.
 * @throws FormatError if dtypes, shapes or sizes break the format, a weight is NaN, or a scale is not finite
 * @example importFp8({ weight, weight_scale_inv }, { blockSize: [128, 128] })
 */
export function importFp8(tensors: Fp8Tensors<RawTensor>, options: Fp8Options = {}): QuantizedMatrix {
  checkImport('fp8', tensors, options);
  const { n, k, scale, rows, groupSize } = planOf(tensors, options);
  const powers = POWER_DTYPES.includes(scale.dtype);
  return {
    ...{ n, k, bits: FLOAT_BITS, codes: codesOfE4m3(tensors.weight, n, k), codeForm: 'e4m3', groupSize },
    scale: spread(powers ? asPowers(scale) : asFloats(scale), { n, rows, groups: Math.ceil(k / groupSize) }),
    scaleDtype: floatDtypeOf(scale.dtype),
    ...(powers && { scaleForm: { kind: 'e8m0' } }),
  };
}

/**
 * A layer of a file, read in pieces along n.
 * @throws FormatError
 * @example fp8Layer({ weight, weight_scale_inv }, { name: 'model.layers.0.mlp.up_proj' })
 */
export function fp8Layer(tensors: Fp8Tensors<TensorInfo>, given: Fp8Options & LayerName): LayerSource {
  checkLayer('fp8', tensors, given);
  const { name, bias, ...options } = given;
  const { n, k, rows, groupSize } = planOf(headersOf({ ...tensors }), options);
  const { weight, ...scales } = present({ ...tensors });
  const perRow = { weight: 1, ...Object.fromEntries(Object.keys(scales).map((scale) => [scale, rows])) };
  const together = Math.max(rows, 1);
  return {
    ...{ name, format: 'FP8', n, k, bits: FLOAT_BITS, groupSize, bias },
    tensors: present({ ...tensors }),
    cut: { axis: 'n', unit: (4 * together) / gcd(4, together), perRow },
    make: (part) => importFp8(part as unknown as Fp8Tensors<RawTensor>, options),
  };
}

function make({ weight, weight_scale, weight_scale_inv }: Found, { name, bias, config }: LayerContext): LayerSource {
  const scale = (weight_scale ?? weight_scale_inv)!;
  if (config.transforms)
    throw wrong(scale, 'transform_config', 'none: x would have to be transformed first', 'transforms of weights or activations');
  const groupSize = saidGroupSize(config, weight!.shape[1] ?? 1, scale.shape[1] ?? 1);
  return fp8Layer({ weight: weight!, weight_scale, weight_scale_inv }, { name, bias, blockSize: config.blockSize, groupSize });
}

/** Scales of x and of what attention keeps. They concern no weight. */
const ACTIVATIONS = ['input_scale', 'input_scale_ub', 'output_scale', 'k_scale', 'v_scale'];
const made = {
  name: 'FP8',
  importer: 'importFp8',
  methods: ['fp8', 'fbgemm-fp8', 'modelopt', 'compressed-tensors'],
  optional: [],
  ignored: ACTIVATIONS,
  recognise: ({ weight }) => weight!.dtype === 'F8_E4M3' && weight!.shape.length === 2,
  make,
} satisfies Partial<LayerFormat>;

export const fp8Format: WeightFormat = {
  rows: [
    {
      format: 'FP8, MXFP8: Transformers, DeepSeek, FBGEMM, ModelOpt, compressed-tensors',
      tensors: '`weight`, `weight_scale` or `weight_scale_inv`',
      read: 'E4M3; a scale for all, for outputs, for groups, for blocks; scales of x are not used',
      exact: '=',
    },
  ],
  layers: [
    { ...made, required: ['weight', 'weight_scale_inv'] },
    { ...made, required: ['weight', 'weight_scale'] },
  ],
};
