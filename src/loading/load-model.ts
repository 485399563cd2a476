// loadModel: every layer of a file by its name, in one call.
import { anything, callback, dictionary, fields, flag, list, optional, reading } from '../arguments/check.js';
import { checkDevice } from '../arguments/gpu-objects.js';
import { ArgumentError } from '../errors.js';
import { type BytesFrom, byteSource, isA } from '../files/byte-source.js';
import { type OpenOptions, openModel } from '../files/open-file.js';
import { floatDtypeOf } from '../files/raw-tensor.js';
import { among, siblings } from '../files/shards.js';
import type { TensorFile, TensorInfo } from '../files/tensor-file.js';
import { findLayers } from '../formats/find-layers.js';
import type { FoundLayers } from '../formats/found-layers.js';
import { logTo } from '../gpu/device.js';
import type { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import { type Logger, loggedFetch } from '../log.js';
import { configBeside } from './config-beside.js';
import { hubUrl } from './hub-url.js';
import { cacheOf, serverUrl } from './kept-files.js';
import { loadLayers } from './load-layers.js';
import { LOAD_FIELDS, type LoadLayersOptions } from './load-layers-options.js';

/** How a model is found, read and multiplied. */
export interface LoadModelOptions extends LoadLayersOptions, Omit<OpenOptions, 'signal' | 'name' | 'files'> {
  /** Parsed config.json; default: the configuration among the files, or beside the path or URL. GGUF and ONNX have their own. */
  readonly config?: unknown;
  /** Takes the layers for which it is true. Default: all. */
  readonly only?: ((name: string) => boolean) | undefined;
  /** Keep the files of a URL in the origin-private file system, as `Llm.load` does, and read from there what is there. Default: false. */
  readonly cache?: boolean | undefined;
  /** Receives records of what the library does by itself: on the device, and while files are fetched (docs/log.md). Default: none. */
  readonly logger?: Logger | undefined;
}

/** A tensor or layer that was not loaded, and why. */
export interface SkippedLayer {
  readonly name: string;
  readonly why: string;
}

/** Layers by name, of one file. */
export class ModelLayers extends Map<string, LinearWeightQuant> {
  /** The open file, for its metadata and other tensors. */
  readonly file: TensorFile;
  /** What the file has: also experts, which `loadExperts` loads, and tensors of no layer. */
  readonly found: FoundLayers;
  /** Layers that were not loaded. */
  readonly skipped: readonly SkippedLayer[];

  /** @internal */
  constructor(file: TensorFile, found: FoundLayers, skipped: readonly SkippedLayer[]) {
    super();
    this.file = file;
    this.found = found;
    this.skipped = skipped;
  }

  /** Frees every layer. The names stay. */
  destroy(): void {
    for (const layer of this.values()) layer.destroy();
  }
}

const OPTIONS = fields({
  ...LOAD_FIELDS,
  fetch: optional(callback),
  wholeUpTo: anything,
  resolve: optional(callback),
  config: anything,
  only: optional(callback),
  cache: optional(flag),
  logger: optional(callback),
});

/** Files that a model is opened by; the first kind that is there counts. */
const ENTRIES = [
  /\.safetensors\.index\.json$/i,
  /^(ndarray|tensor)-cache\.json$/i,
  /-00001-of-\d{5}\.\w+$/i,
  /\.(safetensors|gguf|onnx)$/i,
];

/** The file of several that the model is opened by. @throws ArgumentError */
export function entryOf(files: readonly unknown[]): File {
  for (const file of files)
    if (!isA(file, Blob)) throw new ArgumentError('from', 'a path, a URL, a File or Files', 'a list of something else');
  for (const pattern of ENTRIES) {
    const matching = (files as readonly File[]).filter(({ name = '' }) => pattern.test(name));
    if (matching.length === 1) return matching[0]!;
    if (matching.length > 1) throw new ArgumentError('from', 'the files of one model', `${matching.length} that could begin one`);
  }
  throw new ArgumentError('from', 'Files among which is an index, or one .safetensors, .gguf or .onnx', `${files.length} others`);
}

const nameOf = (weight: string): string => weight.replace(/\.weight$/, '');

/** Why a float tensor is not loaded; undefined if it is. */
function whyNot({ dtype, shape, name }: TensorInfo, { transposed }: FoundLayers, quantizes: boolean): string | undefined {
  if (!quantizes) return `${dtype}: the option quantize makes a layer of it`;
  if (shape.length !== 2) return `${shape.length} dimensions: loadExperts takes those of experts`;
  if (transposed?.has(name)) return 'it lies as (K, N), and rows are quantized';
  try {
    floatDtypeOf(dtype);
    return undefined;
  } catch {
    return `${dtype} is no float that is quantized`;
  }
}

/** A float layer's bias: `NAME.bias` of N floats. */
function biasOf(file: TensorFile, { name, shape }: TensorInfo): TensorInfo | undefined {
  const bias = file.tensors.get(`${nameOf(name)}.bias`);
  return bias?.shape.length === 1 && bias.shape[0] === shape[0] ? bias : undefined;
}

/**
 * Loads every layer of a model's file, by name. Quantized layers keep their codes; float matrices, embeddings among them, are layers where
 * `quantize` is given, and otherwise are `skipped` with the reason. If a step fails, all layers are freed.
 * @param from a path, a URL, a File, the Files of a model, bytes, or `hf:ORG/NAME[@REVISION]/FILE`, a file of a model hub
 * @throws ArgumentError, ReadError, UnsupportedError, GpuError, DeviceLostError; FormatError, also for a layer that contradicts its format;
 *   the reason of `signal`
 * @example
 * const layers = await loadModel(device, 'hf:org/name/model.safetensors', { dtype: 'float16', quantize: 'int4' });
 * const y = layers.get('model.layers.0.mlp.up_proj').forward(x);
 * layers.destroy();
 */
export async function loadModel(
  device: GPUDevice,
  from: BytesFrom | readonly File[],
  options: LoadModelOptions = {},
): Promise<ModelLayers> {
  checkDevice(device);
  const {
    fetch: given,
    logger,
    wholeUpTo,
    resolve: own,
    config: said,
    only,
    cache,
    ...rest
  } = OPTIONS(options, 'options') as LoadModelOptions;
  const { signal, quantize } = rest;
  if (logger) logTo(device, logger);
  const fetch = loggedFetch(given, logger);
  const asking = { fetch, wholeUpTo: wholeUpTo as number | undefined, signal };
  const files = reading('from', () => Array.isArray(from)) ? (list(anything)(from, 'from') as readonly File[]) : undefined;
  const place = files ? entryOf(files) : typeof from === 'string' ? hubUrl(from) : (from as BytesFrom);
  const url = cache && !files ? serverUrl(place) : undefined;
  const store = await cacheOf(url, { fetch, signal });
  const kept = url && store ? (name: string) => store.open(new URL(name.split('/').map(encodeURIComponent).join('/'), url)) : undefined;
  const resolve = own ?? kept ?? (files ? among(files, asking) : siblings(place, asking));
  const source = url && store ? await store.open(url) : await byteSource(place, asking);
  const file = await openModel(source, { ...asking, ...(resolve && { resolve }) });
  const config =
    said ?? (file.kind === 'gguf' || file.kind === 'onnx' || !resolve ? undefined : (await configBeside(resolve, signal))?.value);
  const found = await findLayers(file, {
    config: config === undefined ? undefined : dictionary(anything)(config, 'options.config'),
    signal,
  });
  const wanted = (name: string): boolean => only?.(name) ?? true;

  const [refused] = found.refused.filter(({ name }) => wanted(name));
  if (refused) throw refused.error;
  const layers = found.layers.filter(({ name }) => wanted(name));
  const floats: TensorInfo[] = [];
  const skipped: SkippedLayer[] = [
    ...found.notYet.filter(({ name }) => wanted(name)).map(({ name, why }) => ({ name, why })),
    ...found.experts
      .filter(({ name, experts }) => wanted(name) && !experts.every((one) => found.layers.includes(one)))
      .map(({ name }) => ({ name, why: 'experts: loadExperts takes them' })),
  ];
  for (const info of found.floats.filter(({ name }) => wanted(nameOf(name)))) {
    const why = whyNot(info, found, quantize !== undefined);
    if (why === undefined) floats.push(info);
    else skipped.push({ name: nameOf(info.name), why });
  }

  const model = new ModelLayers(file, found, skipped);
  const names = [...layers.map(({ name }) => name), ...floats.map(({ name }) => nameOf(name))];
  if (names.length > 0) {
    const sources = [...layers, ...floats.map((weight) => ({ weight, bias: biasOf(file, weight) }))];
    const loaded = await loadLayers(device, sources, rest);
    names.forEach((name, i) => {
      model.set(name, loaded[i]!);
    });
  }
  await store?.settled();
  return model;
}
