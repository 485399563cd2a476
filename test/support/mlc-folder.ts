// Small language models as MLC folders in memory: the configuration of mlc-llm, its shards, and the files of a tokenizer. Holds no test.
import { concat, makeMlc, utf8 } from './files.js';
import { type FolderParts, TEMPLATE, TOKENIZER } from './model-folder.js';

type Bytes = Uint8Array<ArrayBuffer>;
const text = (value: unknown): Bytes => concat([utf8(JSON.stringify(value))]);

/** mlc-chat-config.json of a model, as interface/gen_config.py writes it. */
export function chatConfigOf({ config, json }: Pick<FolderParts, 'config' | 'json'>): Record<string, unknown> {
  const isQwen = config.architecture !== 'llama';
  return {
    version: '0.1.0',
    model_type: json.model_type,
    quantization: json.quantization ?? 'q0f16',
    model_config: {
      hidden_size: config.width,
      intermediate_size: config.feedForward,
      num_attention_heads: config.heads,
      num_hidden_layers: config.layers,
      num_key_value_heads: config.kvHeads,
      head_dim: config.headWidth,
      rms_norm_eps: config.epsilon,
      vocab_size: config.vocabulary,
      tie_word_embeddings: config.tied,
      [isQwen ? 'rope_theta' : 'position_embedding_base']: config.rope.base,
      ...(isQwen
        ? { hidden_act: 'silu', dtype: 'float32' }
        : { rope_scaling: json.rope_scaling ?? null, pipeline_parallel_stages: 1, disaggregation: false }),
      ...(config.architecture === 'qwen3' && { attention_bias: false, weight_block_size: null }),
      ...(json.model_type === 'mistral' && { sliding_window_size: -1, attention_sink_size: -1 }),
      context_window_size: config.contextLength,
      prefill_chunk_size: 512,
      tensor_parallel_shards: 1,
      max_batch_size: 128,
    },
    vocab_size: config.vocabulary,
    context_window_size: config.contextLength,
    tokenizer_files: ['tokenizer.json', 'tokenizer_config.json'],
    conv_template: { name: 'chatml', stop_str: ['<|end|>'], stop_token_ids: [257, 258] },
    pad_token_id: 0,
    bos_token_id: 256,
    eos_token_id: 257,
  };
}

/** The files of a folder by name. */
export function mlcFilesOf(parts: FolderParts, chat = chatConfigOf(parts)): Map<string, Bytes> {
  const { tensors, shards } = parts;
  const each = Math.ceil(tensors.length / shards);
  return new Map([
    ['mlc-chat-config.json', text(chat)],
    ...makeMlc(Array.from({ length: shards }, (_, i) => tensors.slice(i * each, (i + 1) * each))),
    ['tokenizer.json', text(TOKENIZER)],
    ['tokenizer_config.json', text({ bos_token: TOKENIZER.added_tokens[0]!.content, chat_template: TEMPLATE })],
  ]);
}
