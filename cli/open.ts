// From what people type to a TensorFile and the configuration beside it: a path, a URL, or a folder of a model.
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FormatError, openModel, quantizationOf, type TensorFile } from '../src/formats.js';
import { UsageError } from './exit.js';

export interface Opened {
  readonly file: TensorFile;
  /** What was opened: a file of the folder, if a folder was given. */
  readonly from: string;
  /** Parsed, and where it lies. */
  readonly config: { readonly name: string; readonly value: unknown } | undefined;
}

/** In a folder, the first of these is the model. */
const MODELS = ['model.safetensors.index.json', 'ndarray-cache.json', 'tensor-cache.json', 'model.safetensors'];
/** The first that says something of a quantization counts; else the first there is. */
const CONFIGS = ['config.json', 'quantize_config.json', 'quant_config.json', 'mlc-chat-config.json'];
const LONGEST_CONFIG = 16 * 2 ** 20;

export const isUrl = (from: string): boolean => /^https?:\/\//i.test(from);

async function inFolder(folder: string): Promise<string> {
  const names = await readdir(folder);
  const known = MODELS.find((name) => names.includes(name));
  if (known) return join(folder, known);
  const candidates = names.filter((name) => /\.(safetensors|gguf)$/i.test(name)).sort();
  const first = candidates.filter((name) => !/-(?!00001)\d{5}-of-\d{5}\./.test(name)); // of a split file the first part
  if (first.length === 1) return join(folder, first[0]!);
  const index = names.find((name) => name.endsWith('.safetensors.index.json'));
  if (index) return join(folder, index);
  throw new UsageError(
    `${folder}: expected ${MODELS.join(', ')}, or one .safetensors or .gguf file, got ${first.length === 0 ? 'none of them' : `${first.length}: name one`}`,
  );
}

/** @throws UsageError if there is nothing of this name */
async function locate(given: string): Promise<string> {
  if (isUrl(given)) return given;
  try {
    return (await stat(given)).isDirectory() ? await inFolder(given) : given;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new UsageError(`${given}: no such file or folder`);
    throw error;
  }
}

/** Text of a file beside the model; undefined if there is none. */
async function beside(from: string, name: string, signal: AbortSignal): Promise<{ name: string; text: string } | undefined> {
  if (!isUrl(from)) {
    const path = join(dirname(from), name);
    try {
      return (await stat(path)).size <= LONGEST_CONFIG ? { name: path, text: await readFile(path, 'utf8') } : undefined;
    } catch {
      return undefined;
    }
  }
  const url = new URL(from);
  url.pathname = url.pathname.replace(/[^/]*$/, name);
  try {
    const answer = await fetch(url, { signal });
    const length = Number(answer.headers.get('Content-Length') ?? 0);
    return answer.ok && length <= LONGEST_CONFIG ? { name: url.href, text: await answer.text() } : undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** @throws FormatError */
function parsed({ name, text }: { readonly name: string; readonly text: string }): { name: string; value: unknown } {
  try {
    return { name, value: JSON.parse(text) };
  } catch (error) {
    throw new FormatError({ file: name, field: 'JSON' }, 'JSON', (error as Error).message);
  }
}

async function findConfig(from: string, given: string | undefined, signal: AbortSignal): Promise<Opened['config']> {
  if (given !== undefined) {
    try {
      return parsed({ name: given, text: await readFile(given, 'utf8') });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new UsageError(`--config ${given}: no such file`);
      throw error;
    }
  }
  let first: Opened['config'];
  for (const name of CONFIGS) {
    const found = await beside(from, name, signal);
    if (!found) continue;
    const config = parsed(found);
    const { method, mlc, bits } = quantizationOf(config.value);
    if (method ?? mlc ?? bits) return config;
    first ??= config;
  }
  return first;
}

/**
 * @param config a file that says how the model is quantized; default: those beside it
 * @throws UsageError, FormatError, UnsupportedError
 */
export async function open(
  given: string,
  { config, signal }: { readonly config?: string | undefined; readonly signal: AbortSignal },
): Promise<Opened> {
  const from = await locate(given);
  const file = await openModel(from, { signal });
  return { file, from, config: file.kind === 'gguf' && config === undefined ? undefined : await findConfig(from, config, signal) };
}

/** The files that a model's tensors lie in, each once. */
export function sourcesOf(file: TensorFile): { readonly name: string; readonly bytes: number }[] {
  const sources = new Map([...file.tensors.values()].map(({ source }) => [source.name, source.size]));
  return [...sources].map(([name, bytes]) => ({ name, bytes }));
}
