// The experts of a model's layers: where they are in a file, and loading them, gates joined with ups.
import { UnsupportedError } from '../errors.js';
import type { ExpertLayers } from '../experts/expert-layers.js';
import { joinExperts } from '../experts/join-experts.js';
import { loadExperts } from '../experts/load-experts.js';
import type { TensorFile, TensorInfo } from '../files/tensor-file.js';
import { partsOf } from '../formats/experts.js';
import type { FoundLayers } from '../formats/found-layers.js';
import type { LayerSource } from '../formats/layer-source.js';
import { isTensor } from '../layer/piece-source.js';
import type { Config } from '../llm/config.js';
import { matrixName, type Role } from '../llm/names.js';
import type { Progress } from '../progress.js';
import type { ExpertsName } from './step-plan.js';

/** Where a matrix is. */
export type Source = LayerSource | TensorInfo;

/** Bytes of a matrix in its file. */
export const bytesOf = (source: Source): number =>
  (isTensor(source) ? [source] : Object.values(source.tensors)).reduce((sum, { begin, end }) => sum + end - begin, 0);

/** The experts of a role, each a matrix. */
export interface ExpertsIn {
  readonly role: Role;
  readonly info: TensorInfo;
  readonly source: readonly LayerSource[] | readonly TensorInfo[];
}

const PARTS = ['gates', 'ups', 'downs'] as const;

/** Types that are quantized when they are loaded. */
const FLOATS = ['F32', 'F16', 'BF16'];

/** The experts of all layers: gates, ups and downs of each. @throws FormatError, UnsupportedError */
export function expertSources(
  { name: file }: TensorFile,
  found: ReadonlyMap<Role, TensorInfo>,
  { layers }: Pick<Config, 'layers'>,
  { experts, refused, notYet }: FoundLayers,
): readonly ExpertsIn[] {
  const byName = new Map(experts.map((one) => [one.name, one.experts]));
  const sourceOf = (role: Role): ExpertsIn => {
    const info = found.get(role)!;
    const name = matrixName(role, 'gguf')!;
    const source = byName.get(name);
    if (source) return { role, info, source };
    const error = refused.find((one) => one.name === name)?.error;
    if (error) throw error;
    if (FLOATS.includes(info.dtype)) return { role, info, source: partsOf(info) };
    const why = notYet.find(({ tensors }) => tensors.includes(info))?.why ?? `no format has ${info.dtype}`;
    throw new UnsupportedError(`${file}: ${info.name}`, [why]);
  };
  return Array.from({ length: layers }, (_, i) => PARTS.map((part) => sourceOf(`${part}.${i}`))).flat();
}

/** Tells of bytes that several loads read and pack, one after the other. */
export interface Teller {
  /** A load that tells of itself, from the beginning. */
  readonly first: (progress: Progress) => void;
  /** Another of so many bytes: it tells of what it reads, and `end` that all is packed. */
  next(bytes: number): { readonly tell: (progress: Progress) => void; readonly end: () => void };
}

/** @param total bytes of all loads */
export function teller(total: number, onProgress: ((progress: Progress) => void) | undefined): Teller {
  const done = new Map<Progress['phase'], number>();
  const tell = (phase: Progress['phase'], bytes: number): void => {
    done.set(phase, bytes);
    onProgress?.({ phase, done: bytes, total });
  };
  return {
    first: ({ phase, done: bytes }) => tell(phase, bytes),
    next(bytes) {
      const [read, packed] = [done.get('read') ?? 0, done.get('pack') ?? 0];
      return { tell: ({ done: own }) => tell('read', read + own), end: () => tell('pack', packed + bytes) };
    },
  };
}

/**
 * Loads the experts of layers, one layer after the other, so that gates and ups are twice in memory of one layer alone.
 * @param options.keep has what is loaded at any time
 * @throws as loadExperts, joinExperts
 */
export async function loadExpertsOf(
  device: GPUDevice,
  sources: readonly ExpertsIn[],
  { keep, told, signal }: { readonly keep: Set<{ destroy(): void }>; readonly told: Teller; readonly signal: AbortSignal | undefined },
): Promise<ReadonlyMap<ExpertsName, ExpertLayers>> {
  const made = new Map<ExpertsName, ExpertLayers>();
  let gates: ExpertLayers | undefined;
  for (const { role, source } of sources) {
    const [part, layer] = role.split('.') as [(typeof PARTS)[number], string];
    const progress = told.next((source as readonly Source[]).reduce((sum, one) => sum + bytesOf(one), 0));
    const experts = await loadExperts(device, source, {
      dtype: 'float32',
      onProgress: progress.tell,
      ...(source.some(isTensor) && { quantize: 'int8' as const }),
      ...(signal && { signal }),
    });
    keep.add(experts);
    progress.end();
    if (part === 'gates') gates = experts;
    else if (part === 'downs') made.set(`down.${Number(layer)}`, experts);
    else {
      const both = joinExperts([gates!, experts], { glu: 'silu' });
      for (const one of [gates!, experts]) keep.delete(one);
      keep.add(both);
      made.set(`gateUp.${Number(layer)}`, both);
    }
  }
  return made;
}
