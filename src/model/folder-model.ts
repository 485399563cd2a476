// A language model of a Hugging Face folder: config.json, safetensors in one file or several, tokenizer.json and what says how to use it.
import { FormatError, isMissing, ReadError, UnsupportedError } from '../errors.js';
import { readFrom } from '../files/given.js';
import { parseConfig } from '../files/json.js';
import { openModel } from '../files/open-file.js';
import type { Resolver } from '../files/shards.js';
import { show } from '../files/show.js';
import type { TensorFile } from '../files/tensor-file.js';
import { readJsonConfig } from '../llm/config-json.js';
import { isBesideText, rootsIn } from '../llm/folder-names.js';
import { type ChatTemplates, jsonTemplates } from '../text/template.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { makeJsonTokenizer } from '../text/tokenizer-json.js';
import { findMatrices } from './find-matrices.js';
import { decoded, folderExperts } from './folder-experts.js';
import { inPairs, isInTurns } from './in-turns.js';
import type { LanguageModel } from './language-model.js';

/** Files by their names. */
export interface Folder {
  /** For messages. */
  readonly name: string;
  /** @throws ReadError, which says whether the file is missing */
  readonly resolve: Resolver;
  /** Names of the files, where they can be listed. */
  readonly names?: readonly string[] | undefined;
}

type Json = Readonly<Record<string, unknown>>;

/** Bytes of files that are read whole: many times those of real ones. */
const MOST = { config: 2 ** 24, tokenizer: 2 ** 28 };
const INDEX = 'model.safetensors.index.json';
const ONE = 'model.safetensors';

/** Opens and reads a small file. @throws ReadError, FormatError */
async function bytesOf(folder: Folder, name: string, most: number, signal?: AbortSignal) {
  const source = await folder.resolve(name);
  const { size, name: file } = source;
  if (size > most) throw new FormatError({ file, field: 'size' }, `at most ${most} bytes`, String(size));
  return { file, bytes: await readFrom(source, 0, size, signal) };
}

/** Undefined where there is no such file; some hosts answer "forbidden" for one. */
async function optional<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isMissing(error) || (error instanceof ReadError && error.status === 403)) return undefined;
    throw error;
  }
}

function record(value: unknown, file: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new FormatError({ file, field: 'JSON' }, 'an object', show(value));
  return value as Json;
}

/** An object of settings. @throws ReadError, FormatError */
async function settingsIn(folder: Folder, name: string, signal?: AbortSignal): Promise<{ readonly file: string; readonly json: Json }> {
  const { file, bytes } = await bytesOf(folder, name, MOST.config, signal);
  return { file, json: record(parseConfig(bytes, { name: file }), file) };
}

/** tokenizer.json has hundreds of thousands of values, and is read as strict JSON. @throws ReadError, FormatError */
async function tokenizerIn(folder: Folder): Promise<{ readonly file: string; readonly json: Json }> {
  const { file, bytes } = await bytesOf(folder, 'tokenizer.json', MOST.tokenizer);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    const error = new FormatError({ file, field: 'JSON' }, 'JSON in UTF-8', String(cause));
    error.cause = cause;
    throw error;
  }
  return { file, json: record(value, file) };
}

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
    tokenizer: () => tokenizerOf(folder, json),
    templates: () => (templates ??= templatesOf(folder)),
  };
}

async function tokenizerOf(folder: Folder, config: Json): Promise<Tokenizer> {
  const found = await optional(tokenizerIn(folder));
  if (!found) throw new UnsupportedError(folder.name, ['it has no tokenizer.json: text cannot become ids; generate(ids) needs none']);
  const [settings, generation] = await Promise.all(
    ['tokenizer_config.json', 'generation_config.json'].map((name) => optional(settingsIn(folder, name))),
  );
  // Without generation_config.json, transformers takes these ids of config.json.
  const end = config.eos_token_id ?? (config.text_config as Json | undefined)?.eos_token_id;
  const ends = generation?.json ?? (end == null ? {} : { eos_token_id: end });
  return makeJsonTokenizer({ tokenizer: found.json, config: settings?.json, generation: ends }, { file: found.file });
}

async function templatesOf(folder: Folder): Promise<ChatTemplates> {
  const own = await optional(bytesOf(folder, 'chat_template.jinja', MOST.config));
  const settings = await optional(settingsIn(folder, 'tokenizer_config.json'));
  const templates = settings ? jsonTemplates(settings.json, settings.file) : new Map<string, string>();
  return own ? new Map([...templates, ['default', new TextDecoder().decode(own.bytes)]]) : templates;
}
