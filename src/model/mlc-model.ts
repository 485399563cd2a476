// A language model of an MLC folder: mlc-chat-config.json, the weights of ndarray-cache.json or tensor-cache.json, tokenizer.json. Sources:
// mlc-llm's interface/gen_config.py for the configuration, model/*/*_model.py for its keys and the names of weights.
import { FormatError, ReadError, UnsupportedError } from '../errors.js';
import { openModel } from '../files/open-file.js';
import { clip, show } from '../files/show.js';
import type { TensorFile } from '../files/tensor-file.js';
import { readJsonConfig } from '../llm/config-json.js';
import { isRecord, type Json } from '../llm/json-keys.js';
import type { OwnNames } from '../llm/names.js';
import { findMatrices } from './find-matrices.js';
import { type Folder, optional, templatesOf, tokenizerOf } from './folder-files.js';
import type { LanguageModel } from './language-model.js';

/** How q, k and v of a layer are named, which are one matrix in every model of MLC. */
const QKV: Readonly<Record<string, OwnNames>> = {
  llama: {},
  mistral: {},
  qwen2: { qkv: 'self_attn.c_attn.weight', qkvBias: 'self_attn.c_attn.bias' },
  qwen3: { qkv: 'self_attn.c_attn.weight' },
};

/** Keys of model_config by their names in config.json. */
const RENAMED: Readonly<Record<string, string>> = {
  position_embedding_base: 'rope_theta',
  context_window_size: 'max_position_embeddings',
};
/** Keys of how MLC runs a model. */
const SAYS_ONLY: ReadonlySet<string> = new Set([
  ...['attention_sink_size', 'disaggregation', 'dtype', 'kwargs', 'max_batch_size', 'pipeline_parallel_stages', 'prefill_chunk_size'],
  ...['sliding_window_size', 'tensor_parallel_shards', 'weight_block_size'],
]);

const INDEXES = ['ndarray-cache.json', 'tensor-cache.json'];

/** What config.json would say. @throws FormatError, UnsupportedError */
function configOf(chat: Json, file: string): Json {
  const { model_type: type, model_config: given } = chat;
  if (typeof type !== 'string' || !Object.hasOwn(QKV, type))
    throw new UnsupportedError(`${file}: model_type`, [`expected ${Object.keys(QKV).join(', ')}, got ${show(type)}`]);
  if (!isRecord(given)) throw new FormatError({ file, field: 'model_config' }, 'an object', show(given));
  const positions = given.context_window_size;
  if (typeof positions !== 'number' || positions < 1)
    throw new UnsupportedError(`${file}: model_config.context_window_size`, [`expected a number of positions, got ${show(positions)}`]);
  const window = given.sliding_window_size ?? -1;
  if (window !== -1)
    throw new UnsupportedError(`${file}: model_config.sliding_window_size`, [
      `expected none: MLC keeps the first positions beside it, got ${show(window)}`,
    ]);
  const own = Object.entries(given).flatMap(([key, value]) =>
    SAYS_ONLY.has(key) || (key === 'head_dim' && value === 0) ? [] : [[RENAMED[key] ?? key, value] as const],
  );
  return { ...Object.fromEntries(own), model_type: type, ...(type === 'mistral' && { sliding_window: null }) };
}

/** @throws ReadError */
async function openWeights({ name, resolve, names }: Folder, signal: AbortSignal | undefined): Promise<TensorFile> {
  const there = names ? INDEXES.filter((one) => names.includes(one)) : INDEXES;
  for (const one of there) {
    const file = await optional((async () => openModel(await resolve(one), { resolve, ...(signal && { signal }) }))());
    if (file) return file;
  }
  throw new ReadError(name, `it has neither ${INDEXES.join(' nor ')}`, { missing: true });
}

/** The ids that end an answer: the model's, and those of MLC's template of conversations. */
function endsOf({ eos_token_id: eos, conv_template: conversation }: Json): Json {
  const stops = isRecord(conversation) ? conversation.stop_token_ids : undefined;
  return { eos_token_id: [...new Set([eos ?? [], stops ?? []].flat())] };
}

/** @param chat mlc-chat-config.json. @throws FormatError, UnsupportedError, ReadError; the reason of `signal` */
export async function mlcModel(
  folder: Folder,
  { file: name, json: chat }: { readonly file: string; readonly json: Json },
  signal?: AbortSignal,
): Promise<LanguageModel> {
  const { config: apart, divisors, notes } = readJsonConfig(configOf(chat, name), name);
  const config = { ...apart, joined: true, biases: apart.biases.length > 0 ? (['qkvBias'] as const) : [] };
  const file = await openWeights(folder, signal);
  if (file.kind !== 'mlc') throw new FormatError({ file: clip(file.name), field: 'records' }, "MLC's shards", file.kind);
  return {
    file,
    config,
    divisors,
    ...(await findMatrices(file, config, { source: 'huggingFace', settings: chat, own: QKV[chat.model_type as string], signal })),
    notes: [...notes, ...(file.notes ?? [])],
    tokenizer: () => tokenizerOf(folder, async () => endsOf(chat)),
    templates: () => templatesOf(folder),
  };
}
