// A small file of every format that find-layers.ts recognizes by names, with random data, and the expected layers.

import type { RawTensor } from '../../src/files/raw-tensor.js';
import type { TensorFile } from '../../src/files/tensor-file.js';
import type { FindLayersOptions } from '../../src/formats/find-layers.js';
import { ggufTypes } from '../../src/formats/gguf-blocks.js';
import { infoOf, randoms, raw } from './tensors.js';

const text = (name: string, value: string): RawTensor =>
  raw(
    name,
    'U8',
    [value.length],
    [...value].map((letter) => letter.charCodeAt(0)),
  );
export const bytes = (length: number, seed: number) => randoms(seed, length, 0, 255);
/** An e4m3 that is no NaN. */
const finite = (byte: number) => byte & 0xf7;
export const words = (length: number, seed: number) => randoms(seed, length, -(2 ** 31), 2 ** 31 - 1);
/** Scales, zeros and the like: small, exact in every dtype, and not all the same. */
export const steps = (length: number) => Array.from({ length }, (_, i) => (1 + (i % 7)) / 8);

/** N = 16 and K = 64 for each. */
export const TENSORS: Readonly<Record<string, readonly RawTensor[]>> = {
  gptq: [
    raw('gptq.qweight', 'I32', [8, 16], words(128, 1)),
    raw('gptq.qzeros', 'I32', [2, 2], words(4, 2)),
    raw('gptq.scales', 'F16', [2, 16], steps(32)),
    raw(
      'gptq.g_idx',
      'I32',
      [64],
      Array.from({ length: 64 }, (_, i) => Math.floor(i / 32)),
    ),
    raw('gptq.bias', 'F16', [16], steps(16)),
  ],
  gptq8: [
    raw('gptq8.qweight', 'I32', [16, 16], words(256, 1)),
    raw('gptq8.qzeros', 'I32', [2, 4], words(8, 2)),
    raw('gptq8.scales', 'F16', [2, 16], steps(32)),
  ],
  awq: [
    raw('awq.qweight', 'I32', [64, 2], words(128, 3)),
    raw('awq.qzeros', 'I32', [2, 2], words(4, 4)),
    raw('awq.scales', 'F16', [2, 16], steps(32)),
  ],
  packed: [
    raw('packed.weight_packed', 'I32', [16, 8], words(128, 5)),
    raw('packed.weight_scale', 'BF16', [16, 2], steps(32)),
    raw('packed.weight_zero_point', 'I32', [2, 2], words(4, 6)),
    raw('packed.weight_shape', 'I64', [2], [16, 64]),
  ],
  int8: [raw('int8.weight', 'I8', [16, 64], bytes(1024, 7)), raw('int8.weight_scale', 'BF16', [16, 1], steps(16))],
  fp8: [
    raw('fp8.weight', 'F8_E4M3', [16, 64], bytes(1024, 20).map(finite)),
    raw('fp8.weight_scale', 'BF16', [16, 1], steps(16)),
    raw('fp8.input_scale', 'F32', [], [1]),
  ],
  fp8block: [
    raw('fp8block.weight', 'F8_E4M3', [16, 64], bytes(1024, 21).map(finite)),
    raw('fp8block.weight_scale_inv', 'F32', [1, 1], [0.125]),
  ],
  intx: [
    raw('intx._weight_qdata', 'I8', [16, 64], randoms(30, 1024, -4, 3)),
    raw('intx._weight_scale', 'BF16', [16, 2], steps(32)),
    raw('intx._weight_zero_point', 'I8', [16, 2], randoms(31, 32, -4, 3)),
  ],
  quantof8: [
    raw('quantof8.weight._data', 'F8_E4M3', [16, 64], bytes(1024, 34).map(finite)),
    raw('quantof8.weight._scale', 'F16', [16, 1], steps(16)),
  ],
  quanto: [raw('quanto.weight._data', 'I8', [16, 64], bytes(1024, 33)), raw('quanto.weight._scale', 'F16', [16, 1], steps(16))],
  nvfp4: [
    raw('nvfp4.weight', 'U8', [16, 32], bytes(512, 22)),
    raw(
      'nvfp4.weight_scale',
      'F8_E4M3',
      [16, 4],
      bytes(64, 23).map((byte) => byte & 0x77),
    ),
    raw('nvfp4.weight_scale_2', 'F32', [], [0.01]),
  ],
  fp4packed: [
    raw('fp4packed.weight_packed', 'U8', [16, 32], bytes(512, 24)),
    raw(
      'fp4packed.weight_scale',
      'F8_E4M3',
      [16, 4],
      bytes(64, 25).map((byte) => byte & 0x77),
    ),
    raw('fp4packed.weight_global_scale', 'F32', [1], [100]),
  ],
  mxfp4: [
    raw('mxfp4.weight_packed', 'U8', [16, 32], bytes(512, 26)),
    raw(
      'mxfp4.weight_scale',
      'U8',
      [16, 2],
      bytes(32, 27).map((byte) => 120 + (byte % 8)),
    ),
  ],
  mlxfp8: [
    raw(
      'mlxfp8.weight',
      'U32',
      [16, 16],
      words(256, 28).map((word) => word & 0x77f7f7f7),
    ),
    raw(
      'mlxfp8.scales',
      'U8',
      [16, 2],
      bytes(32, 29).map((byte) => 120 + (byte % 8)),
    ),
  ],
  nf4: [
    raw('nf4.weight', 'U8', [512, 1], bytes(512, 8)),
    raw('nf4.weight.absmax', 'U8', [16], bytes(16, 9)),
    raw('nf4.weight.nested_absmax', 'F32', [1], [1]),
    raw('nf4.weight.nested_quant_map', 'F32', [256], steps(256)),
    raw('nf4.weight.quant_map', 'F32', [16], steps(16)),
    text(
      'nf4.weight.quant_state.bitsandbytes__nf4',
      '{"quant_type":"nf4","blocksize":64,"shape":[16,64],"nested_blocksize":256,"nested_offset":0.5}',
    ),
  ],
  fp4: [
    raw('fp4.weight', 'U8', [512, 1], bytes(512, 16)),
    raw('fp4.weight.absmax', 'F32', [16], steps(16)),
    raw('fp4.weight.quant_map', 'F32', [16], steps(16)),
    text('fp4.weight.quant_state.bitsandbytes__fp4', '{"quant_type":"fp4","blocksize":64,"shape":[16,64]}'),
  ],
  bnb8: [
    raw('bnb8.weight', 'I8', [16, 64], bytes(1024, 10)),
    raw('bnb8.SCB', 'F32', [16], steps(16)),
    raw('bnb8.weight_format', 'U8', [], [0]),
  ],
  hqq: [
    raw('hqq.W_q', 'U8', [16, 32], bytes(512, 11)),
    raw('hqq.scale', 'F16', [32, 1], steps(32)),
    raw('hqq.zero', 'F16', [32, 1], steps(32)),
    raw('hqq.shape', 'I64', [2], [16, 64]),
    raw('hqq.group_size', 'I32', [], [32]),
    raw('hqq.axis', 'I32', [], [1]),
    raw('hqq.nbits', 'I32', [], [4]),
    text('hqq.packing', '4bit_u8'),
  ],
  ao4: [
    raw('ao4._weight_qdata', 'I8', [16, 32], bytes(512, 12)),
    raw('ao4._weight_scale', 'BF16', [2, 16], steps(32)),
    raw('ao4._weight_zero_point', 'BF16', [2, 16], steps(32)),
  ],
  aotile: [
    raw('aotile._weight_qdata', 'I32', [2, 1, 32, 2], words(128, 13)),
    raw('aotile._weight_scale_and_zero', 'BF16', [2, 16, 2], steps(64)),
  ],
  ao8: [raw('ao8._weight_qdata', 'I8', [16, 64], bytes(1024, 14)), raw('ao8._weight_scale', 'F32', [16, 1], steps(16))],
  slim: [
    raw('slim.weight', 'I8', [16, 64], bytes(1024, 18)),
    raw('slim.weight_scale', 'BF16', [16, 1], steps(16)),
    raw('slim.weight_offset', 'BF16', [16, 1], steps(16)),
  ],
  opt: [
    raw('opt.weight', 'U8', [8, 64], bytes(512, 21)),
    raw('opt.weight_scale', 'BF16', [16, 2], steps(32)),
    raw('opt.pre_quant_scale', 'BF16', [64], steps(64)),
  ],
  // Of 3 bits: no other width and group size has 96 bits for a scale.
  mlx: [
    raw('mlx.weight', 'U32', [16, 6], words(96, 19)),
    raw('mlx.scales', 'BF16', [16, 2], steps(32)),
    raw('mlx.biases', 'BF16', [16, 2], steps(32)),
  ],
  mx: [raw('mx_blocks', 'U8', [16, 2, 16], bytes(512, 22)), raw('mx_scales', 'U8', [16, 2], randoms(23, 32, 120, 130))],
  npu: [
    raw('npu.weight', 'I32', [16, 8], words(128, 15)),
    raw('npu.antiquant_scale', 'F16', [16, 2], steps(32)),
    raw('npu.antiquant_offset', 'F16', [16, 2], steps(32)),
  ],
};
export const OTHERS = [
  raw('model.embed_tokens.weight', 'BF16', [4, 8], steps(32)),
  raw('model.norm.weight', 'BF16', [8], steps(8)),
  raw('model.lm_head.weight', 'F32', [4, 8], steps(32)),
];
export const METADATA = {
  'ao4.weight': '{"_type":"Int4Tensor","_data":{"block_size":[1,32],"shape":[16,64]}}',
  'intx.weight': '{"_type":"IntxUnpackedToInt8Tensor","_data":{"block_size":[1,32],"target_dtype":{"_type":"torch.dtype","_data":"int3"}}}',
};

export const fileOf = (tensors: readonly RawTensor[], extra: Partial<TensorFile> = {}): TensorFile => ({
  kind: 'safetensors',
  name: 'test',
  metadata: METADATA,
  tensors: new Map(tensors.map((tensor) => [tensor.name, infoOf(tensor)])),
  ...extra,
});
export const all = [...Object.values(TENSORS).flat(), ...OTHERS];

export const FORMATS: Readonly<Record<string, string>> = {
  gptq: 'GPTQ',
  gptq8: 'GPTQ',
  awq: 'AWQ',
  packed: 'compressed-tensors pack-quantized',
  int8: 'compressed-tensors int-quantized',
  fp8: 'FP8',
  fp8block: 'FP8',
  intx: 'torchao Intx',
  quantof8: 'Quanto float8',
  quanto: 'Quanto int8',
  nvfp4: 'NVFP4',
  fp4packed: 'NVFP4',
  mxfp4: 'MXFP4',
  mlxfp8: 'MLX mxfp8',
  nf4: 'bitsandbytes NF4',
  fp4: 'bitsandbytes FP4',
  bnb8: 'bitsandbytes int8',
  hqq: 'HQQ 4bit_u8',
  opt: 'ModelOpt int4',
  ao4: 'torchao int4',
  aotile: 'torchao int4 tinygemm',
  ao8: 'torchao int8',
  slim: 'msModelSlim int8',
  mlx: 'MLX',
  mx: 'MXFP4',
  npu: 'torch_npu int4',
};

const bitnet = [
  raw(
    'bitnet.weight',
    'U8',
    [4, 64],
    bytes(256, 32).map((byte) => byte & 0x55),
  ),
  raw('bitnet.weight_scale', 'BF16', [1], [0.125]),
];
const mlc = [{ ...raw('mlc.q_weight', 'I32', [16, 8], words(128, 1)), dtype: 'U32' }, raw('mlc.q_scale', 'F16', [16, 2], steps(32))];
/** N = 16, K = 256; every number of a block is 0 or a float16 near 1. */
const gguf = Object.entries(ggufTypes).map(([dtype, { blockSize, bytes: size }]): RawTensor => {
  const length = (16 * 256 * size) / blockSize;
  return { name: `${dtype}.weight`, dtype, shape: [16, 256], bytes: Uint8Array.from(bytes(length, 17), (byte) => byte & 0x3b) };
});

/** Files that together have a layer of every format, with what findLayers is told of each. */
export const EVERY_FORMAT: readonly { readonly file: TensorFile; readonly options: FindLayersOptions }[] = [
  { file: fileOf(all), options: {} },
  { file: fileOf(mlc, { kind: 'mlc', metadata: {} }), options: { config: { quantization: 'q4f16_1' } } },
  { file: fileOf(bitnet, { metadata: {} }), options: { config: { quant_method: 'bitnet', linear_class: 'autobitlinear' } } },
  { file: fileOf(gguf, { kind: 'gguf', metadata: {} }), options: {} },
];
