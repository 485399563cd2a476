// The experts of a model's layers: loading them, gates joined with ups.
import { UnsupportedError } from '../errors.js';
import type { ExpertLayers } from '../experts/expert-layers.js';
import { joinExperts } from '../experts/join-experts.js';
import { loadExperts } from '../experts/load-experts.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { LayerSource } from '../formats/layer-source.js';
import { isTensor } from '../layer/piece-source.js';
import { type ExpertMatrices, type LanguageModel, matrixBytes } from '../model/language-model.js';
import type { Progress } from '../progress.js';
import type { QuantizeForm } from '../quantize/gpu-form.js';
import type { ExpertsName } from './step-plan.js';

/** Bytes in the file. */
export const expertBytes = ({ source }: ExpertMatrices): number =>
  source.reduce((sum: number, one: LayerSource | TensorInfo) => sum + matrixBytes(isTensor(one) ? { weight: one } : one), 0);

/** Tensors of floats, which are quantized while they are loaded. */
export const floatExperts = (experts: LanguageModel['experts']): readonly TensorInfo[] =>
  [...experts.values()].flatMap(({ info, source }) => (source.some(isTensor) ? [info] : []));

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

export interface LoadExpertsOfOptions {
  /** Has what is loaded at any time. */
  readonly keep: Set<{ destroy(): void }>;
  readonly told: Teller;
  /** What floats become. */
  readonly quantize: QuantizeForm;
  readonly signal: AbortSignal | undefined;
}

/**
 * Loads the experts of all layers, one layer after the other, so that gates and ups are twice in memory of one layer alone.
 * @throws as loadExperts, joinExperts; UnsupportedError where gates and ups are of two types
 */
export async function loadExpertsOf(
  device: GPUDevice,
  { file, config, experts }: LanguageModel,
  { keep, told, quantize, signal }: LoadExpertsOfOptions,
): Promise<ReadonlyMap<ExpertsName, ExpertLayers>> {
  const made = new Map<ExpertsName, ExpertLayers>();
  const load = async (matrices: ExpertMatrices): Promise<ExpertLayers> => {
    const { source } = matrices;
    const progress = told.next(expertBytes(matrices));
    const loaded = await loadExperts(device, source, {
      dtype: 'float32',
      onProgress: progress.tell,
      ...(source.some(isTensor) && { quantize }),
      ...(signal && { signal }),
    });
    keep.add(loaded);
    progress.end();
    return loaded;
  };
  for (let i = 0; config.experts && i < config.layers; i++) {
    const [gates, ups, downs] = (['gates', 'ups', 'downs'] as const).map((part) => experts.get(`${part}.${i}`)!);
    const [one, other] = [gates!.info, ups!.info];
    if (one.dtype !== other.dtype)
      throw new UnsupportedError(`${file.name}: ${one.name}`, [
        `it is ${one.dtype}, and ${other.name} is ${other.dtype}: expected one type for both`,
      ]);
    const apart = [await load(gates!), await load(ups!)];
    const both = joinExperts(apart, { glu: 'silu' });
    for (const each of apart) keep.delete(each);
    keep.add(both);
    made.set(`gateUp.${i}`, both);
    made.set(`down.${i}`, await load(downs!));
  }
  return made;
}
