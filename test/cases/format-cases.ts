// The table of formats: a layer of each format is found, read in small pieces, loaded and multiplied, and y is compared with the reference
// on the imported weights. test/unit/formats tests the importers.
import { encode16, type FloatDType } from '../../src/dtype.js';
import type { RawTensor } from '../../src/files/raw-tensor.js';
import type { TensorFile } from '../../src/files/tensor-file.js';
import type { FindLayersOptions } from '../../src/formats/find-layers.js';
import { ggufTypes } from '../../src/formats/gguf-blocks.js';
import type { GgufTypeName } from '../../src/formats/gguf-layer.js';
import type { Bits } from '../../src/problem/code-width.js';
import { random } from './data.js';

export interface FormatCase {
  readonly name: string;
  /** Of x and y. */
  readonly dtype: FloatDType;
  readonly kind: TensorFile['kind'];
  /** As a model's config.json says it. */
  readonly config?: unknown;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly torchNpu?: FindLayersOptions['torchNpu'];
  /** The layer's tensors without its name, and their bytes. */
  tensors(make: Make): readonly RawTensor[];
}

/** Makers of tensors with seeded values. */
interface Make {
  words(name: string, shape: readonly number[], dtype?: string): RawTensor;
  bytes(name: string, shape: readonly number[], dtype?: string): RawTensor;
  /** F8_E4M3 that are no NaN. */
  floats8(name: string, shape: readonly number[]): RawTensor;
  /** Between 0.001 and 0.021. */
  floats(name: string, shape: readonly number[], dtype?: string): RawTensor;
  numbers(name: string, shape: readonly number[], dtype: 'I32' | 'I64' | 'F32' | 'F16' | 'BF16', values: readonly number[]): RawTensor;
  text(name: string, value: string): RawTensor;
}

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

export function makers(seed: string): Make {
  const next = random(seed);
  const tensor = (name: string, dtype: string, shape: readonly number[], data: ArrayBufferView): RawTensor => ({
    name: `layer.${name}`,
    dtype,
    shape,
    bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });
  const floats = (values: Float32Array, dtype: string): ArrayBufferView =>
    dtype === 'F32' ? values : encode16(values, dtype === 'F16' ? 'float16' : 'bfloat16');
  return {
    words: (name, shape, dtype = 'I32') =>
      tensor(
        name,
        dtype,
        shape,
        Uint32Array.from({ length: count(shape) }, () => next() * 2 ** 32),
      ),
    bytes: (name, shape, dtype = 'U8') =>
      tensor(
        name,
        dtype,
        shape,
        Uint8Array.from({ length: count(shape) }, () => next() * 256),
      ),
    floats8: (name, shape) =>
      tensor(
        name,
        'F8_E4M3',
        shape,
        Uint8Array.from({ length: count(shape) }, () => Math.floor(next() * 127) + (next() < 0.5 ? 128 : 0)),
      ),
    floats: (name, shape, dtype = 'F16') =>
      tensor(
        name,
        dtype,
        shape,
        floats(
          Float32Array.from({ length: count(shape) }, () => 0.001 + 0.02 * next()),
          dtype,
        ),
      ),
    numbers: (name, shape, dtype, values) =>
      tensor(
        name,
        dtype,
        shape,
        dtype === 'I32'
          ? new Int32Array(values)
          : dtype === 'I64'
            ? BigInt64Array.from(values, BigInt)
            : floats(new Float32Array(values), dtype),
      ),
    text: (name, value) => tensor(name, 'U8', [value.length], new TextEncoder().encode(value)),
  };
}

const safetensors = (name: string, rest: Omit<FormatCase, 'name' | 'kind' | 'dtype'> & { readonly dtype?: FloatDType }): FormatCase => ({
  name,
  kind: 'safetensors',
  dtype: 'float16',
  ...rest,
});
/** Rows of k in an order that is not that of their groups, each group of 32 whole. */
const shuffledGroups = Array.from({ length: 96 }, (_, i) => ((i * 37) % 96) % 3);
const gptqConfig = (bits: number, rest: object) => ({
  quantization_config: { quant_method: 'gptq', bits, group_size: 32, sym: false, ...rest },
});
const gptq = (bits: Bits, n: number, k: number) => (make: Make) => [
  make.words('qweight', [(k * bits) / 32, n]),
  make.words('qzeros', [Math.ceil(k / 32), (n * bits) / 32]),
  make.floats('scales', [Math.ceil(k / 32), n]),
];
const bnb = (type: 'nf4' | 'fp4', n: number, k: number) => (make: Make) => [
  make.bytes('weight', [(n * k) / 2, 1]),
  make.floats('weight.absmax', [Math.ceil((n * k) / 64)], 'F32'),
  make.numbers(
    'weight.quant_map',
    [16],
    'F32',
    Array.from({ length: 16 }, (_, i) => Math.fround(Math.sinh((i - 7) / 8))),
  ),
  make.text(
    `weight.quant_state.bitsandbytes__${type}`,
    JSON.stringify({ quant_type: type, blocksize: 64, dtype: 'float16', shape: [n, k] }),
  ),
];

const mlx =
  (bits: number, { n, k, group, dtype }: { n: number; k: number; group: number; dtype: string }) =>
  (make: Make) => [
    make.words('weight', [n, (k * bits) / 32], 'U32'),
    make.floats('scales', [n, k / group], dtype),
    make.floats('biases', [n, k / group], dtype),
  ];

const torchaoInt4 = {
  dtype: 'bfloat16' as const,
  metadata: { 'layer.weight': '{"_type":"Int4Tensor","_data":{"block_size":[1,32],"shape":[20,96]}}' },
  tensors: (make: Make): readonly RawTensor[] => [
    make.bytes('_weight_qdata', [20, 48], 'I8'),
    make.floats('_weight_scale', [3, 20], 'BF16'),
    make.floats('_weight_zero_point', [3, 20], 'BF16'),
  ],
};
/** From 1 / 16 to 2 or so. */
const scalesE4m3 = (make: Make, shape: readonly number[]): RawTensor => {
  const scale = make.bytes('weight_scale', shape, 'F8_E4M3');
  return { ...scale, bytes: scale.bytes.map((byte) => 0x18 + (byte % 40)) };
};
/** 2^-9 to 2^-2, biased by 127. */
const powersOf = (make: Make, name: string, shape: readonly number[]): RawTensor => {
  const scale = make.bytes(name, shape);
  return { ...scale, bytes: scale.bytes.map((byte) => 118 + (byte % 8)) };
};

/** Whole numbers of [-most, most - 1]. */
const inRange = (tensor: RawTensor, most: number): RawTensor => ({
  ...tensor,
  bytes: tensor.bytes.map((byte) => (byte % (2 * most)) - most),
});

const fromSafetensors: readonly FormatCase[] = [
  safetensors('GPTQ 4 bits, v1, a short last group', { config: gptqConfig(4, { checkpoint_format: 'gptq' }), tensors: gptq(4, 24, 104) }),
  safetensors('GPTQ 8 bits, v2', { config: gptqConfig(8, { checkpoint_format: 'gptq_v2' }), tensors: gptq(8, 20, 76), dtype: 'float32' }),
  safetensors('GPTQ 4 bits, act-order, bias', {
    config: gptqConfig(4, { desc_act: true }),
    tensors: (make) => [...gptq(4, 24, 96)(make), make.numbers('g_idx', [96], 'I32', shuffledGroups), make.floats('bias', [24])],
  }),
  safetensors('AWQ', {
    config: { quantization_config: { quant_method: 'awq', bits: 4, group_size: 32, version: 'gemm' } },
    tensors: (make) => [make.words('qweight', [104, 3]), make.words('qzeros', [4, 3]), make.floats('scales', [4, 24])],
  }),
  safetensors('compressed-tensors pack-quantized, 4 bits, zero points', {
    dtype: 'bfloat16',
    config: {
      quantization_config: { quant_method: 'compressed-tensors', config_groups: { group_0: { weights: { num_bits: 4, group_size: 32 } } } },
    },
    tensors: (make) => [
      make.words('weight_packed', [13, 13]),
      make.floats('weight_scale', [13, 4], 'BF16'),
      make.words('weight_zero_point', [2, 4]),
      make.numbers('weight_shape', [2], 'I64', [13, 104]),
    ],
  }),
  safetensors('compressed-tensors pack-quantized, 3 bits, zero points', {
    dtype: 'bfloat16',
    config: {
      quantization_config: { quant_method: 'compressed-tensors', config_groups: { group_0: { weights: { num_bits: 3, group_size: 32 } } } },
    },
    tensors: (make) => [
      make.words('weight_packed', [13, 11]),
      make.floats('weight_scale', [13, 4], 'BF16'),
      make.words('weight_zero_point', [2, 4]),
      make.numbers('weight_shape', [2], 'I64', [13, 104]),
    ],
  }),
  safetensors('compressed-tensors int-quantized', {
    tensors: (make) => [make.bytes('weight', [13, 77], 'I8'), make.floats('weight_scale', [13, 1], 'BF16')],
  }),
  safetensors('FP8, a scale for all', {
    config: { quantization_config: { quant_method: 'fp8', activation_scheme: 'static' } },
    tensors: (make) => [make.floats8('weight', [13, 70]), make.floats('weight_scale', [], 'F32'), make.floats('input_scale', [], 'F32')],
  }),
  safetensors('FP8 of compressed-tensors, a scale for outputs, bias', {
    dtype: 'bfloat16',
    config: { quantization_config: { quant_method: 'compressed-tensors', format: 'float-quantized' } },
    tensors: (make) => [make.floats8('weight', [20, 96]), make.floats('weight_scale', [20, 1], 'BF16'), make.floats('bias', [20], 'BF16')],
  }),
  safetensors('FP8, blocks of 128 × 128 that divide neither N nor K', {
    config: { quantization_config: { quant_method: 'fp8', weight_block_size: [128, 128] } },
    tensors: (make) => [make.floats8('weight', [140, 300]), make.floats('weight_scale_inv', [2, 3], 'F32')],
  }),
  safetensors('FP8, blocks with BF16 scales', {
    dtype: 'float32',
    config: { quantization_config: { quant_method: 'fp8', weight_block_size: [128, 128] } },
    tensors: (make) => [make.floats8('weight', [130, 129]), make.floats('weight_scale_inv', [2, 2], 'BF16')],
  }),
  safetensors('NVFP4 of ModelOpt', {
    dtype: 'bfloat16',
    config: { quantization_config: { quant_method: 'modelopt' } },
    tensors: (make) => [
      make.bytes('weight', [13, 56]),
      scalesE4m3(make, [13, 7]),
      make.floats('weight_scale_2', [], 'F32'),
      make.floats('input_scale', [], 'F32'),
    ],
  }),
  safetensors('NVFP4 of compressed-tensors', {
    config: { quantization_config: { quant_method: 'compressed-tensors', format: 'nvfp4-pack-quantized' } },
    tensors: (make) => [
      make.bytes('weight_packed', [20, 128]),
      scalesE4m3(make, [20, 16]),
      make.numbers('weight_global_scale', [1], 'F32', [1234.5]),
    ],
  }),
  safetensors('MXFP4 of compressed-tensors', {
    dtype: 'float32',
    config: { quantization_config: { quant_method: 'compressed-tensors', format: 'mxfp4-pack-quantized' } },
    tensors: (make) => [make.bytes('weight_packed', [13, 48]), powersOf(make, 'weight_scale', [13, 3])],
  }),
  safetensors('MXFP8 of compressed-tensors', {
    config: { quantization_config: { quant_method: 'compressed-tensors', format: 'mxfp8-quantized' } },
    tensors: (make) => [make.floats8('weight', [13, 96]), powersOf(make, 'weight_scale', [13, 3])],
  }),
  safetensors('MLX nvfp4', {
    config: { quantization: { group_size: 16, bits: 4, mode: 'nvfp4' } },
    tensors: (make) => [make.words('weight', [13, 14], 'U32'), { ...scalesE4m3(make, [13, 7]), dtype: 'U8', name: 'layer.scales' }],
  }),
  safetensors('MLX mxfp4', {
    dtype: 'bfloat16',
    config: { quantization: { group_size: 32, bits: 4, mode: 'mxfp4' } },
    tensors: (make) => [make.words('weight', [20, 12], 'U32'), powersOf(make, 'scales', [20, 3])],
  }),
  safetensors('MLX mxfp8', {
    dtype: 'float32',
    config: { quantization: { group_size: 32, bits: 8, mode: 'mxfp8' } },
    tensors: (make) => [{ ...make.floats8('weight', [13, 96]), dtype: 'U32', shape: [13, 24] }, powersOf(make, 'scales', [13, 3])],
  }),
  safetensors('bitsandbytes NF4, blocks that cross rows', { tensors: bnb('nf4', 10, 96) }),
  safetensors('bitsandbytes FP4', { tensors: bnb('fp4', 13, 128), dtype: 'float32' }),
  safetensors('bitsandbytes int8', {
    tensors: (make) => [make.bytes('weight', [13, 75], 'I8'), make.floats('SCB', [13], 'F32')],
  }),
  safetensors('HQQ 4 bits', {
    tensors: (make) => [
      make.bytes('W_q', [20, 32]),
      make.floats('scale', [40, 1]),
      make.floats('zero', [40, 1]),
      make.numbers('shape', [2], 'I64', [20, 64]),
      make.numbers('group_size', [], 'I32', [32]),
      make.numbers('axis', [], 'I32', [1]),
      make.numbers('nbits', [], 'I32', [4]),
      make.text('packing', '4bit_u8'),
    ],
  }),
  safetensors('torchao int4', torchaoInt4),
  safetensors('torchao int4, scaled inputs', {
    ...torchaoInt4,
    tensors: (make) => [...torchaoInt4.tensors(make), make.floats('_weight_act_pre_scale', [96], 'BF16')],
  }),
  safetensors('torchao int4 tinygemm', {
    tensors: (make) => [make.words('_weight_qdata', [2, 1, 32, 2]), make.floats('_weight_scale_and_zero', [2, 16, 2], 'BF16')],
  }),
  safetensors('ModelOpt int4, a short last word', {
    config: { quantization_config: { quant_method: 'modelopt', quant_algo: 'W4A16_AWQ' } },
    tensors: (make) => [
      make.bytes('weight', [11, 36]),
      make.floats('weight_scale', [22, 1], 'BF16'),
      make.floats('pre_quant_scale', [36], 'BF16'),
    ],
  }),
  safetensors('torchao int8', {
    tensors: (make) => [make.bytes('_weight_qdata', [13, 70], 'I8'), make.floats('_weight_scale', [13, 1], 'F32')],
  }),
  safetensors('torchao Intx, 4 bits in bytes', {
    metadata: {
      'layer.weight':
        '{"_type":"IntxUnpackedToInt8Tensor","_data":{"block_size":[1,32],"target_dtype":{"_type":"torch.dtype","_data":"int4"}}}',
    },
    tensors: (make) => [
      inRange(make.bytes('_weight_qdata', [13, 96], 'I8'), 8),
      make.floats('_weight_scale', [13, 3], 'BF16'),
      inRange(make.bytes('_weight_zero_point', [13, 3], 'I8'), 8),
    ],
  }),
  safetensors('BitNet', {
    dtype: 'bfloat16',
    config: { quantization_config: { quant_method: 'bitnet', linear_class: 'autobitlinear' } },
    tensors: (make) => {
      const weight = make.bytes('weight', [5, 96]);
      return [{ ...weight, bytes: weight.bytes.map((byte) => byte & 0x55) }, make.floats('weight_scale', [1], 'BF16')];
    },
  }),
  safetensors('torch_npu int4, a short last group', {
    torchNpu: { groupSize: 32 },
    tensors: (make) => [make.words('weight', [20, 13]), make.floats('antiquant_scale', [20, 4]), make.floats('antiquant_offset', [20, 4])],
    dtype: 'float32',
  }),
  safetensors('torch_npu int8', { tensors: (make) => [make.bytes('weight', [13, 70], 'I8'), make.floats('antiquant_scale', [13])] }),
  safetensors('MLX 4 bits, groups of 64, bias', {
    config: { quantization: { group_size: 64, bits: 4 } },
    tensors: (make) => [...mlx(4, { n: 13, k: 192, group: 64, dtype: 'F16' })(make), make.floats('bias', [13])],
  }),
  safetensors('MLX 6 bits for this layer', {
    dtype: 'bfloat16',
    config: { quantization: { group_size: 64, bits: 4, layer: { group_size: 32, bits: 6 } } },
    tensors: mlx(6, { n: 20, k: 96, group: 32, dtype: 'BF16' }),
  }),
  {
    name: 'MLC q4f16_1',
    kind: 'mlc',
    dtype: 'float16',
    config: { quantization: 'q4f16_1' },
    tensors: (make) => [make.words('q_weight', [13, 12], 'U32'), make.floats('q_scale', [13, 3])],
  },
];

/** Bytes of an f16 between 2^-8 and 2^-4 where a block has one, so that weights are of the size that weights have. */
function ggufBlocks(make: Make, type: GgufTypeName): RawTensor {
  const { blockSize, bytes } = ggufTypes[type];
  const k = 2 * blockSize;
  const raw = make.bytes('weight', [13, 2 * bytes]);
  for (let block = 0; block < 26; block++) {
    const at = block * bytes;
    // d comes first or last, dmin or m after it; MXFP4 has an exponent.
    const halves = {
      Q2_K: [80, 82],
      Q3_K: [108],
      Q6_K: [208],
      Q4_1: [0, 2],
      Q5_1: [0, 2],
      Q4_K: [0, 2],
      Q5_K: [0, 2],
      MXFP4: [],
      NVFP4: [],
      IQ1_M: [54],
      TQ1_0: [52],
      TQ2_0: [64],
    }[type as string] ?? [0];
    for (const half of halves) raw.bytes[at + half + 1] = 0x1c + (raw.bytes[at + half + 1]! % 12);
    if (type === 'NVFP4') for (let i = 0; i < 4; i++) raw.bytes[at + i] = 0x18 + (raw.bytes[at + i]! % 40);
    if (type === 'MXFP4') raw.bytes[at] = 118 + (raw.bytes[at]! % 6);
  }
  return { ...raw, dtype: type, shape: [13, k] };
}
const fromGguf: readonly FormatCase[] = (Object.keys(ggufTypes) as GgufTypeName[]).map((type, i) => ({
  name: `GGUF ${type}`,
  kind: 'gguf',
  dtype: (['float16', 'float32', 'bfloat16'] as const)[i % 3]!,
  tensors: (make) => [ggufBlocks(make, type)],
}));

export const formatCases: readonly FormatCase[] = [...fromSafetensors, ...fromGguf];

/** The tensors of an ONNX node; there is no file of it here. */
export interface NodeCase {
  readonly name: string;
  readonly bits: Bits;
  readonly k: number;
  readonly block: number;
}
export const nodeCases: readonly NodeCase[] = [
  { name: 'MatMulNBits 4 bits, blocks of 16, K = 100', bits: 4, k: 100, block: 16 },
  { name: 'MatMulNBits 8 bits, blocks of 32, K = 77', bits: 8, k: 77, block: 32 },
];
