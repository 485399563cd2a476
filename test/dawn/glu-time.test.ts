// A gated linear unit in one dispatch against its parts: both products in one dispatch, then SiLU in another. In turns; prints the ratios.
import { expect, test } from 'vitest';
import { joinGateUp, LinearWeightQuant, prepareMany, recordSteps, replay, type Step, Tensor } from '../../src/index.js';
import { deviceForEach } from '../support/fresh-device.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

const dtype = 'float32';
const [K, F] = [896, 4864];
const ROUNDS = 16;
const SILU = `
@group(0) @binding(0) var<storage, read> gate: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> up: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let g = gate[id.x];
  y[id.x] = g / (1.0 + exp(-g)) * up[id.x];
}`;

const weights = (seed: number) => {
  const layer = new LinearWeightQuant(device, { inFeatures: K, outFeatures: F, bias: false, dtype, antiquantGroupSize: 32 });
  const codes = Int32Array.from({ length: (F * K) / 8 }, (_, i) => Math.imul(i + seed, 0x9e3779b1));
  const scale = new Float32Array((F * K) / 32).fill(1 / 256);
  return layer.load({
    weight: Tensor.from(device, codes, { shape: [F, K / 8], dtype: 'int32' }),
    antiquantScale: Tensor.from(device, scale, { shape: [F, K / 32], dtype }),
  });
};

test.each([
  [1, 1.0],
  [16, 0.95],
  [128, 0.95],
])('%i rows: at least %f of the speed of the parts', async (m, floor) => {
  const two = [weights(1), weights(2)];
  const both = joinGateUp([weights(1), weights(2)], { glu: 'silu' });
  await prepareMany(two, [m], { store: null });
  await both.prepare([m], { store: null });
  const buffer = device.createBuffer({ size: 8 * m * F, usage: 0x80 | 0x4 | 0x8 });
  const [gate, up] = [0, 4 * m * F].map((byteOffset) => Tensor.wrap(device, buffer, { shape: [m, F], dtype, byteOffset }));
  const x = Tensor.from(
    device,
    Float32Array.from({ length: m * K }, (_, i) => ((i * 7) % 11) / 11 - 0.5),
    { shape: [m, K], dtype },
  );
  const [parts, whole] = [0, 1].map(() => Tensor.from(device, new Float32Array(m * F), { shape: [m, F], dtype }));
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module: device.createShaderModule({ code: SILU }) } });
  const of = (tensor: Tensor) => ({ buffer: tensor.buffer, offset: tensor.byteOffset, size: 4 * m * F });
  const entries = [gate!, up!, parts!].map((tensor, binding) => ({ binding, resource: of(tensor) }));
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const ways: readonly (readonly Step[])[] = [
    [
      { layers: two, x, ys: [gate!, up!] },
      { pipeline, bindGroups: [group], workgroups: [Math.ceil((m * F) / 256)] },
    ],
    [{ layer: both, x, y: whole! }],
  ];
  const recorded = ways.map((steps) => recordSteps(device, steps));
  const turns = Math.max(1, Math.floor(64 / m));
  const time = async (way: number): Promise<number> => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < turns; i++) replay(pass, recorded[way]!);
    pass.end();
    const begin = performance.now();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    return performance.now() - begin;
  };
  // The least time of each: what disturbs a round only adds to it.
  const least = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let i = 0; i < ROUNDS; i++) for (const way of [0, 1]) least[way] = Math.min(least[way]!, await time(way));
  const [own, other] = (await Promise.all([whole!, parts!].map((y) => y.read()))) as Float32Array[];
  for (let i = 0; i < own!.length; i += 97) expect(Math.abs(own![i]! - other![i]!)).toBeLessThan(1e-3);
  const ratio = least[0]! / least[1]!;
  console.log(`${m} rows of ${K} × 2 · ${F}: the gated linear unit has ${ratio.toFixed(3)} of the speed of its parts`);
  expect(ratio).toBeGreaterThan(floor * 0.9); // machines are noisy; docs/performance.md has the figures of a quiet one
});
