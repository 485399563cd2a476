// Opens a path, a URL or a model's folder as a TensorFile, with the configuration beside it.
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nameOfUrl } from '../src/files/http-request.js';
import { type ByteSource, byteSource, openModel, type TensorFile } from '../src/formats.js';
import { configBeside, configOf, LONGEST_CONFIG } from '../src/loading/config-beside.js';
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

/** A URL, a file, or the file of a folder that leads to all others. @throws UsageError if there is no such file or folder */
export async function locate(given: string): Promise<string> {
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

/** A place in messages: a URL without credentials and query. */
export const shownAs = (from: string): string => (isUrl(from) ? nameOfUrl(new URL(from)) : from);

interface Asking {
  readonly signal: AbortSignal;
  readonly fetch: typeof globalThis.fetch | undefined;
}

/** How a place is asked for its bytes. @throws UsageError for headers beside a path */
export function askingOf(
  from: string,
  { headers, signal }: { readonly headers: Headers | undefined; readonly signal: AbortSignal },
): Asking {
  if (headers && !isUrl(from)) throw new UsageError('--header: expected a URL, got a path');
  return { signal, fetch: headers && fetchWith(headers, new URL(from)) };
}

/** The place of a file beside the model. */
function beside(from: string, name: string): URL | string {
  if (!isUrl(from)) return join(dirname(from), name);
  const url = new URL(from);
  url.pathname = url.pathname.replace(/[^/]*$/, name);
  return url;
}

async function findConfig(from: string, given: string | undefined, asking: Asking): Promise<Opened['config']> {
  const sourceAt = (at: URL | string): Promise<ByteSource> => byteSource(at, { wholeUpTo: LONGEST_CONFIG, ...asking });
  if (given !== undefined) {
    const config = await configOf(() => sourceAt(given), asking.signal);
    if (!config) throw new UsageError(`--config ${given}: no such file`);
    return config;
  }
  return configBeside((name) => sourceAt(beside(from, name)), asking.signal);
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
  const asking = askingOf(from, { headers, signal });
  const file = await openModel(from, asking);
  return {
    file,
    from: shownAs(from),
    config: (file.kind === 'gguf' || file.kind === 'onnx') && config === undefined ? undefined : await findConfig(from, config, asking),
  };
}

/** The files of a model's tensors, each once. */
export function sourcesOf(file: TensorFile): { readonly name: string; readonly bytes: number }[] {
  const sources = new Map([...file.tensors.values()].map(({ source }) => [source.name, source.size]));
  return [...sources].map(([name, bytes]) => ({ name, bytes }));
}
