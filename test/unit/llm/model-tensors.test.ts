// The tensors of a model against its configuration: each is there, has its shape, and none is left over.
import { describe, expect, test } from 'vitest';
import { FormatError, UnsupportedError } from '../../../src/errors.js';
import type { TensorFile, TensorInfo } from '../../../src/files/tensor-file.js';
import { findTensors, rolesOf } from '../../../src/llm/model-tensors.js';
import { type Role, type Source, tensorName } from '../../../src/llm/names.js';
import { type ModelOptions, modelConfig } from '../../support/model-file.js';

const unread = { name: 'm', size: 0, read: () => expect.fail('bytes were read') };
const infoOf = (name: string, shape: readonly number[], dtype = shape.length === 1 ? 'F32' : 'Q8_0'): TensorInfo => ({
  name,
  dtype,
  shape,
  source: unread,
  begin: 0,
  end: 0,
});

/** The tensors of a model; `change` gives another tensor, none, or more. */
function fileOf(options: ModelOptions, source: Source, change: (role: Role, info: TensorInfo) => TensorInfo[] = (_, info) => [info]) {
  const config = modelConfig(options);
  const infos = [...rolesOf(config)].flatMap(([role, shape]) => {
    const name = tensorName(role, source, config);
    return name === undefined ? [] : change(role, infoOf(name, shape));
  });
  const file: TensorFile = { kind: 'gguf', name: 'm', metadata: {}, tensors: new Map(infos.map((info) => [info.name, info])) };
  return { config, file };
}

const LLAMA: ModelOptions = { architecture: 'llama', rope: { divisors: true }, sizes: { layers: 2, heads: 4, kvHeads: 2, headWidth: 48 } };
const QWEN2: ModelOptions = { architecture: 'qwen2', tied: true, sizes: { layers: 2, kvHeads: 4 } };
const QWEN3: ModelOptions = { architecture: 'qwen3', sizes: { layers: 2, headWidth: 64 } };
const GEMMA3: ModelOptions = { architecture: 'gemma3', tied: true, sizes: { layers: 2, headWidth: 64 } };
const PHI3: ModelOptions = { architecture: 'phi3', rope: { original: 64, width: 24 }, sizes: { layers: 2 } };

test('the shapes of a model, worked by hand', () => {
  const shapes = Object.fromEntries(rolesOf(modelConfig({ ...QWEN2, sizes: { ...QWEN2.sizes, layers: 1, feedForward: 96 } })));
  expect(shapes).toEqual({
    embedding: [259, 256],
    'attentionNorm.0': [256],
    'q.0': [256, 256],
    'k.0': [128, 256],
    'v.0': [128, 256],
    'qBias.0': [256],
    'kBias.0': [128],
    'vBias.0': [128],
    'o.0': [256, 256],
    'feedForwardNorm.0': [256],
    'gate.0': [96, 256],
    'up.0': [96, 256],
    'down.0': [256, 96],
    outputNorm: [256],
  });
  expect(Object.fromEntries(rolesOf(modelConfig(QWEN3)))).toMatchObject({
    'q.1': [512, 256],
    'k.1': [128, 256],
    'qNorm.1': [64],
    'kNorm.1': [64],
    'o.1': [256, 512],
    head: [259, 256],
  });
  expect(Object.fromEntries(rolesOf(modelConfig(PHI3)))).toMatchObject({
    ropeShort: [12],
    ropeLong: [12],
    'qkv.1': [384, 256],
    'gateUp.1': [1024, 256],
    'down.1': [256, 512],
  });
  expect([...rolesOf(modelConfig(GEMMA3))].map(([role]) => role).slice(1, 14)).toEqual(
    [
      'attentionNorm',
      'q',
      'k',
      'v',
      'qNorm',
      'kNorm',
      'o',
      'postAttentionNorm',
      'feedForwardNorm',
      'gate',
      'up',
      'down',
      'postFeedForwardNorm',
    ].map((part) => `${part}.0`),
  );
  expect(Object.fromEntries(rolesOf(modelConfig(LLAMA)))).toMatchObject({ ropeDivisors: [24], 'o.0': [256, 192] });
});

test.each([
  [LLAMA, 2 * 9 + 4, 1],
  [QWEN2, 2 * 12 + 2, 0],
  [QWEN3, 2 * 11 + 3, 0],
  [GEMMA3, 2 * 13 + 2, 0],
  [PHI3, 2 * 6 + 5, 2],
])('%j: all tensors by role, in both sources but those without a name', (options, count, nameless) => {
  const { config, file } = fileOf(options, 'gguf');
  const found = findTensors(file, config, 'gguf');
  expect(found.size).toBe(count);
  for (const [role, info] of found) expect(info.name).toBe(tensorName(role, 'gguf'));
  const folder = fileOf(options, 'huggingFace');
  expect(findTensors(folder.file, folder.config, 'huggingFace').size).toBe(count - nameless);
});

describe.each([LLAMA, QWEN2, QWEN3, GEMMA3, PHI3])('%j', (options) => {
  const roles = [...rolesOf(modelConfig(options))];

  test.each(roles)('%s is missing, has another shape or type', (role, shape) => {
    const tensor = tensorName(role, 'gguf')!;
    const refused = (change: (info: TensorInfo) => TensorInfo[], field: string, expected: string, got: string): void => {
      const { config, file } = fileOf(options, 'gguf', (own, info) => (own === role ? change(info) : [info]));
      expect(() => findTensors(file, config, 'gguf')).toThrow(new FormatError({ file: 'm', tensor, field }, expected, got));
    };
    const shown = `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;
    refused(() => [], 'shape', shown, 'no such tensor');
    const more = [shape[0]! + 1, ...shape.slice(1)];
    refused(() => [infoOf(tensor, more)], 'shape', shown, shown.replace(String(shape[0]), String(more[0])));
    refused(() => [infoOf(tensor, [...shape, 1])], 'shape', shown, `(${[...shape, 1].join(', ')})`);
    if (shape.length === 1) refused(() => [infoOf(tensor, shape, 'Q8_0')], 'type', 'F32, F16, BF16', 'Q8_0');
  });

  test.each([
    'blk.0.attn_qkv.weight',
    'blk.1.attn_q.scale',
    'blk.0.attn_output.bias',
    'blk.0.ffn_gate_inp.weight',
    'blk.0.post_attention_norm.weight',
    'blk.2.attn_q.weight', // a layer more than there are
    'output.bias',
    'token_types.weight',
    'rope_factors_long.weight',
    '__proto__',
  ])('a tensor %s, which would be ignored, unless the model has it', (name) => {
    if (roles.some(([role]) => tensorName(role, 'gguf') === name)) return;
    const { config, file } = fileOf(options, 'gguf', (role, info) => (role === 'outputNorm' ? [info, infoOf(name, [3, 256])] : [info]));
    expect(() => findTensors(file, config, 'gguf')).toThrow(
      new UnsupportedError(`m: ${name}`, [`expected no such tensor in ${options.architecture}, got Q8_0 (3, 256)`]),
    );
  });
});

test('biases and norms of other architectures, divisors and a head that the configuration does not have, are left over', () => {
  for (const [name, options] of [
    ['blk.1.attn_k.bias', LLAMA],
    ['blk.0.attn_q_norm.weight', QWEN2],
    ['rope_freqs.weight', QWEN3],
    ['output.weight', QWEN2],
  ] as const) {
    const { config, file } = fileOf(options, 'gguf', (role, info) => (role === 'outputNorm' ? [info, infoOf(name, [32])] : [info]));
    expect(() => findTensors(file, config, 'gguf')).toThrow(UnsupportedError);
    expect(() => findTensors(file, config, 'gguf')).toThrow(`m: ${name}: expected no such tensor`);
  }
});

test('a number of layers that no file can have ends at the first that is missing', () => {
  const { file } = fileOf(LLAMA, 'gguf');
  const config = modelConfig({ ...LLAMA, sizes: { ...LLAMA.sizes, layers: 2 ** 24 } });
  expect(() => findTensors(file, config, 'gguf')).toThrow('m: blk.2.attn_norm.weight: shape: expected (256,), got no such tensor');
});
