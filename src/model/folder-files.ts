// The small files of a model's folder: settings, the tokenizer, chat templates.
import { FormatError, isMissing, ReadError, UnsupportedError } from '../errors.js';
import { readFrom } from '../files/given.js';
import { parseConfig } from '../files/json.js';
import type { Resolver } from '../files/shards.js';
import { show } from '../files/show.js';
import { type ChatTemplates, jsonTemplates } from '../text/template.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { makeJsonTokenizer } from '../text/tokenizer-json.js';

/** Files by their names. */
export interface Folder {
  /** For messages. */
  readonly name: string;
  /** @throws ReadError, which says whether the file is missing */
  readonly resolve: Resolver;
  /** Names of the files, where they can be listed. */
  readonly names?: readonly string[] | undefined;
}

export type Json = Readonly<Record<string, unknown>>;

/** Bytes of files that are read whole: many times those of real ones. */
const MOST = { config: 2 ** 24, tokenizer: 2 ** 28 };
/** Opens and reads a small file. @throws ReadError, FormatError */
async function bytesOf(folder: Folder, name: string, most: number, signal?: AbortSignal) {
  const source = await folder.resolve(name);
  const { size, name: file } = source;
  if (size > most) throw new FormatError({ file, field: 'size' }, `at most ${most} bytes`, String(size));
  return { file, bytes: await readFrom(source, 0, size, signal) };
}

/** Undefined where there is no such file; some hosts answer "forbidden" for one. */
export async function optional<T>(work: Promise<T>): Promise<T | undefined> {
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
export async function settingsIn(
  folder: Folder,
  name: string,
  signal?: AbortSignal,
): Promise<{ readonly file: string; readonly json: Json }> {
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

/**
 * The tokenizer of tokenizer.json.
 * @param ends `eos_token_id`: the ids that end an answer
 * @throws FormatError, ReadError; UnsupportedError without tokenizer.json
 */
export async function tokenizerOf(folder: Folder, ends: () => Promise<Json>): Promise<Tokenizer> {
  const found = await optional(tokenizerIn(folder));
  if (!found) throw new UnsupportedError(folder.name, ['it has no tokenizer.json: text cannot become ids; generate(ids) needs none']);
  const [settings, generation] = await Promise.all([optional(settingsIn(folder, 'tokenizer_config.json')), ends()]);
  return makeJsonTokenizer({ tokenizer: found.json, config: settings?.json, generation }, { file: found.file });
}

/** The chat templates of a folder, by name. @throws FormatError, ReadError */
export async function templatesOf(folder: Folder): Promise<ChatTemplates> {
  const own = await optional(bytesOf(folder, 'chat_template.jinja', MOST.config));
  const settings = await optional(settingsIn(folder, 'tokenizer_config.json'));
  const templates = settings ? jsonTemplates(settings.json, settings.file) : new Map<string, string>();
  return own ? new Map([...templates, ['default', new TextDecoder().decode(own.bytes)]]) : templates;
}
