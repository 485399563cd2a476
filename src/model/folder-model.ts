// A language model of a Hugging Face folder: config.json, safetensors in one file or several, tokenizer.json and what says how to use it.
import { ReadError } from '../errors.js';
import { openModel } from '../files/open-file.js';
import type { TensorFile } from '../files/tensor-file.js';
import { readJsonConfig } from '../llm/config-json.js';
import { isBesideText, rootsIn } from '../llm/folder-names.js';
import type { ChatTemplates } from '../text/template.js';
import { findMatrices } from './find-matrices.js';
import { decoded, folderExperts } from './folder-experts.js';
import { type Folder, type Json, optional, settingsIn, templatesOf, tokenizerOf } from './folder-files.js';
import { inPairs, isInTurns } from './in-turns.js';
import type { LanguageModel } from './language-model.js';

const INDEX = 'model.safetensors.index.json';
const ONE = 'model.safetensors';

/** The file that leads to all weights: an index, the only file, or the first of numbered ones. @throws ReadError */
async function openWeights({ name, resolve, names }: Folder, signal: AbortSignal | undefined): Promise<TensorFile> {
  const open = async (first: string) => openModel(await resolve(first), { resolve, ...(signal && { signal }) });
  if (!names) {
    const opened = (await optional(open(INDEX))) ?? (await optional(open(ONE)));
    if (opened) return opened;
    throw new ReadError(name, `it has neither ${INDEX} nor ${ONE}`, { missing: true });
  }
  const weights = names.filter((one) => one.endsWith('.safetensors')).sort();
  const index = names.find((one) => one === INDEX) ?? names.find((one) => one.endsWith('.safetensors.index.json'));
  const alone = weights.length === 1 || weights.every((one) => /-\d{5}-of-\d{5}\.safetensors$/.test(one)) ? weights[0] : undefined;
  const first = index ?? (weights.includes(ONE) ? ONE : alone);
  if (first !== undefined) return open(first);
  const has = weights.length === 0 ? 'it has no safetensors' : `it has ${weights.slice(0, 8).join(', ')}, and no index of them`;
  throw new ReadError(name, has, { missing: true });
}

/** Files that have the settings of quantization where config.json has none. */
const BESIDE = ['quantize_config.json', 'quant_config.json'];

/** @throws FormatError, UnsupportedError, ReadError; the reason of `signal` */
export async function folderModel(folder: Folder, signal?: AbortSignal): Promise<LanguageModel> {
  const { file: name, json } = await settingsIn(folder, 'config.json', signal);
  const { config, divisors, normOffset, within, names: own, inTurns: together, notes } = readJsonConfig(json, name);
  const opened = await openWeights(folder, signal);
  const inTurns = together !== undefined && isInTurns(opened);
  const file = inTurns ? inPairs(opened) : opened;
  const says = json.quantization_config ?? json.quantization ?? json.compression_config;
  const packed = [...file.tensors.keys()].some((tensor) => tensor.endsWith('.qweight'));
  let settings: unknown = json;
  if (packed && says === undefined)
    for (const other of BESIDE) {
      const found = await optional(settingsIn(folder, other, signal));
      if (found) settings = { ...json, quantization_config: { quant_method: other === BESIDE[0] ? 'gptq' : 'awq', ...found.json } };
      if (found) break;
    }
  const names = within ? [...file.tensors.keys()] : [];
  const roots = rootsIn(names);
  const beside = names.filter(isBesideText).length;
  let templates: Promise<ChatTemplates> | undefined;
  return {
    file,
    config,
    divisors,
    normOffset,
    ...(await findMatrices(file, config, {
      source: 'huggingFace',
      settings,
      roots,
      ...(within && { isBeside: isBesideText }),
      own: { ...own, ...(inTurns && together) },
      ...{ inTurns, decoded },
      findExperts: folderExperts,
      signal,
    })),
    notes: [...notes, ...(file.notes ?? []), ...(beside > 0 ? [`it is the text’s model: ${beside} tensors of images are left out`] : [])],
    tokenizer: () => tokenizerOf(folder, () => endsOf(folder, json)),
    templates: () => (templates ??= templatesOf(folder)),
  };
}

/** Ids that end an answer: those of generation_config.json; without it transformers takes those of config.json. */
async function endsOf(folder: Folder, config: Json): Promise<Json> {
  const generation = await optional(settingsIn(folder, 'generation_config.json'));
  const end = config.eos_token_id ?? (config.text_config as Json | undefined)?.eos_token_id;
  return generation?.json ?? (end == null ? {} : { eos_token_id: end });
}
