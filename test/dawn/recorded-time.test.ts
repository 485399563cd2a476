// What a replay costs beside a bare loop over the same objects, and what encode costs. Prints both.
import { expect, test } from 'vitest';
import { LinearWeightQuant, recordSteps, replay, type Step, Tensor } from '../../src/index.js';
import { deviceForEach } from '../support/fresh-device.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

const [K, M] = [64, 4];
const BLOCKS = 24;
const ROUNDS = 41;
const PASSES = 10;

/** Products that follow each other, as in the blocks of a model; neighbours have other pipelines. */
function chain(): { readonly layer: LinearWeightQuant; readonly x: Tensor; readonly y: Tensor }[] {
  const make = (dtype: 'float32' | 'float16') => {
    const layer = new LinearWeightQuant(device, { inFeatures: K, outFeatures: K, bias: false, dtype });
    const weight = Tensor.from(device, new Int8Array(K * K).fill(1), { shape: [K, K], dtype: 'int8' });
    layer.load({ weight, antiquantScale: Tensor.from(device, new Float32Array([1]), { shape: [1], dtype }) });
    const [x, y] = [0, 1].map(() => Tensor.from(device, new Float32Array(M * K), { shape: [M, K], dtype })) as [Tensor, Tensor];
    return { layer, x, y };
  };
  return Array.from({ length: BLOCKS }, () => [make('float32'), make('float16')]).flat();
}

/** Milliseconds of `encode`, a number of times into one pass, which is not submitted. */
function time(encode: (pass: GPUComputePassEncoder) => void): number {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  const begin = performance.now();
  for (let i = 0; i < PASSES; i++) encode(pass);
  const took = performance.now() - begin;
  pass.end();
  return took;
}
const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]!;

test('a replay takes at most 1.2 of the time of a bare loop', async () => {
  const steps = chain();
  for (const { layer } of steps.slice(0, 2)) await layer.prepare([M], { store: null });
  const recorded = recordSteps(device, steps satisfies readonly Step[]);
  const bare: (readonly [GPUComputePipeline, GPUBindGroup, readonly [number, number, number]])[] = [];
  let pipeline: GPUComputePipeline;
  let group: GPUBindGroup;
  const listen = {
    setPipeline: (one: GPUComputePipeline) => (pipeline = one),
    setBindGroup: (_: number, one: GPUBindGroup) => (group = one),
    dispatchWorkgroups: (x: number, y: number, z: number) => bare.push([pipeline, group, [x, y, z]]),
  };
  replay(listen as unknown as GPUComputePassEncoder, recorded);
  const ways: readonly ((pass: GPUComputePassEncoder) => void)[] = [
    (pass) => {
      for (const [own, bindings, [x, y, z]] of bare) {
        pass.setPipeline(own);
        pass.setBindGroup(0, bindings);
        pass.dispatchWorkgroups(x, y, z);
      }
    },
    (pass) => replay(pass, recorded),
    (pass) => {
      for (const { layer, x, y } of steps) layer.encode(pass, x, y);
    },
  ];
  const times = Array.from({ length: ROUNDS }, () => ways.map(time)).slice(1);
  const [loop, replayed, encoded] = ways.map((_, way) => (1000 * median(times.map((round) => round[way]!))) / PASSES / bare.length);
  const ratio = median(times.map(([a, b]) => b! / a!));
  console.log(
    `${bare.length} dispatches: a bare loop takes ${loop!.toFixed(2)} µs each, a replay ${replayed!.toFixed(2)}, ratio ${ratio.toFixed(2)}; encode ${encoded!.toFixed(2)}`,
  );
  expect(bare.length).toBeGreaterThanOrEqual(2 * BLOCKS);
  expect(ratio).toBeLessThanOrEqual(1.2);
});
