// Which tensors of a file are layers, by their names, dtypes and shapes. What each format looks like is in layer-formats.ts; nothing is
// read here but settings that a format keeps in small tensors.

import { anything, fields, signal as isSignal, optional } from '../arguments/check.js';
import { FormatError } from '../errors.js';
import { readFrom, tensorFile } from '../files/given.js';
import type { RawTensor } from '../files/raw-tensor.js';
import type { TensorFile, TensorInfo } from '../files/tensor-file.js';
import { showShape } from '../problem/view.js';
import { HINTS } from './given.js';
import { LAYER_FORMATS, type LayerFormat } from './layer-formats.js';
import type { LayerContext } from './layer-makers.js';
import type { LayerSource } from './layer-source.js';
import { quantizationOf } from './quantization-config.js';
import type { TorchNpuOptions } from './torch-npu.js';
import type { TorchaoInt4Options } from './torchao.js';

/** What the file does not say of its layers. */
export interface FindLayersOptions {
  /** Parsed config.json of the model, or its quantization_config; quantize_config.json; mlc-chat-config.json. */
  readonly config?: unknown;
  /** For torch_npu's layers: what their state dicts do not say. */
  readonly torchNpu?: TorchNpuOptions | undefined;
  /** For torchao's plain int4, where the file's metadata does not say that it is Int4Tensor. */
  readonly torchao?: TorchaoInt4Options | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The layers of a file, and what its other tensors are. */
export interface FoundLayers {
  /** In the order of the file. */
  readonly layers: readonly LayerSource[];
  /** Tensors of no layer: norms, biases of other layers, and those of layers that were refused. */
  readonly rest: readonly TensorInfo[];
  /** Those of the rest that are float matrices: linear layers or embeddings that are not quantized. */
  readonly floats: readonly TensorInfo[];
  /** Layers that have a format's tensors, and are not what it says. */
  readonly refused: readonly { readonly name: string; readonly format: string; readonly error: FormatError }[];
  /** Of each tensor of the file, what it is, in a few words. */
  readonly roles: ReadonlyMap<string, string>;
}

/** No settings are larger than this: what is, is not read. */
const MOST_BYTES = 65536;
const FLOATS = ['F16', 'BF16', 'F32'];

interface Claim {
  readonly format: LayerFormat;
  readonly name: string;
  readonly tensors: Readonly<Record<string, TensorInfo>>;
  readonly bias: TensorInfo | undefined;
  /** Every tensor that is the layer's, and its part: `bias` and settings too. */
  readonly parts: ReadonlyMap<TensorInfo, string>;
}

/** What is the same for all layers of a file. */
type FileContext = Omit<LayerContext, 'name' | 'bias'>;

const join = (name: string, part: string): string => (name === '' ? part : `${name}.${part}`);

/** The layer whose first tensor this is. */
function claim(
  first: string,
  { file, taken, context }: { file: TensorFile; taken: ReadonlySet<TensorInfo>; context: FileContext },
): Claim | undefined {
  for (const format of LAYER_FORMATS) {
    const part = format.required[0]!;
    if (first !== part && !first.endsWith(`.${part}`)) continue;
    const name = first.slice(0, -part.length - 1);
    const find = (parts: readonly string[]) =>
      parts.flatMap((own) => {
        const info = file.tensors.get(join(name, own));
        return info && !taken.has(info) ? [[own, info] as const] : [];
      });
    const required = find(format.required);
    if (required.length < format.required.length) continue;
    const tensors = Object.fromEntries([...required, ...find(format.optional)]);
    const bias = find(['bias']).find(([, info]) => info.shape.length === 1 && FLOATS.includes(info.dtype))?.[1];
    if (format.recognise && !format.recognise(tensors, { ...context, name, bias })) continue;
    const own = [...Object.entries(tensors), ...find(format.ignored ?? []), ...(bias ? [['bias', bias] as const] : [])];
    return { format, name, tensors, bias, parts: new Map(own.map(([part, info]) => [info, part])) };
  }
  return undefined;
}

async function readSettings(info: TensorInfo, signal: AbortSignal | undefined): Promise<RawTensor> {
  const { name, dtype, shape, source, begin, end } = info;
  if (end - begin > MOST_BYTES)
    throw new FormatError({ file: source.name, tensor: name, field: 'size' }, `at most ${MOST_BYTES} bytes of settings`, `${end - begin}`);
  return { name, file: source.name, dtype, shape, bytes: await readFrom(source, begin, end, signal) };
}

/** The layer, or why it is none. */
async function make({ format, name, tensors, bias }: Claim, context: FileContext): Promise<LayerSource | FormatError> {
  try {
    const layer = await format.make(tensors, { ...context, name, bias });
    if (bias && bias.shape[0] !== layer.n)
      throw new FormatError({ file: bias.source.name, tensor: bias.name, field: 'shape' }, showShape([layer.n]), showShape(bias.shape));
    return layer;
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
}

const OPTIONS = fields({ config: anything, ...HINTS, signal: optional(isSignal) });

const isFloatMatrix = ({ dtype, shape }: TensorInfo): boolean => FLOATS.includes(dtype) && shape.length === 2;

/**
 * The quantized layers of a file of any format that this library reads, and what every other tensor is. A layer is read by `layer.tensors`
 * and made by `layer.make`; nothing of it is read here, but settings of a few bytes (bitsandbytes, HQQ, compressed-tensors).
 *
 * Where a file can be read in two ways the configuration decides: GPTQ and AWQ have tensors of the same names, and group sizes that do not
 * divide K are said nowhere else. Without it shapes decide, and what they leave open is refused.
 * @throws FormatError if the file cannot be read; layers that are not what their format says are in `refused`
 * @throws what `signal` was aborted with
 * @example
 * const { layers, refused } = await findLayers(file, { config: JSON.parse(configJson) });
 * for (const { name, format, n, k } of layers) console.log(name, format, n, k);
 */
export async function findLayers(file: TensorFile, options: FindLayersOptions = {}): Promise<FoundLayers> {
  tensorFile(file, 'file');
  const { config, torchNpu, torchao, signal } = OPTIONS(options, 'options') as FindLayersOptions;
  const context = {
    config: quantizationOf(config),
    metadata: file.metadata,
    torchNpu,
    torchao,
    read: (info: TensorInfo) => readSettings(info, signal),
  };
  const taken = new Set<TensorInfo>();
  const claims: Claim[] = [];
  for (const [first, info] of file.tensors) {
    const found = taken.has(info) ? undefined : claim(first, { file, taken, context });
    if (!found) continue;
    claims.push(found);
    for (const part of found.parts.keys()) taken.add(part);
  }
  const made = await Promise.all(claims.map(async (one) => [one, await make(one, context)] as const));
  const layers = made.flatMap(([, layer]) => (layer instanceof FormatError ? [] : [layer]));
  const refused = made.flatMap(([{ name, format }, error]) => (error instanceof FormatError ? [{ name, format: format.name, error }] : []));
  const role = new Map<TensorInfo, string>();
  const lost = new Set<TensorInfo>();
  for (const [{ name, format, parts }, layer] of made)
    for (const [info, part] of parts) {
      const isLayer = !(layer instanceof FormatError);
      role.set(info, `${isLayer ? layer.format : `${format.name}, refused`}: ${part} of ${name}`);
      if (!isLayer) lost.add(info);
    }
  const all = [...file.tensors.values()];
  const plain = (info: TensorInfo): string =>
    `${info.dtype} ${showShape(info.shape)}: ${isFloatMatrix(info) ? 'not quantized' : 'no layer'}`;
  return {
    layers,
    rest: all.filter((info) => !taken.has(info) || lost.has(info)),
    floats: all.filter((info) => !taken.has(info) && isFloatMatrix(info)),
    refused,
    roles: new Map(all.map((info) => [info.name, role.get(info) ?? plain(info)])),
  };
}
