// Plans the output of antiquant quantize from headers: which tensors are quantized, which are copied and why, and the file of each. Pure;
// the same input and settings give the same plan, so that a run can continue another one.

import { ELEMENT_BYTES, elementsIn } from '../src/files/raw-tensor.js';
import { compressedTensorsOutlines, type TensorFile, type TensorInfo, type TensorOutline, torchNpuOutlines } from '../src/formats.js';
import { widthOf } from '../src/problem/code-width.js';
import { isFloat, type ModelFacts, sizesOf, spared, whyNoLayer } from './floats.js';
import { AUTO_GROUPS, formOf, groupOf, type Settings } from './quantize-settings.js';

export interface LayerItem {
  readonly kind: 'layer';
  /** Without `.weight`. */
  readonly name: string;
  readonly n: number;
  readonly k: number;
  readonly weight: TensorInfo;
  /** The weight is stored as (K, N). */
  readonly turned: boolean;
  /** Written with the layer if the scheme has a dtype for it; else it is copied like other tensors. */
  readonly bias: TensorInfo | undefined;
  readonly outlines: readonly TensorOutline[];
}
export interface CopyItem {
  readonly kind: 'copy';
  readonly name: string;
  readonly info: TensorInfo;
  /** Why it stays a float tensor; undefined if it is not one. */
  readonly why: string | undefined;
  readonly outlines: readonly TensorOutline[];
}
export type Item = LayerItem | CopyItem;

export interface Shard {
  readonly name: string;
  readonly items: readonly Item[];
  /** Bytes of its tensors. */
  readonly bytes: number;
}

/**
 * Why a float tensor is copied; undefined if it is quantized. --include and --exclude come first. Without --include, weights of linear
 * layers are quantized, except embeddings, the head and routers of experts.
 */
export function whyCopied(info: Pick<TensorInfo, 'name' | 'shape'>, settings: Settings, facts: ModelFacts): string | undefined {
  const { include, exclude, group, bits, scheme } = settings;
  const { name } = info;
  const { k } = sizesOf(info, facts);
  const never = whyNoLayer(info, facts);
  if (never) return never;
  if (exclude?.test(name)) return '--exclude';
  if (include && !include.test(name)) return 'not of --include';
  const what = include ? undefined : spared(info, facts);
  if (what) return `${what}; --include takes it`;
  if (groupOf(settings, k) === undefined)
    return group === 'auto'
      ? `K = ${k} is not a multiple of ${AUTO_GROUPS.at(-1)}, the smallest of --group auto`
      : `K = ${k} is not a multiple of --group ${group}`;
  const { inElement } = widthOf(bits);
  if (scheme === 'torch_npu' && k % inElement !== 0) return `K = ${k} is no multiple of ${inElement}`;
  return undefined;
}

export function itemsOf(file: TensorFile, settings: Settings, facts: ModelFacts): Item[] {
  const { scheme } = settings;
  const chosen = new Map<string, string | undefined>();
  for (const info of file.tensors.values()) if (isFloat(info)) chosen.set(info.name, whyCopied(info, settings, facts));
  const isLayer = (name: string): boolean => chosen.has(name) && chosen.get(name) === undefined;
  const items: Item[] = [];
  for (const info of file.tensors.values()) {
    const { name: tensor, dtype, shape } = info;
    if (isLayer(tensor)) {
      const name = tensor.replace(/\.weight$/, '');
      const { n, k } = sizesOf(info, facts);
      const form = formOf(settings, { n, k });
      const beside = file.tensors.get(`${name}.bias`);
      const bias =
        scheme === 'torch_npu' && beside && isFloat(beside) && beside.shape.length === 1 && beside.shape[0] === n ? beside : undefined;
      const outlines =
        scheme === 'torch_npu' ? torchNpuOutlines(name, form, { bias: bias !== undefined }) : compressedTensorsOutlines(name, form);
      items.push({ kind: 'layer', name, n, k, weight: info, turned: facts.transposed.has(tensor), bias, outlines });
    } else items.push({ kind: 'copy', name: tensor, info, why: chosen.get(tensor), outlines: [{ name: tensor, dtype, shape }] });
  }
  const taken = new Set(items.flatMap((item) => (item.kind === 'layer' && item.bias ? [item.bias.name] : [])));
  return items.filter((item) => item.kind === 'layer' || !taken.has(item.name));
}

export const outlineBytes = (outlines: readonly TensorOutline[]): number =>
  outlines.reduce((sum, { dtype, shape }) => sum + elementsIn(shape) * (ELEMENT_BYTES[dtype] ?? 0), 0);

/** Distributes items in order to files of at most `shardBytes`, at least one item each. A layer's tensors stay together. */
export function shardsOf(items: readonly Item[], shardBytes: number, oneFile?: string): Shard[] {
  const runs: { items: Item[]; bytes: number }[] = [];
  for (const item of items) {
    const bytes = outlineBytes(item.outlines);
    const last = runs.at(-1);
    if (last && last.bytes + bytes <= shardBytes) {
      last.items.push(item);
      last.bytes += bytes;
    } else runs.push({ items: [item], bytes });
  }
  if (runs.length === 0) runs.push({ items: [], bytes: 0 });
  const digits = (i: number): string => String(i).padStart(5, '0');
  const name = (i: number): string =>
    runs.length === 1 ? 'model.safetensors' : `model-${digits(i + 1)}-of-${digits(runs.length)}.safetensors`;
  return runs.map((run, i) => ({ name: oneFile ?? name(i), ...run }));
}

/** Bytes of an item's input: the measure of progress. */
export const inputBytes = (item: Item): number => {
  const { begin, end } = item.kind === 'layer' ? item.weight : item.info;
  return end - begin;
};
