// Other tensors beside a layer, and settings of the configuration: known ones are read, others refuse the layer by name. Quantized weights
// of layouts that are not read are listed by name and never taken for another format.
import { describe, expect, test } from 'vitest';
import type { RawTensor } from '../../../src/files/raw-tensor.js';
import { type FindLayersOptions, findLayers } from '../../../src/formats/find-layers.js';
import { importGptq } from '../../../src/formats/gptq.js';
import { readMatrix } from '../../../src/formats/read-layer.js';
import { dequantize } from '../../../src/problem/matrix.js';
import { bytes, fileOf, steps, TENSORS, words } from '../../support/every-format.js';
import { floats, raw, weightsOf } from '../../support/tensors.js';

const find = (tensors: readonly RawTensor[], options: FindLayersOptions = {}) => findLayers(fileOf(tensors), options);
const only = async (tensors: readonly RawTensor[], config: object) => {
  const { layers, refused } = await find(tensors, { config: { quantization_config: config } });
  expect(refused.map(({ error }) => error.message)).toEqual([]);
  return layers[0]!;
};

test('msModelSlim W8A16: (q + weight_offset) · weight_scale, for outputs and for groups', async () => {
  for (const groups of [1, 4]) {
    const q = bytes(8 * 32, 3).map((byte) => (byte << 24) >> 24);
    const [scale, offset] = [floats(1, 8 * groups), floats(2, 8 * groups).map(Math.round)];
    const { layers } = await find([
      raw('x.weight', 'I8', [8, 32], q),
      raw('x.weight_scale', 'F32', [8, groups], scale),
      raw('x.weight_offset', 'F32', [8, groups], offset),
    ]);
    const at = (i: number): number => Math.floor(i / 32) * groups + Math.floor((i % 32) / (32 / groups));
    expect([...(await weightsOf(layers[0]!))]).toEqual(q.map((value, i) => Math.fround((value + offset[at(i)]!) * scale[at(i)]!)));
  }
});

describe('tensors that no importer of the layer knows', () => {
  test.each([
    ['int8', 'deq_scale'],
    ['int8', 'weight_scale_second'],
    ['awq', 'theta'],
    ['awq', 'channel_scales'],
    ['awq', 'input_quantizer._pre_quant_scale'],
    ['gptq', 'pre_quant_scale'],
    ['gptq', 'lora_A.weight'],
    ['packed', 'weight_global_scale'],
    ['packed', 'R1_weight_input.weight'],
    ['nf4', 'weight.other'],
    ['bnb8', 'weight_offset'],
    ['hqq', 'meta'],
    ['ao8', '_weight_pre_scale'],
    ['npu', 'smooth'],
    ['fp4', 'bias.extra'],
  ])('%s with %s', async (name, part) => {
    const more = raw(`${name}.${part}`, 'F32', [2, 3], floats(1, 6));
    const { layers, refused } = await find([...TENSORS[name]!, more, ...TENSORS.gptq8!]);
    expect(layers.map((layer) => layer.name)).toEqual(['gptq8']);
    expect(refused).toHaveLength(1);
    expect(refused[0]!.error).toMatchObject({ tensor: more.name, field: `beside ${name}` });
  });
  test('a bias that is no list of floats is one of them', async () => {
    const { refused } = await find([...TENSORS.awq!, raw('awq.bias', 'I8', [16], bytes(16, 1))]);
    expect(refused[0]!.error.tensor).toBe('awq.bias');
  });
  test('of activations, they change no weight', async () => {
    const { layers } = await find([...TENSORS.int8!, raw('int8.input_scale', 'F32', [1], [1])]);
    expect(layers).toHaveLength(1);
  });
});

test.each([
  ['awq', { quant_method: 'paroquant' }, 'quant_method'],
  ['gptq', { quant_method: 'quark' }, 'quant_method'],
  ['int8', { quant_method: 'fp8' }, 'quant_method'],
  ['packed', { quant_method: 'compressed-tensors', transform_config: { config_groups: { R1: {} } } }, 'transform_config'],
  ['gptq', { quant_method: 'gptq', checkpoint_format: 'marlin' }, 'checkpoint_format'],
  ['gptq', { quant_method: 'auto-round', packing_format: 'auto_round:exllamav3', sym: true }, 'packing_format'],
])('%s of a configuration %j is refused', async (name, config, field) => {
  const { layers, refused } = await find(TENSORS[name]!, { config: { quantization_config: config } });
  expect(layers).toEqual([]);
  expect(refused[0]!.error.field).toBe(field);
});

describe('AutoRound', () => {
  const gptq = Object.fromEntries(TENSORS.gptq!.map((tensor) => [tensor.name.slice(5), tensor])) as never;
  const weights = (checkpointFormat: 'gptq' | 'gptq_v2') => dequantize(importGptq(gptq, { bits: 4, groupSize: 32, checkpointFormat }));
  const base = { quant_method: 'auto-round', bits: 4, group_size: 32, sym: false };
  test.each([
    ['auto_round', 'gptq_v2'],
    ['auto_round:gptqmodel', 'gptq_v2'],
    ['auto_round:auto_gptq', 'gptq'],
    ['auto_round:gptq', 'gptq'],
    [undefined, 'gptq'],
  ] as const)('%s: zero points of %s', async (packing_format, format) => {
    const config = { ...base, ...(packing_format && { packing_format }) };
    for (const quant_method of ['auto-round', 'intel/auto-round'])
      expect(dequantize(await readMatrix(await only(TENSORS.gptq!, { ...config, quant_method })))).toEqual(weights(format));
    expect(weights('gptq')).not.toEqual(weights('gptq_v2'));
  });
  test('in pieces, too', async () => {
    const layer = await only(TENSORS.gptq!, { ...base, packing_format: 'auto_round', desc_act: false });
    expect(layer.cut?.axis).toBe('k');
    expect(await weightsOf(layer)).toEqual(weights('gptq_v2'));
  });
  test('packed as AWQ', async () => {
    expect((await only(TENSORS.awq!, { ...base, packing_format: 'auto_round:auto_awq' })).format).toBe('AWQ');
  });
});

describe('configurations', () => {
  test("GPTQModel's dynamic with another desc_act or sym: what they disagree about is not said", async () => {
    const config = { quant_method: 'gptq', bits: 4, group_size: 32, desc_act: false, sym: true, checkpoint_format: 'gptq' };
    const order = Array.from({ length: 64 }, (_, i) => (i * 7) % 2);
    const tensors = TENSORS.gptq!.map((tensor) => (tensor.name.endsWith('g_idx') ? raw(tensor.name, 'I32', [64], order) : tensor));
    const plain = await only(tensors, config);
    await expect(weightsOf(plain)).rejects.toThrow(/without desc_act/);
    const layer = await only(tensors, { ...config, dynamic: { '+:.*gptq.*': { desc_act: true }, '-:.*other.*': {} } });
    expect((await readMatrix(layer)).permutation).toBeDefined();
    expect(await weightsOf(layer)).toHaveLength(1024);
  });
  test('an empty g_idx is none', async () => {
    const tensors = TENSORS.gptq!.map((tensor) => (tensor.name.endsWith('g_idx') ? raw(tensor.name, 'I32', [0], []) : tensor));
    expect(await weightsOf(await only(tensors, { quant_method: 'gptq', bits: 4 }))).toHaveLength(1024);
  });
  test('MLC: embeddings of q4f16_0 lie as those of q4f16_1', async () => {
    const tensors = [
      { ...raw('embed.q_weight', 'I32', [16, 8], words(128, 1)), dtype: 'U32' },
      raw('embed.q_scale', 'F16', [16, 2], steps(32)),
    ];
    const of = async (quantization: string) => (await find(tensors, { config: { quantization, version: '0.1.0' } })).layers[0]!;
    expect(await weightsOf(await of('q4f16_0'))).toEqual(await weightsOf(await of('q4f16_1')));
    const awq = await find(TENSORS.awq!, { config: { quantization: 'q4f16_autoawq', version: '0.1.0' } });
    expect(awq.layers.map(({ format }) => format)).toEqual(['AWQ']);
  });
  test('scales (1, N) of torch_npu and bitsandbytes are scales of outputs; offsets of another shape are refused', async () => {
    const weight = raw('x.weight', 'I8', [16, 4], bytes(64, 1));
    const list = await weightsOf((await find([weight, raw('x.antiquant_scale', 'F16', [16], steps(16))])).layers[0]!);
    const row = await find([weight, raw('x.antiquant_scale', 'F16', [1, 16], steps(16))]);
    expect(await weightsOf(row.layers[0]!)).toEqual(list);
    const [scale, offset] = [raw('y.antiquant_scale', 'F16', [4, 2], steps(8)), raw('y.antiquant_offset', 'F16', [2, 4], steps(8))];
    const { refused } = await find([raw('y.weight', 'I8', [4, 16], bytes(64, 1)), scale, offset]);
    expect(refused[0]!.error).toMatchObject({ tensor: 'y.antiquant_offset', field: 'shape' });
    const scb = TENSORS.bnb8!.map((tensor) => (tensor.name.endsWith('SCB') ? { ...tensor, shape: [1, 16] } : tensor));
    expect(await weightsOf((await find(scb)).layers[0]!)).toEqual(await weightsOf((await find(TENSORS.bnb8!)).layers[0]!));
  });
});

const made = (name: string, dtype: string, shape: readonly number[]): RawTensor => ({
  name,
  dtype,
  shape,
  bytes: new Uint8Array(shape.reduce((a, b) => a * b, 1)),
});
type Part = readonly [name: string, dtype: string, shape: readonly number[]];
const fp8 = (dtype: string, ...scales: Part[]): [string, Part[]] => ['FP8', [['weight', dtype, [4, 8]], ...scales]];
describe('layouts that are not read', () => {
  test.each<[string, readonly Part[]]>([
    [
      'EXL2',
      [
        ['q_weight', 'I32', [8, 8]],
        ['q_scale', 'I32', [4, 1]],
        ['q_groups', 'I16', [8]],
        ['q_scale_max', 'F16', [4]],
        ['q_invperm', 'I16', [64]],
      ],
    ],
    [
      'EXL3',
      [
        ['trellis', 'I16', [4, 4, 64]],
        ['suh', 'F16', [64]],
        ['svh', 'F16', [64]],
      ],
    ],
    fp8('F8_E5M2', ['weight_scale_inv', 'F32', [1, 1]]),
    fp8('F8_E4M3FNUZ', ['weight_scale', 'F32', []], ['input_scale', 'F32', []]),
    fp8('F8_E4M3', ['scale', 'F32', []]),
    fp8('F8_E4M3'),
    [
      'NVFP4',
      [
        ['weight', 'U8', [2, 4, 8]],
        ['weight_scale', 'F8_E4M3', [2, 4, 1]],
        ['weight_scale_2', 'F32', [2]],
      ],
    ],
    [
      'FP4 of compressed-tensors',
      [
        ['weight_packed', 'U8', [4, 8]],
        ['weight_scale', 'F8_E4M3', [4, 1]],
      ],
    ],
    [
      'EETQ',
      [
        ['weight', 'I8', [4, 8]],
        ['weight_scales', 'F16', [8]],
      ],
    ],
    [
      'Quanto',
      [
        ['weight._data', 'U8', [4, 8]],
        ['weight._scale', 'F16', [4, 1]],
        ['weight._shift', 'F16', [4, 1]],
        ['input_scale', 'F16', []],
      ],
    ],
    [
      'AQLM',
      [
        ['codes', 'I8', [4, 8, 1]],
        ['codebooks', 'F16', [1, 256, 1, 8]],
        ['scales', 'F16', [4, 1, 1, 1]],
      ],
    ],
    [
      'VPTQ',
      [
        ['indices', 'I16', [1, 2, 8]],
        ['centroids.weight', 'F16', [1, 2048]],
        ['res_centroids.weight', 'F16', [1, 2048]],
        ['perm', 'I16', [8]],
        ['weight_scale', 'F16', [8]],
        ['weight_bias', 'F16', [8]],
      ],
    ],
    [
      'QuIP#',
      [
        ['Qidxs', 'I64', [4, 1]],
        ['SU', 'F16', [64]],
        ['SV', 'F16', [4]],
        ['Wscale', 'F32', []],
        ['codebook_id', 'I64', []],
      ],
    ],
    [
      'HIGGS',
      [
        ['weight', 'I16', [4, 8]],
        ['scales', 'F16', [4, 1]],
        ['tables', 'F16', [16]],
        ['tables2', 'F32', [16, 16, 1]],
      ],
    ],
    [
      'Marlin',
      [
        ['B', 'I32', [4, 8]],
        ['s', 'F16', [4, 8]],
      ],
    ],
    [
      'Nunchaku',
      [
        ['qweight', 'I8', [4, 8]],
        ['wscales', 'BF16', [1, 4]],
        ['smooth_factor', 'BF16', [8]],
        ['lora_down', 'BF16', [8, 2]],
      ],
    ],
    [
      'torchao Intx',
      [
        ['_weight_qdata', 'U8', [4, 8]],
        ['_weight_scale', 'F32', [4, 1]],
      ],
    ],
    ['I32 of an unknown layout', [['something', 'I32', [4, 8]]]],
    ['Q8_K', [['weight', 'Q8_K', [4, 256]]]],
    ['Q4_0 of 4 dimensions', [['weight', 'Q4_0', [2, 2, 2, 32]]]],
  ])('%s', async (format, parts) => {
    const tensors = parts.map(([part, dtype, shape]) => made(`a.b.${part}`, dtype, shape));
    const { layers, refused, notYet, floats: plain, rest } = await find([...tensors, made('norm.weight', 'F16', [8])]);
    expect([layers, refused, plain]).toEqual([[], [], []]);
    expect(notYet.map((one) => one.format)).toEqual([format]);
    expect(notYet[0]!.tensors.map(({ name }) => name).sort()).toEqual(tensors.map(({ name }) => name).sort());
    expect(notYet[0]!.why).toContain('is not read yet');
    expect(rest).toHaveLength(tensors.length + 1);
  });
  test('masks, counters, tables of floats and empty tensors are none', async () => {
    const none = [
      made('h.0.attn.bias', 'U8', [1, 1, 8, 8]),
      made('position_ids', 'I64', [1, 8]),
      made('pos', 'F32', [4, 4, 4]),
      made('e', 'U8', [0, 32]),
    ];
    expect((await find(none)).notYet).toEqual([]);
  });
  test('Intx of torchao is not taken for int4', async () => {
    const file = fileOf(TENSORS.ao4!, { metadata: { 'ao4.weight': '{"_type":"IntxUnpackedToInt8Tensor","_data":{}}' } });
    const { layers, refused } = await findLayers(file, { torchao: { nibbleOrder: 'even-low' } });
    expect(layers).toEqual([]);
    expect(refused.map(({ format, error }) => [format, error.field])).toEqual([['torchao Intx', 'target_dtype']]);
  });
});

test('GGUF: blocks are layers whatever their names, unless they are none', async () => {
  const block = (name: string, shape: readonly number[]) => ({
    name,
    dtype: 'Q8_0',
    shape,
    bytes: new Uint8Array((shape[0]! * shape[1]! * 34) / 32),
  });
  const { layers, notYet } = await findLayers(
    fileOf([block('dec.attn.q', [4, 32]), block('blk.0.q.weight', [4, 32]), block('empty.weight', [0, 32])], { kind: 'gguf' }),
  );
  expect(layers.map(({ name, n }) => [name, n])).toEqual([
    ['dec.attn.q', 4],
    ['blk.0.q', 4],
  ]);
  expect(notYet).toEqual([]);
});
