// Roles and names of tensors: one table, read both ways.
import { describe, expect, test } from 'vitest';
import { isBesideText, rootsIn } from '../../../src/llm/folder-names.js';
import { rolesOf } from '../../../src/llm/model-tensors.js';
import { matrixName, type Role, roleOf, type Source, tensorName } from '../../../src/llm/names.js';
import { modelConfig } from '../../support/model-file.js';

/** Names as converters and transformers write them, by hand. */
const KNOWN: readonly (readonly [Role, gguf: string, huggingFace: string | undefined])[] = [
  ['embedding', 'token_embd.weight', 'model.embed_tokens.weight'],
  ['q.0', 'blk.0.attn_q.weight', 'model.layers.0.self_attn.q_proj.weight'],
  ['vBias.12', 'blk.12.attn_v.bias', 'model.layers.12.self_attn.v_proj.bias'],
  ['kNorm.3', 'blk.3.attn_k_norm.weight', 'model.layers.3.self_attn.k_norm.weight'],
  ['o.3', 'blk.3.attn_output.weight', 'model.layers.3.self_attn.o_proj.weight'],
  ['feedForwardNorm.101', 'blk.101.ffn_norm.weight', 'model.layers.101.post_attention_layernorm.weight'],
  ['down.7', 'blk.7.ffn_down.weight', 'model.layers.7.mlp.down_proj.weight'],
  ['outputNorm', 'output_norm.weight', 'model.norm.weight'],
  ['head', 'output.weight', 'lm_head.weight'],
  ['ropeDivisors', 'rope_freqs.weight', undefined],
  ['ropeShort', 'rope_factors_short.weight', undefined],
  ['qkv.2', 'blk.2.attn_qkv.weight', 'model.layers.2.self_attn.qkv_proj.weight'],
  ['gateUp.2', 'blk.2.ffn_up.weight', 'model.layers.2.mlp.gate_up_proj.weight'],
  ['router.2', 'blk.2.ffn_gate_inp.weight', 'model.layers.2.mlp.gate.weight'],
  ['downs.2', 'blk.2.ffn_down_exps.weight', 'model.layers.2.mlp.experts.down_proj.weight'],
  ['postAttentionNorm.1', 'blk.1.post_attention_norm.weight', undefined],
  ['postFeedForwardNorm.1', 'blk.1.post_ffw_norm.weight', undefined],
];

test.each(KNOWN)('%s', (role, gguf, huggingFace) => {
  expect(tensorName(role, 'gguf')).toBe(gguf);
  expect(tensorName(role, 'huggingFace')).toBe(huggingFace);
});

test('norms of models with norms behind products have names of their own in folders', () => {
  const named = (role: Role, source: Source) => tensorName(role, source, { postNorms: true });
  expect(named('attentionNorm.1', 'huggingFace')).toBe('model.layers.1.input_layernorm.weight');
  expect(named('postAttentionNorm.1', 'huggingFace')).toBe('model.layers.1.post_attention_layernorm.weight');
  expect(named('feedForwardNorm.1', 'huggingFace')).toBe('model.layers.1.pre_feedforward_layernorm.weight');
  expect(named('postFeedForwardNorm.1', 'huggingFace')).toBe('model.layers.1.post_feedforward_layernorm.weight');
  expect(named('feedForwardNorm.1', 'gguf')).toBe('blk.1.ffn_norm.weight');
});

test('a model in a folder of more than text is behind another name', () => {
  for (const [embedding, q, head] of [
    ['model.embed_tokens.weight', 'model.layers.3.self_attn.q_proj', 'lm_head.weight'],
    ['language_model.model.embed_tokens.weight', 'language_model.model.layers.3.self_attn.q_proj', 'language_model.lm_head.weight'],
    ['model.language_model.embed_tokens.weight', 'model.language_model.layers.3.self_attn.q_proj', 'lm_head.weight'],
  ] as const) {
    const roots = rootsIn(['model.vision_tower.embed_tokens.weight', 'vision_tower.x', embedding])!;
    expect(tensorName('embedding', 'huggingFace', { roots })).toBe(embedding);
    expect(matrixName('q.3', 'huggingFace', { roots })).toBe(q);
    expect(tensorName('head', 'huggingFace', { roots })).toBe(head);
    expect(tensorName('ropeDivisors', 'huggingFace', { roots })).toBeUndefined();
    expect([embedding, q, head].some(isBesideText)).toBe(false);
  }
  expect(rootsIn(['model.layers.3.self_attn.q_proj'])).toBeUndefined();
  expect(['vision_tower.a', 'model.vision_tower.a', 'multi_modal_projector.b'].every(isBesideText)).toBe(true);
});

describe.each<Source>(['gguf', 'huggingFace'])('%s', (source) => {
  const roles = (['llama', 'qwen2', 'qwen3'] as const).flatMap((architecture) =>
    [...rolesOf(modelConfig({ architecture, sizes: { layers: 12 }, rope: { divisors: source === 'gguf' } }))].map(([role]) => role),
  );

  test('every role has a name of its own, which says the role', () => {
    const names = new Map(roles.map((role) => [role, tensorName(role, source)]));
    expect(names.size).toBeGreaterThan(12 * 14);
    expect(new Set(names.values()).size).toBe(names.size);
    for (const [role, name] of names) expect(roleOf(name!, source)).toBe(role);
  });

  test('the name of a layer is that of its weight without an ending', () => {
    for (const role of ['q.3', 'head'] as const) expect(`${matrixName(role, source)}.weight`).toBe(tensorName(role, source));
  });

  test.each([
    '',
    'weight',
    'blk.weight',
    'blk.3',
    'blk.3.',
    'blk..attn_q.weight',
    'blk.x.attn_q.weight',
    'blk.03.attn_q.weight',
    'blk.-1.attn_q.weight',
    'blk.1e3.attn_q.weight',
    'blk.9999999999.attn_q.weight',
    'blk.3.attn_q.weight.weight',
    'blk.3.token_embd.weight',
    'blk.3.constructor',
    'constructor',
    '__proto__',
    'attn_q.weight',
    'model.layers.3',
    'model.layers.3.self_attn.q_proj',
    'model.layers.3.self_attn.rotary_emb.inv_freq',
    'model.layers.3.__proto__',
    'Model.norm.weight',
  ])('%j is no role', (name) => expect(roleOf(name, source)).toBeUndefined());
});
