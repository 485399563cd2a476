// ExpertSource: matrices of one shape and format in a file, the experts of a block. They come from tensors with an axis of experts in front, or
// from layers with numbers in their names. Each expert is a LayerSource of its own.

import { ArgumentError } from '../errors.js';
import { tensorInfo } from '../files/given.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { showShape } from '../problem/view.js';
import type { LayerSource } from './layer-source.js';

/** The experts of a block, as `loadExperts` takes them. */
export interface ExpertSource extends Pick<LayerSource, 'name' | 'format' | 'n' | 'k' | 'bits' | 'groupSize'> {
  /** In the order of their ids. */
  readonly experts: readonly LayerSource[];
}

/** One of them. */
export const partOf = (info: TensorInfo, expert: number): TensorInfo => {
  const bytes = (info.end - info.begin) / info.shape[0]!;
  const begin = info.begin + expert * bytes;
  return { ...info, name: `${info.name}[${expert}]`, shape: info.shape.slice(1), begin, end: begin + bytes };
};

/**
 * The parts of a tensor along its first axis, e.g. the matrices (N, K) of a tensor (E, N, K).
 * @throws ArgumentError if it has fewer than two axes
 * @example const experts = await loadExperts(device, partsOf(file.tensors.get('model.layers.0.mlp.experts.down_proj')), { quantize: 'int4' });
 */
export function partsOf(info: TensorInfo): TensorInfo[] {
  tensorInfo(info, 'info');
  const { shape } = info;
  if (shape.length < 2) throw new ArgumentError('info.shape', 'at least two axes', showShape(shape));
  return Array.from({ length: shape[0]! }, (_, expert) => partOf(info, expert));
}

const common = ({ format, n, k, bits, groupSize }: LayerSource) => ({ format, n, k, bits, groupSize });

/** Several layers under one name, the experts of a block. */
export const asExperts = (name: string, experts: readonly LayerSource[]): ExpertSource => ({ name, ...common(experts[0]!), experts });

/** NAME.experts.7.PART */
const NUMBERED = /^(.*\bexperts)\.(\d+)\.(.+)$/;

/** Experts among layers of such names: all numbers from 0 on, of one shape and format. */
export function groupExperts(layers: readonly LayerSource[]): ExpertSource[] {
  const groups = new Map<string, LayerSource[]>();
  for (const layer of layers) {
    const [, block, number, own] = NUMBERED.exec(layer.name) ?? [];
    if (block === undefined) continue;
    const name = `${block}.${own}`;
    const list = groups.get(name) ?? [];
    groups.set(name, list);
    list[Number(number)] = layer;
  }
  const alike = (a: LayerSource, b: LayerSource): boolean => JSON.stringify(common(a)) === JSON.stringify(common(b));
  return [...groups].flatMap(([name, list]) =>
    list.length > 1 && Array.from(list).every((layer) => layer !== undefined && alike(layer, list[0]!)) ? [asExperts(name, list)] : [],
  );
}
