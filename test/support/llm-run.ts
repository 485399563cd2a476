// Whole models on a device: loading files in memory, the ids of a sequence, distances of logits. Holds no test.
import { expect } from 'vitest';
import { byteSource } from '../../src/files/byte-source.js';
import { openGguf } from '../../src/files/gguf.js';
import { Llm } from '../../src/llm.js';
import type { GenerateOptions } from '../../src/runtime/options.js';
import { type ModelOptions, modelFile } from './model-file.js';

/** A model of the options on the device; its cache holds float32, unless `more` says otherwise. */
export async function loadModel(device: GPUDevice, options: ModelOptions, more: object = {}): Promise<Llm> {
  const file = await openGguf(await byteSource(modelFile(options), { name: 'model.gguf' }));
  return await Llm.load(file, { device, kv: 'f32', ...more });
}

/** The ids behind a prompt. */
export async function idsOf(llm: Llm, prompt: readonly number[], options: GenerateOptions = {}): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of llm.generate(prompt, options)) ids.push(id);
  return ids;
}

/** ‖got - want‖ / ‖want‖ */
export function apart(got: ArrayLike<number>, want: Float64Array): number {
  expect(got.length).toBe(want.length);
  return Math.hypot(...want.map((value, i) => got[i]! - value)) / Math.hypot(...want);
}

/** Relative distance of logits from float64. */
export const BOUND = 1e-5;

/** Every row of logits is near that of float64. */
export function checkRows(got: Float32Array, want: Float64Array, vocabulary: number): void {
  for (let end = vocabulary; end <= want.length; end += vocabulary)
    expect(apart(got.subarray(end - vocabulary, end), want.subarray(end - vocabulary, end))).toBeLessThan(BOUND);
}

/** Every id is the largest logit of float64, or as large within the bound; most are the only such. @param next the logits behind an id */
export function checkIds(ids: readonly number[], first: Float64Array, next: (id: number) => Float64Array): void {
  let sure = 0;
  let logits = first;
  for (const id of ids) {
    const [top, second] = [...logits].sort((a, b) => b - a) as [number, number];
    const margin = 2 * BOUND * Math.hypot(...logits);
    expect(logits[id]!).toBeGreaterThanOrEqual(top - margin);
    if (top - second > margin) sure++;
    logits = next(id);
  }
  expect(sure).toBeGreaterThan(0.75 * ids.length); // a test that could not fail otherwise
}
