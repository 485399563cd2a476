// FP4: weights of E2M1, two to a byte, with scales of a byte. NVFP4 has E4M3 for 16 k and a float32 for the layer; MXFP4 powers of two for 32 k.
// Names of compressed-tensors (nvfp4-pack-quantized, mxfp4-pack-quantized) and ModelOpt (NVFP4).
// Rules: github.com/vllm-project/compressed-tensors, compressors/nvfp4 and mxfp4; github.com/vllm-project/vllm, quantization/modelopt.py.

import { FormatError } from '../errors.js';
import { asFloats, at, elementsIn, type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { CODEBOOK_BITS } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { E2M1_VALUES } from '../problem/weight-format.js';
import { padRows } from './code-words.js';
import { asPowers, asScalesE4m3, POWER_DTYPES } from './float-bytes.js';
import { checkImport, checkLayer } from './given.js';
import { type Found, type LayerContext, type LayerFormat, type WeightFormat, wrong } from './layer-format.js';
import { bytesOf, headersOf, type LayerName, present } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { requireMatrix } from './sizes.js';

/** Tensors of a layer. Exactly one of weight_packed (compressed-tensors) and weight (ModelOpt), which are alike. */
export interface Fp4Tensors<T> {
  /** U8 (N, K / 2): two codes of E2M1, the even k in the low nibble. */
  readonly weight_packed?: T | undefined;
  readonly weight?: T | undefined;
  /** NVFP4: F8_E4M3 (N, K / 16). MXFP4: U8 or F8_E8M0 (N, K / 32), powers of two. */
  readonly weight_scale: T;
  /** F32 (1) or (), of NVFP4, exactly one of the two: what scales are multiplied with (ModelOpt), or divided by (compressed-tensors). */
  readonly weight_scale_2?: T | undefined;
  readonly weight_global_scale?: T | undefined;
}

/** k of a scale, by its dtype. */
const GROUPS: Readonly<Record<string, number>> = { F8_E4M3: 16, ...Object.fromEntries(POWER_DTYPES.map((dtype) => [dtype, 32])) };

/** One of two tensors, of which a layer has exactly one. @throws FormatError */
function either(names: string, beside: RawTensor, ...[one, other]: readonly (RawTensor | undefined)[]): RawTensor {
  if (!one === !other) throw new FormatError(at(beside, 'beside it'), `either ${names}`, one ? 'both' : 'neither');
  return (one ?? other)!;
}

/** The sizes, after all checks of headers. */
function planOf({ weight_packed, weight, weight_scale: scale, weight_scale_2, weight_global_scale }: Fp4Tensors<RawTensor>) {
  const stored = either('weight_packed or weight', scale, weight_packed, weight);
  requireDtype(stored, 'U8');
  requireDtype(scale, ...Object.keys(GROUPS));
  const [n, bytes] = requireMatrix(stored);
  const groupSize = GROUPS[scale.dtype]!;
  const k = 2 * bytes;
  if (k % groupSize !== 0) throw new FormatError(at(stored, 'shape'), `K of whole groups of ${groupSize}`, `K = ${k}`);
  requireShape(scale, [n, k / groupSize], `a scale for ${groupSize} k of each output`);
  const powers = POWER_DTYPES.includes(scale.dtype);
  const more = weight_scale_2 ?? weight_global_scale;
  if (powers && more) throw new FormatError(at(more, 'beside it'), `weight_scale of F8_E4M3`, scale.dtype);
  const whole = powers ? undefined : either('weight_scale_2 or weight_global_scale', scale, weight_scale_2, weight_global_scale);
  if (whole) {
    requireDtype(whole, 'F32');
    if (elementsIn(whole.shape) !== 1) requireShape(whole, [1], 'one for the layer');
  }
  return { n, k, stored, groupSize, powers, whole };
}

/** What the scales are multiplied with. @throws FormatError unless it is a number above 0 whose inverse is finite */
function unitOf(whole: RawTensor, divides: boolean): number {
  const [value] = asFloats(whole);
  const unit = Math.fround(divides ? 1 / value! : value!);
  if (!(unit > 0 && Number.isFinite(unit))) throw new FormatError(at(whole, 'value'), 'a number above 0', String(value));
  return unit;
}

/** A GPU may take products below it for 0; such units are no part of a form. */
const LEAST_UNIT = 2 ** -126 * 2 ** 9;

/**
 * Imports NVFP4: W = E2M1 · (scale · unit), where unit is weight_scale_2 or 1 / weight_global_scale and each product, and the inverse, is
 * rounded to float32. Imports MXFP4: W = E2M1 · 2^(scale - 127), without rounding. On the GPU scales stay bytes.
 * @throws FormatError if dtypes, shapes or sizes break the format, or a scale is NaN or has a sign
 * @example importFp4({ weight_packed, weight_scale, weight_global_scale })
 */
export function importFp4(tensors: Fp4Tensors<RawTensor>): QuantizedMatrix {
  checkImport('fp4', tensors, {});
  const { n, k, stored, groupSize, powers, whole } = planOf(tensors);
  const { weight_scale } = tensors;
  const matrix: Omit<QuantizedMatrix, 'scale'> = {
    ...{ n, k, bits: CODEBOOK_BITS, codes: padRows(bytesOf(stored), n, k / 2), groupSize },
    scaleDtype: 'float32',
    codebook: E2M1_VALUES.slice(),
  };
  if (powers) return { ...matrix, scale: asPowers(weight_scale), scaleForm: { kind: 'e8m0' } };
  const unit = unitOf(whole!, tensors.weight_global_scale !== undefined);
  const scale = asScalesE4m3(weight_scale).map((own) => own * unit) as Float32Array<ArrayBuffer>;
  const bad = scale.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new FormatError(at(weight_scale, `element ${bad}`), 'a finite number, times that of the layer', String(scale[bad]));
  const form = unit >= LEAST_UNIT && ({ kind: 'e4m3-unit', unit: new Float32Array(n).fill(unit) } as const);
  return { ...matrix, scale, ...(form && { scaleForm: form }) };
}

/**
 * A layer of a file, read in pieces along n.
 * @throws FormatError
 * @example fp4Layer({ weight_packed, weight_scale, weight_global_scale }, { name: 'model.layers.0.mlp.up_proj' })
 */
export function fp4Layer(tensors: Fp4Tensors<TensorInfo>, options: LayerName): LayerSource {
  checkLayer('fp4', tensors, options);
  const { name, bias } = options;
  const { n, k, groupSize, powers } = planOf(headersOf({ ...tensors }));
  const own = present({ ...tensors });
  const perRow = Object.fromEntries(Object.keys(own).map((part) => [part, /_2$|global/.test(part) ? 0 : 1]));
  return {
    ...{ name, format: powers ? 'MXFP4' : 'NVFP4', n, k, bits: CODEBOOK_BITS, groupSize, bias },
    tensors: own,
    cut: { axis: 'n', unit: 4, perRow },
    make: (part) => importFp4(part as unknown as Fp4Tensors<RawTensor>),
  };
}

function make(tensors: Found, { name, bias, config }: LayerContext): LayerSource {
  if (config.transforms)
    throw wrong(
      tensors.weight_scale!,
      'transform_config',
      'none: x would have to be transformed first',
      'transforms of weights or activations',
    );
  return fp4Layer(tensors as unknown as Fp4Tensors<TensorInfo>, { name, bias });
}

/** Scales of x and of what attention keeps. They concern no weight. */
const ACTIVATIONS = ['input_scale', 'input_global_scale', 'output_scale', 'k_scale', 'v_scale'];
const made = { importer: 'importFp4', optional: [], ignored: ACTIVATIONS, make } satisfies Partial<LayerFormat>;
const isBytes =
  (...parts: readonly string[]) =>
  (tensors: Found): boolean =>
    parts.every((part) => tensors[part]!.dtype === 'U8' && tensors[part]!.shape.length === 2);

const LAYERS: readonly LayerFormat[] = [
  {
    ...made,
    name: 'NVFP4',
    methods: ['modelopt', 'modelopt-fp4'],
    required: ['weight', 'weight_scale', 'weight_scale_2'],
    recognise: isBytes('weight'),
  },
  {
    ...made,
    name: 'NVFP4',
    methods: ['compressed-tensors'],
    required: ['weight_packed', 'weight_scale', 'weight_global_scale'],
    recognise: isBytes('weight_packed'),
  },
  {
    ...made,
    name: 'MXFP4',
    methods: ['compressed-tensors'],
    required: ['weight_packed', 'weight_scale'],
    recognise: isBytes('weight_packed', 'weight_scale'),
  },
];

export const fp4Format: WeightFormat = {
  rows: [
    {
      format: 'NVFP4 of ModelOpt',
      tensors: '`weight`, `weight_scale`, `weight_scale_2`',
      read: 'E2M1, E4M3 scales of 16 k; scales of x are not used',
      exact: '=',
    },
    {
      format: 'compressed-tensors nvfp4-pack-quantized',
      tensors: '`weight_packed`, `weight_scale`, `weight_global_scale`',
      read: 'the same; the inverse of weight_global_scale is rounded',
      exact: '1',
    },
    {
      format: 'compressed-tensors mxfp4-pack-quantized',
      tensors: '`weight_packed`, `weight_scale`',
      read: 'E2M1, E8M0 scales of 32 k',
      exact: '=',
    },
  ],
  layers: LAYERS,
};
