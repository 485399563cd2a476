// Opens a path, a URL or a model's folder as a TensorFile, with the configuration beside it.
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nameOfUrl } from '../src/files/http-request.js';
import { byteSource, FormatError, openModel, parseConfig, quantizationOf, ReadError, type TensorFile } from '../src/formats.js';
import { UsageError } from './exit.js';
import { fetchWith } from './headers.js';

export interface Opened {
  readonly file: TensorFile;
  /** The opened file; for a folder, the file in it; a URL without credentials and query. */
  readonly from: string;
  /** The parsed configuration and its place. */
  readonly config: { readonly name: string; readonly value: unknown } | undefined;
}

/** Names of a folder's model; the first that exists counts. */
const MODELS = ['model.safetensors.index.json', 'ndarray-cache.json', 'tensor-cache.json', 'model.safetensors'];
/** Names of configurations. The first that describes a quantization counts; else the first that exists. */
const CONFIGS = ['config.json', 'quantize_config.json', 'quant_config.json', 'mlc-chat-config.json'];
const LONGEST_CONFIG = 16 * 2 ** 20;

export const isUrl = (from: string): boolean => /^https?:\/\//i.test(from);

async function inFolder(folder: string): Promise<string> {
  const names = await readdir(folder);
  const known = MODELS.find((name) => names.includes(name));
  if (known) return join(folder, known);
  const candidates = names.filter((name) => /\.(safetensors|gguf|onnx)$/i.test(name)).sort();
  const first = candidates.filter((name) => !/-(?!00001)\d{5}-of-\d{5}\./.test(name)); // the first part of a split file
  if (first.length === 1) return join(folder, first[0]!);
  const index = names.find((name) => name.endsWith('.safetensors.index.json'));
  if (index) return join(folder, index);
  throw new UsageError(
    `${folder}: expected ${MODELS.join(', ')}, or one .safetensors, .gguf or .onnx file, got ${first.length === 0 ? 'none of them' : `${first.length}: name one`}`,
  );
}

/** @throws UsageError if there is no such file or folder */
async function locate(given: string): Promise<string> {
  if (isUrl(given)) {
    if (!URL.canParse(given)) throw new UsageError('the address: expected a URL, got one that is none'); // it may hold secrets
    return given;
  }
  const path = /^file:/i.test(given) && URL.canParse(given) ? fileURLToPath(given) : given;
  try {
    return (await stat(path)).isDirectory() ? await inFolder(path) : path;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new UsageError(`${path}: no such file or folder`);
    throw error;
  }
}

interface Asking {
  readonly signal: AbortSignal;
  readonly fetch: typeof globalThis.fetch | undefined;
}

/** Reads a configuration; undefined if the file is missing. @throws ReadError, FormatError */
async function configAt(from: URL | string, { signal, fetch }: Asking): Promise<{ name: string; value: unknown } | undefined> {
  try {
    const source = await byteSource(from, { wholeUpTo: LONGEST_CONFIG, signal, fetch });
    const { name, size } = source;
    if (size > LONGEST_CONFIG)
      throw new FormatError({ file: name, field: 'size' }, `at most ${LONGEST_CONFIG} for a configuration`, String(size));
    return { name, value: parseConfig(await source.read(0, size, signal), { name }) };
  } catch (error) {
    // Some hosts answer "forbidden" for a missing file.
    if (error instanceof ReadError && (error.missing || error.status === 403)) return undefined;
    throw error;
  }
}

/** The place of a file beside the model. */
function beside(from: string, name: string): URL | string {
  if (!isUrl(from)) return join(dirname(from), name);
  const url = new URL(from);
  url.pathname = url.pathname.replace(/[^/]*$/, name);
  return url;
}

async function findConfig(from: string, given: string | undefined, asking: Asking): Promise<Opened['config']> {
  if (given !== undefined) {
    const config = await configAt(given, asking);
    if (!config) throw new UsageError(`--config ${given}: no such file`);
    return config;
  }
  let first: Opened['config'];
  for (const name of CONFIGS) {
    const config = await configAt(beside(from, name), asking);
    if (!config) continue;
    const { method, mlc, bits } = quantizationOf(config.value);
    if (method ?? mlc ?? bits) return config;
    first ??= config;
  }
  return first;
}

/**
 * @param config a file with the configuration; default: the file beside the model
 * @param headers of requests to the model's origin
 * @throws UsageError, FormatError, UnsupportedError
 */
export async function open(
  given: string,
  {
    config,
    headers,
    signal,
  }: { readonly config?: string | undefined; readonly headers?: Headers | undefined; readonly signal: AbortSignal },
): Promise<Opened> {
  const from = await locate(given);
  if (headers && !isUrl(from)) throw new UsageError('--header: expected a URL, got a path');
  const asking: Asking = { signal, fetch: headers && fetchWith(headers, new URL(from)) };
  const file = await openModel(from, asking);
  return {
    file,
    from: isUrl(from) ? nameOfUrl(new URL(from)) : from,
    config: (file.kind === 'gguf' || file.kind === 'onnx') && config === undefined ? undefined : await findConfig(from, config, asking),
  };
}

/** The files of a model's tensors, each once. */
export function sourcesOf(file: TensorFile): { readonly name: string; readonly bytes: number }[] {
  const sources = new Map([...file.tensors.values()].map(({ source }) => [source.name, source.size]));
  return [...sources].map(([name, bytes]) => ({ name, bytes }));
}
