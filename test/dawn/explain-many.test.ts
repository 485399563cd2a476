// explainMany says what forwardMany runs: as many dispatches, the same kernels, and why.
import { describe, expect, test, vi } from 'vitest';
import { encodeMany, explainMany, forwardMany, type LinearWeightQuant, prepareMany } from '../../src/index.js';
import { dispatches } from '../support/dispatches.js';
import { deviceForEach } from '../support/fresh-device.js';
import { smallLayers, smallX } from '../support/small-layers.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

/** The labels of the pipelines that a call runs. */
function runs(layers: readonly LinearWeightQuant[]): string[] {
  const x = smallX(device);
  const ys = forwardMany(layers, x);
  const labels: string[] = [];
  const pass = { setPipeline: ({ label }: GPUComputePipeline) => labels.push(label), setBindGroup() {}, dispatchWorkgroups() {} };
  encodeMany(pass as unknown as GPUComputePassEncoder, layers, x, ys);
  return labels;
}

describe('what is said is what runs', () => {
  test.each<[string, () => LinearWeightQuant[], number[][], RegExp[]]>([
    ['Q, K and V', () => smallLayers(device, [192, 64, 64]), [[0, 1, 2]], [/^3 layers agree/]],
    [
      'int8 among int4',
      () => [...smallLayers(device, [64]), ...smallLayers(device, [64], { bits: 8 }), ...smallLayers(device, [32])],
      [[0, 2], [1]],
      [/^2 layers agree/, /^layer 0 differs: bits 4, not 8; held 4, not 8$/],
    ],
    [
      'five layers, and one that ends inside a quad',
      () => [...smallLayers(device, [4, 8, 12, 16, 20]), ...smallLayers(device, [7], { bits: 8 })],
      [[0, 1, 2, 3], [4], [5]],
      [/^4 layers/, /^a dispatch has at most 4 layers$/, /^its N is no multiple of 4/],
    ],
  ])('%s', async (_, make, groups, why) => {
    const layers = make();
    const create = vi.spyOn(device, 'createBuffer');
    const before = explainMany(layers, 3);
    expect(create).not.toHaveBeenCalled();
    expect(before.groups.map(({ layers: members }) => members)).toEqual(groups);
    expect(before.groups.some(({ joined }) => joined)).toBe(false);
    await prepareMany(layers, [3]);
    const after = explainMany(layers, 3);
    expect(after.groups.map(({ joined }) => joined)).toEqual(groups.map(({ length }) => length > 1));
    // Said before as after: the dispatches that come.
    const shown = ({ groups: all }: typeof after) =>
      all.map(({ explanation: { kernel, params, dispatches: steps } }) => ({ kernel, params, steps }));
    expect(shown(before)).toEqual(shown(after));
    const names = after.groups.flatMap(({ explanation }) => explanation.dispatches.map(({ shader }) => shader));
    const ran = runs(layers).map((label) => label.split('[')[0]!);
    expect(ran.sort()).toEqual([...names].sort());
    expect(after.dispatches).toBe(names.length);
    after.groups.forEach((group, i) => {
      expect(group.why[0]).toMatch(why[i]!);
    });
  });
});

test('rows beyond a window: each layer alone, and why', async () => {
  const layers = smallLayers(device, [64, 32], { caps: { maxStorageBufferBindingSize: 8192 + 256 } });
  await prepareMany(layers, [3]);
  expect(explainMany(layers, 3).groups.map(({ layers: members }) => members)).toEqual([[0, 1]]);
  const { groups } = explainMany(layers, 40);
  expect(groups.map(({ layers: members, joined }) => ({ members, joined }))).toEqual([
    { members: [0], joined: false },
    { members: [1], joined: false },
  ]);
  expect(groups[0]!.why).toEqual(['x or y of 40 rows is larger than a binding']);
});

test('layers in another order than they were joined in', async () => {
  const [a, b] = smallLayers(device, [64, 32]) as [LinearWeightQuant, LinearWeightQuant];
  await prepareMany([a, b], [3]);
  const { groups } = explainMany([b, a], 3);
  expect(groups.map(({ why }) => why[0])).toEqual(Array(2).fill(expect.stringMatching(/^its weights lie beside layers of another list/)));
  const x = smallX(device);
  const ys = forwardMany([b, a], x);
  expect(dispatches((pass) => encodeMany(pass, [b, a], x, ys))).toBe(2);
});

test('errors name what is wrong', () => {
  expect(() => explainMany([], 1)).toThrow('layers: expected at least one layer, got none');
  const layers = [...smallLayers(device, [64]), ...smallLayers(device, [64], { k: 64 })];
  expect(() => explainMany(layers, 1)).toThrow('layers[1]: expected K = 96, as layers[0], got 64');
  expect(() => explainMany(layers.slice(0, 1), 0)).toThrow(/^rows/);
});
