// Weights on the GPU, one layer's or several layers' side by side, and the output buffers that come back to them. Calls are calls.ts.
import { BYTES, wholeWords } from '../dtype.js';
import { UnsupportedError } from '../errors.js';
import { BUFFER, makeBuffer } from '../gpu/buffers.js';
import { findingsOf } from '../gpu/device-findings.js';
import type { Force } from '../plan/choose.js';
import type { Packed } from '../plan/packed-layout.js';
import { makePlan, type Plan } from '../plan/plan.js';
import type { Caps } from '../problem/caps.js';
import { type LinearSpec, outputDtype, type Problem, type Weights } from '../problem/problem.js';

/** Several layers' weights in shared buffers, which are freed with the last of the layers. */
export interface SharedBuffers {
  readonly buffers: readonly GPUBuffer[];
  users: number;
  close(): void;
}

/** How a layer wants its products planned and checked. */
export interface PlanSettings {
  readonly caps: Caps;
  readonly force: Force | undefined;
  /** Test each variant before its results count. */
  readonly selfTest: boolean;
}

export interface LoadedWeights {
  readonly device: GPUDevice;
  readonly spec: LinearSpec;
  readonly weights: Weights;
  readonly packed: Packed;
  readonly settings: PlanSettings;
  /** By role. */
  readonly buffers: ReadonlyMap<string, GPUBuffer>;
  /** Those of `buffers` that other layers use too. */
  readonly shared: SharedBuffers | undefined;
  /** Rejects if the weights could not be brought here: a shader that does not compile, or no memory. */
  readonly done: Promise<void>;
  /** Buffers that outputs gave back, by their size. */
  readonly outputs: Map<number, GPUBuffer[]>;
  freed: boolean;
}

const KEPT_OUTPUTS = 4; // of each size

export const makeLoaded = (init: Omit<LoadedWeights, 'outputs' | 'freed'>): LoadedWeights => ({
  ...init,
  outputs: new Map(),
  freed: false,
});

/** Frees its buffers, less those that others use, or `next`, which takes its place; outputs that were given out stay. */
export function freeLoaded(loaded: LoadedWeights, next?: LoadedWeights): void {
  const { buffers, shared, outputs } = loaded;
  const used = new Set([...(shared?.buffers ?? []), ...(next?.buffers.values() ?? [])]);
  for (const buffer of buffers.values()) if (!used.has(buffer)) buffer.destroy();
  for (const buffer of [...outputs.values()].flat()) buffer.destroy();
  outputs.clear();
  loaded.freed = true;
  if (shared && --shared.users === 0) shared.close();
}

/** How a problem with these weights is multiplied. A kernel that is asked for without a self-test is taken whatever is known of it. */
export function planFor({ device, packed, settings }: LoadedWeights, problem: Problem): Plan {
  const { caps, force, selfTest } = settings;
  const findings = force && !selfTest ? undefined : findingsOf(device);
  return makePlan({ problem, packed, caps }, { force, findings });
}

/** Bytes of an output of `m` rows; of `elements`, where parts of it have gaps between them. @throws UnsupportedError */
export function outputBytes(
  { spec, weights, settings: { caps } }: LoadedWeights,
  { m, elements }: { m: number; elements?: number },
): number {
  const size = wholeWords((elements ?? m * weights.n) * BYTES[outputDtype(spec, weights)]);
  if (size > caps.maxBufferSize)
    throw new UnsupportedError(`y (${m}, ${weights.n})`, [`needs ${size} bytes, maxBufferSize is ${caps.maxBufferSize}`]);
  return size;
}

/** An output buffer of `size` bytes that was given back, if there is one. It stays with the weights until `takeOutput`. */
export const keptOutput = ({ outputs }: LoadedWeights, size: number): GPUBuffer | undefined => outputs.get(size)?.at(-1);

/** The output buffer that `keptOutput` showed, or a new one. */
export const takeOutput = ({ device, outputs }: LoadedWeights, size: number): GPUBuffer =>
  outputs.get(size)?.pop() ?? makeBuffer(device, { label: 'y', usage: BUFFER.output, size });

/** Takes an output buffer back, or frees it. */
export function recycle({ outputs, freed }: LoadedWeights, buffer: GPUBuffer): void {
  const kept = outputs.get(buffer.size) ?? [];
  if (freed || kept.length >= KEPT_OUTPUTS) {
    buffer.destroy();
    return;
  }
  kept.push(buffer);
  outputs.set(buffer.size, kept);
}
