// The configuration of a model's quantization, in a file beside its weights.
import { FormatError, ReadError } from '../errors.js';
import { parseConfig } from '../files/json.js';
import type { ByteSource } from '../files/tensor-file.js';
import { quantizationOf } from '../formats/quantization-config.js';

/** The first that describes a quantization counts; else the first that exists. */
const NAMES = ['config.json', 'quantize_config.json', 'quant_config.json', 'mlc-chat-config.json'];
export const LONGEST_CONFIG = 16 * 2 ** 20;

/** A configuration and the file that it stands in. */
export interface ModelConfig {
  readonly name: string;
  readonly value: unknown;
}

type Open = (name: string) => ByteSource | Promise<ByteSource>;

/** Reads a configuration; undefined if there is no such file. @throws ReadError, FormatError */
export async function configOf(
  open: () => ByteSource | Promise<ByteSource>,
  signal: AbortSignal | undefined,
): Promise<ModelConfig | undefined> {
  try {
    const source = await open();
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

/** The configuration beside a model; undefined if there is none. @throws ReadError, FormatError */
export async function configBeside(open: Open, signal: AbortSignal | undefined): Promise<ModelConfig | undefined> {
  let first: ModelConfig | undefined;
  for (const name of NAMES) {
    const config = await configOf(() => open(name), signal);
    if (!config) continue;
    const { method, mlc, bits } = quantizationOf(config.value);
    if (method ?? mlc ?? bits) return config;
    first ??= config;
  }
  return first;
}
