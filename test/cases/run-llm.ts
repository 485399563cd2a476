// Runs a language model on a device and compares logits and ids with its float64 forward pass. Every engine calls it. Holds no test.
import { roundTo } from '../../src/dtype.js';
import { capsOf, requestDevice } from '../../src/index.js';
import { Llm } from '../../src/llm.js';
import { type LlmOptions, type LlmReference, llmReference } from '../../src/reference/llm.js';
import { halvesAs, watchCaches } from '../support/cache-bytes.js';
import { modelFile } from '../support/model-file.js';
import { openedModel } from '../support/model-weights.js';
import { random } from './data.js';
import type { Lacking, LlmCase } from './llm-cases.js';
import type { CaseReport } from './run-case.js';

/**
 * ‖logits - reference‖ / ‖reference‖, each for either cache. own: of a reference whose K and V are what the cache holds. plain: of a cache of
 * halves, from one that rounds nothing, for weights without heavy tails; with such tails float64 with halves is up to 8e-3 away itself.
 */
export const BOUNDS = { own: 1e-5, plain: 2e-3 } as const;
/**
 * Heavy tails make scores that turn a rounding of a sum into more. A reference whose products read numbers that are off by √K roundings, about
 * what K additions in float32 do, shows how much more: a model is held to so many times its distance, where that is over the bound.
 */
const SENSITIVE = { draws: 4, times: 4 } as const;
/** Numbers of a cache of halves may be off by so much, relative to 1 + |value|, before they are rounded; and how many then become another half. */
const NEAR = { apart: 1e-4, flips: 0.02 } as const;

const promptOf = ({ prompt }: LlmCase): readonly number[] => Array.from({ length: prompt }, (_, i) => (i * 37 + 3) % 256);
/** Ids that other chunks of the prompt must lead to, too. */
const CHUNKED = 16;
/** Prompts that are read before, one after the other: each is kept, and the next one's rows are a chunk of another length. */
const CUTS: readonly (readonly number[])[] = [[1, 2, 3, 4, 5], [20], [4, 20], [17]];

/** As a cache of halves holds it. */
const half = (value: number): number => roundTo(Math.max(-65504, Math.min(65504, value)), 'float16');

export const idsOf = async (llm: Llm, ...[prompt, options]: Parameters<Llm['generate']>): Promise<number[]> => {
  const ids: number[] = [];
  for await (const { id } of llm.generate(prompt, options)) ids.push(id);
  return ids;
};

export const norm = (values: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return Math.sqrt(sum);
};
export function apart(got: ArrayLike<number>, want: Float64Array): number {
  if (got.length !== want.length) return Infinity;
  return norm(want.map((value, i) => value - got[i]!)) / norm(want);
}

/** A device without what a case lacks. The caller destroys it. */
async function lessDevice(gpu: GPU, lacking: Exclude<Lacking, 'nothing'>, most: number): Promise<GPUDevice> {
  if (lacking === 'extras') {
    const adapter = await gpu.requestAdapter();
    return await adapter!.requestDevice();
  }
  const device = await requestDevice({ gpu });
  const limits: Record<string, number> = {};
  for (const name in device.limits) limits[name] = device.limits[name as keyof GPUSupportedLimits] as number;
  if (lacking === 'software and room') {
    const info = { vendor: 'none', architecture: '', device: '', description: '' };
    Object.defineProperty(device, 'adapterInfo', { value: info });
  }
  Object.defineProperty(device, 'limits', { value: { ...limits, maxStorageBufferBindingSize: most, maxBufferSize: most } });
  return device;
}

/** The larger two of logits. */
function topTwo(logits: ArrayLike<number>): readonly [number, number] {
  let [first, second] = [-Infinity, -Infinity];
  for (let i = 0; i < logits.length; i++) {
    const value = logits[i]!;
    if (value > first) [first, second] = [value, first];
    else if (value > second) second = value;
  }
  return [first, second];
}

/**
 * Ids that were chosen after `logits`, each against the reference that is forced to take those before it.
 * @returns failures; how many were sure, since the reference's largest two differ by more than the bound; the first that was not
 */
function forced({ reference, begin }: Told, from: Float64Array, ids: readonly number[], bound: number) {
  const failures: string[] = [];
  let sure = 0;
  let unsure = ids.length;
  let logits = from;
  for (const [i, id] of ids.entries()) {
    const [top, second] = topTwo(logits);
    // Each of the two may be off by the bound.
    const margin = 2 * bound * norm(logits);
    if (!(logits[id]! >= top - margin)) failures.push(`id ${i}: got ${id} with ${logits[id]}, want the largest, ${top} ± ${margin}`);
    if (top - second > margin) sure++;
    else unsure = Math.min(unsure, i);
    begin(1);
    logits = reference.forward([id]);
  }
  return { failures, sure, unsure, logits };
}

/** A reference, and what is to be told before rows come to it. */
interface Told {
  readonly reference: LlmReference;
  begin(rows: number): void;
}

/** @param device for cases that lack nothing @param gpu for the others */
export async function runLlmCase(device: GPUDevice, c: LlmCase, gpu: GPU = navigator.gpu): Promise<CaseReport> {
  const failures: string[] = [];
  const prompt = promptOf(c);
  const { file, config, weight } = await openedModel(modelFile(c.model));
  const { vocabulary } = config;
  const own = c.device === 'nothing' ? device : await lessDevice(gpu, c.device, c.most);
  if (c.device.endsWith('room') && capsOf(own).maxStorageBufferBindingSize !== c.most) failures.push('the device has as much room as ever');
  own.pushErrorScope('validation');
  const caches = watchCaches(own);
  const llm = await Llm.load(file, { device: own, kv: c.kv, context: 256 });
  caches.stop();

  const all = await llm.logits(prompt, { all: true });
  const ids = await idsOf(llm, prompt, { maxTokens: c.tokens });
  if (ids.length !== c.tokens) failures.push(`${ids.length} ids, want ${c.tokens}`);
  // A row behind the cache that tokens left.
  const behind = await llm.logits([...prompt, ...ids]);
  const cache = await caches.read(config, c.kv);

  /** Float64, with the cache's own halves where it holds halves. */
  const told = (faults: string[], options: LlmOptions = {}): Told & { flips(): number } => {
    if (c.kv === 'f32') return { reference: llmReference(config, weight, options), begin() {}, flips: () => 0 };
    const { round, ...rest } = halvesAs(cache, config, { half, near: NEAR.apart, faults });
    return { reference: llmReference(config, weight, { ...options, roundCache: round }), ...rest };
  };
  /** How far rows of the prompt go if products read numbers that are off by a few roundings. */
  let sensitive: Float64Array | undefined;
  const sensitivity = (want: Float64Array): Float64Array => {
    sensitive ??= mostOf(
      Array.from({ length: SENSITIVE.draws }, (_, i) => {
        const { reference, begin } = told([], { roundInput: offBy(random(`${c.name} ${i}`)) });
        begin(prompt.length);
        return rowDistances(reference.forward(prompt), want, vocabulary);
      }),
    );
    return sensitive;
  };

  const faults: string[] = [];
  const { reference, begin, flips } = told(faults);
  begin(prompt.length);
  const want = reference.forward(prompt);
  let error = 0;
  for (const [row, distance] of rowDistances(all, want, vocabulary).entries()) {
    error = Math.max(error, distance);
    if (distance <= BOUNDS.own) continue;
    const bound = Math.max(BOUNDS.own, SENSITIVE.times * sensitivity(want)[row]!);
    if (!(distance <= bound)) failures.push(`logits behind row ${row}: ${distance} from float64, at most ${bound}`);
  }
  const { sure, unsure, logits, ...rest } = forced({ reference, begin }, want.slice(-vocabulary), ids, BOUNDS.own);
  failures.push(...rest.failures);
  const last = apart(behind, logits);
  error = Math.max(error, last);
  if (!(last <= BOUNDS.own)) failures.push(`logits behind the last id: ${last} from float64, at most ${BOUNDS.own}`);
  if (sure < 0.9 * c.tokens) failures.push(`only ${sure} of ${c.tokens} ids are sure: the case proves little`);
  const numbers = 2 * config.layers * config.kvHeads * config.headWidth * (prompt.length + ids.length);
  if (flips() > NEAR.flips * numbers) failures.push(`${flips()} of ${numbers} keys and values are another half`);
  failures.push(...faults.slice(0, 3));
  if (c.kv === 'f16' && c.model.weights !== 'heavy')
    for (const [row, distance] of rowDistances(all, llmReference(config, weight).forward(prompt), vocabulary).entries())
      if (!(distance <= BOUNDS.plain))
        failures.push(`logits behind row ${row}: ${distance} from float64 without halves, at most ${BOUNDS.plain}`);

  const same = Math.min(unsure, c.tokens, CHUNKED);
  for (const cuts of CUTS) {
    llm.reset();
    for (const cut of cuts) if (cut < prompt.length) await llm.logits(prompt.slice(0, cut));
    const got = await idsOf(llm, prompt, { maxTokens: same });
    if (got.join() !== ids.slice(0, same).join()) failures.push(`behind chunks of ${cuts}: ids ${got}, want ${ids.slice(0, same)}`);
  }
  const variants = Object.keys(llm.explain().variants);
  llm.destroy();
  const invalid = await own.popErrorScope();
  if (invalid) failures.push(`validation: ${invalid.message}`);
  if (own !== device) own.destroy();
  return { name: c.name, variants, failures, error };
}

/** Distances of rows of logits. */
const rowDistances = (got: Float32Array | Float64Array, want: Float64Array, vocabulary: number): Float64Array =>
  Float64Array.from({ length: want.length / vocabulary }, (_, row) => {
    const part = [row * vocabulary, (row + 1) * vocabulary] as const;
    return apart(got.subarray(...part), want.subarray(...part));
  });
const mostOf = (lists: readonly Float64Array[]): Float64Array => lists[0]!.map((_, i) => Math.max(...lists.map((list) => list[i]!)));

/** What a product reads, each number off by up to √K roundings. */
const offBy =
  (next: () => number) =>
  (x: Float64Array, k: number): Float64Array =>
    x.map((value) => value * (1 + (2 * next() - 1) * Math.sqrt(k) * 2 ** -24));
