// Weights on the GPU, of one layer or of several side by side, and the pool of their output buffers.
import { BYTES, wholeWords } from '../dtype.js';
import { UnsupportedError } from '../errors.js';
import { BUFFER, makeBuffer } from '../gpu/buffers.js';
import { findingsOf } from '../gpu/device-findings.js';
import { ends } from '../gpu/ends.js';
import { guarded, type Taken } from '../gpu/guard.js';
import type { Force } from '../plan/choose.js';
import type { Packed } from '../plan/packed-layout.js';
import { makePlan, type Plan } from '../plan/plan.js';
import type { Caps } from '../problem/caps.js';
import { columnsOfY } from '../problem/glu.js';
import { type LinearSpec, type Problem, type Weights, yDtypeOf } from '../problem/problem.js';
import type { QuantizeReport } from '../quantize/report.js';

/** Buffers that several layers share; they are freed with the last of the layers. */
export interface SharedBuffers {
  readonly buffers: readonly GPUBuffer[];
  users: number;
  close(): void;
}

/** A layer's settings of planning and self-tests. */
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
  /** The part of `buffers` that other layers use too. */
  readonly shared: SharedBuffers | undefined;
  /** Rejects if loading failed: a shader does not compile, no memory, or the GPU refused. */
  readonly done: Taken;
  /** Of weights that were quantized while they were loaded. */
  readonly report: QuantizeReport | undefined;
  /** The values of a codebook that is a table. */
  readonly codebook?: Float32Array | undefined;
  /** Output buffers to use again, by size. */
  readonly outputs: Map<number, OutputBuffer[]>;
  freed: boolean;
}

const KEPT_OUTPUTS = 4; // of each size

export const makeLoaded = (init: Omit<LoadedWeights, 'outputs' | 'freed'>): LoadedWeights => ({
  ...init,
  outputs: new Map(),
  freed: false,
});

/** Frees the buffers, except those that other layers or `next` (its replacement) use. Outputs in use stay. */
export function freeLoaded(loaded: LoadedWeights, next?: LoadedWeights): void {
  const { buffers, shared, outputs } = loaded;
  const used = new Set([...(shared?.buffers ?? []), ...(next?.buffers.values() ?? [])]);
  for (const buffer of buffers.values()) if (!used.has(buffer)) buffer.destroy();
  for (const { buffer } of [...outputs.values()].flat()) buffer.destroy();
  outputs.clear();
  loaded.freed = true;
  ends.count++;
  if (shared && --shared.users === 0) shared.close();
}

/** Plans a problem with these weights. A forced kernel without a self-test is used even if it is disabled. */
export function planFor({ device, packed, settings }: LoadedWeights, problem: Problem): Plan {
  const { caps, force, selfTest } = settings;
  const findings = force && !selfTest ? undefined : findingsOf(device);
  return makePlan({ problem, packed, caps }, { force, findings });
}

/** Bytes of an output of `m` rows, or of `elements` where it has gaps. @throws UnsupportedError */
export function outputBytes(
  { spec, weights, settings: { caps } }: LoadedWeights,
  { m, elements }: { m: number; elements?: number },
): number {
  const n = columnsOfY(weights);
  const size = Math.max(4, wholeWords((elements ?? m * n) * BYTES[yDtypeOf(spec, weights)]));
  if (size > caps.maxBufferSize)
    throw new UnsupportedError(`y (${m}, ${n})`, [`needs ${size} bytes, maxBufferSize is ${caps.maxBufferSize}`]);
  return size;
}

/** An output buffer. */
export interface OutputBuffer {
  readonly buffer: GPUBuffer;
  /** Rejects if there was no memory for it; the buffer is then not used again. */
  readonly ready: Taken;
  /** Was it made for one tensor? It is then never in the pool. */
  readonly own: boolean;
}

/** A free output buffer of `size` bytes, if there is one. It stays in the pool until `takeOutput`. */
export const keptOutput = ({ outputs }: LoadedWeights, size: number): OutputBuffer | undefined => outputs.get(size)?.at(-1);

/** The output buffer that `keptOutput` returns, or a new one, which is always the case with `own`. @throws UnsupportedError */
export function takeOutput({ device, outputs }: LoadedWeights, size: number, own = false): OutputBuffer {
  const kept = own ? undefined : outputs.get(size)?.pop();
  if (kept) return kept;
  const { result: buffer, errors } = guarded(device, 'y', () => makeBuffer(device, { label: 'y', usage: BUFFER.output, size }));
  const made: OutputBuffer = { buffer, ready: errors, own };
  errors.catch(() => {
    const list = outputs.get(size);
    if (list?.includes(made)) list.splice(list.indexOf(made), 1);
    buffer.destroy();
  });
  return made;
}

/** Puts an output buffer back into the pool, or frees it. */
export function recycle({ outputs, freed }: LoadedWeights, output: OutputBuffer): void {
  const { size } = output.buffer;
  const kept = outputs.get(size) ?? [];
  if (output.own || freed || kept.length >= KEPT_OUTPUTS) {
    output.buffer.destroy();
    return;
  }
  kept.push(output);
  outputs.set(size, kept);
}
