// Experts in files: tensors with an axis in front, numbered layers, and MXFP4 of gpt-oss, worked by hand from the rule of transformers'
// convert_moe_packed_tensors: the low four bits of a byte are the even k, values are E2M1, scales 2^(byte - 127).
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/errors.js';
import { partsOf } from '../../../src/formats/experts.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { ggufTypes, importGguf } from '../../../src/formats/gguf-blocks.js';
import { importMxfp4 } from '../../../src/formats/mxfp4.js';
import { readBias, readMatrix } from '../../../src/formats/read-layer.js';
import { checkMatrix, dequantize } from '../../../src/problem/matrix.js';
import { bytes, fileOf, steps, words } from '../../support/every-format.js';
import { infoOf, raw } from '../../support/tensors.js';

describe('MXFP4 of gpt-oss', () => {
  test('words by hand', () => {
    // Bytes 0x10, 0x32, … 0xfe: codes 0, 1, 2, … 15, twice.
    const row = Array.from({ length: 16 }, (_, i) => ((2 * i + 1) % 16) * 16 + ((2 * i) % 16));
    const values = [0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6];
    const matrix = importMxfp4({ blocks: raw('b', 'U8', [2, 1, 16], [...row, ...row]), scales: raw('s', 'U8', [2, 1], [127, 130]) });
    checkMatrix(matrix);
    expect(matrix).toMatchObject({ n: 2, k: 32, bits: 4, groupSize: 32, scaleForm: { kind: 'e8m0' } });
    expect([...dequantize(matrix)]).toEqual([...values, ...values, ...[...values, ...values].map((value) => 8 * value)]);
  });
  test('the least and the greatest scale; 255 stands for NaN', () => {
    const of = (scale: number) => () =>
      importMxfp4({ blocks: raw('b', 'U8', [1, 1, 16], new Array(16).fill(0x11)), scales: raw('s', 'U8', [1, 1], [scale]) });
    expect(dequantize(of(0)())[0]).toBe(2 ** -128);
    expect(dequantize(of(254)())[0]).toBe(2 ** 126);
    expect(of(255)).toThrow(
      new FormatError({ file: undefined, tensor: 's', field: 'element 0' }, 'a power of two: 0 … 254', '255').message,
    );
  });
  test.each([
    ['blocks of another length', [1, 1, 8], [1, 1]],
    ['blocks of too few axes', [1, 16], [1, 1]],
    ['scales of other rows', [2, 1, 16], [1, 1]],
  ])('%s are refused', (_, blocks, scales) => {
    const tensor = (name: string, shape: readonly number[]) => raw(name, 'U8', shape, new Array(shape.reduce((a, b) => a * b, 1)).fill(0));
    expect(() => importMxfp4({ blocks: tensor('b', blocks), scales: tensor('s', scales) })).toThrow(FormatError);
  });
});

describe('findLayers', () => {
  const find = (tensors: Parameters<typeof fileOf>[0], options = {}) => findLayers(fileOf(tensors), options);
  const gpt = (name: string, experts = 3) => [
    raw(`${name}_blocks`, 'U8', [experts, 4, 1, 16], bytes(experts * 64, 1)),
    raw(`${name}_scales`, 'U8', [experts, 4, 1], new Array(experts * 4).fill(127)),
    raw(`${name}_bias`, 'BF16', [experts, 4], steps(experts * 4)),
  ];

  test('finds both tensors of gpt-oss, each with its biases', async () => {
    const base = 'model.layers.0.mlp.experts';
    const { layers, experts, refused, rest, roles } = await find([...gpt(`${base}.gate_up_proj`), ...gpt(`${base}.down_proj`)], {
      config: { quantization_config: { quant_method: 'mxfp4' } },
    });
    expect([layers, refused, rest]).toEqual([[], [], []]);
    expect(experts.map(({ name, format, n, k, bits }) => ({ name, format, n, k, bits }))).toEqual(
      ['gate_up_proj', 'down_proj'].map((part) => ({ name: `${base}.${part}`, format: 'MXFP4', n: 4, k: 32, bits: 4 })),
    );
    const { experts: own } = experts[1]!;
    expect(own.map(({ name }) => name)).toEqual([0, 1, 2].map((e) => `${base}.down_proj.${e}`));
    expect([...(await readBias(own[2]!))!]).toEqual(steps(12).slice(8));
    expect(roles.get(`${base}.down_proj_bias`)).toBe(`MXFP4: bias of ${base}.down_proj`);
  });

  test.each(Object.entries(ggufTypes))('an expert of GGUF %s is its part of the file', async (dtype, { blockSize, bytes: inBlock }) => {
    const [count, n, k] = [3, 8, 256];
    const size = (n * k * inBlock) / blockSize;
    const data = Uint8Array.from(bytes(count * size, 3), (byte) => byte & 0x3b); // every number of a block is finite
    const tensor = { name: 'blk.3.ffn_up_exps.weight', dtype, shape: [count, n, k], bytes: data };
    const { experts, layers } = await findLayers(fileOf([tensor], { kind: 'gguf' }));
    expect(layers).toEqual([]);
    expect(experts.map(({ name, format }) => [name, format])).toEqual([['blk.3.ffn_up_exps', `GGUF ${dtype}`]]);
    for (const [e, source] of experts[0]!.experts.entries())
      expect(await readMatrix(source)).toEqual(importGguf({ ...tensor, shape: [n, k], bytes: data.slice(e * size, (e + 1) * size) }));
  });

  test('settings of MLX name the tensor, not one expert', async () => {
    const tensors = [
      raw('mlp.switch_mlp.up_proj.weight', 'U32', [2, 4, 12], words(96, 5)),
      raw('mlp.switch_mlp.up_proj.scales', 'F16', [2, 4, 2], steps(16)),
      raw('mlp.switch_mlp.up_proj.biases', 'F16', [2, 4, 2], steps(16)),
    ];
    const quantization = { bits: 4, group_size: 32, 'mlp.switch_mlp.up_proj': { bits: 6, group_size: 32 } };
    const { experts, refused } = await find(tensors, { config: { quantization } });
    expect(refused).toEqual([]);
    expect(experts[0]).toMatchObject({ format: 'MLX', n: 4, k: 64, bits: 6 });
  });

  test('groups numbered layers, which stay layers', async () => {
    const one = (e: number, n = 4) => [
      raw(`mlp.experts.${e}.up_proj.weight`, 'I8', [n, 64], bytes(n * 64, e + 1)),
      raw(`mlp.experts.${e}.up_proj.weight_scale`, 'BF16', [n, 1], steps(n)),
    ];
    const names = async (...numbers: readonly (readonly [number, number?])[]) => {
      const { experts, layers } = await find(numbers.flatMap((of) => one(...of)));
      expect(layers).toHaveLength(numbers.length);
      return experts.map(({ name, experts: own }) => [name, ...own.map((layer) => layer.name)]);
    };
    // Any order of the file; ten comes after nine.
    const eleven = Array.from({ length: 11 }, (_, e) => [10 - e] as const);
    const wanted = Array.from({ length: 11 }, (_, e) => `mlp.experts.${e}.up_proj`);
    expect(await names(...eleven)).toEqual([['mlp.experts.up_proj', ...wanted]]);
    expect(await names([0], [2])).toEqual([]); // one is missing
    expect(await names([0], [1, 8])).toEqual([]); // another shape
    expect(await names([0])).toEqual([]);
  });

  test.each([
    ['scales of fewer experts', 1, [2, 4, 1]],
    ['biases of fewer experts', 2, [2, 4]],
  ])('%s are refused', async (_, part, shape) => {
    const tensors = gpt('down_proj').map((tensor, i) =>
      i === part ? raw(tensor.name, tensor.dtype, shape, new Array(shape.reduce((a, b) => a * b, 1)).fill(1)) : tensor,
    );
    const { experts, refused } = await find(tensors);
    expect(experts).toEqual([]);
    expect(refused.map(({ error }) => error.message)).toEqual([
      `test: ${tensors[part]!.name}: shape: expected 3 experts, as down_proj_blocks, got (${shape.join(', ')})`,
    ]);
  });
});

test('the parts of a tensor lie one behind another', () => {
  const info = infoOf(raw('a', 'F32', [3, 2, 4], steps(24)));
  expect(partsOf(info).map(({ name, shape, begin, end }) => ({ name, shape, begin, end }))).toEqual(
    [0, 1, 2].map((i) => ({ name: `a[${i}]`, shape: [2, 4], begin: 32 * i, end: 32 * i + 32 })),
  );
});
