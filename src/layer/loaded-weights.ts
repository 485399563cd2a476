// Loaded weights that an x can be multiplied with, one layer's or several layers' side by side, and what repeated calls use again:
// recorded calls and output buffers. The layer and `forwardMany` are thin around it.

import { BYTES, wholeWords } from '../dtype.js';
import { UnsupportedError } from '../errors.js';
import { findingsOf } from '../gpu/device-findings.js';
import { type Recording, record } from '../gpu/dispatch.js';
import { pipelineErrors } from '../gpu/pipeline.js';
import { scratch } from '../gpu/scratch.js';
import { selfTested } from '../gpu/self-test.js';
import type { Tensor } from '../gpu/tensor.js';
import type { Packed } from '../plan/packed-layout.js';
import { type Force, makePlan, type Plan } from '../plan/plan.js';
import type { Caps } from '../problem/caps.js';
import type { checkX } from '../problem/checks.js';
import { contiguousX, type LinearSpec, makeProblem, type Part, type Problem, type Weights, type XView } from '../problem/problem.js';
import type { Digits } from '../problem/x-codes.js';

/** Where several layers' weights lie side by side: buffers that go with the last of them. */
export interface Home {
  readonly buffers: readonly GPUBuffer[];
  users: number;
  close(): void;
}

export interface Product {
  readonly device: GPUDevice;
  readonly spec: LinearSpec;
  readonly weights: Weights;
  readonly packed: Packed;
  readonly caps: Caps;
  readonly force: Force | undefined;
  /** Test each variant before its results count. */
  readonly selfTest: boolean;
  /** By role. */
  readonly buffers: ReadonlyMap<string, GPUBuffer>;
  /** What of `buffers` is shared. */
  readonly home: Home | undefined;
  /** Rejects if the weights could not be brought here: a shader that does not compile, or no memory. */
  readonly done: Promise<void>;
  /** By x's (or its codes') and then y's buffer, weakly, so that a call is forgotten with either. */
  readonly calls: WeakMap<GPUBuffer, WeakMap<GPUBuffer, Call>>;
  /** Buffers that outputs gave back, by their size. */
  readonly outputs: Map<number, GPUBuffer[]>;
  freed: boolean;
}

/** What is multiplied: x, and its codes if it came quantized. */
export interface Input {
  readonly x: Tensor;
  readonly codes?: Tensor;
  readonly digits?: Digits;
  /** Rejects if the codes could not be made. */
  readonly written?: Promise<void>;
}

/** Would writing y overwrite what is read? */
export const sharesBuffer = ({ x, codes }: Input, y: Tensor): boolean => y.buffer === x.buffer || y.buffer === codes?.buffer;

/** What a call with the same rows, layouts and buffers uses again. */
export interface Call {
  readonly problem: Problem;
  readonly plan: Plan;
  readonly recording: Recording;
  readonly scratch: ReadonlyMap<string, GPUBuffer>;
  /** `changes` of the device's findings when it was planned. */
  readonly changes: number;
  /** Rejects if a shader of the call, its self-test, or what came before it, failed. */
  readonly written: Promise<void>;
}

const OUTPUT = 0x80 | 0x4; // GPUBufferUsage.STORAGE | COPY_SRC
const KEPT_OUTPUTS = 4; // of each size

export const makeProduct = (init: Omit<Product, 'calls' | 'outputs' | 'freed'>): Product => ({
  ...init,
  calls: new WeakMap(),
  outputs: new Map(),
  freed: false,
});

/** Frees its buffers, less those that others use, or `next`, which takes its place; outputs that were given out stay. */
export function freeProduct(product: Product, next?: Product): void {
  const { buffers, home, outputs } = product;
  const used = new Set([...(home?.buffers ?? []), ...(next?.buffers.values() ?? [])]);
  for (const buffer of buffers.values()) if (!used.has(buffer)) buffer.destroy();
  for (const buffer of [...outputs.values()].flat()) buffer.destroy();
  outputs.clear();
  product.freed = true;
  if (home && --home.users === 0) home.close();
}

/** Where a product's y goes: its first element; or, of several layers' side by side, each one's columns. */
export type Target = number | readonly Part[];

/** How `m` rows, laid out as `x`, are multiplied. @throws UnsupportedError */
export const planOf = (product: Product, m: number, x: XView = contiguousX(m, product.weights.k), y: Target = 0): Plan =>
  planFor(product, makeProblem(product.spec, product.weights, m, x, y));

/** A kernel that is asked for without a self-test is taken whatever is known of it. */
const planFor = ({ device, packed, caps, force, selfTest }: Product, problem: Problem): Plan =>
  makePlan(problem, packed, caps, force, force && !selfTest ? undefined : findingsOf(device));

const sameParts = (a: Problem['parts'], b: Problem['parts']): boolean =>
  a === b || (a?.length === b?.length && a!.every(({ begin, yOffset }, i) => begin === b![i]!.begin && yOffset === b![i]!.yOffset));

const sameLayout = (a: Problem, b: Problem): boolean =>
  a.m === b.m &&
  a.yOffset === b.yOffset &&
  a.x.offset === b.x.offset &&
  a.x.batchRows === b.x.batchRows &&
  a.x.strideM === b.x.strideM &&
  a.x.strideK === b.x.strideK &&
  sameParts(a.parts, b.parts);

/** The recorded call for x and y's buffer, made if there is none. Without a y it is made last: what cannot be planned allocates nothing. */
export function callOf(
  product: Product,
  { x, codes, digits, written: quantized }: Input,
  { m, view }: ReturnType<typeof checkX>,
  target: Target,
  known: GPUBuffer | undefined,
  makeY: () => GPUBuffer,
): { readonly call: Call; readonly y: GPUBuffer } {
  const { device, spec, weights, buffers, calls, done } = product;
  const problem = { ...makeProblem(spec, weights, m, view, target), xDigits: digits };
  const key = (codes ?? x).buffer;
  const before = known && calls.get(key)?.get(known);
  const { changes } = findingsOf(device);
  if (before?.changes === changes && sameLayout(before.problem, problem) && scratchStands(device, before))
    return { call: before, y: known! };
  const plan = planFor(product, problem);
  const y = known ?? makeY();
  const temporary = new Map(Object.entries(plan.scratch).map(([role, size]) => [role, scratch(device, role, size)]));
  const own: Readonly<Record<string, GPUBuffer>> = { x: x.buffer, y, ...(codes && { xCodes: codes.buffer }) };
  const find = (role: string): GPUBuffer => own[role] ?? temporary.get(role) ?? buffers.get(role)!;
  const recording = record(device, plan.steps, find);
  const tested = product.selfTest ? selfTested(device, plan) : undefined;
  const written = Promise.all([done, quantized, pipelineErrors(device, plan.steps), tested]).then(() => {});
  written.catch(() => {}); // reported by reading an output
  const call: Call = { problem, plan, recording, scratch: temporary, changes, written };
  const byY = calls.get(key) ?? new WeakMap<GPUBuffer, Call>();
  calls.set(key, byY.set(y, call));
  return { call, y };
}

/** Scratch buffers are shared: another call may have grown them, which replaces them. */
function scratchStands(device: GPUDevice, { scratch: used }: Call): boolean {
  for (const [role, buffer] of used) if (scratch(device, role, 1) !== buffer) return false;
  return true;
}

/** Bytes of an output of `m` rows; of `elements`, where parts of it have gaps between them. @throws UnsupportedError */
export function outputBytes({ spec, weights, caps: { maxBufferSize } }: Product, m: number, elements = m * weights.n): number {
  const size = wholeWords(elements * BYTES[weights.requantized ? 'int8' : spec.dtype]);
  if (size > maxBufferSize)
    throw new UnsupportedError(`y (${m}, ${weights.n})`, [`needs ${size} bytes, maxBufferSize is ${maxBufferSize}`]);
  return size;
}

/** The recorded call for x into an output buffer of `size` bytes, which was given back or is new. */
export function callWithOutput(
  product: Product,
  input: Input,
  rows: ReturnType<typeof checkX>,
  target: Target,
  size: number,
): { readonly call: Call; readonly y: GPUBuffer } {
  const kept = product.outputs.get(size);
  const made = callOf(product, input, rows, target, kept?.at(-1), () =>
    product.device.createBuffer({ label: 'antiquant y', size, usage: OUTPUT }),
  );
  kept?.pop();
  return made;
}

/** Takes an output buffer back, or frees it. */
export function recycle({ outputs, freed }: Product, buffer: GPUBuffer): void {
  const kept = outputs.get(buffer.size) ?? [];
  if (freed || kept.length >= KEPT_OUTPUTS) {
    buffer.destroy();
    return;
  }
  kept.push(buffer);
  outputs.set(buffer.size, kept);
}
