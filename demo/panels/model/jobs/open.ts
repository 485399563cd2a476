// Opens the chosen files as one model, with a row for each tensor. Names tell the first file, bytes tell the container. The model stays in
// this Worker; the page gets the rows.
import {
  FormatError,
  type FoundLayers,
  findLayers,
  type LayerSource,
  layerBytes,
  openModel,
  parseConfig,
  type TensorFile,
  type TensorInfo,
} from '../../../../src/formats.js';
import { counted } from '../../../ui/numbers.js';
import type { JobContext } from '../../../worker/rpc.js';

/** `layer`: part of a quantized layer. `float`: a float matrix. `refused`: part of a refused layer. `other`: any other tensor. */
export type Kind = 'layer' | 'float' | 'refused' | 'other';

export interface Row {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly kind: Kind;
  /** The tensor's role in a few words, from findLayers. */
  readonly role: string;
  /** The role without what other columns show. */
  readonly what: string;
  /** Index in `layers` or `floats`. */
  readonly index?: number | undefined;
  /** Bits a weight in the file, of a matrix with its scales; at the largest of a layer's tensors alone. */
  readonly bits?: number | undefined;
  /** Why it was refused. */
  readonly problem?: string | undefined;
}

export interface LayerFacts {
  readonly name: string;
  readonly format: string;
  readonly n: number;
  readonly k: number;
  /** Matrices of this size in a tensor of three dimensions; the panel shows the first. */
  readonly experts?: number | undefined;
  /** Bits a weight in the file, scales and bias and all. */
  readonly fileBits: number;
}

export interface OpenedModel {
  /** Other jobs name the model by this. */
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  /** Name of the file that leads to the weights. */
  readonly first: string;
  readonly files: number;
  /** Bytes of all files. */
  readonly bytes: number;
  readonly rows: readonly Row[];
  readonly layers: readonly LayerFacts[];
  readonly floats: readonly LayerFacts[];
  readonly refused: readonly { readonly name: string; readonly format: string; readonly problem: string }[];
  /** File name of the configuration, or why it could not be used. */
  readonly config?: string | undefined;
  /** Single values of the header. */
  readonly metadata: readonly (readonly [name: string, value: string])[];
}

export interface Model {
  readonly id: number;
  readonly kind: string;
  readonly files: readonly File[];
  readonly layers: readonly LayerSource[];
  readonly floats: readonly TensorInfo[];
  /** Names of float matrices that are stored as (K, N). */
  readonly transposed: ReadonlySet<string>;
}

const CONFIGS = ['config.json', 'quantize_config.json', 'quant_config.json', 'mlc-chat-config.json'];
const INDEX = /(\.index|ndarray-cache|tensor-cache)\.json$/i;
/** Patterns of a model's first file, the likeliest first. */
const FIRST = [/(ndarray-cache|tensor-cache)\.json$/i, INDEX, /\.gguf$/i, /\.onnx$/i, /\.safetensors$/i, /^(?!.*\.(json|txt|md)$)/i, /./];
const LARGEST_CONFIG = 2 ** 24;

/** Reads the configuration that describes the quantization. */
async function readConfig(files: readonly File[]): Promise<{ readonly config?: unknown; readonly note?: string }> {
  let last: { config?: unknown; note?: string } = {};
  for (const name of CONFIGS) {
    const file = files.find((one) => one.name === name);
    if (!file) continue;
    if (file.size > LARGEST_CONFIG) {
      last = { note: `${name} was not used: it has more than 16 MiB` };
      continue;
    }
    try {
      const config = parseConfig(await file.text(), { name });
      const says = typeof config === 'object' && config !== null && ('quantization_config' in config || name !== 'config.json');
      last = { config, note: name };
      if (says) return last;
    } catch {
      last = { note: `${name} was not used: it is not JSON` };
    }
  }
  return last;
}

/** Several files without an index are one model if no name is in two of them. */
async function openEach(files: readonly File[], signal: AbortSignal): Promise<TensorFile> {
  const opened: TensorFile[] = [];
  for (const file of files) opened.push(await openModel(file, { files, signal }));
  const tensors = new Map<string, TensorInfo>();
  for (const { name: file, tensors: own } of opened)
    for (const [name, info] of own) {
      if (tensors.has(name))
        throw new FormatError(
          { file, tensor: name, field: 'name' },
          'each tensor in one of the files',
          `one that is in ${tensors.get(name)!.source.name} too`,
        );
      tensors.set(name, info);
    }
  return { ...opened[0]!, name: `${opened[0]!.name} and ${opened.length - 1} more`, tensors };
}

const single = (value: unknown): string | undefined =>
  ['string', 'number', 'boolean', 'bigint'].includes(typeof value) ? String(value).slice(0, 300) : undefined;

let last = 0;

/** @throws FormatError, UnsupportedError */
export async function open(files: readonly File[], context: JobContext): Promise<{ readonly model: Model; readonly opened: OpenedModel }> {
  const { signal, progress } = context;
  progress(undefined, 'Headers are read.');
  const models = files.filter(({ name }) => !CONFIGS.includes(name));
  const pool = models.length > 0 ? models : files;
  const pattern = FIRST.find((one) => pool.some(({ name }) => one.test(name)))!;
  const firsts = pool.filter(({ name }) => pattern.test(name)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const [first] = firsts as [File, ...File[]];
  const { config, note } = await readConfig(files);
  signal.throwIfAborted();

  // The first of numbered shards opens all of them.
  const several = firsts.length > 1 && first.name.toLowerCase().endsWith('.safetensors') && !/-\d{5,}-of-\d{5,}\./.test(first.name);
  const file: TensorFile = several ? await openEach(firsts, signal) : await openModel(first, { files, signal });
  await context.breathe();
  progress(undefined, 'The layers are being found.');
  const found = await findLayers(file, { config, signal });
  const transposed = found.transposed ?? new Set<string>();
  await context.breathe();

  const id = ++last;
  const floats = found.floats.filter(({ shape }) => shape.every((size) => size > 0));
  const layers = listed(found);
  const opened: OpenedModel = {
    id,
    kind: file.kind === 'onnx' ? 'ONNX' : file.kind,
    name: file.name,
    first: first.name,
    files: files.length,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    rows: rowsOf(file.tensors, found, { layers, floats }),
    layers: layers.map(({ source, name, experts }) => {
      const { format, n, k } = source;
      return { name, format, n, k, experts, fileBits: bitsOf(layerBytes(source), source) };
    }),
    floats: floats.map((info) => {
      const { n, k } = sizesOf(info, transposed);
      return { name: info.name, format: info.dtype, n, k, fileBits: bitsOf(info.end - info.begin, { n, k }) };
    }),
    refused: found.refused.map(({ name, format, error }) => ({ name, format, problem: error.message })),
    config: note,
    metadata: Object.entries(file.metadata)
      .flatMap(([name, value]) => {
        const text = single(value);
        return text === undefined ? [] : [[name, text] as const];
      })
      .slice(0, 200),
  };
  const model: Model = { id, kind: file.kind, files, layers: layers.map(({ source }) => source), floats, transposed };
  return { model, opened };
}

/** N and K of a float matrix, stored as (N, K) or (K, N). */
export function sizesOf({ name, shape }: TensorInfo, transposed: ReadonlySet<string>): { readonly n: number; readonly k: number } {
  const [rows, columns] = shape as readonly [number, number];
  return transposed.has(name) ? { n: columns, k: rows } : { n: rows, k: columns };
}

interface Listed {
  readonly name: string;
  readonly source: LayerSource;
  readonly experts?: number;
}

/** The layers, and the first expert of each block that is no layer of its own: those with numbers in their names are layers. */
function listed({ layers, experts }: FoundLayers): Listed[] {
  const own = new Set(layers);
  return [
    ...layers.map((source) => ({ name: source.name, source })),
    ...experts
      .filter(({ experts: [first] }) => !own.has(first!))
      .map(({ name, experts: all }) => ({ name, source: all[0]!, experts: all.length })),
  ];
}

const bitsOf = (bytes: number, { n, k }: { readonly n: number; readonly k: number }): number => (8 * bytes) / (n * k);

function rowsOf(
  tensors: ReadonlyMap<string, TensorInfo>,
  found: FoundLayers,
  { layers, floats }: { readonly layers: readonly Listed[]; readonly floats: readonly TensorInfo[] },
): Row[] {
  const layerOf = new Map(layers.map(({ name, source: { format } }, i) => [`${format} of ${name}`, i]));
  const floatOf = new Map(floats.map(({ name }, i) => [name, i]));
  const problems = new Map(found.refused.map(({ name, format, error }) => [`${format} of ${name}`, error.message]));
  const rows = [...tensors.values()].map((info): Row => {
    const { name, dtype, shape, begin, end } = info;
    const role = found.roles.get(name) ?? '';
    const row = { name, dtype, shape, bytes: end - begin, role };
    // As findLayers words it: FORMAT: PART of LAYER, FORMAT, refused: PART of LAYER, or DTYPE SHAPE: that it is none.
    const [, format, refused, part, layer] = /^(.*?)(, refused)?: (.*?)(?: of (.*))?$/s.exec(role) ?? [];
    const key = `${format} of ${layer}`;
    const index = layerOf.get(key);
    const experts = index === undefined ? undefined : layers[index]!.experts;
    const many = experts === undefined ? '' : `, ${counted(experts, 'expert')}`;
    const what = layer === undefined ? (part ?? role) : `${format}${refused ?? ''}${many}: ${part}`;
    const float = floatOf.get(name);
    if (float !== undefined)
      return { ...row, what, kind: 'float', index: float, bits: bitsOf(row.bytes, sizesOf(info, found.transposed ?? new Set())) };
    if (layer === undefined) return { ...row, what, kind: 'other' };
    if (refused) return { ...row, what, kind: 'refused', problem: problems.get(key) };
    return { ...row, what, kind: 'layer', index };
  });
  // A layer's bits stand at the largest of its tensors.
  const largest = new Map<number, Row>();
  for (const row of rows) {
    if (row.kind !== 'layer' || row.index === undefined) continue;
    const most = largest.get(row.index);
    if (!most || row.bytes > most.bytes) largest.set(row.index, row);
  }
  return rows.map((row) => {
    if (row.index === undefined || largest.get(row.index) !== row) return row;
    const { source } = layers[row.index]!;
    return { ...row, bits: bitsOf(layerBytes(source), source) };
  });
}
