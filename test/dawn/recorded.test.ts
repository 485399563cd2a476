// Recorded steps: equal to encode in every bit; what becomes stale is recorded anew or is an error; and what they make and free.
import { describe, expect, test, vi } from 'vitest';
import { disable } from '../../src/gpu/device-findings.js';
import {
  ArgumentError,
  DeviceLostError,
  ExpertLayers,
  encodeExperts,
  encodeGatherRows,
  encodeMany,
  encodeQuantizeRows,
  encodeSortPairs,
  forwardExperts,
  GpuError,
  gatherRows,
  LinearWeightQuant,
  prepareMany,
  quantizeRows,
  type Recorded,
  readOutOfRange,
  readPairCounts,
  readQuantizedRows,
  recordSteps,
  replay,
  ShaderError,
  type Step,
  sortPairs,
  Tensor,
  tuning,
} from '../../src/index.js';
import { variantId } from '../../src/kernels/kernel.js';
import { sources } from '../../src/wgsl/sources.js';
import { random } from '../cases/data.js';
import { deviceForEach, submitPass } from '../support/fresh-device.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

const [K, N] = [96, 64];
const ROWS = [1, 2, 4, 8, 40];
const MOST = 40;
const next = random('recorded');
const floats = (length: number) => Float32Array.from({ length }, () => next() - 0.5);
const bytes = (length: number) => Int8Array.from({ length }, () => Math.floor(next() * 256) - 128);
const xs = floats(MOST * K);
const dtype = 'float32';
const tensor = (data: Float32Array, shape: readonly number[]) => Tensor.from(device, data, { shape, dtype });
/** A y that holds something else. */
const blank = (...shape: number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b)).fill(7.5), shape);
const cut = (of: Tensor, rows: number) => Tensor.wrap(device, of.buffer, { shape: [rows, ...of.shape.slice(1)], dtype: of.dtype });

interface Weights {
  readonly codes: Int8Array<ArrayBuffer>;
  readonly scale: Float32Array<ArrayBuffer>;
}
const weightsOf = (n = N, k = K): Weights => ({ codes: bytes(n * k), scale: floats((n * k) / 32) });
const options = (n = N, k = K) => ({ inFeatures: k, outFeatures: n, bias: false, dtype, antiquantGroupSize: 32 }) as const;
const tensorsOf = ({ codes, scale }: Weights, n = N, k = K) => ({
  weight: Tensor.from(device, codes, { shape: [n, k], dtype: 'int8' }),
  antiquantScale: tensor(scale, [n, k / 32]),
});
const [first, second] = [weightsOf(), weightsOf()];
const layerOf = (weights: Weights, n = N, k = K) => new LinearWeightQuant(device, options(n, k)).load(tensorsOf(weights, n, k));

const submitted = (encode: (pass: GPUComputePassEncoder) => void) => submitPass(device, encode);
const replayed = (recorded: Recorded, rows?: number): void => submitted((pass) => replay(pass, recorded, rows));
const numbersOf = async (y: Tensor) => Array.from((await y.read()) as Float32Array);
/** What `encode` writes, for the layer as it is now. */
async function encoded(layer: LinearWeightQuant, x: Tensor, rows = MOST): Promise<number[]> {
  const y = blank(rows, N);
  submitted((pass) => layer.encode(pass, cut(x, rows), y));
  return numbersOf(y);
}
/** How many dispatches a replay encodes. */
function dispatchesOf(recorded: Recorded, rows?: number): number {
  const dispatchWorkgroups = vi.fn();
  replay({ setPipeline() {}, setBindGroup() {}, dispatchWorkgroups } as unknown as GPUComputePassEncoder, recorded, rows);
  return dispatchWorkgroups.mock.calls.length;
}
/** Ids of the variants that a replay sets, each once where it follows itself. */
function variantsOf(recorded: Recorded, rows?: number): string[] {
  const used: string[] = [];
  const setPipeline = ({ label }: GPUComputePipeline) => used.push(label);
  replay({ setPipeline, setBindGroup() {}, dispatchWorkgroups() {} } as unknown as GPUComputePassEncoder, recorded, rows);
  return used;
}
/** Buffers that are made meanwhile. */
function buffersOf<T>(work: () => T): { readonly result: T; readonly buffers: readonly GPUBuffer[] } {
  const spy = vi.spyOn(device, 'createBuffer');
  const result = work();
  const buffers = spy.mock.results.map(({ value }) => value as GPUBuffer);
  spy.mockRestore();
  return { result, buffers };
}

/** y += residual, and z = 2 y: dispatches of the caller's. */
const pipelineOf = (body: string) =>
  device.createComputePipeline({
    layout: 'auto',
    compute: {
      module: device.createShaderModule({
        code: `@group(0) @binding(0) var<storage, read_write> a: array<f32>; @group(1) @binding(0) var<storage, read> b: array<f32>;
        @compute @workgroup_size(1) fn main(@builtin(workgroup_id) id: vec3u) { let i = id.x + 4 * id.y; ${body} }`,
      }),
    },
  });
const groupsOf = (pipeline: GPUComputePipeline, ...buffers: readonly GPUBuffer[]) =>
  buffers.map((buffer, i) =>
    device.createBindGroup({ layout: pipeline.getBindGroupLayout(i), entries: [{ binding: 0, resource: { buffer } }] }),
  );

describe('equal to encode in every bit', () => {
  test('a product, for every number of rows; rows behind them stay', async () => {
    const layer = layerOf(first);
    const [x, y] = [tensor(xs, [MOST, K]), blank(MOST, N)];
    const recorded = recordSteps(device, [{ layer, x, y }], { rows: ROWS });
    expect(recorded.rows).toEqual(ROWS);
    for (const rows of [...ROWS, ...ROWS]) {
      device.queue.writeBuffer(y.buffer, 0, new Float32Array(MOST * N).fill(7.5));
      replayed(recorded, rows);
      expect(await numbersOf(y)).toEqual([...(await encoded(layer, x, rows)), ...new Array((MOST - rows) * N).fill(7.5)]);
    }
    expect(new Set(ROWS.flatMap((rows) => variantsOf(recorded, rows))).size).toBeGreaterThan(1);
  });

  test('tensors as they are: x transposed, y in a wider one, codes of x', async () => {
    const layer = layerOf(first);
    const turned = tensor(floats(MOST * K), [K, MOST]).transpose();
    const wide = blank(MOST, 2 * N);
    const y = Tensor.wrap(device, wide.buffer, { shape: [MOST, N], dtype, strides: [2 * N, 1], byteOffset: 4 * N });
    const codes = quantizeRows(tensor(xs, [MOST, K]), layer);
    const z = blank(MOST, N);
    const recorded = recordSteps(device, [
      { layer, x: turned, y },
      { layer, x: codes, y: z },
    ]);
    replayed(recorded);
    const got = [await numbersOf(wide), await numbersOf(z)];
    const [again, codesAgain] = [blank(MOST, 2 * N), blank(MOST, N)];
    const into = Tensor.wrap(device, again.buffer, { shape: [MOST, N], dtype, strides: [2 * N, 1], byteOffset: 4 * N });
    submitted((pass) => {
      layer.encode(pass, turned, into);
      layer.encode(pass, codes, codesAgain);
    });
    expect(got).toEqual([await numbersOf(again), await numbersOf(codesAgain)]);
  });

  test('layers that share x, side by side and not; codes that a step makes; a copy; steps of the caller’s; a chain', async () => {
    const layers = [layerOf(first), layerOf(second)];
    const last = layerOf(weightsOf(40, N), 40, N);
    await prepareMany(layers, [1]);
    const shared = blank(2 * MOST, N);
    const halves = (rows: number) =>
      [0, 1].map((i) => Tensor.wrap(device, shared.buffer, { shape: [rows, N], dtype, byteOffset: 4 * i * MOST * N }));
    const x = tensor(xs, [MOST, K]);
    const codes = quantizeRows(x, layers[0]!);
    const [a, b, c, d] = [blank(MOST, N), blank(MOST, N), blank(MOST, N), blank(MOST, 40)];
    const odd = Tensor.wrap(device, blank(1, MOST * N + 3).buffer, { shape: [MOST, N], dtype, byteOffset: 12 });
    const add = pipelineOf('a[i] += b[i];');
    const groups = groupsOf(add, c.buffer, a.buffer);
    const steps: Step[] = [
      { layers, x, ys: halves(MOST) },
      { layers, x, ys: [a, b] },
      { quantize: codes },
      { layer: layers[1]!, x: codes, y: c },
      { pipeline: add, bindGroups: groups, workgroups: (rows) => [4, (rows * N) / 4] },
      { layer: last, x: c, y: d },
      { copy: c, y: odd },
    ];
    const all = [shared, a, b, codes.codes, c, d, odd];
    const read = async () => Promise.all(all.map(async (one) => Array.from((await one.read()) as Float32Array)));
    const recorded = recordSteps(device, steps, { rows: [3, MOST] });
    device.queue.writeBuffer(x.buffer, 0, floats(MOST * K)); // codes are those of the x of that time
    for (const rows of [MOST, 3]) {
      for (const one of all) device.queue.writeBuffer(one.buffer, 0, new Float32Array(one.buffer.size / 4).fill(7.5));
      replayed(recorded, rows);
      const got = await read();
      for (const one of all) device.queue.writeBuffer(one.buffer, 0, new Float32Array(one.buffer.size / 4).fill(7.5));
      submitted((pass) => {
        encodeMany(pass, layers, cut(x, rows), halves(rows));
        encodeMany(pass, layers, cut(x, rows), [cut(a, rows), cut(b, rows)]);
        encodeQuantizeRows(pass, codes);
        const own = rows === MOST ? codes : quantizeRows(cut(x, rows), layers[0]!);
        layers[1]!.encode(pass, own, cut(c, rows));
        pass.setPipeline(add);
        for (const [i, group] of groups.entries()) pass.setBindGroup(i, group);
        pass.dispatchWorkgroups(4, (rows * N) / 4);
        last.encode(pass, cut(c, rows), cut(d, rows));
      });
      const want = await read();
      const codesRead = got[3]!.length / MOST;
      want[3] = [...want[3]!.slice(0, rows * codesRead), ...got[3]!.slice(rows * codesRead)]; // encode made the codes of all rows
      want[6] = [...want[4]!.slice(0, rows * N), ...new Array((MOST - rows) * N).fill(7.5)]; // the copy
      expect(got).toEqual(want);
    }
    // Side by side in one dispatch, apart in two.
    const dispatches = [1, 2].map((count) => dispatchesOf(recordSteps(device, steps.slice(0, count))));
    expect(dispatches[1]).toBe(3 * dispatches[0]!);
    expect((await readQuantizedRows(codes)).codes.length).toBe(MOST * K);
  });

  test('experts: ids, and pairs that a step sorts', async () => {
    const [E, TOP] = [5, 2];
    const made = (w: Weights) =>
      new ExpertLayers(device, { ...options(), experts: E }).load({
        weight: Tensor.from(device, w.codes, { shape: [E, N, K], dtype: 'int8' }),
        antiquantScale: tensor(w.scale, [E, N, K / 32]),
      });
    const experts = made(weightsOf(E * N));
    const ids = Tensor.from(
      device,
      Int32Array.from({ length: MOST * TOP }, () => Math.floor(next() * (E + 1))),
      { shape: [MOST, TOP], dtype: 'int32' },
    );
    const sorted = sortPairs(ids, E);
    const x = tensor(xs, [MOST, K]);
    const [y, z] = [blank(MOST, TOP, N), blank(MOST, TOP, N)];
    const steps: Step[] = [{ experts, x, y, ids }, { sort: sorted }, { experts, x, y: z, sorted }];
    const recorded = recordSteps(device, steps, { rows: [1, 7, MOST] });
    for (const rows of [7, MOST, 1]) {
      device.queue.writeBuffer(
        ids.buffer,
        0,
        Int32Array.from({ length: MOST * TOP }, () => Math.floor(next() * (E + 1))),
      );
      for (const one of [y, z]) device.queue.writeBuffer(one.buffer, 0, new Float32Array(MOST * TOP * N).fill(7.5));
      replayed(recorded, rows);
      const want = blank(rows, TOP, N);
      submitted((pass) => encodeExperts(pass, experts, cut(x, rows), want, { ids: cut(ids, rows) }));
      const all = [...(await numbersOf(want)), ...new Array((MOST - rows) * TOP * N).fill(7.5)];
      expect(await numbersOf(y)).toEqual(all);
      expect(await numbersOf(z)).toEqual(all);
      expect((await readPairCounts(sorted)).reduce((a, b) => a + b)).toBe(rows * TOP);
    }
    // The pairs of one row are left. They are no answer for all rows.
    expect(() => forwardExperts(experts, x, { sorted })).toThrow(
      `sorted: expected ${MOST * TOP} sorted pairs: encodeSortPairs sorts all, got 2`,
    );
    submitted((pass) => encodeSortPairs(pass, sorted));
    expect(await numbersOf(forwardExperts(experts, x, { sorted }))).toEqual(await numbersOf(forwardExperts(experts, x, { ids })));
    const other = weightsOf(E * N);
    experts.load({
      weight: Tensor.from(device, other.codes, { shape: [E, N, K], dtype: 'int8' }),
      antiquantScale: tensor(other.scale, [E, N, K / 32]),
    });
    replayed(recorded, MOST);
    expect(await numbersOf(z)).toEqual(await numbersOf(forwardExperts(experts, x, { ids })));
    experts.destroy();
    expect(() => replayed(recorded, MOST)).toThrow('steps[0].experts: expected live ones, got destroyed ones');
  });
});

describe('rows of weights', () => {
  const idsOf = (list: readonly number[]) => Tensor.from(device, Int32Array.from(list), { shape: [list.length], dtype: 'int32' });
  /** In any order, with the last, and some that are no rows. */
  const someIds = () => Array.from({ length: MOST }, (_, i) => [N - 1, N, -1][i] ?? Math.floor(next() * N));
  /** What `gatherRows` brings. */
  const rowsOf = async (layer: LinearWeightQuant, list: readonly number[]) => numbersOf(gatherRows(layer, idsOf(list)));
  /** Rows that nothing writes. */
  const stay = (rows: number) => new Array((MOST - rows) * K).fill(7.5);

  test('equal to gatherRows, for every number of rows and for ids that are new; ids that are no rows are counted', async () => {
    const [layer, twin] = [layerOf(first), layerOf(first)];
    const [ids, y] = [idsOf(someIds()), blank(MOST, K)];
    const recorded = recordSteps(device, [{ gather: layer, ids, y }], { rows: ROWS });
    expect(await readOutOfRange(layer)).toBe(0);
    let outside = 0;
    for (const rows of [...ROWS, ...ROWS]) {
      const list = someIds();
      device.queue.writeBuffer(ids.buffer, 0, Int32Array.from(list));
      device.queue.writeBuffer(y.buffer, 0, new Float32Array(MOST * K).fill(7.5));
      replayed(recorded, rows);
      const [got, want] = [await numbersOf(y), [...(await rowsOf(twin, list.slice(0, rows))), ...stay(rows)]];
      expect(got.length).toBe(want.length);
      expect(got.every((value, i) => value === want[i])).toBe(true);
      outside += Math.min(2, rows - 1);
      expect(await readOutOfRange(layer)).toBe(outside);
    }
    submitted((pass) => encodeGatherRows(pass, layer, ids, y)); // the counter is that of the other calls
    expect(await readOutOfRange(layer)).toBe(outside + 2);
    expect(await readOutOfRange(twin)).toBe(outside);
  });

  test('tensors as they are: two axes, a y of 16 bits that begins anywhere, no ids', async () => {
    const layer = layerOf(first);
    const list = someIds();
    const ids = Tensor.from(device, Int32Array.from(list), { shape: [5, MOST / 5], dtype: 'int32' });
    const whole = blank(MOST * K);
    const y = Tensor.wrap(device, whole.buffer, { shape: [5, MOST / 5, K], dtype: 'float16', byteOffset: 6 });
    const none = { gather: layer, ids: idsOf([]), y: tensor(new Float32Array(0), [0, K]) };
    const recorded = recordSteps(device, [{ gather: layer, ids, y }, none]);
    replayed(recorded);
    expect(await numbersOf(y)).toEqual(await numbersOf(gatherRows(layer, idsOf(list), { dtype: 'float16' })));
    expect(dispatchesOf(recordSteps(device, [none]))).toBe(0);
    expect(await readOutOfRange(layer)).toBe(4);
  });

  test('an embedding before products of the same weights', async () => {
    const layer = layerOf(first);
    const [ids, x, y] = [idsOf(someIds()), blank(MOST, K), blank(MOST, N)];
    const recorded = recordSteps(
      device,
      [
        { gather: layer, ids, y: x },
        { layer, x, y },
      ],
      { rows: [1, MOST] },
    );
    for (const rows of [MOST, 1]) {
      replayed(recorded, rows);
      const want = await encoded(layer, gatherRows(layer, ids), rows);
      expect((await numbersOf(y)).slice(0, rows * N)).toEqual(want);
    }
  });

  test('weights that are loaded again, moved side by side, and destroyed', async () => {
    const layers = [layerOf(first), layerOf(second)];
    const list = someIds();
    const [ids, y] = [idsOf(list), blank(2 * MOST, K)];
    const ys = [0, 1].map((i) => Tensor.wrap(device, y.buffer, { shape: [MOST, K], dtype, byteOffset: 4 * i * MOST * K }));
    const recorded = recordSteps(
      device,
      layers.map((gather, i) => ({ gather, ids, y: ys[i]! })),
    );
    const both = async (...weights: readonly Weights[]) => (await Promise.all(weights.map((one) => rowsOf(layerOf(one), list)))).flat();
    /** What a replay writes over something else. */
    const now = async () => {
      device.queue.writeBuffer(y.buffer, 0, new Float32Array(2 * MOST * K).fill(7.5));
      replayed(recorded);
      return numbersOf(y);
    };
    expect(await now()).toEqual(await both(first, second));
    await prepareMany(layers, [MOST]); // the weights move, and their old buffers are destroyed
    expect(await now()).toEqual(await both(first, second));
    layers[0]!.load(tensorsOf(second));
    expect(await now()).toEqual(await both(second, second));
    expect(buffersOf(() => replayed(recorded)).buffers).toEqual([]);
    expect(await readOutOfRange(layers[0]!)).toBe(8);
    layers[1]!.destroy();
    for (const _ of [1, 2]) expect(() => replayed(recorded)).toThrow('steps[1].gather: expected a live layer, got a destroyed one');
  });

  test.each(['ids', 'y'] as const)('%s that is destroyed', (name) => {
    const tensors = { ids: idsOf(someIds()), y: blank(MOST, K) };
    const recorded = recordSteps(device, [{ gather: layerOf(first), ...tensors }]);
    replayed(recorded);
    tensors[name].destroy();
    expect(() => replayed(recorded)).toThrow(`steps[0].${name}: expected a live tensor, got a destroyed one`);
  });

  test('a counter that the GPU refuses: read rejects, and the next replay has another', async () => {
    const layer = layerOf(first);
    const list = someIds();
    const y = blank(MOST, K);
    const create = device.createBuffer.bind(device);
    const refused = vi
      .spyOn(device, 'createBuffer')
      .mockImplementation((init) => create(init.label === 'antiquant ids out of range' ? { ...init, usage: 0x1 | 0x2 } : init));
    const recorded = recordSteps(device, [{ gather: layer, ids: idsOf(list), y }]);
    expect(refused.mock.calls.map(([{ label }]) => label)).toContain('antiquant ids out of range');
    refused.mockRestore();
    device.pushErrorScope('validation');
    replayed(recorded);
    expect(await device.popErrorScope()).not.toBeNull(); // of the caller's submit
    await expect(y.read()).rejects.toThrow(/^ids out of range: /);
    await expect(readOutOfRange(layer)).resolves.toBe(0);
    replayed(recorded);
    expect(await numbersOf(y)).toEqual(await rowsOf(layerOf(first), list));
    expect(await readOutOfRange(layer)).toBe(2);
  });

  test('ids need no count: the same rows, one dispatch less, and nothing counted', async () => {
    const layer = layerOf(first);
    const list = someIds();
    const [ids, ys] = [idsOf(list), [blank(MOST, K), blank(MOST, K)] as const];
    const dispatchesOf = (counted: boolean, y: Tensor): number => {
      const recorded = recordSteps(device, [{ gather: layer, ids, y, counted }]);
      let dispatches = 0;
      const counting = { setPipeline() {}, setBindGroup() {}, dispatchWorkgroups: () => dispatches++ };
      replay(counting as unknown as GPUComputePassEncoder, recorded);
      replayed(recorded);
      return dispatches;
    };
    expect(dispatchesOf(true, ys[0]) - dispatchesOf(false, ys[1])).toBe(1);
    expect(await ys[1].read()).toEqual(await ys[0].read());
    expect(await readOutOfRange(layer)).toBe(2);
  });

  test('an error of ids reaches y and the count', async () => {
    const layer = layerOf(first);
    const [ids, y] = [idsOf(someIds()), blank(MOST, K)];
    const recorded = recordSteps(device, [{ gather: layer, ids, y }]);
    ids.writtenBy(Promise.reject(new GpuError('work before', 'no')));
    ids.written!.catch(() => {});
    replayed(recorded);
    await expect(y.read()).rejects.toThrow('work before');
    await expect(readOutOfRange(layer)).rejects.toThrow('work before');
  });
});

describe('what becomes stale', () => {
  /** A recording of a product with 4 rows and with all, replayed once. */
  async function product() {
    const layer = layerOf(first);
    const [x, y] = [tensor(xs, [MOST, K]), blank(MOST, N)];
    const recorded = recordSteps(device, [{ layer, x, y }], { rows: [4, MOST] });
    replayed(recorded, MOST);
    expect(await numbersOf(y)).toEqual(await encoded(layer, x));
    return { layer, x, y, recorded };
  }

  test('a residual in another buffer: each recording has its own', async () => {
    const { layer, x, y } = await product();
    const add = pipelineOf('a[i] += b[i];');
    const residuals = [blank(MOST, N), tensor(floats(MOST * N), [MOST, N])];
    const recordings = residuals.map((residual) =>
      recordSteps(device, [
        { layer, x, y },
        { pipeline: add, bindGroups: groupsOf(add, y.buffer, residual.buffer), workgroups: [4, (MOST * N) / 4] },
      ]),
    );
    const plain = await encoded(layer, x);
    for (const i of [0, 1, 0, 1]) {
      replayed(recordings[i]!);
      const residual = await numbersOf(residuals[i]!);
      expect(await numbersOf(y)).toEqual(plain.map((value, j) => Math.fround(value + residual[j]!)));
    }
  });

  test('weights that are loaded again', async () => {
    const { layer, x, y, recorded } = await product();
    const before = await numbersOf(y);
    layer.load(tensorsOf(second));
    replayed(recorded, MOST);
    const after = await numbersOf(y);
    expect(after).not.toEqual(before);
    expect(after).toEqual(await encoded(layerOf(second), x));
  });

  test.each(['alone', 'together'])('layers that are moved side by side, recorded %s', async (how) => {
    const layers = [layerOf(first), layerOf(second)];
    const x = tensor(xs, [MOST, K]);
    const shared = blank(2 * MOST, N);
    const ys = [0, 1].map((i) => Tensor.wrap(device, shared.buffer, { shape: [MOST, N], dtype, byteOffset: 4 * i * MOST * N }));
    const steps: Step[] = how === 'alone' ? layers.map((layer, i) => ({ layer, x, y: ys[i]! })) : [{ layers, x, ys }];
    const recorded = recordSteps(device, steps);
    replayed(recorded);
    const before = await numbersOf(shared);
    expect(before.slice(MOST * N)).toEqual(await encoded(layers[1]!, x));
    await prepareMany(layers, [MOST]); // the weights move, and their old buffers are destroyed
    device.queue.writeBuffer(shared.buffer, 0, new Float32Array(2 * MOST * N).fill(7.5));
    const bound = vi.spyOn(device, 'createBindGroup');
    replayed(recorded);
    expect(bound).toHaveBeenCalled();
    bound.mockClear();
    expect(await numbersOf(shared)).toEqual(before);
    expect(dispatchesOf(recorded)).toBe(how === 'together' ? 1 : 2);
    replayed(recorded);
    expect(bound).not.toHaveBeenCalled();
  });

  test('a choice that was measured in between', async () => {
    const { layer, x, y, recorded } = await product();
    const [own] = variantsOf(recorded, 4);
    await layer.prepare([4], { tune: true, store: null, budgetMs: 20 });
    const { key, choices } = tuning(device).export();
    const plain = { ...Object.values(choices)[0]!, kernel: 'matmul-plain', tile: {}, ratio: 0.5 };
    tuning(device).import({ key, choices: { [Object.keys(choices)[0]!]: plain } });
    replayed(recorded, 4);
    expect(variantsOf(recorded, 4).at(-1)).toMatch(/^matmul-plain\[/);
    expect((await numbersOf(y)).slice(0, 4 * N)).toEqual(await encoded(layer, x, 4));
    await tuning(device).clear({ store: null });
    expect(variantsOf(recorded, 4)[0]).toBe(own);
  });

  test('a variant that is disabled', async () => {
    const { layer, x, y, recorded } = await product();
    const { kernel, params } = layer.explain(4);
    const variant = variantId(kernel, params);
    expect(variantsOf(recorded, 4)).toContain(variant);
    disable(device, { variant, where: 'y[0, 0]', expected: '1', got: '2' });
    expect(variantsOf(recorded, 4)).not.toContain(variant);
    replayed(recorded, 4);
    expect((await numbersOf(y)).slice(0, 4 * N)).toEqual(await encoded(layer, x, 4));
  });

  test('a variant that fails beside the first replay: read rejects, and the next replay uses another', async () => {
    const layer = layerOf(first);
    const { kernel } = layer.explain(4);
    const texts = sources as Record<string, string>;
    const text = texts[`${kernel}.wgsl`]!;
    texts[`${kernel}.wgsl`] = `${text}\nfn broken() -> f32 { return 1u; }`;
    try {
      const [x, y] = [tensor(xs.slice(0, 4 * K), [4, K]), blank(4, N)];
      const recorded = recordSteps(device, [{ layer, x, y }]);
      device.pushErrorScope('validation');
      replayed(recorded);
      expect(await device.popErrorScope()).not.toBeNull(); // of the caller's submit
      await expect(y.read()).rejects.toBeInstanceOf(ShaderError);
      expect(layer.explain(4).kernel).not.toBe(kernel);
      replayed(recorded);
      expect(await numbersOf(y)).toEqual(await encoded(layer, x, 4));
    } finally {
      texts[`${kernel}.wgsl`] = text;
    }
  });

  test('scratch memory that the GPU refuses: read rejects, and the next replay has other memory', async () => {
    const layer = layerOf(first);
    const [x, y] = [tensor(floats(4 * K), [K, 4]).transpose(), blank(4, N)];
    const create = device.createBuffer.bind(device);
    const refused = vi
      .spyOn(device, 'createBuffer')
      .mockImplementation((init) => create(init.label === 'antiquant recorded rows' ? { ...init, usage: 0x1 | 0x2 } : init));
    const recorded = recordSteps(device, [{ layer, x, y }]);
    refused.mockRestore();
    device.pushErrorScope('validation');
    replayed(recorded);
    expect(await device.popErrorScope()).not.toBeNull(); // of the caller's submit
    await expect(y.read()).rejects.toThrow(/^recorded steps: /);
    replayed(recorded);
    expect(await numbersOf(y)).toEqual(await numbersOf(layer.forward(x)));
  });

  test('a layer that is destroyed, and others beside it', async () => {
    const { layer, x, y, recorded } = await product();
    const other = layerOf(second);
    const mixed = recordSteps(device, [
      { layer: other, x, y },
      { layer, x, y: blank(MOST, N) },
    ]);
    layerOf(second).destroy(); // one that is not recorded changes nothing
    expect(buffersOf(() => replayed(mixed)).buffers).toEqual([]);
    layer.destroy();
    for (const _ of [1, 2]) {
      expect(() => replayed(recorded, MOST)).toThrow('steps[0].layer: expected a live layer, got a destroyed one');
      expect(() => replayed(mixed)).toThrow('steps[1].layer: expected a live layer, got a destroyed one');
    }
  });

  test.each(['x', 'y', 'codes'] as const)('%s that is destroyed', async (name) => {
    const layer = layerOf(first);
    const [x, y] = [tensor(xs, [MOST, K]), blank(MOST, N)];
    const rows = quantizeRows(x, layer);
    const recorded = recordSteps(device, [{ layer, x: name === 'codes' ? rows : x, y }]);
    replayed(recorded);
    ({ x, y, codes: rows.codes })[name].destroy();
    const at = name === 'codes' ? 'x.codes' : name;
    expect(() => replayed(recorded)).toThrow(`steps[0].${at}: expected a live tensor, got a destroyed one`);
  });

  test.each(['sorted', 'ids', 'codes'] as const)('%s of a step that makes them, destroyed', (name) => {
    const ids = Tensor.from(device, Int32Array.of(1, 0), { shape: [1, 2], dtype: 'int32' });
    const [sort, quantize] = [sortPairs(ids, 2), quantizeRows(tensor(xs, [MOST, K]), { held: 8 })];
    const recorded = recordSteps(device, [{ sort }, { quantize }]);
    replayed(recorded);
    ({ ids, sorted: sort.sorted, codes: quantize.codes })[name].destroy();
    const at = { ids: 'steps[0].sort.ids', sorted: 'steps[0].sort.sorted', codes: 'steps[1].quantize.codes' }[name];
    expect(() => replayed(recorded)).toThrow(`${at}: expected a live tensor, got a destroyed one`);
  });

  test('a wrapped y whose buffer the caller destroys: read rejects', async () => {
    const layer = layerOf(first);
    const y = Tensor.wrap(device, blank(MOST, N).buffer, { shape: [MOST, N], dtype });
    const recorded = recordSteps(device, [{ layer, x: tensor(xs, [MOST, K]), y }]);
    y.buffer.destroy();
    device.pushErrorScope('validation');
    replayed(recorded);
    expect(await device.popErrorScope()).not.toBeNull(); // of the caller's submit
    await expect(y.read()).rejects.toBeInstanceOf(GpuError);
  });

  test('shared scratch memory that grows: a recording has its own', async () => {
    const layer = layerOf(first);
    const turned = (rows: number) => tensor(floats(rows * K), [K, rows]).transpose();
    const [x, y] = [turned(4), blank(4, N)];
    const { result: recorded, buffers } = buffersOf(() => recordSteps(device, [{ layer, x, y }]));
    expect(buffers.map(({ label }) => label)).toContain('antiquant recorded rows');
    layer.forward(turned(400)).destroy();
    const want = await numbersOf(layer.forward(x));
    replayed(recorded);
    expect(await numbersOf(y)).toEqual(want);
  });

  test('a device that is lost', async () => {
    const { recorded } = await product();
    device.destroy();
    await device.lost;
    expect(() => replay({ setPipeline() {}, setBindGroup() {}, dispatchWorkgroups() {} } as never, recorded, 4)).toThrow(DeviceLostError);
  });
});

test('an error of what comes from outside reaches all that is written, until something else writes it', async () => {
  const [layer, last] = [layerOf(first), layerOf(weightsOf(40, N), 40, N)];
  const [x, a, y] = [tensor(xs, [MOST, K]), blank(MOST, N), blank(MOST, 40)];
  const recorded = recordSteps(device, [
    { layer, x, y: a },
    { layer: last, x: a, y },
  ]);
  replayed(recorded);
  const want = await numbersOf(y);
  for (const tensor of [x, a]) tensor.writtenBy(Promise.reject(new GpuError('work before', 'no')));
  for (const tensor of [x, a]) tensor.written!.catch(() => {});
  replayed(recorded);
  for (const tensor of [a, y]) await expect(tensor.read()).rejects.toThrow('work before');
  x.writtenBy(Promise.resolve());
  replayed(recorded); // a is written by the first step, whatever was before
  expect(await numbersOf(y)).toEqual(want);
});

describe('what it makes', () => {
  test('recording makes buffers, a thousand replays make none, destroy frees them', async () => {
    const layers = [layerOf(first), layerOf(second)];
    const [x, a, b] = [tensor(floats(MOST * K), [K, MOST]).transpose(), blank(MOST, N), blank(MOST, N)];
    const { result: recorded, buffers } = buffersOf(() => recordSteps(device, [{ layers, x, ys: [a, b] }]));
    expect(buffers.map(({ label }) => label).sort()).toEqual(expect.arrayContaining(['antiquant recorded rows', 'antiquant uniforms']));
    await prepareMany(layers, [MOST]);
    const rebuilt = buffersOf(() => replayed(recorded));
    expect(rebuilt.buffers.map(({ label }) => label)).toEqual(['antiquant uniforms']); // scratch memory is used again
    const spies = (['createBuffer', 'createBindGroup', 'createComputePipeline', 'createShaderModule'] as const).map((name) =>
      vi.spyOn(device, name),
    );
    submitted((pass) => {
      for (let i = 0; i < 1000; i++) replay(pass, recorded);
    });
    const counts = spies.map((spy) => spy.mock.calls.length);
    console.log(`1000 replays made ${counts[0]} buffers and ${counts[1]} bind groups`);
    expect(counts).toEqual([0, 0, 0, 0]);
    const scratch = buffers.find(({ label }) => label === 'antiquant recorded rows')!;
    const frees = [scratch, ...rebuilt.buffers].map((buffer) => vi.spyOn(buffer, 'destroy'));
    await device.queue.onSubmittedWorkDone();
    recorded.destroy();
    expect(frees.map((spy) => spy.mock.calls.length)).toEqual([1, 1]);
    expect(() => replayed(recorded)).toThrow('recorded: expected a live recording, got a destroyed one');
    expect(await numbersOf(a)).toEqual(await numbersOf(layers[0]!.forward(x)));
  });

  test('a recording that is refused makes no buffer', () => {
    const layer = layerOf(first);
    const [x, y] = [tensor(xs, [MOST, K]), blank(MOST, N)];
    const pairs = sortPairs(Tensor.from(device, Int32Array.of(1, 0), { shape: [1, 2], dtype: 'int32' }), 2);
    const experts = new ExpertLayers(device, { ...options(), experts: 2 }).load({
      weight: Tensor.from(device, bytes(2 * N * K), { shape: [2, N, K], dtype: 'int8' }),
      antiquantScale: tensor(floats((2 * N * K) / 32), [2, N, K / 32]),
    });
    const add = pipelineOf('a[i] += b[i];');
    const step = { layer, x, y };
    const own = (change: object) => ({ pipeline: add, bindGroups: [], workgroups: [1], ...change });
    const table: readonly [steps: unknown, options: object, message: string][] = [
      [step, {}, 'steps: expected an array, got an object'],
      [[step, 5], {}, 'steps[1]: expected an object, got 5'],
      [
        [{ x, y }],
        {},
        'steps[0]: expected a step with layer or layers or experts or sort or quantize or gather or best or copy or pipeline, got an object',
      ],
      [[{ ...step, z: y }], {}, 'steps[0].z: expected layer or x or y or add or rowScale or inputScale or twin, got an unknown option'],
      [[step, { layer, x, y: x }], {}, `steps[1].y: expected shape (…, ${N}) with ${MOST} rows, got (${MOST}, ${K})`],
      [[{ ...step, y: Tensor.wrap(device, x.buffer, { shape: [MOST, N], dtype }) }], {}, 'steps[0].y: expected another buffer than x'],
      [[step], { rows: [] }, 'rows: expected at least one number of rows, got none'],
      [[step], { rows: [0] }, 'rows[0]: expected a whole number of at least 1, got 0'],
      [[step], { rows: [1, MOST + 1] }, `steps[0].x: expected a first axis of at least ${MOST + 1}, got (${MOST}, ${K})`],
      [[{ layers: [layer, layer], x, ys: [y] }], {}, 'steps[0].ys: expected 2 tensors, one for each layer, got 1'],
      [[{ experts, x: cut(x, 1), y: blank(1, 2, N) }], {}, 'steps[0].experts: expected either ids or sorted beside them, got both or none'],
      [
        [{ experts, x: cut(x, 1), y: blank(1, 2, N), sorted: pairs }],
        {},
        'steps[0].sorted: expected pairs that a step before this one sorts, got pairs that none of them sorts',
      ],
      [[{ sort: {} }], {}, 'steps[0].sort: expected what sortPairs returned, got an object'],
      [[{ quantize: x }], {}, 'steps[0].quantize: expected what quantizeRows returned, got a Tensor'],
      [[{ gather: x, ids: pairs.ids, y: x }], {}, 'steps[0].gather: expected a LinearWeightQuant, got a Tensor'],
      [[{ gather: layer, ids: x, y: x }], {}, 'steps[0].ids: expected dtype int32, got float32'],
      [
        [step, { gather: new LinearWeightQuant(device, options()), ids: pairs.ids, y: x }],
        {},
        'steps[1].gather: expected loaded weights: call load() first, got none',
      ],
      [[{ gather: layer, ids: pairs.ids, y: x }], {}, `steps[0].y: expected shape (…, ${K}) with 2 rows, got (${MOST}, ${K})`],
      [[{ gather: layer, ids: pairs.ids, y: x }], { rows: [2] }, 'steps[0].ids: expected a first axis of at least 2, got (1, 2)'],
      [
        [{ gather: layer, ids: pairs.ids, y: Tensor.wrap(device, pairs.ids.buffer, { shape: [2, 1], dtype }) }],
        {},
        `steps[0].y: expected shape (…, ${K}) with 2 rows, got (2, 1)`,
      ],
      [
        [step, { gather: layer, ids: Tensor.wrap(device, x.buffer, { shape: [2], dtype: 'int32' }), y: cut(x, 2) }],
        {},
        'steps[1].y: expected another buffer than ids, got the same one',
      ],
      [[step, { gather: layer, ids: pairs.ids, y: cut(x, 2) }, { copy: x, y }], {}, `steps[2].y: expected shape (${MOST}, ${K})`],
      [[{ copy: x, y }], {}, `steps[0].y: expected shape (${MOST}, ${K}), got (${MOST}, ${N})`],
      [[{ copy: x, y: cut(x, MOST) }], {}, 'steps[0].y: expected another buffer than copy, got the same one'],
      [[own({ pipeline: {} })], {}, 'steps[0].pipeline: expected a GPUComputePipeline, got an object'],
      [[own({ bindGroups: [{}] })], {}, 'steps[0].bindGroups[0].label: expected a string, got undefined'],
      [[own({ workgroups: [] })], {}, 'steps[0].workgroups: expected one to three whole numbers, got []'],
      [
        [own({ workgroups: (rows: number) => [rows / 2] })],
        { rows: [3] },
        'steps[0].workgroups[0]: expected a whole number of at least 0, got 1.5',
      ],
    ];
    const spy = vi.spyOn(device, 'createBuffer');
    const texts = table.map(([steps, options]) => {
      spy.mockClear();
      try {
        recordSteps(device, steps as Step[], options);
        return 'taken';
      } catch (error) {
        expect(error).toBeInstanceOf(ArgumentError);
        expect(spy).not.toHaveBeenCalled();
        return (error as Error).message;
      }
    });
    expect(texts.map((text, i) => (text.startsWith(table[i]![2]) ? table[i]![2] : text))).toEqual(table.map(([, , message]) => message));
  });

  test('rows that were not recorded', () => {
    const layer = layerOf(first);
    const step = { layer, x: tensor(xs, [MOST, K]), y: blank(MOST, N) };
    const [some, whole] = [recordSteps(device, [step], { rows: [1, 8, 8] }), recordSteps(device, [step])];
    expect([some.rows, whole.rows]).toEqual([[1, 8], []]);
    expect(() => replayed(some, 2)).toThrow('rows: expected 1 or 8, got 2');
    expect(() => replayed(some)).toThrow('rows: expected 1 or 8, got undefined');
    expect(() => replayed(whole, 1)).toThrow('rows: expected none: the tensors were recorded as they are, got 1');
    expect(() => replayed({} as Recorded)).toThrow('recorded: expected what recordSteps returned, got an object');
    const none = recordSteps(device, []);
    expect(variantsOf(none)).toEqual([]);
  });
});
