// findLayers on a small file of every format, with and without a configuration, and on hostile variations, which end in a typed refusal.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/errors.js';
import { openModel } from '../../../src/files/open-file.js';
import type { RawTensor } from '../../../src/files/raw-tensor.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { quantizationOf } from '../../../src/formats/quantization-config.js';
import { checkMatrix } from '../../../src/problem/matrix.js';
import { all, bytes, FORMATS, fileOf, METADATA, OTHERS, steps, TENSORS, words } from '../../support/every-format.js';
import { raw, seeds, weightsOf } from '../../support/tensors.js';

describe('a file of every format', () => {
  test('each layer is found, and makes its 16 × 64 weights', async () => {
    const { layers, refused } = await findLayers(fileOf(all));
    expect(refused).toEqual([]);
    expect(Object.fromEntries(layers.map(({ name, format }) => [name, format]))).toEqual(FORMATS);
    for (const layer of layers) {
      expect([layer.n, layer.k]).toEqual([16, 64]);
      expect(await weightsOf(layer)).toHaveLength(1024);
    }
    expect(layers.find(({ name }) => name === 'gptq')!.bias?.name).toBe('gptq.bias');
    expect(layers.find(({ name }) => name === 'gptq8')!.bits).toBe(8);
  });

  test('what else there is, and what each tensor is', async () => {
    const { rest, floats, roles } = await findLayers(fileOf(all));
    expect(rest.map(({ name }) => name)).toEqual(OTHERS.map(({ name }) => name));
    expect(floats.map(({ name }) => name)).toEqual(['model.embed_tokens.weight', 'model.lm_head.weight']);
    expect([...roles.keys()].sort()).toEqual(all.map(({ name }) => name).sort());
    expect(roles.get('gptq.qzeros')).toBe('GPTQ: qzeros of gptq');
    expect(roles.get('gptq.bias')).toBe('GPTQ: bias of gptq');
    expect(roles.get('hqq.nbits')).toBe('HQQ 4bit_u8: nbits of hqq');
    expect(roles.get('model.norm.weight')).toBe('BF16 (8,): no layer');
    expect(roles.get('model.lm_head.weight')).toBe('F32 (4, 8): not quantized');
  });

  test('the same through a real safetensors file', async () => {
    const header: Record<string, unknown> = { __metadata__: METADATA };
    let end = 0;
    for (const { name, dtype, shape, bytes: own } of all) {
      header[name] = { dtype, shape, data_offsets: [end, end + own.length] };
      end += own.length;
    }
    const json = new TextEncoder().encode(JSON.stringify(header));
    const file = new Uint8Array(8 + json.length + end);
    new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
    file.set(json, 8);
    let at = 8 + json.length;
    for (const { bytes: own } of all) {
      file.set(own, at);
      at += own.length;
    }
    const { layers } = await findLayers(await openModel(file));
    expect(Object.fromEntries(layers.map(({ name, format }) => [name, format]))).toEqual(FORMATS);
  });

  test('MLC and GGUF', async () => {
    const mlc = [raw('x.q_weight', 'I32', [16, 8], words(128, 1)), raw('x.q_scale', 'F16', [16, 2], steps(32))];
    const kinds = async (tensors: RawTensor[], metadata: Record<string, unknown>, config?: unknown) => {
      const { layers, refused } = await findLayers(fileOf(tensors, { kind: 'mlc', metadata }), { config });
      return [...layers.map(({ format }) => format), ...refused.map(({ error }) => error.field)];
    };
    const asMlc = mlc.map((tensor) => (tensor.dtype === 'I32' ? { ...tensor, dtype: 'U32' } : tensor));
    expect(await kinds(asMlc, {}, { quantization: 'q4f16_1' })).toEqual(['MLC q4f16_1']);
    expect(await kinds(asMlc, { BitsPerParam: 4.5 })).toEqual(['MLC q4f16_1']);
    expect(await kinds(asMlc, {})).toEqual(['quantization']);
    const gguf = [
      { ...raw('blk.0.attn_q.weight', 'U8', [4, 36], bytes(144, 1)), dtype: 'Q4_0', shape: [4, 64] },
      { ...raw('blk.0.ffn_gate_exps.weight', 'U8', [2, 2, 18], bytes(72, 1)), dtype: 'Q4_0', shape: [2, 2, 32] },
    ];
    expect(await kinds(gguf, {})).toEqual(['GGUF Q4_0']);
  });
});

describe('configurations', () => {
  test('all the files that say it', () => {
    const gptq = { quant_method: 'gptq', bits: 4, group_size: 128, desc_act: true, sym: false, checkpoint_format: 'gptq_v2' };
    const expected = { method: 'gptq', bits: 4, groupSizes: [128], descAct: true, symmetric: false, checkpointFormat: 'gptq_v2' };
    expect(quantizationOf({ quantization_config: gptq })).toMatchObject(expected);
    expect(quantizationOf(gptq)).toMatchObject(expected);
    expect(quantizationOf({ w_bit: 4, q_group_size: 64, version: 'GEMM' })).toMatchObject({ bits: 4, groupSizes: [64], version: 'gemm' });
    const weights = (num_bits: number, group_size: number) => ({ targets: ['Linear'], weights: { num_bits, group_size } });
    const groups = { quant_method: 'compressed-tensors', config_groups: { group_0: weights(4, 128), group_1: weights(8, 64) } };
    expect(quantizationOf(groups)).toMatchObject({ bits: undefined, groupSizes: [128, 64] });
    expect(quantizationOf({ quantization: 'q4f16_1' }).mlc).toBe('q4f16_1');
    for (const nothing of [undefined, null, 3, 'x', [], { bits: 'four', group_size: {}, config_groups: 3 }])
      expect(quantizationOf(nothing)).toMatchObject({ groupSizes: [] });
  });

  test('a group size that does not divide K is said nowhere else', async () => {
    const tensors = [
      raw('x.weight_packed', 'I32', [16, 10], words(160, 5)),
      raw('x.weight_scale', 'BF16', [16, 3], steps(48)),
      raw('x.weight_shape', 'I64', [2], [16, 80]),
    ];
    expect((await findLayers(fileOf(tensors))).refused[0]!.error.field).toBe('groupSize');
    const config = { config_groups: { a: { weights: { num_bits: 4, group_size: 128 } }, b: { weights: { num_bits: 4, group_size: 32 } } } };
    expect((await findLayers(fileOf(tensors), { config })).layers[0]!.groupSize).toBe(32);
  });

  test('GPTQ and AWQ: what is said goes before shapes', async () => {
    const { layers, refused } = await findLayers(fileOf(TENSORS.gptq!), { config: { quant_method: 'awq' } });
    expect([layers.length, refused[0]!.format]).toEqual([0, 'AWQ']);
    const gemv = await findLayers(fileOf(TENSORS.awq!), { config: { quant_method: 'awq', version: 'gemv' } });
    expect(gemv.refused[0]!.error.field).toBe('version');
  });

  test('GPTQ without act-order can be read in pieces', async () => {
    const one = async (config: object) => (await findLayers(fileOf(TENSORS.gptq!), { config })).layers[0]!;
    const config = { quant_method: 'gptq', bits: 4, group_size: 32, desc_act: false, sym: true, checkpoint_format: 'gptq' };
    expect((await one(config)).cut?.axis).toBe('k');
    expect((await one({ ...config, desc_act: true })).cut).toBeUndefined();
  });

  test('torchao without metadata needs the nibble order said', async () => {
    const file = fileOf(TENSORS.ao4!, { metadata: {} });
    expect((await findLayers(file)).refused[0]!.error.field).toBe('nibbleOrder');
    expect((await findLayers(file, { torchao: { nibbleOrder: 'even-low' } })).layers).toHaveLength(1);
  });

  test('torch_npu: groups that do not divide K, and int8 outputs', async () => {
    const tensors = [raw('x.weight', 'I32', [2, 10], words(20, 1)), raw('x.antiquant_scale', 'F16', [2, 3], steps(6))];
    expect((await findLayers(fileOf(tensors))).refused[0]!.error.field).toBe('groupSize');
    expect((await findLayers(fileOf(tensors), { torchNpu: { groupSize: 32 } })).layers[0]!.k).toBe(80);
    const output = await findLayers(fileOf([...TENSORS.npu!, raw('npu.quant_scale', 'F32', [16], steps(16))]));
    expect(output.refused[0]!.error.message).toMatch(/int8 output/);
  });
});

describe('hostile files', () => {
  test('a refused layer leaves its tensors to the rest, and the others are found', async () => {
    const bias = all.map((tensor) => (tensor.name === 'gptq.bias' ? raw('gptq.bias', 'F16', [15], steps(15)) : tensor));
    const short = await findLayers(fileOf(bias));
    expect(short.refused.map(({ name, error }) => [name, error.field])).toEqual([['gptq', 'shape']]);
    expect(short.rest.map(({ name }) => name)).toEqual(expect.arrayContaining(TENSORS.gptq!.map(({ name }) => name)));
    expect(short.roles.get('gptq.scales')).toBe('GPTQ, refused: scales of gptq');
    expect(short.layers).toHaveLength(Object.keys(FORMATS).length - 1);
  });

  test('two layers of one name: the first has the tensors that both would have', async () => {
    const both = [...TENSORS.gptq!, ...TENSORS.hqq!.map((tensor) => ({ ...tensor, name: tensor.name.replace('hqq', 'gptq') }))];
    const { layers } = await findLayers(fileOf(both));
    expect(layers.map(({ format, bias }) => [format, bias?.name])).toEqual([
      ['GPTQ', 'gptq.bias'],
      ['HQQ 4bit_u8', undefined],
    ]);
  });

  test('settings of megabytes are not read', async () => {
    const file = fileOf(TENSORS.nf4!);
    const name = 'nf4.weight.quant_state.bitsandbytes__nf4';
    const info = file.tensors.get(name)!;
    const read = () => Promise.reject(new Error('was read'));
    const tensors = new Map(file.tensors).set(name, { ...info, end: 2 ** 40, source: { ...info.source, read } });
    expect((await findLayers({ ...file, tensors })).refused[0]!.error.field).toBe('size');
  });

  test('an aborted signal is thrown', async () => {
    const file = fileOf(TENSORS.nf4!);
    const reason = new Error('stop');
    const tensors = new Map(
      [...file.tensors].map(([name, info]) => [name, { ...info, source: { ...info.source, read: () => Promise.reject(reason) } }]),
    );
    await expect(findLayers({ ...file, tensors })).rejects.toBe(reason);
  });

  const change = fc.record({
    tensor: fc.nat(all.length - 1),
    kind: fc.constantFrom('dtype', 'shape', 'rank', 'bytes', 'noise', 'missing'),
    seed: seeds,
  });
  const dtypes = ['U8', 'I8', 'I32', 'U32', 'I64', 'F16', 'BF16', 'F32', 'Q4_0', 'BOOL', 'X'];
  const sizes = [0, 1, 2, 3, 7, 8, 15, 16, 17, 32, 64, 2 ** 31, 2 ** 53, -1, 1.5];
  function mutate(tensor: RawTensor, { kind, seed }: { kind: string; seed: number }): RawTensor | undefined {
    if (kind === 'missing') return undefined;
    if (kind === 'dtype') return { ...tensor, dtype: dtypes[seed % dtypes.length]! };
    if (kind === 'shape')
      return { ...tensor, shape: tensor.shape.map((size, i) => (i === seed % tensor.shape.length ? sizes[seed % sizes.length]! : size)) };
    if (kind === 'rank') return { ...tensor, shape: seed % 2 ? tensor.shape.slice(1) : [...tensor.shape, 1 + (seed % 3)] };
    if (kind === 'bytes') return { ...tensor, bytes: tensor.bytes.slice(0, seed % (tensor.bytes.length + 1)) };
    return { ...tensor, bytes: Uint8Array.from(bytes(tensor.bytes.length, seed)) };
  }
  test('mutated tensors make matrices or FormatErrors, and nothing else', async () => {
    const numRuns = process.env.ANTIQUANT_ALL ? 20_000 : 500;
    let [made, failed] = [0, 0];
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const mutated: (RawTensor | undefined)[] = [...all];
        for (const one of changes) {
          const before = mutated[one.tensor];
          mutated[one.tensor] = before && mutate(before, one);
        }
        const names = new Set(changes.map(({ tensor }) => all[tensor]!.name.split('.')[0]));
        const kept = mutated.flatMap((tensor) => (tensor && names.has(tensor.name.split('.')[0]!) ? [tensor] : []));
        const { layers, refused } = await findLayers(fileOf(kept));
        failed += refused.length;
        for (const layer of layers) {
          const tensors = Object.fromEntries(
            Object.entries(layer.tensors).map(([part, info]) => {
              const { bytes: own } = kept.find(({ name }) => name === info.name)!;
              return [part, { name: info.name, dtype: info.dtype, shape: info.shape, bytes: own }];
            }),
          );
          try {
            checkMatrix(layer.make(tensors, layer));
            made++;
          } catch (error) {
            if (!(error instanceof FormatError)) throw error;
            failed++;
          }
        }
      }),
      { numRuns },
    );
    expect(Math.min(made, failed)).toBeGreaterThan(numRuns / 10);
  }, 120_000);
});
