// Weights on the GPU, one layer's or several layers' side by side, and the output buffers that come back to them. Calls are calls.ts.
import { BYTES, wholeWords } from '../dtype.js';
import { UnsupportedError } from '../errors.js';
import { BUFFER, makeBuffer } from '../gpu/buffers.js';
import { findingsOf } from '../gpu/device-findings.js';
import { guarded, type Taken } from '../gpu/guard.js';
import type { Force } from '../plan/choose.js';
import type { Packed } from '../plan/packed-layout.js';
import { makePlan, type Plan } from '../plan/plan.js';
import type { Caps } from '../problem/caps.js';
import { type LinearSpec, type Problem, type Weights, yDtypeOf } from '../problem/problem.js';

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
  /** Rejects if the weights could not be brought here: a shader that does not compile, no memory, work that the GPU refused. */
  readonly done: Taken;
  /** Buffers that outputs gave back, by their size. */
  readonly outputs: Map<number, OutputBuffer[]>;
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
  for (const { buffer } of [...outputs.values()].flat()) buffer.destroy();
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
  const size = Math.max(4, wholeWords((elements ?? m * weights.n) * BYTES[yDtypeOf(spec, weights)]));
  if (size > caps.maxBufferSize)
    throw new UnsupportedError(`y (${m}, ${weights.n})`, [`needs ${size} bytes, maxBufferSize is ${caps.maxBufferSize}`]);
  return size;
}

/** A buffer for outputs. */
export interface OutputBuffer {
  readonly buffer: GPUBuffer;
  /** Rejects if there was no memory for it; it is not kept then. */
  readonly ready: Taken;
}

/** An output buffer of `size` bytes that was given back, if there is one. It stays with the weights until `takeOutput`. */
export const keptOutput = ({ outputs }: LoadedWeights, size: number): OutputBuffer | undefined => outputs.get(size)?.at(-1);

/** The output buffer that `keptOutput` showed, or a new one. @throws UnsupportedError */
export function takeOutput({ device, outputs }: LoadedWeights, size: number): OutputBuffer {
  const kept = outputs.get(size)?.pop();
  if (kept) return kept;
  const { result: buffer, errors } = guarded(device, 'y', () => makeBuffer(device, { label: 'y', usage: BUFFER.output, size }));
  const made: OutputBuffer = { buffer, ready: errors };
  errors.catch(() => {
    const list = outputs.get(size);
    if (list?.includes(made)) list.splice(list.indexOf(made), 1);
    buffer.destroy();
  });
  return made;
}

/** Takes an output buffer back, or frees it. */
export function recycle({ outputs, freed }: LoadedWeights, output: OutputBuffer): void {
  const { size } = output.buffer;
  const kept = outputs.get(size) ?? [];
  if (freed || kept.length >= KEPT_OUTPUTS) {
    output.buffer.destroy();
    return;
  }
  kept.push(output);
  outputs.set(size, kept);
}
