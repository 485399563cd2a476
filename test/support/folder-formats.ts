// Packers of the formats of Hugging Face folders, each by its definition: random codes, scales and zero points become tensors of a file, and
// float64 weights. They are independent of src/formats. Holds no test.
import { encode16, fromFloat16Bits, toFloat16Bits } from '../../src/dtype.js';
import { quantize } from '../../src/quantize/quantize.js';
import { type MadeTensor, utf8 } from './files.js';
import type { Draw } from './model-blocks.js';

/** A matrix of a file. */
export interface PackedLayer {
  /** Named by what stands behind the layer's name, with its dot. */
  readonly tensors: readonly MadeTensor[];
  /** (N, K) */
  readonly weights: Float64Array;
}

interface Asked {
  readonly n: number;
  readonly k: number;
  /** Standard deviation of the weights, about. */
  readonly std: number;
  readonly draw: Draw;
}

export interface FolderFormat {
  /** What config.json says of it. */
  readonly config: object;
  readonly pack: (asked: Asked) => PackedLayer;
  /** Are the embedding and the head in the format, too? */
  readonly whole?: boolean;
}

const GROUP = 32;

const i32 = (name: string, shape: readonly number[], values: ArrayLike<number>, dtype = 'I32'): MadeTensor => ({
  name,
  dtype,
  shape,
  bytes: new Uint8Array(Int32Array.from(values, (value) => value | 0).buffer),
});
const u8 = (name: string, shape: readonly number[], values: ArrayLike<number>, dtype = 'U8'): MadeTensor => ({
  name,
  dtype,
  shape,
  bytes: Uint8Array.from(values, (value) => value & 255),
});
const f32 = (name: string, shape: readonly number[], values: ArrayLike<number>): MadeTensor => ({
  name,
  dtype: 'F32',
  shape,
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});
const i64 = (name: string, shape: readonly number[], values: readonly number[]): MadeTensor => ({
  name,
  dtype: 'I64',
  shape,
  bytes: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
});
export const f16 = (name: string, shape: readonly number[], values: ArrayLike<number>, dtype: 'F16' | 'BF16' = 'F16'): MadeTensor => ({
  name,
  dtype,
  shape,
  bytes: new Uint8Array(encode16(values, dtype === 'F16' ? 'float16' : 'bfloat16').slice().buffer),
});
const half = (value: number): number => fromFloat16Bits(toFloat16Bits(value));
const brain = (value: number): number =>
  new Float32Array(Uint32Array.of((new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16) << 16).buffer)[0]!;

/** Codes 0 … end - 1 of all weights. */
const codesOf = ({ n, k, draw }: Asked, end: number): number[] => Array.from({ length: n * k }, () => draw.below(end));
/** A number between half and all of `most`. */
const between = (draw: Draw, most: number): number => (most * (64 + draw.below(64))) / 128;
const weightsBy = ({ n, k }: Asked, of: (row: number, column: number) => number): Float64Array =>
  Float64Array.from({ length: n * k }, (_, i) => of(Math.floor(i / k), i % k));
/** Words of fields of 4 bits, the first in the lowest. */
const nibbles = (count: number, at: (word: number, i: number) => number): number[] =>
  Array.from({ length: count }, (_, word) => {
    let value = 0;
    for (let i = 0; i < 8; i++) value |= at(word, i) << (4 * i);
    return value;
  });

/** w = scales[g, n] · (code[k, n] - zero[g, n]); words along K, zero points less one along N; group g of an input by g_idx. */
function gptq(asked: Asked, actOrder: boolean): PackedLayer {
  const { n, k, std, draw } = asked;
  const groups = k / GROUP;
  const codes = codesOf(asked, 16); // (K, N)
  const zeros = Array.from({ length: groups * n }, () => 5 + draw.below(6));
  const scales = Array.from({ length: groups * n }, () => half(between(draw, std / 3.5)));
  const order = Array.from({ length: k }, (_, i) => i);
  if (actOrder)
    for (let i = k - 1; i > 0; i--) {
      const j = draw.below(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
  const index = new Array<number>(k);
  for (const [i, input] of order.entries()) index[input] = Math.floor(i / GROUP);
  return {
    tensors: [
      i32(
        '.qweight',
        [k / 8, n],
        nibbles((k / 8) * n, (word, i) => codes[(8 * Math.floor(word / n) + i) * n + (word % n)]!),
      ),
      i32(
        '.qzeros',
        [groups, n / 8],
        nibbles((groups * n) / 8, (word, i) => zeros[8 * word + i]! - 1),
      ),
      f16('.scales', [groups, n], scales),
      i32('.g_idx', [k], index),
    ],
    weights: weightsBy(asked, (row, column) => {
      const at = index[column]! * n + row;
      return scales[at]! * (codes[column * n + row]! - zeros[at]!);
    }),
  };
}

/** The same with true zero points, words along N: nibble i of a word is column ORDER[i]. */
function awq(asked: Asked): PackedLayer {
  const ORDER = [0, 2, 4, 6, 1, 3, 5, 7];
  const { n, k, std, draw } = asked;
  const groups = k / GROUP;
  const codes = codesOf(asked, 16); // (K, N)
  const zeros = Array.from({ length: groups * n }, () => 5 + draw.below(6));
  const scales = Array.from({ length: groups * n }, () => half(between(draw, std / 3.5)));
  const along = (values: readonly number[]): number[] => nibbles(values.length / 8, (word, i) => values[8 * word + ORDER[i]!]!);
  return {
    tensors: [
      i32('.qweight', [k, n / 8], along(codes)),
      i32('.qzeros', [groups, n / 8], along(zeros)),
      f16('.scales', [groups, n], scales),
    ],
    weights: weightsBy(asked, (row, column) => {
      const at = Math.floor(column / GROUP) * n + row;
      return scales[at]! * (codes[column * n + row]! - zeros[at]!);
    }),
  };
}

/** MLC q4f16_1: w = q_scale[n, g] · (code - 7), words along K; of q4f16_0 the transpose. */
function mlc(asked: Asked, turned: boolean): PackedLayer {
  const { n, k, std, draw } = asked;
  const [words, groups] = [k / 8, k / GROUP];
  const codes = codesOf(asked, 15);
  const scales = Array.from({ length: n * groups }, () => half(between(draw, std / 3.5)));
  const word = (row: number, at: number): number => nibbles(1, (_, i) => codes[row * k + 8 * at + i]!)[0]!;
  const turn = <T>(columns: number, of: (row: number, column: number) => T): T[] =>
    Array.from({ length: n * columns }, (_, i) => (turned ? of(i % n, Math.floor(i / n)) : of(Math.floor(i / columns), i % columns)));
  const shape = (columns: number): number[] => (turned ? [columns, n] : [n, columns]);
  return {
    tensors: [
      i32('.q_weight', shape(words), turn(words, word), 'U32'),
      f16(
        '.q_scale',
        shape(groups),
        turn(groups, (row, group) => scales[row * groups + group]!),
      ),
    ],
    weights: weightsBy(asked, (row, column) => scales[row * groups + Math.floor(column / GROUP)]! * (codes[row * k + column]! - 7)),
  };
}

/** compressed-tensors pack-quantized: w = scale[n, g] · (code - 8). */
function packQuantized(asked: Asked): PackedLayer {
  const { n, k, std, draw } = asked;
  const codes = codesOf(asked, 16);
  const scales = Array.from({ length: (n * k) / GROUP }, () => brain(between(draw, std / 3.5)));
  return {
    tensors: [
      i32(
        '.weight_packed',
        [n, k / 8],
        nibbles((n * k) / 8, (word, i) => codes[8 * word + i]!),
      ),
      f16('.weight_scale', [n, k / GROUP], scales, 'BF16'),
      i64('.weight_shape', [2], [n, k]),
    ],
    weights: weightsBy(asked, (row, column) => scales[Math.floor((row * k + column) / GROUP)]! * (codes[row * k + column]! - 8)),
  };
}

/** compressed-tensors int-quantized: w = scale[n] · code. */
function intQuantized(asked: Asked): PackedLayer {
  const { n, k, std, draw } = asked;
  const codes = codesOf(asked, 256).map((code) => code - 128);
  const scales = Array.from({ length: n }, () => brain(between(draw, std / 55)));
  return {
    tensors: [u8('.weight', [n, k], codes, 'I8'), f16('.weight_scale', [n, 1], scales, 'BF16')],
    weights: weightsBy(asked, (row, column) => scales[row]! * codes[row * k + column]!),
  };
}

/** bitsandbytes int8: w = code · SCB[n] / 127. */
function bnbInt8(asked: Asked): PackedLayer {
  const { n, k, std, draw } = asked;
  const codes = codesOf(asked, 255).map((code) => code - 127);
  const largest = Float32Array.from({ length: n }, () => between(draw, 2.3 * std));
  return {
    tensors: [u8('.weight', [n, k], codes, 'I8'), f32('.SCB', [n], largest), u8('.weight_format', [], [0])],
    weights: weightsBy(asked, (row, column) => (codes[row * k + column]! * largest[row]!) / 127),
  };
}

/** bitsandbytes NF4 with nested scales: w = map[code] · (nestedMap[absmax] · nested + offset), even weights in high nibbles. */
function nf4(asked: Asked): PackedLayer {
  const { n, k, std, draw } = asked;
  const map = Float32Array.of(
    ...[-1, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.09105, 0],
    ...[0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.562617, 0.7229568, 1],
  );
  const nestedMap = Float32Array.from({ length: 256 }, (_, i) => (i - 127) / 128);
  const codes = codesOf(asked, 16);
  const blocks = (n * k) / 64;
  const absmax = Array.from({ length: blocks }, () => draw.below(256));
  const nested = Float32Array.from({ length: Math.ceil(blocks / 256) }, () => between(draw, std));
  const offset = Math.fround(2 * std);
  const state = { quant_type: 'nf4', blocksize: 64, shape: [n, k], nested_blocksize: 256, nested_offset: offset, dtype: 'float16' };
  const text = utf8(JSON.stringify(state));
  return {
    tensors: [
      u8(
        '.weight',
        [(n * k) / 2, 1],
        Array.from({ length: (n * k) / 2 }, (_, i) => 16 * codes[2 * i]! + codes[2 * i + 1]!),
      ),
      u8('.weight.absmax', [blocks], absmax),
      f32('.weight.quant_map', [16], map),
      f32('.weight.nested_absmax', [nested.length], nested),
      f32('.weight.nested_quant_map', [256], nestedMap),
      { name: '.weight.quant_state.bitsandbytes__nf4', dtype: 'U8', shape: [text.length], bytes: text },
    ],
    weights: weightsBy(asked, (row, column) => {
      const i = row * k + column;
      const block = Math.floor(i / 64);
      return map[codes[i]!]! * (nestedMap[absmax[block]!]! * nested[Math.floor(block / 256)]! + offset);
    }),
  };
}

/** HQQ: groups are rows, the first half of them in high nibbles: w = (code - zero) · scale. */
function hqq(asked: Asked): PackedLayer {
  const { n, k, std, draw } = asked;
  const codes = codesOf(asked, 16);
  const groups = (n * k) / GROUP;
  const zeros = Array.from({ length: groups }, () => half(5 + (5 * draw.below(256)) / 256));
  const scales = Array.from({ length: groups }, () => half(between(draw, std / 3.5)));
  const text = utf8('4bit_u8');
  return {
    tensors: [
      u8(
        '.W_q',
        [groups / 2, GROUP],
        Array.from({ length: (n * k) / 2 }, (_, i) => 16 * codes[i]! + codes[i + (n * k) / 2]!),
      ),
      f16('.scale', [groups, 1], scales),
      f16('.zero', [groups, 1], zeros),
      i64('.shape', [2], [n, k]),
      i32('.group_size', [], [GROUP]),
      i32('.axis', [], [1]),
      i32('.nbits', [], [4]),
      { name: '.packing', dtype: 'U8', shape: [text.length], bytes: text },
    ],
    weights: weightsBy(asked, (row, column) => {
      const i = row * k + column;
      const group = Math.floor(i / GROUP);
      return (codes[i]! - zeros[group]!) * scales[group]!;
    }),
  };
}

/** MLX: w = code · scale + bias. */
function mlx(asked: Asked): PackedLayer {
  const { n, k, std, draw } = asked;
  const codes = codesOf(asked, 16);
  const scales = Array.from({ length: (n * k) / GROUP }, () => half(between(draw, std / 3.5)));
  const biases = scales.map((scale) => half(-scale * (5 + draw.below(6))));
  return {
    tensors: [
      i32(
        '.weight',
        [n, k / 8],
        nibbles((n * k) / 8, (word, i) => codes[8 * word + i]!),
        'U32',
      ),
      f16('.scales', [n, k / GROUP], scales),
      f16('.biases', [n, k / GROUP], biases),
    ],
    weights: weightsBy(asked, (row, column) => {
      const i = row * k + column;
      const group = Math.floor(i / GROUP);
      return codes[i]! * scales[group]! + biases[group]!;
    }),
  };
}

/** ModelOpt's W4A16_AWQ: x ∘ scale[k] meets weight_scale[n, g] · code, two outputs in a byte. */
function modelOpt(asked: Asked): PackedLayer {
  const { n, k, std, draw } = asked;
  const codes = codesOf(asked, 16).map((code) => code - 8);
  const scales = Array.from({ length: (n * k) / GROUP }, () => brain(between(draw, std / 3.5)));
  const inputs = Array.from({ length: k }, () => brain(between(draw, 2)));
  const pair = (i: number): number =>
    (codes[2 * Math.floor(i / k) * k + (i % k)]! & 15) | ((codes[(2 * Math.floor(i / k) + 1) * k + (i % k)]! & 15) << 4);
  return {
    tensors: [
      u8(
        '.weight',
        [n / 2, k],
        Array.from({ length: (n * k) / 2 }, (_, i) => pair(i)),
      ),
      f16('.weight_scale', [n, k / GROUP], scales, 'BF16'),
      f16('.pre_quant_scale', [k], inputs, 'BF16'),
    ],
    weights: weightsBy(asked, (row, column) => {
      const i = row * k + column;
      return codes[i]! * scales[Math.floor(i / GROUP)]! * inputs[column]!;
    }),
  };
}

/** MXFP4: w = E2M1[code] · 2^(scale - 127), even k in low nibbles. */
function mxfp4(asked: Asked): PackedLayer {
  const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
  const { n, k, std, draw } = asked;
  const codes = codesOf(asked, 16);
  const exponents = Array.from({ length: (n * k) / 32 }, () => 126 + Math.round(Math.log2(std / 3)) + draw.below(2));
  return {
    tensors: [
      u8(
        '.weight_packed',
        [n, k / 2],
        Array.from({ length: (n * k) / 2 }, (_, i) => codes[2 * i]! + 16 * codes[2 * i + 1]!),
      ),
      u8('.weight_scale', [n, k / 32], exponents),
    ],
    weights: weightsBy(asked, (row, column) => {
      const i = row * k + column;
      const sign = codes[i]! < 8 ? 1 : -1;
      return sign * E2M1[codes[i]! & 7]! * 2 ** (exponents[Math.floor(i / 32)]! - 127);
    }),
  };
}

/** FP8: w = E4M3[byte] · scale[n]. */
function fp8(asked: Asked): PackedLayer {
  const { n, k, std, draw } = asked;
  const bytes = codesOf(asked, 256).map((byte) => ((byte & 0x7f) % 0x50) | (byte & 0x80)); // up to 3.75
  const value = (byte: number): number => {
    const [exponent, fraction] = [(byte >> 3) & 15, byte & 7];
    const size = exponent === 0 ? fraction * 2 ** -9 : (1 + fraction / 8) * 2 ** (exponent - 7);
    return byte & 0x80 ? -size : size;
  };
  const scales = Array.from({ length: n }, () => brain(between(draw, std)));
  return {
    tensors: [u8('.weight', [n, k], bytes, 'F8_E4M3'), f16('.weight_scale', [n, 1], scales, 'BF16')],
    weights: weightsBy(asked, (row, column) => scales[row]! * value(bytes[row * k + column]!)),
  };
}

/** Floats, which the runtime quantizes to int8 in groups of 32: w = scale · code of `quantize`. */
export function float(asked: Asked, dtype: 'F16' | 'BF16' = 'F16'): PackedLayer {
  const { n, k, std, draw } = asked;
  const values = Float32Array.from({ length: n * k }, () => (dtype === 'F16' ? half : brain)(std * draw.normal()));
  const { codes, scale, groupSize } = quantize(values, { n, k, bits: 8, groupSize: Math.min(32, k), symmetric: true }).matrix;
  const groups = Math.ceil(k / groupSize);
  const bytes = new Uint8Array(codes.buffer, codes.byteOffset, codes.byteLength);
  const pitch = 4 * Math.ceil(k / 4);
  return {
    tensors: [f16('.weight', [n, k], values, dtype)],
    weights: weightsBy(
      asked,
      (row, column) => scale[row * groups + Math.floor(column / groupSize)]! * (bytes[row * pitch + column]! - 128),
    ),
  };
}

const compressed = (weights: object, format: string) => ({
  quantization_config: {
    quant_method: 'compressed-tensors',
    format,
    config_groups: { group_0: { targets: ['Linear'], weights } },
    ignore: ['lm_head'],
  },
});
const gptqConfig = (desc_act: boolean) => ({
  quantization_config: { quant_method: 'gptq', bits: 4, group_size: GROUP, desc_act, sym: false },
});

export const FOLDER_FORMATS = {
  GPTQ: { config: gptqConfig(false), pack: (asked) => gptq(asked, false) },
  'GPTQ act-order': { config: gptqConfig(true), pack: (asked) => gptq(asked, true) },
  AWQ: {
    config: { quantization_config: { quant_method: 'awq', bits: 4, group_size: GROUP, zero_point: true, version: 'gemm' } },
    pack: awq,
  },
  'pack-quantized': {
    config: compressed({ num_bits: 4, type: 'int', symmetric: true, strategy: 'group', group_size: GROUP }, 'pack-quantized'),
    pack: packQuantized,
  },
  'int-quantized': {
    config: compressed({ num_bits: 8, type: 'int', symmetric: true, strategy: 'channel' }, 'int-quantized'),
    pack: intQuantized,
  },
  NF4: {
    config: { quantization_config: { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_quant_type: 'nf4' } },
    pack: nf4,
  },
  'bitsandbytes int8': { config: { quantization_config: { quant_method: 'bitsandbytes', load_in_8bit: true } }, pack: bnbInt8 },
  HQQ: { config: { quantization_config: { quant_method: 'hqq' } }, pack: hqq },
  MLX: { config: { quantization: { group_size: GROUP, bits: 4 } }, pack: mlx, whole: true },
  'ModelOpt int4': { config: { quantization_config: { quant_method: 'modelopt', quant_algo: 'W4A16_AWQ' } }, pack: modelOpt },
  MXFP4: { config: compressed({ num_bits: 4, type: 'float', strategy: 'group', group_size: 32 }, 'mxfp4-pack-quantized'), pack: mxfp4 },
  'gpt-oss': {
    config: { quantization_config: { quant_method: 'mxfp4', modules_to_not_convert: ['model.layers.*.self_attn'] } },
    pack: mxfp4,
  },
  FP8: { config: compressed({ num_bits: 8, type: 'float', strategy: 'channel' }, 'float-quantized'), pack: fp8 },
  'MLC q4f16_1': { config: { quantization: 'q4f16_1' }, pack: (asked) => mlc(asked, false), whole: true },
  'MLC q4f16_0': { config: { quantization: 'q4f16_0' }, pack: (asked) => mlc(asked, true) },
  floats: { config: { torch_dtype: 'float16' }, pack: (asked) => float(asked), whole: true },
} as const satisfies Readonly<Record<string, FolderFormat>>;
export type FolderFormatName = keyof typeof FOLDER_FORMATS;
