// Trials of the kernels of shaders/llm: every variant has one, and its numbers agree with each other.
import { expect, test } from 'vitest';
import { variantId } from '../../../src/kernels/kernel.js';
import { noisy } from '../../../src/llm-kernels/noise.js';
import { llmShaders } from '../../../src/llm-kernels/shaders.js';
import { judgeTrial, type LlmTrial } from '../../../src/llm-trials/trial.js';
import { trialOf } from '../../../src/llm-trials/trials.js';
import { llmVariants } from '../../cases/llm-variants.js';
import { LAVAPIPE } from '../../support/devices.js';

const variants = llmVariants();
const trialFor = (shader: string, params: Readonly<Record<string, number>> = {}): LlmTrial =>
  trialOf(
    variants.find((one) => one.shader.name === shader && Object.entries(params).every(([name, value]) => one.params[name] === value))!,
    LAVAPIPE,
  )!;

test('every variant has a trial of its own text, whose buffers are all that it binds', () => {
  expect(new Set(variants.map(({ shader }) => shader))).toEqual(new Set(llmShaders));
  for (const one of variants) {
    const id = variantId(one.shader.name, one.params);
    const trial = trialOf(one, LAVAPIPE);
    expect(trial, `${id} has no trial: add one to src/llm-trials/trials.ts`).toBeDefined();
    const names = one.shader.bindings.filter(({ name, when }) => name !== 'params' && (when?.(one.params) ?? true)).map(({ name }) => name);
    expect(Object.keys(trial!.given).sort(), id).toEqual(names.sort());
    for (const [name, { of, values, codes = 0 }] of Object.entries(trial!.wanted)) {
      expect(values.length, `${id} ${name}`).toBe(codes + (trial!.given[name]!.byteLength - codes) / (of === 'f16' ? 2 : 4));
      expect(
        values.some((value) => !Number.isNaN(value)),
        `${id} ${name}`,
      ).toBe(true);
    }
    const written = one.shader.bindings.filter(({ access, name }) => access === 'write' && names.includes(name)).map(({ name }) => name);
    expect(Object.keys(trial!.wanted).sort(), id).toEqual(written.sort());
  }
});

test('a params that no trial knows has none', () => {
  const { shader, params } = variants.find(({ shader: { name } }) => name === 'llm/attend')!;
  expect(trialOf({ shader, params: { ...params, OTHER: 1 } }, LAVAPIPE)).toBeUndefined();
});

test('what is right passes; a number, an untouched one and a word that are wrong do not', () => {
  for (const one of variants) {
    const trial = trialOf(one, LAVAPIPE)!;
    for (const [name, { of, values }] of Object.entries(trial.wanted)) {
      if (of === 'f16' || of === 'q8') continue; // halves and codes: the same way
      const right = trial.given[name]!.slice();
      const floats = new Float32Array(right.buffer);
      for (const [i, value] of values.entries()) if (!Number.isNaN(value)) (of === 'u32' ? right : floats)[i] = value;
      expect(judgeTrial(trial, name, right)).toBeUndefined();
      const at = values.findIndex((value) => !Number.isNaN(value));
      const wrong = right.slice();
      if (of === 'u32') wrong[at]!++;
      else new Float32Array(wrong.buffer)[at]! += 0.1;
      expect(judgeTrial(trial, name, wrong)?.where).toBe(`${name}[${at}]`);
      const kept = values.findIndex(Number.isNaN);
      if (kept < 0) continue;
      const touched = right.slice();
      touched[kept] = 0;
      expect(judgeTrial(trial, name, touched)?.where).toBe(`${name}[${kept}]`);
      // Nothing was written at all.
      expect(judgeTrial(trial, name, trial.given[name]!)).toBeDefined();
    }
  }
});

test('the largest of the noisy logits is no matter of rounding', () => {
  const { given, wanted } = trialFor('llm/pick', { NOISE: 1 });
  const logits = new Float32Array(given.logits!.buffer).subarray(0, 1003);
  const [first, second] = [...noisy(logits, { temperature: 1.5, seed: 4, position: 6 })].sort((a, b) => b - a);
  expect(first! - second!).toBeGreaterThan(0.01);
  expect([...wanted.now!.values]).toEqual([0, 6, 1]);
});

test('no choice of experts is a matter of rounding', () => {
  for (const SORTED of [0, 1]) {
    const { wanted } = trialFor('llm/route', { SORTED });
    const weights = [...wanted.weights!.values].slice(0, 3);
    expect(weights[0]! - weights[1]!).toBeGreaterThan(0.01);
    expect(weights[1]! - weights[2]!).toBeGreaterThan(0.01);
    expect(weights[2]).toBeGreaterThan(0.01);
  }
});
