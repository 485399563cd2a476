// The kernels of shaders/llm in float64, and how far they may be from it; and running one of them with poison around its buffers. Holds no
// test. docs/numerics.md derives the bounds.
import { afterAll, expect } from 'vitest';
import { decode16 } from '../../src/dtype.js';
import { BUFFER, makeBuffer } from '../../src/gpu/buffers.js';
import { pipelineOf } from '../../src/gpu/pipeline.js';
import { requestDevice } from '../../src/index.js';
import { type Heads, paddedWidth } from '../../src/llm-kernels/attention.js';
import { addLlmShaders, type LlmDispatch, type Step, stepWords } from '../../src/llm-kernels/shaders.js';
import { gpu } from './dawn.js';

addLlmShaders();

/** A device for a file of tests, which fail where an error of it reached nobody. */
export async function llmDevice(): Promise<GPUDevice> {
  const device = await requestDevice({ gpu });
  const unseen: string[] = [];
  device.addEventListener('uncapturederror', ({ error }) => unseen.push(error.message));
  afterAll(() => {
    expect(unseen).toEqual([]);
    device.destroy();
  });
  return device;
}

const U = 2 ** -24;
/** Smallest normal half: a device may read one below as 0. */
const LEAST_HALF = 2 ** -14;

/** Values, and how far each may be from what a kernel makes. */
export interface Bounded {
  readonly value: Float64Array;
  readonly bound: Float64Array;
}
const bounded = (length: number): Bounded => ({ value: new Float64Array(length), bound: new Float64Array(length) });

/** e^(position · base^(−2i / rotary) · √−1) in float32 as two tables, and in float64. */
export function anglesOf(rotary: number, base: number, capacity: number) {
  const pairs = rotary / 2;
  const frequency = Float64Array.from({ length: pairs }, (_, i) => base ** ((-2 * i) / rotary));
  const high = Math.ceil(capacity / 256);
  const table = Float32Array.from({ length: Math.max(2, 2 * pairs * (256 + high)) }, (_, at) => {
    const row = Math.floor(at / (2 * pairs));
    const angle = (row < 256 ? row : 256 * (row - 256)) * frequency[Math.floor(at / 2) % pairs]!;
    return at % 2 === 0 ? Math.cos(angle) : Math.sin(angle);
  });
  return { table, angle: (position: number, i: number) => position * frequency[i]! };
}
export type Angles = ReturnType<typeof anglesOf>;

/** Roundings of a norm's factor and its product with the weight, relative: the sum of squares, mean, epsilon, inverseSqrt (2 ULP), two products. */
const normRoundings = (width: number): number => ((width / 4 + 10) / 2 + 6) * U;

/** A head after its norm and its turn, times `scale`. */
export function turnedHead(x: ArrayLike<number>, { rope, rotary, norm, epsilon, scale, angle }: TurnOptions): Bounded {
  const width = x.length;
  const out = bounded(width);
  let values = Float64Array.from(x);
  const relative = norm ? normRoundings(width) : 0;
  if (norm) {
    const factor = 1 / Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / width + epsilon);
    values = values.map((v, i) => v * factor * norm[i]!);
  }
  const half = rotary / 2;
  for (let i = 0; i < width; i++) {
    if (i >= rotary) {
      out.value[i] = values[i]! * scale;
      out.bound[i] = (relative + 2 * U) * Math.abs(values[i]! * scale);
      continue;
    }
    const pairs = rope === 'pairs';
    const first = pairs ? i % 2 === 0 : i < half;
    const other = values[pairs ? i ^ 1 : (i + half) % rotary]!;
    const theta = angle(pairs ? i >> 1 : i % half);
    out.value[i] = scale * (values[i]! * Math.cos(theta) + (first ? -other : other) * Math.sin(theta));
    // Cosine and sine are 4 u from the true ones; two products, a sum, the scale.
    out.bound[i] = scale * (relative + 8 * U) * (Math.abs(values[i]!) + Math.abs(other));
  }
  return out;
}
export interface TurnOptions {
  readonly rope: 'pairs' | 'halves';
  readonly rotary: number;
  readonly norm?: ArrayLike<number> | undefined;
  readonly epsilon: number;
  readonly scale: number;
  readonly angle: (i: number) => number;
}

/** How a kernel sums over keys. */
export interface Chains {
  readonly lanes: number;
  /** Keys that meet the same top. */
  readonly tile: number;
  readonly splits: number;
  /** Elements of a kernel's head. */
  readonly padded: number;
}

/** cap · tanh(x / cap), as far from the kernels' as the divisions, exp and roundings of shaders/llm/cap-of.wgsl allow. */
export function capped(x: number, cap: number): { readonly value: number; readonly bound: number } {
  const value = cap * Math.tanh(x / cap);
  return { value, bound: 24 * U * Math.abs(value) + 2 ** -126 };
}

/**
 * softmax(q Kᵀ) V of one head. @param keys [length][e] @param kv what keys and values are held as @param cap of scores; 0: none @param sink a score
 * without a value
 */
export function attention(q: Bounded, { keys, values, chains, kv, cap = 0, sink }: AttentionOptions): Bounded {
  const width = q.value.length;
  const length = keys.length;
  const { lanes, tile, splits } = chains;
  const slices = Math.floor(lanes / (chains.padded / 4));
  const factors = Math.ceil(length / tile) + splits + 2;
  const chain = Math.ceil(length / slices) + slices + 4 * factors;
  const folds = Math.ceil(length / lanes) + lanes / 8 + 8 + 4 * factors;
  const small = (x: number): number => (kv === 'f16' && Math.abs(x) < LEAST_HALF ? Math.abs(x) : 0);
  // A code's factor comes behind its sum, and the test's product of both was rounded.
  const factored = kv === 'q8' ? 2 : 0;
  const scores = new Float64Array(length);
  const moved = new Float64Array(length);
  keys.forEach((key, t) => {
    for (let i = 0; i < width; i++) {
      const [a, k] = [q.value[i]!, key[i]!];
      scores[t]! += a * k;
      moved[t]! += Math.abs(k) * q.bound[i]! + Math.abs(a * k) * (chains.padded / 4 + 4 + factored) * U + Math.abs(a) * small(k);
    }
    if (cap === 0) return;
    const { value, bound } = capped(scores[t]!, cap); // no cap is steeper than 1
    scores[t] = value;
    moved[t]! += bound;
  });
  const top = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const out = bounded(width);
  let total = 0;
  let totalMoved = 0;
  const sumsMoved = new Float64Array(width);
  for (let t = 0; t < length; t++) {
    const distance = top - scores[t]!;
    const weight = Math.exp(-distance);
    // exp is good to 3 + 2 |x| ULP; the exponents of a key's factors add up to its distance from the top.
    const relative = Math.expm1(moved[t]! + U * (5 * distance + 8 * factors));
    total += weight;
    totalMoved += weight * (relative + folds * U) + 2 ** -126;
    for (let i = 0; i < width; i++) {
      const v = values[t]![i]!;
      out.value[i]! += weight * v;
      sumsMoved[i]! += weight * (Math.abs(v) * (relative + (chain + factored) * U) + small(v)) + 2 ** -126 * (1 + Math.abs(v));
    }
  }
  if (sink !== undefined) {
    const above = sink - top;
    const weight = Math.exp(above);
    total += weight;
    // The top may be any key's.
    totalMoved += weight * (Math.expm1(moved.reduce((a, b) => Math.max(a, b)) + U * (6 * Math.abs(above) + 8)) + U) + 2 ** -126;
  }
  const share = totalMoved / total;
  for (let i = 0; i < width; i++) {
    out.value[i]! /= total;
    const size = Math.abs(out.value[i]!);
    out.bound[i] = (sumsMoved[i]! / total + size * share) / (1 - share) + 6 * U * size;
  }
  return out;
}

interface AttentionOptions {
  readonly keys: readonly Float64Array[];
  readonly values: readonly Float64Array[];
  readonly chains: Chains;
  readonly kv: Heads['kv'];
  readonly cap?: number;
  readonly sink?: number | undefined;
}

/** Norms of rows. */
export function rms(x: ArrayLike<number>, weight: ArrayLike<number>, epsilon: number): Bounded {
  const width = weight.length;
  const out = bounded(x.length);
  for (let row = 0; row < x.length / width; row++) {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += x[row * width + i]! ** 2;
    const factor = 1 / Math.sqrt(sum / width + epsilon);
    for (let i = 0; i < width; i++) {
      const at = row * width + i;
      out.value[at] = x[at]! * factor * weight[i]!;
      // Squares in chains of width / 256 quads, 4 and 64 of those; mean, epsilon, inverseSqrt, two products.
      out.bound[at] = Math.abs(out.value[at]!) * ((width / 256 + 1 + 4 + 64 + 7) / 2 + 6) * U;
    }
  }
  return out;
}

/** What is outside its bound, in words; NaN must meet NaN. */
export function outside(got: ArrayLike<number>, { value, bound }: Bounded): string[] {
  const faults: string[] = [];
  for (let i = 0; i < value.length; i++) {
    const [a, b] = [got[i]!, value[i]!];
    if (Number.isNaN(b) ? !Number.isNaN(a) : !(Math.abs(a - b) <= bound[i]!)) faults.push(`[${i}] is ${a}, not ${b} ± ${bound[i]}`);
  }
  return faults.slice(0, 5);
}

// ------------------------------------------------------------------------------------------------------------- the cache

const placeOf = ({ padded, capacity }: { padded: number; capacity: number }, head: number, position: number, i: number) => ({
  k: ((head * (padded / 4) + (i >> 2)) * capacity + (position % capacity)) * 4 + (i & 3),
  v: (head * capacity + (position % capacity)) * padded + i,
});
/** Where element i of a head is among those of its padded form. Keys whose halves turn have both halves of pairs in whole quads. */
function paddedPlace({ width, rope, rotary = width }: Heads, what: 'k' | 'v', i: number): number {
  if (what === 'v' || rope === 'pairs') return i;
  const half = rotary / 2;
  const filled = 4 * Math.ceil(half / 4) - half;
  return i < half ? i : i < rotary ? i + filled : i + 2 * filled;
}
/** One key or value. */
export const rowOf = (of: Heads, floats: Float32Array, what: 'k' | 'v', [head, position]: readonly [number, number]): Float64Array => {
  const layout = { padded: paddedWidth(of).padded, capacity: of.capacity };
  return Float64Array.from({ length: of.width }, (_, i) => floats[placeOf(layout, head, position, paddedPlace(of, what, i))[what]]!);
};
/** A query as llm/rope-rows leaves it. */
export const queryOf = (of: Heads, padded: Float32Array): Float32Array =>
  Float32Array.from({ length: of.width }, (_, i) => padded[paddedPlace(of, 'k', i)]!);
/** Puts one key or value. */
export function putRow(
  of: Heads,
  floats: Float32Array | Uint16Array | Int8Array,
  what: 'k' | 'v',
  [head, position]: readonly [number, number],
  row: ArrayLike<number>,
) {
  const layout = { padded: paddedWidth(of).padded, capacity: of.capacity };
  for (let i = 0; i < layout.padded; i++) floats[placeOf(layout, head, position, i)[what]] = 0; // what pads
  for (let i = 0; i < of.width; i++) floats[placeOf(layout, head, position, paddedPlace(of, what, i))[what]] = row[i]!;
}
/** Codes of a cache of int8, and what those of a position of a head are multiplied by. */
export function codesOf(of: Heads, bytes: ArrayBuffer) {
  const count = of.kvHeads * paddedWidth(of).padded * of.capacity;
  const factors = new Float32Array(bytes, count);
  const at = (head: number, position: number): number => head * of.capacity + (position % of.capacity);
  return { codes: new Int8Array(bytes, 0, count), factors, at };
}
/** The bytes of a cache as floats. */
export function asFloats(of: Heads, bytes: ArrayBuffer, what: 'k' | 'v'): Float32Array {
  if (of.kv === 'f16') return decode16(new Uint16Array(bytes), 'float16');
  if (of.kv === 'f32') return new Float32Array(bytes);
  const { codes, factors, at } = codesOf(of, bytes);
  const layout = { padded: paddedWidth(of).padded, capacity: of.capacity };
  const floats = new Float32Array(codes.length);
  for (let head = 0; head < of.kvHeads; head++)
    for (let slot = 0; slot < of.capacity; slot++)
      for (let i = 0; i < layout.padded; i++) {
        const place = placeOf(layout, head, slot, i)[what];
        floats[place] = codes[place]! * factors[at(head, slot)]!;
      }
  return floats;
}

// ------------------------------------------------------------------------------------------------------------ running

/** Around what a kernel binds: a float of it is NaN. */
export const POISON = 0x7fc0dead;
const AROUND = 256;

/** The buffers of a dispatch, by name of their bindings; those that are not given are full of poison. */
export type Given = Readonly<Record<string, ArrayBuffer | ArrayBufferView<ArrayBuffer>>>;

const wordsOf = (given: ArrayBuffer | ArrayBufferView<ArrayBuffer>): Uint32Array =>
  given instanceof ArrayBuffer ? new Uint32Array(given) : new Uint32Array(given.buffer, given.byteOffset, given.byteLength / 4);

/**
 * Runs dispatches, one after the other, on buffers by name. Every buffer has poison before and behind, which the binding holds behind; it
 * throws if some is gone.
 * @returns the bytes of each buffer afterwards, and those of `now`
 */
export async function runLlm(
  device: GPUDevice,
  dispatches: readonly LlmDispatch[],
  now: Step,
  given: Given,
): Promise<Readonly<Record<string, ArrayBuffer>>> {
  const sizes = new Map<string, number>([['now', 12]]);
  for (const { bytes } of dispatches)
    for (const [name, size] of Object.entries(bytes)) sizes.set(name, Math.max(size, sizes.get(name) ?? 0));
  const contents: Given = { now: stepWords(now), ...given };
  const buffers = new Map(
    [...sizes].map(([name, size]) => {
      const data = new Uint32Array((size + 2 * AROUND) / 4).fill(POISON);
      const words = contents[name] && wordsOf(contents[name]);
      if (words && words.byteLength !== size) throw new Error(`${name} has ${size} bytes, not ${words.byteLength}`);
      if (words) data.set(words, AROUND / 4);
      const usage = name === 'now' ? BUFFER.output | 0x40 /* UNIFORM */ : BUFFER.output;
      return [name, makeBuffer(device, { label: name, usage, data })] as const;
    }),
  );
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  const uniforms: GPUBuffer[] = [];
  for (const { shader, params, workgroups, uniforms: bytes } of dispatches) {
    const pipeline = pipelineOf(device, { shader: shader.name, params });
    const own = makeBuffer(device, { label: 'params', usage: BUFFER.uniforms, data: new Uint32Array(bytes) });
    uniforms.push(own);
    const entries = shader.bindings
      .filter(({ when }) => when?.(params) ?? true)
      .map(({ name, binding }): GPUBindGroupEntry => {
        if (name === 'params') return { binding, resource: { buffer: own } };
        const size = name === 'now' ? 12 : sizes.get(name)! + AROUND;
        return { binding, resource: { buffer: buffers.get(name)!, offset: AROUND, size } };
      });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(workgroups[0], workgroups[1]);
  }
  pass.end();
  const staging = [...buffers].map(([name, buffer]) => {
    const copy = device.createBuffer({ size: buffer.size, usage: 0x9 /* MAP_READ | COPY_DST */ });
    encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
    return [name, copy] as const;
  });
  device.queue.submit([encoder.finish()]);
  const out: Record<string, ArrayBuffer> = {};
  for (const [name, copy] of staging) {
    await copy.mapAsync(1 /* READ */);
    const words = new Uint32Array(copy.getMappedRange().slice(0));
    copy.destroy();
    const size = sizes.get(name)!;
    const around = [...words.subarray(0, AROUND / 4), ...words.subarray((AROUND + size) / 4)];
    if (around.some((word) => word !== POISON)) throw new Error(`something was written outside ${name}`);
    out[name] = words.buffer.slice(AROUND, AROUND + size);
  }
  for (const buffer of [...buffers.values(), ...uniforms]) buffer.destroy();
  return out;
}

// -------------------------------------------------------------------------------------------------------------- noise

/** How far WGSL's log(x) may be from the true one: 2⁻²¹ between ½ and 2, and 3 ULP elsewhere. */
const logBound = (x: number): number => (x >= 0.5 && x <= 2 ? 2 ** -21 : 6 * U * Math.abs(Math.log(x)));
/** How far the kernels' noise may be from that of src/llm-kernels/noise.ts. */
export function gumbelBound(hash: number): number {
  const v = (hash + 0.5) / 2 ** 32;
  const e = -Math.log1p(-v);
  // By the series: its roundings and what it leaves out, v³ / 4. By log: its own, and the roundings of 1 - v.
  const relative = v < 2 ** -8 ? 8 * U + v ** 3 / 4 : (logBound(1 - v) + 2 * U) / e;
  // The border is where float32 has it: either side is good.
  const worst = Math.abs(v - 2 ** -8) < 2 ** -20 ? (2 ** -21 + 2 * U) / e + 2 ** -26 : relative;
  return -Math.log1p(-worst) + logBound(e);
}
