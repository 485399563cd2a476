// docs/format.md: its worked words, its tables of forms, and bits a weight of every format, computed from layers of it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RawTensor } from '../../src/files/raw-tensor.js';
import { importAwq } from '../../src/formats/awq.js';
import { importBitsAndBytes4 } from '../../src/formats/bitsandbytes4.js';
import { importFp4 } from '../../src/formats/fp4.js';
import { importFp8 } from '../../src/formats/fp8.js';
import { ggufTypes, importGguf } from '../../src/formats/gguf-blocks.js';
import type { GgufTypeName } from '../../src/formats/gguf-layer.js';
import { importGptq } from '../../src/formats/gptq.js';
import { importHqq } from '../../src/formats/hqq.js';
import { importMatMulNBits } from '../../src/formats/matmul-nbits.js';
import { importMlc } from '../../src/formats/mlc-weights.js';
import { importMlx } from '../../src/formats/mlx.js';
import { weightsOf } from '../../src/plan/piece-steps.js';
import { CODE_BITS, widthOf } from '../../src/problem/code-width.js';
import type { QuantizedMatrix } from '../../src/problem/matrix.js';
import { bitsPerWeight, type Codebook, heldBits, LEGAL_FORMATS, SCALE_FORMS, SHIFTS } from '../../src/problem/weight-format.js';
import { packColumn } from '../support/pack-by-format.js';
import { raw } from '../support/tensors.js';

const text = readFileSync(join(import.meta.dirname, '../../docs/format.md'), 'utf8');

/** Rows of the table whose head begins so, each as its cells. */
function tableOf(head: string): string[][] {
  const at = text.indexOf(`\n| ${head}`);
  expect(at, head).toBeGreaterThan(0);
  const lines = text.slice(at + 1).split('\n');
  const end = lines.findIndex((line) => !line.startsWith('|'));
  return lines.slice(2, end).map((line) => line.slice(2, -2).split(' | '));
}

test('widths', () => {
  const rows = CODE_BITS.map((bits) => {
    const { low, high, inLow } = widthOf(bits);
    return [`${bits}`, `${low} + ${high}`, `${inLow}`, `${low} + ${high}`];
  });
  expect(tableOf('held | low + high bits')).toEqual(rows);
});

test('worked words, by the packer of this page', () => {
  const code: Readonly<Record<string, (k: number) => number>> = {
    'k mod 4': (k) => k % 4,
    'k mod 8': (k) => k % 8,
    'k mod 16': (k) => k % 16,
    k: (k) => k,
    '2k + 1': (k) => 2 * k + 1,
    '8k': (k) => 8 * k,
  };
  const rows = tableOf('held | code of k');
  expect(rows.map(([held]) => Number(held))).toEqual(CODE_BITS);
  for (const [held, rule, words] of rows) {
    const codes = Array.from({ length: 32 }, (_, k) => code[rule!]!(k));
    const hex = packColumn(codes, Number(held)).map((word) => word.toString(16).padStart(8, '0'));
    expect(words).toBe(hex.join(' '));
  }
  expect(text).toContain(`0x${packColumn([9, 10, 11, 12, 13, 14, 15, 0], 4)[0]!.toString(16).padStart(8, '0')}`);
});

test('held bits', () => {
  const held = (bits: (typeof CODE_BITS)[number], wide: boolean) => `${heldBits(bits, { groupSize: 32, whole: false, wide })}`;
  expect(tableOf('bits | held on a GPU')).toEqual(CODE_BITS.map((bits) => [`${bits}`, held(bits, false), held(bits, true)]));
});

test('what goes together', () => {
  const spread = (cell: string, all: readonly number[]): number[] => (cell === 'any' ? [...all] : cell.split(', ').map(Number));
  const said = new Set<string>();
  for (const [scales, widths, shifts] of tableOf('SCALE | held | OFFSET')) {
    const meanings: Readonly<Record<string, Codebook>> = { 'with a codebook': 'table', 'of E2M1': 'e2m1', 'of E4M3': 'e4m3' };
    const codebook = meanings[widths!.replace(/^.*?, (?=[a-z])/, '')] ?? 'none';
    for (const scale of scales!.split(', '))
      for (const held of spread(widths!.replace(/, .*[a-z].*/, ''), CODE_BITS))
        for (const shift of spread(shifts!, Object.values(SHIFTS))) said.add([scale, held, shift, codebook].join());
  }
  const legal = LEGAL_FORMATS.map(({ held, scaleDtype, shift, codebook }) =>
    [SCALE_FORMS[scaleDtype].param, held, SHIFTS[shift], codebook].join(),
  );
  expect([...said].sort()).toEqual([...new Set(legal)].sort());
});

describe('bits a weight', () => {
  interface Layer {
    readonly tensors: readonly RawTensor[];
    readonly matrix: QuantizedMatrix;
  }
  const bytes = (name: string, dtype: string, shape: readonly number[]) =>
    raw(name, dtype, shape, new Uint8Array(shape.reduce((a, b) => a * b, 1)));
  const ones = (name: string, dtype: string, shape: readonly number[]) => {
    const length = shape.reduce((a, b) => a * b, 1);
    return raw(name, dtype, shape, new Float32Array(length).fill(1));
  };

  const gguf = (dtype: GgufTypeName): Layer => {
    const { blockSize, bytes: size } = ggufTypes[dtype];
    const tensor = { name: 'w', dtype, shape: [4, 256], bytes: new Uint8Array((4 * 256 * size) / blockSize) };
    return { tensors: [tensor], matrix: importGguf(tensor) };
  };
  const gptq = (bits: 2 | 3 | 4 | 8): Layer => {
    const [n, k, groups] = [32, 1024, 8];
    const [qweight, qzeros] = [bytes('qweight', 'I32', [(k * bits) / 32, n]), bytes('qzeros', 'I32', [groups, (n * bits) / 32])];
    const scales = ones('scales', 'F16', [groups, n]);
    return { tensors: [qweight, qzeros, scales], matrix: importGptq({ qweight, qzeros, scales }, { bits }) };
  };
  const awq = (): Layer => {
    const [qweight, qzeros, scales] = [bytes('qweight', 'I32', [1024, 4]), bytes('qzeros', 'I32', [8, 4]), ones('scales', 'F16', [8, 32])];
    return { tensors: [qweight, qzeros, scales], matrix: importAwq({ qweight, qzeros, scales }) };
  };
  const onnx = (bits: 2 | 4 | 8, dtype: 'F16' | 'F32'): Layer => {
    const [N, K, blocks] = [4, 1024, 32];
    const B = bytes('B', 'U8', [N, blocks, (32 * bits) / 8]);
    const scales = ones('scales', dtype, [N, blocks]);
    const zero_points = bytes('zero_points', 'U8', [N, (blocks * bits) / 8]);
    const matrix = importMatMulNBits({ B, scales, zero_points }, { N, K, bits, block_size: 32 });
    return { tensors: [B, scales, zero_points], matrix };
  };
  const hqq = (packing: string, parts: number): Layer => {
    const [n, k] = [40, 1024]; // 640 groups of 64, in ten, eight, four or two parts
    const rows = 640 / parts;
    const W_q = bytes('W_q', parts === 10 ? 'I32' : 'U8', [rows, 64]);
    const [scale, zero] = [ones('scale', 'F16', [640, 1]), ones('zero', 'F16', [640, 1])];
    return {
      tensors: [W_q, scale, zero],
      matrix: importHqq({ W_q, scale, zero }, { shape: [n, k], packing, group_size: 64, axis: 1 }),
    };
  };
  const mlc = (format: 'q4f16_1' | 'q3f16_1', group: number): Layer => {
    const [q_weight, q_scale] = [raw('q_weight', 'U32', [4, 128], new Uint32Array(512)), ones('q_scale', 'F16', [4, 32])];
    expect(128 / 32).toBe(format === 'q4f16_1' ? group / 8 : group / 10); // words of a group
    return { tensors: [q_weight, q_scale], matrix: importMlc({ q_weight, q_scale }, { format }) };
  };
  const mlx = (bits: QuantizedMatrix['bits']): Layer => {
    const weight = raw('weight', 'U32', [4, 32 * bits], new Uint32Array(128 * bits));
    const [scales, biases] = [ones('scales', 'F16', [4, 16]), ones('biases', 'F16', [4, 16])];
    return { tensors: [weight, scales, biases], matrix: importMlx({ weight, scales, biases }, { bits }) };
  };
  const fp8 = (scale: RawTensor): Layer => {
    const weight = bytes('weight', 'F8_E4M3', [128, 1024]);
    return { tensors: [weight, scale], matrix: importFp8({ weight, [scale.name]: scale }) };
  };
  const nvfp4 = (): Layer => {
    const [weight, weight_scale] = [bytes('weight', 'U8', [4, 512]), bytes('weight_scale', 'F8_E4M3', [4, 64])];
    const matrix = importFp4({ weight, weight_scale, weight_scale_2: ones('weight_scale_2', 'F32', []) });
    return { tensors: [weight, weight_scale], matrix }; // a number belongs to the whole layer
  };
  const mxfp4 = (): Layer => {
    const [weight_packed, weight_scale] = [bytes('weight', 'U8', [4, 512]), bytes('weight_scale', 'U8', [4, 32])];
    return { tensors: [weight_packed, weight_scale], matrix: importFp4({ weight_packed, weight_scale }) };
  };
  const mlxFloats = (bits: number, group: number): Layer => {
    const [weight, scales] = [raw('weight', 'U32', [4, 32 * bits], new Uint32Array(128 * bits)), bytes('scales', 'U8', [4, 1024 / group])];
    return { tensors: [weight, scales], matrix: importMlx({ weight, scales }) };
  };
  const nf4 = (): Layer => {
    const [weight, absmax, quant_map] = [bytes('weight', 'U8', [2048, 1]), ones('absmax', 'F32', [64]), ones('quant_map', 'F32', [16])];
    const matrix = importBitsAndBytes4({ weight, absmax, quant_map }, { quant_type: 'nf4', blocksize: 64, shape: [4, 1024] });
    return { tensors: [weight, absmax], matrix }; // its 16 values belong to the whole layer
  };

  /** Formats that have the same bits share a row. */
  const ROWS: readonly (readonly [format: string, ...layers: readonly Layer[]])[] = [
    ['GGUF Q4_0, IQ4_NL; MLC q4f16_1', gguf('Q4_0'), gguf('IQ4_NL'), mlc('q4f16_1', 32)],
    ['GGUF Q4_1', gguf('Q4_1')],
    ['GGUF Q5_0', gguf('Q5_0')],
    ['GGUF Q5_1', gguf('Q5_1')],
    ['GGUF Q8_0', gguf('Q8_0')],
    ['GGUF Q2_K', gguf('Q2_K')],
    ['GGUF Q3_K', gguf('Q3_K')],
    ['GGUF Q4_K', gguf('Q4_K')],
    ['GGUF Q5_K', gguf('Q5_K')],
    ['GGUF Q6_K', gguf('Q6_K')],
    ['GGUF IQ4_XS', gguf('IQ4_XS')],
    ['GGUF MXFP4', gguf('MXFP4')],
    ['GGUF NVFP4', gguf('NVFP4')],
    ...(['IQ1_S', 'IQ1_M', 'IQ2_XXS', 'IQ2_XS', 'IQ2_S', 'IQ3_XXS', 'IQ3_S'] as const).map((type) => [`GGUF ${type}`, gguf(type)] as const),
    ['GGUF Q1_0', gguf('Q1_0')],
    ['GGUF Q2_0', gguf('Q2_0')],
    ['GPTQ 2, groups of 128', gptq(2)],
    ['GPTQ 3, groups of 128', gptq(3)],
    ['GPTQ 4, AWQ, groups of 128', gptq(4), awq()],
    ['GPTQ 8, groups of 128', gptq(8)],
    ['ONNX MatMulNBits 2, blocks of 32, f16 scales, zero points', onnx(2, 'F16')],
    ['ONNX MatMulNBits 4, the same', onnx(4, 'F16')],
    ['ONNX MatMulNBits 8, the same', onnx(8, 'F16')],
    ['ONNX MatMulNBits 2, f32 scales', onnx(2, 'F32')],
    ['ONNX MatMulNBits 4, f32 scales', onnx(4, 'F32')],
    ['ONNX MatMulNBits 8, f32 scales', onnx(8, 'F32')],
    ['HQQ 4, groups of 64, f16', hqq('4bit_u8', 2)],
    ['HQQ 3, the same', hqq('3bit_32', 10)],
    ['HQQ 2, the same', hqq('2bit_u8', 4)],
    ['HQQ 1, the same', hqq('1bit_u8', 8)],
    ['bitsandbytes NF4, blocks of 64, f32 absmax', nf4()],
    ['MLC q3f16_1', mlc('q3f16_1', 40)],
    ['MLX 2, groups of 64, f16', mlx(2)],
    ['MLX 3, the same', mlx(3)],
    ['MLX 4, the same', mlx(4)],
    ['MLX 5, the same', mlx(5)],
    ['MLX 6, the same', mlx(6)],
    ['MLX 8, the same', mlx(8)],
    ['FP8, blocks of 128 × 128, F32', fp8(ones('weight_scale_inv', 'F32', [1, 8]))],
    ['FP8, the same, BF16', fp8(ones('weight_scale_inv', 'BF16', [1, 8]))],
    ['MXFP8, groups of 32', fp8(bytes('weight_scale', 'U8', [128, 32]))],
    ['NVFP4, groups of 16; MLX nvfp4', nvfp4(), mlxFloats(4, 16)],
    ['MXFP4, MLX mxfp4, groups of 32', mxfp4(), mlxFloats(4, 32)],
  ];
  const show = (bits: number): string => `${Number(bits.toFixed(4))}`;

  test('the table is that of layers of each format', () => {
    const rows = ROWS.flatMap(([format, ...layers]) =>
      layers.map(({ tensors, matrix }) => {
        const { n, k, groupSize } = matrix;
        const inFile = tensors.reduce((sum, one) => sum + 8 * one.bytes.length, 0) / (n * k);
        return [format, show(inFile), show(bitsPerWeight(weightsOf(matrix, matrix, { wideCodes: false, scaleUnits: true }), groupSize))];
      }),
    );
    const distinct = [...new Map(rows.map((row) => [row.join(' | '), row])).values()];
    expect(tableOf('format | file | GPU memory')).toEqual(distinct);
  });
});
