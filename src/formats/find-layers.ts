// findLayers: finds the layers of a file by tensors' names, dtypes and shapes, through the entries of layer-formats.ts. It reads only
// settings that a format stores in small tensors. What a GGUF file has no use for is fetched for other files only.

import { anything, fields, signal as isSignal, optional } from '../arguments/check.js';
import { FormatError } from '../errors.js';
import { tensorFile } from '../files/given.js';
import { breather } from '../files/pace.js';
import type { TensorFile, TensorInfo } from '../files/tensor-file.js';
import { showShape } from '../problem/view.js';
import { asExperts, type ExpertSource, groupExperts, partOf } from './experts.js';
import type { FoundLayers, NotYet } from './found-layers.js';
import { formatFrom, hasGrid, PLAIN_TYPES } from './gguf-layer.js';
import { HINTS } from './given.js';
import { type Found, type LayerContext, type LayerFormat, type LayerHints, wrong } from './layer-format.js';
import type { LayerSource } from './layer-source.js';
import { LAYOUTS, unknownWeights, whyNotRead } from './layouts.js';
import { quantizationOf } from './quantization-config.js';
import { readSettings, type Settings } from './read-settings.js';

/** Settings that the file leaves open. */
export interface FindLayersOptions extends LayerHints {
  /** Parsed config.json of the model, or its quantization_config; quantize_config.json; mlc-chat-config.json. */
  readonly config?: unknown;
  readonly signal?: AbortSignal | undefined;
}

const FLOATS = ['F16', 'BF16', 'F32'];

interface Claim<T> {
  readonly format: T;
  readonly name: string;
  readonly tensors: Readonly<Record<string, TensorInfo>>;
  readonly bias: TensorInfo | undefined;
  /** Length of the axis in front of every tensor, if there is one. */
  readonly experts: number | undefined;
  /** Every tensor of the layer with its part, `bias` and settings included. */
  readonly parts: ReadonlyMap<TensorInfo, string>;
}

/** The context that all layers of a file share. */
type FileContext = Omit<LayerContext, 'name' | 'bias' | 'settings'>;

const join = (name: string, separator: string, part: string): string => (name === '' ? part : `${name}${separator}${part}`);

/** A layer's tensors without their axis of experts: those of one of them. */
const ofExpert = (tensors: Found, expert: number): Record<string, TensorInfo> =>
  Object.fromEntries(Object.entries(tensors).map(([part, info]) => [part, partOf(info, expert)]));

/** A format that claims tensors by name. */
type Named = Pick<LayerFormat, 'name' | 'required' | 'optional' | 'ignored' | 'anyName' | 'separator' | 'expertRank'> & {
  recognise?(tensors: Found, context: Omit<LayerContext, 'settings'>): boolean;
};

/** The layer with this first tensor. */
function claim<T extends Named>(
  first: string,
  formats: readonly T[],
  { file, taken, context }: { file: TensorFile; taken: ReadonlySet<TensorInfo>; context: FileContext },
): Claim<T> | undefined {
  for (const format of formats) {
    const part = format.required[0]!;
    const { separator = '.', expertRank } = format;
    const named = first === part || first.endsWith(`${separator}${part}`);
    if (!named && !format.anyName) continue;
    const name = named ? first.slice(0, -part.length - separator.length) : first;
    const find = (parts: readonly string[]) =>
      parts.flatMap((own) => {
        const info = file.tensors.get(own === part ? first : join(name, separator, own));
        return info && !taken.has(info) ? [[own, info] as const] : [];
      });
    const required = find(format.required);
    if (required.length < format.required.length) continue;
    const tensors = Object.fromEntries([...required, ...find(format.optional)]);
    const { shape } = tensors[part]!;
    const experts = expertRank !== undefined && shape.length === expertRank + 1 && shape[0]! > 0 ? shape[0] : undefined;
    const biasRank = experts === undefined ? 1 : 2;
    const bias = find(['bias']).find(([, info]) => info.shape.length === biasRank && FLOATS.includes(info.dtype))?.[1];
    if (experts !== undefined && Object.values(tensors).some((info) => info.shape.length < 2)) continue;
    const one = experts === undefined ? tensors : ofExpert(tensors, 0);
    if (format.recognise && !format.recognise(one, { ...context, name, bias })) continue;
    const own = [...Object.entries(tensors), ...find(format.ignored ?? []), ...(bias ? [['bias', bias] as const] : [])];
    return { format, name, tensors, bias, experts, parts: new Map(own.map(([part, info]) => [info, part])) };
  }
  return undefined;
}

/** All layers of some formats. @throws the reason of `breathe`'s signal */
async function claimAll<T extends Named>(
  formats: readonly T[],
  {
    file,
    taken,
    context,
    breathe,
  }: { file: TensorFile; taken: Set<TensorInfo>; context: FileContext; breathe: ReturnType<typeof breather> },
): Promise<Claim<T>[]> {
  const claims: Claim<T>[] = [];
  for (const [first, info] of file.tensors) {
    await breathe();
    const found = taken.has(info) ? undefined : claim(first, formats, { file, taken, context });
    if (!found) continue;
    claims.push(found);
    for (const part of found.parts.keys()) taken.add(part);
  }
  return claims;
}

/** Tensors NAME.* that are no part of the layer NAME and may change it. */
function strangersOf(claims: readonly Claim<LayerFormat>[], file: TensorFile, taken: ReadonlySet<TensorInfo>): Map<string, TensorInfo[]> {
  const names = new Set(claims.map(({ name }) => name));
  const strangers = new Map<string, TensorInfo[]>();
  const add = (name: string, info: TensorInfo): void => {
    const own = strangers.get(name);
    if (own) own.push(info);
    else strangers.set(name, [info]);
  };
  for (const [tensor, info] of file.tensors) {
    if (taken.has(info)) continue;
    if (names.has('') && !tensor.includes('.')) add('', info);
    for (let dot = tensor.indexOf('.'); dot >= 0; dot = tensor.indexOf('.', dot + 1))
      if (names.has(tensor.slice(0, dot))) add(tensor.slice(0, dot), info);
  }
  return strangers;
}

/** The tensors of settings, which are read before the layer is made. */
const settingsOf = ({ format, tensors }: Claim<LayerFormat>): TensorInfo[] =>
  (format.settings ?? []).flatMap((part) => tensors[part] ?? []);

/** The layer or experts, or the error that refuses them. */
function make(
  claim: Claim<LayerFormat>,
  context: FileContext,
  { read, strangers }: { read: Settings; strangers: readonly TensorInfo[] },
): LayerSource | ExpertSource | FormatError {
  const { format, name, tensors, bias, experts } = claim;
  const { methods } = format;
  const { method } = context.config;
  try {
    const [stranger] = strangers;
    if (stranger)
      throw wrong(stranger, `beside ${name || 'the layer'}`, `no other tensor of ${format.name}: it may change the weights`, 'this one');
    if (method !== undefined && !methods.includes(method))
      throw wrong(tensors[format.required[0]!]!, 'quant_method', methods.join(' or ') || `none for ${format.name}`, method);
    const settings = Object.fromEntries(
      Object.entries(tensors).flatMap(([part, info]) => (format.settings?.includes(part) ? [[part, read(info)]] : [])),
    );
    const makeOne = (own: Found, ownBias: TensorInfo | undefined): LayerSource => {
      const layer = format.make(own, { ...context, name, bias: ownBias, settings });
      if (ownBias && ownBias.shape[0] !== layer.n)
        throw new FormatError(
          { file: ownBias.source.name, tensor: ownBias.name, field: 'shape' },
          showShape([layer.n]),
          showShape(ownBias.shape),
        );
      return layer;
    };
    if (experts === undefined) return makeOne(tensors, bias);
    for (const info of [...Object.values(tensors), ...(bias ? [bias] : [])])
      if (info.shape[0] !== experts)
        throw wrong(info, 'shape', `${experts} experts, as ${tensors[format.required[0]!]!.name}`, showShape(info.shape));
    const all = Array.from({ length: experts }, (_, expert): LayerSource => {
      const one = makeOne(ofExpert(tensors, expert), bias && partOf(bias, expert));
      return { ...one, name: `${name}.${expert}` };
    });
    return asExperts(name, all);
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
}

/** The formats that a file's layers may have. Those that few files have are fetched when one does. */
async function formatsOf({ kind, tensors }: TensorFile): Promise<readonly LayerFormat[]> {
  if (kind !== 'gguf') return (await import('./layer-formats.js')).LAYER_FORMATS;
  for (const { dtype } of tensors.values()) if (hasGrid(dtype)) return (await import('./gguf-blocks.js')).ggufFormat.layers;
  return [formatFrom(PLAIN_TYPES)];
}

const OPTIONS = fields({ config: anything, ...HINTS, signal: optional(isSignal) });

const isFloatMatrix = ({ dtype, shape }: TensorInfo): boolean => FLOATS.includes(dtype) && shape.length === 2;

/**
 * Finds the quantized layers of a file in all formats of this library, and describes every other tensor. It reads headers, and settings of
 * a few bytes (bitsandbytes, HQQ, compressed-tensors); `readPieces` and `loadLayer` read the layers.
 *
 * If a file is ambiguous the configuration decides: GPTQ and AWQ share names of tensors, and only the configuration has a group size that
 * does not divide K. Without it shapes decide, and ambiguous layers are refused. A layer is also refused beside tensors NAME.* that are no
 * part of it, and under a configuration with another quant_method.
 * @throws ReadError or FormatError if settings cannot be read; the reason of `signal`. Layers that contradict their format are in `refused`
 * @example
 * const { layers, refused } = await findLayers(file, { config: JSON.parse(configJson) });
 * for (const { name, format, n, k } of layers) console.log(name, format, n, k);
 */
export async function findLayers(file: TensorFile, options: FindLayersOptions = {}): Promise<FoundLayers> {
  tensorFile(file, 'file');
  const { config, torchNpu, torchao, signal } = OPTIONS(options, 'options') as FindLayersOptions;
  if (file.nodes) return (await import('./find-nodes.js')).findNodes(file);
  const formats = await formatsOf(file);
  const context = { config: quantizationOf(config), metadata: file.metadata, torchNpu, torchao };
  const taken = new Set<TensorInfo>();
  const breathe = breather(signal);
  const claims = await claimAll(formats, { file, taken, context, breathe });
  const strangers = strangersOf(claims, file, taken);
  const read = await readSettings(claims.flatMap(settingsOf), signal);
  const made: (readonly [Claim<LayerFormat>, LayerSource | ExpertSource | FormatError])[] = [];
  for (const one of claims) {
    await breathe();
    made.push([one, make(one, context, { read, strangers: strangers.get(one.name) ?? [] })]);
  }
  const layers = made.flatMap(([, layer]) => (layer instanceof FormatError || 'experts' in layer ? [] : [layer]));
  const experts = made.flatMap(([, layer]) => ('experts' in layer ? [layer] : []));
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
  // Tensors that make a layer refused are part of the reason, not separate weights.
  const aside = new Set([...taken, ...[...strangers.values()].flat()]);
  const unread = await claimAll(LAYOUTS, { file, taken: aside, context, breathe });
  const notYet: NotYet[] = unread.map(({ format, name, parts }) => ({
    name,
    format: format.name,
    why: whyNotRead(format.name),
    tensors: [...parts.keys()],
  }));
  for (const info of all) {
    const what = aside.has(info) ? undefined : unknownWeights(info);
    if (what) notYet.push({ name: info.name.replace(/\.weight$/, ''), format: what, why: whyNotRead(what), tensors: [info] });
  }
  for (const { format, tensors } of notYet)
    for (const info of tensors) role.set(info, `${info.dtype} ${showShape(info.shape)}: ${format}, not read yet`);
  const isPlain = (info: TensorInfo): boolean => !taken.has(info) && !role.has(info) && isFloatMatrix(info);
  const plain = (info: TensorInfo): string =>
    `${info.dtype} ${showShape(info.shape)}: ${isFloatMatrix(info) ? 'not quantized' : 'no layer'}`;
  return {
    layers,
    experts: [...experts, ...groupExperts(layers)],
    rest: all.filter((info) => !taken.has(info) || lost.has(info)),
    floats: all.filter(isPlain),
    refused,
    notYet,
    roles: new Map(all.map((info) => [info.name, role.get(info) ?? plain(info)])),
  };
}
