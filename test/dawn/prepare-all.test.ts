// prepareAll: the first calls of many layers compile nothing, each shader is compiled once, and progress is told to its end.
import { expect, test, vi } from 'vitest';
import { forwardMany, type LinearWeightQuant, type Progress, prepareAll, requestDevice, selfTestReports } from '../../src/index.js';
import { sources } from '../../src/wgsl/sources.js';
import { gpu } from '../support/dawn.js';
import { deviceForEach } from '../support/fresh-device.js';
import { smallLayers, smallX } from '../support/small-layers.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

/** Lists of int4, a layer of int8, and layers as the first ones. */
function model(): readonly (LinearWeightQuant | LinearWeightQuant[])[] {
  const [int8] = smallLayers(device, [64], { bits: 8 });
  return [smallLayers(device, [192, 64, 64]), int8!, smallLayers(device, [192, 64, 64])];
}
const OPTIONS = { store: null } as const;

test('the first calls compile nothing, and no shader is compiled twice', async () => {
  const layers = model();
  const compile = vi.spyOn(device, 'createComputePipelineAsync');
  const told: Progress[] = [];
  await prepareAll(layers, [1, 3], { ...OPTIONS, onProgress: (progress) => told.push(progress) });
  const labels = compile.mock.calls.map(([{ label }]) => label);
  expect(new Set(labels).size).toBe(labels.length);
  for (const phase of ['compile', 'test'] as const) {
    const own = told.filter((one) => one.phase === phase);
    expect(own.map(({ done }) => done)).toEqual(own.map((_, i) => i + 1));
    expect(own.at(-1)!.total).toBe(own.length);
  }
  expect(told.filter(({ phase }) => phase === 'test').length).toBeGreaterThanOrEqual(2); // of int4 and of int8
  const later = [vi.spyOn(device, 'createComputePipeline'), compile.mockClear()];
  const x = smallX(device);
  const ys = layers.flatMap((one) => (Array.isArray(one) ? forwardMany(one, x) : [one.forward(x)]));
  await Promise.all(ys.map((y) => y.read()));
  expect(later.map(({ mock }) => mock.calls.length)).toEqual([0, 0]);
  // Those of a list lie side by side.
  expect(new Set(ys.map(({ buffer }) => buffer)).size).toBe(3);
});

test('a kernel that does not compile is replaced, and then all is prepared', async () => {
  const texts = sources as Record<string, string>;
  const layers = model();
  const [first] = layers[0] as LinearWeightQuant[];
  const { kernel } = first!.explain(3);
  const before = texts[`${kernel}.wgsl`]!;
  texts[`${kernel}.wgsl`] = `${before}\nconst broken: u32 = 1.5;\n`;
  const told: Progress[] = [];
  try {
    await prepareAll(layers, [3], { ...OPTIONS, onProgress: (progress) => told.push(progress) });
  } finally {
    texts[`${kernel}.wgsl`] = before;
  }
  expect(selfTestReports(device).length).toBeGreaterThan(0);
  expect(first!.explain(3).kernel).not.toBe(kernel);
  expect(told.some(({ phase, done, total }) => phase === 'compile' && done === total)).toBe(true);
  const compile = vi.spyOn(device, 'createComputePipeline');
  await first!.forward(smallX(device)).read();
  expect(compile).not.toHaveBeenCalled();
});

test('errors name what is wrong', async () => {
  const [layer] = smallLayers(device, [64]);
  await expect(prepareAll([], [1])).rejects.toThrow('layers: expected at least one layer, got none');
  await expect(prepareAll([layer!, []], [1])).rejects.toThrow('layers[1]: expected at least one layer, got none');
  await expect(prepareAll([layer!], [0])).rejects.toThrow(/^rows/);
  const other = await requestDevice({ gpu });
  await expect(prepareAll([layer!, ...smallLayers(other, [64])], [1])).rejects.toThrow('layers: expected layers of one device');
  other.destroy();
  device.destroy();
  await device.lost;
  await expect(prepareAll([layer!], [1], OPTIONS)).rejects.toThrow(/lost/);
});
