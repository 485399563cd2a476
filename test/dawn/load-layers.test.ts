// loadLayers: layers that are loaded side by side give what layers give that were loaded alone and joined, in every bit, in one dispatch
// from the first call, and never lie in memory twice. After an error nothing is left.
import { describe, expect, test } from 'vitest';
import {
  byteSource,
  FormatError,
  findLayers,
  type LayerSource,
  loadLayer,
  loadLayers,
  type Progress,
  type TensorFile,
} from '../../src/formats.js';
import { encodeMany, forwardMany, type LinearWeightQuant, prepareMany, requestDevice, Tensor } from '../../src/index.js';
import { loadThrough } from '../../src/loading/load-layers.js';
import { LIMITS, Traffic } from '../../src/loading/traffic.js';
import { formatCases } from '../cases/format-cases.js';
import { activations, layerOf } from '../cases/run-format.js';
import { aliveBuffers } from '../support/alive-buffers.js';
import { gpu } from '../support/dawn.js';
import { dispatches } from '../support/dispatches.js';
import { loseWhile } from '../support/lost-device.js';
import { floats, infoOf, randoms, raw } from '../support/tensors.js';

const device = await requestDevice({ gpu });
const alive = aliveBuffers(device);
const PLAN = { plan: { selfTest: false } } as const; // fewer buffers to count
const FLOAT32 = { dtype: 'float32', ...PLAN } as const;
/** Small pieces, so that small layers have many. */
const SMALL = { piece: 2 ** 14, inFlight: 3 * 2 ** 14 };

interface Spec {
  readonly n: number;
  readonly k?: number;
  readonly bias?: boolean;
  /** A row whose scale is no number. */
  readonly bad?: number;
  /** Of this read on, reading fails. */
  readonly fails?: Error;
  /** Runs at each read. */
  readonly onRead?: () => void;
}

/** Layers of int8, whose sums are exact in float32. */
async function layersOf(specs: Readonly<Record<string, Spec>>): Promise<LayerSource[]> {
  const tensors: TensorFile['tensors'] = new Map();
  for (const [name, { n, k = 256, bias, bad, fails, onRead }] of Object.entries(specs)) {
    const scale = Float32Array.from(randoms(n, n, 1, 4), (e) => 2 ** -e);
    if (bad !== undefined) scale[bad] = Number.NaN;
    const own: Readonly<Record<string, readonly [string, readonly number[], ArrayBufferView]>> = {
      weight: ['I8', [n, k], Int8Array.from(randoms(n + k, n * k, -100, 100))],
      weight_scale: ['F32', [n, 1], scale],
      ...(bias && { bias: ['F32', [n], Float32Array.from(randoms(n + 1, n, -9, 9))] as const }),
    };
    for (const [part, [dtype, shape, { buffer, byteLength }]] of Object.entries(own)) {
      const source = await byteSource(new Uint8Array(buffer as ArrayBuffer));
      let reads = 0;
      const read: typeof source.read = async (...given) => {
        onRead?.();
        if (fails && part === 'weight' && ++reads === 3) throw fails;
        return source.read(...given);
      };
      const info = { name: `${name}.${part}`, dtype, shape, begin: 0, end: byteLength, source: { ...source, read } };
      (tensors as Map<string, typeof info>).set(info.name, info);
    }
  }
  const { layers } = await findLayers({ kind: 'safetensors', name: 'made', metadata: {}, tensors });
  return Object.keys(specs).map((name) => layers.find((layer) => layer.name === name)!);
}

const xOf = (k: number, m = 3) => Tensor.from(device, Float32Array.from(randoms(k, m * k, -3, 3)), { shape: [m, k], dtype: 'float32' });
const readAll = (ys: readonly Tensor[]) => Promise.all(ys.map(async (y) => [...((await y.read()) as Float32Array)]));
const destroy = (layers: readonly LinearWeightQuant[]): void => {
  for (const layer of layers) layer.destroy();
};
/** What the layers give that are loaded one by one. */
async function alone(sources: readonly LayerSource[], x: Tensor): Promise<number[][]> {
  const layers = await Promise.all(sources.map((source) => loadLayer(device, source, FLOAT32)));
  const ys = await readAll(layers.map((layer) => layer.forward(x)));
  destroy(layers);
  return ys;
}
/** Dispatches of a call with the outputs of a call. */
function countOf(layers: readonly LinearWeightQuant[], x: Tensor): number {
  const ys = forwardMany(layers, x);
  return dispatches((pass) => encodeMany(pass, layers, x, ys));
}

describe('every format: bits, and dispatches, of layers that were loaded one by one and joined', () => {
  test.each(formatCases.map((c) => [c.name, c] as const))('%s', async (name, c) => {
    const sources = await Promise.all([0, 1, 2].map((i) => layerOf(c, `${name} ${i}`)));
    const options = { dtype: c.dtype, plan: { force: { kernel: 'matmul-plain' } } } as const; // it takes every format, and compiles fast
    const data = activations(name, sources[0]!, c.dtype);
    const x = Tensor.from(device, data.data as Float32Array, { shape: data.shape, dtype: c.dtype });
    const apart = await Promise.all(sources.map((source) => loadLayer(device, source, options)));
    await prepareMany(apart, [3]);
    const traffic = new Traffic(device, { piece: sources[0]!.cut ? 600 : 2 ** 18, inFlight: 2 ** 18 });
    const [beside] = (await loadThrough(traffic, [sources], options)) as [LinearWeightQuant[]];
    expect(await readAll(forwardMany(beside, x))).toEqual(await readAll(forwardMany(apart, x)));
    expect(countOf(beside, x)).toBe(countOf(apart, x));
    expect(await readAll(beside.map((layer) => layer.forward(x)))).toEqual(await readAll(apart.map((layer) => layer.forward(x))));
    destroy([...apart, ...beside]);
  });
});

const [q, k, v, o, gate, up, ragged, wide] = await layersOf({
  q: { n: 192, bias: true },
  k: { n: 64 },
  v: { n: 68, bias: true },
  o: { n: 96 },
  gate: { n: 128 },
  up: { n: 128 },
  ragged: { n: 7 },
  wide: { n: 64, k: 512 },
});

describe('lists', () => {
  const x = xOf(256);

  test('say which layers lie side by side; results have their shape', async () => {
    const [qkv, one, mlp] = await loadLayers(device, [[q!, k!, v!], o!, [gate!, up!]], FLOAT32);
    const all = [...qkv, one, ...mlp];
    expect(all.map((layer) => layer.loaded.weights.n)).toEqual([192, 64, 68, 96, 128, 128]);
    const want = await alone([q!, k!, v!, o!, gate!, up!], x);
    // Dispatches of the first call: outputs of one buffer say so.
    const first = forwardMany(qkv, x);
    expect(new Set(first.map(({ buffer }) => buffer)).size).toBe(1);
    expect(await readAll([...first, one.forward(x), ...forwardMany(mlp, x)])).toEqual(want);
    expect([countOf(qkv, x), countOf(mlp, x), countOf(all, x)]).toEqual([1, 1, 6]);
    expect(await readAll(all.map((layer) => layer.forward(x)))).toEqual(want);
    destroy(all);
  });

  test('with layers that cannot share a dispatch, and more than four that can', async () => {
    const mixed = [q!, ragged!, k!, v!, o!, gate!, up!];
    const [layers] = await loadLayers(device, [mixed], FLOAT32);
    // Four, two, and the one with rows that are no whole quads.
    const ys = forwardMany(layers, x);
    expect(new Set([0, 2, 3, 4].map((i) => ys[i]!.buffer)).size).toBe(1);
    expect(ys[5]!.buffer).toBe(ys[6]!.buffer);
    expect(new Set(ys.map(({ buffer }) => buffer)).size).toBe(3);
    expect(await readAll(ys)).toEqual(await alone(mixed, x));
    destroy(layers);
    const [pair] = await loadLayers(device, [[q!, wide!]], FLOAT32);
    expect(await readAll([pair[0].forward(x), pair[1].forward(xOf(512))])).toEqual([
      ...(await alone([q!], x)),
      ...(await alone([wide!], xOf(512))),
    ]);
    destroy(pair);
  });

  test('nothing is copied, and no layer has another’s buffers but the shared ones', async () => {
    const [layers] = await loadLayers(device, [[q!, k!, v!]], FLOAT32);
    forwardMany(layers, x);
    await device.queue.onSubmittedWorkDone();
    expect(alive.labels().filter((label) => label.includes('0'))).toEqual(['antiquant scale0 of 3 layers', 'antiquant w0 of 3 layers']);
    const [a, b, c] = layers;
    a.destroy();
    expect(await readAll(forwardMany([b, c], x))).toEqual(await alone([k!, v!], x));
    b.destroy();
    expect(await readAll([c.forward(x)])).toEqual(await alone([v!], x));
    c.destroy();
    expect(alive.labels().filter((label) => /0|column/.test(label))).toEqual([]);
  });

  test('errors name what is wrong, before anything is read', async () => {
    await expect(loadLayers(device, [], FLOAT32)).rejects.toThrow('sources: expected at least one layer, got none');
    await expect(loadLayers(device, [q!, []], FLOAT32)).rejects.toThrow('sources[1]: expected at least one layer, got none');
  });
});

describe('zero points', () => {
  /** 64 × 64 of GPTQ, whose zero points are all 8, or not. */
  const gptq = async (zeros: number): Promise<LayerSource> => {
    const tensors = [
      ['qweight', 'I32', [8, 64], Int32Array.from(randoms(zeros, 512, -(2 ** 31), 2 ** 31 - 1))],
      ['qzeros', 'I32', [2, 8], new Int32Array(16).fill(zeros)],
      ['scales', 'F32', [2, 64], new Float32Array(128).fill(0.25)],
    ] as const;
    const entries = tensors.map(async ([part, dtype, shape, { buffer, byteLength }]) => {
      const source = await byteSource(new Uint8Array(buffer as ArrayBuffer));
      return [`a.${part}`, { name: `a.${part}`, dtype, shape, begin: 0, end: byteLength, source }] as const;
    });
    const config = { quantization_config: { quant_method: 'gptq', bits: 4, group_size: 32, desc_act: false, checkpoint_format: 'gptq' } };
    const file: TensorFile = { kind: 'safetensors', name: 'made', metadata: {}, tensors: new Map(await Promise.all(entries)) };
    return (await findLayers(file, { config })).layers[0]!;
  };

  test.each([
    ['go where no layer needs them', 0x77777777, ['none', 'none']],
    ['stay where one does', 0x55555555, ['zero8', 'zero8']],
  ])('%s', async (_, second, shifts) => {
    const sources = [await gptq(0x77777777), await gptq(second)];
    const [layers] = await loadLayers(device, [sources], FLOAT32);
    const x = xOf(64);
    expect(layers.map((layer) => layer.explain(3).weights.shift)).toEqual(shifts);
    expect(await readAll(forwardMany(layers, x))).toEqual(await alone(sources, x));
    expect(countOf(layers, x)).toBe(1);
    destroy(layers);
  });
});

describe('bytes', () => {
  const specs = { a: { n: 256, k: 1024 }, b: { n: 128, k: 1024 }, c: { n: 128, k: 1024 } };

  /** The most bytes of buffers at a time; a buffer in use by submitted work counts until the GPU is done with it. */
  async function peakOf(work: () => Promise<readonly LinearWeightQuant[]>): Promise<{ peak: number; left: number }> {
    let [bytes, peak] = [0, 0];
    const create = device.createBuffer;
    device.createBuffer = (descriptor) => {
      const buffer = create.call(device, descriptor);
      if (descriptor.label === 'antiquant uniforms') return buffer; // of 256 bytes a dispatch
      bytes += buffer.size;
      peak = Math.max(peak, bytes);
      const free = buffer.destroy.bind(buffer);
      let freed = false;
      buffer.destroy = () => {
        free();
        if (!freed)
          void device.queue.onSubmittedWorkDone().then(() => {
            bytes -= buffer.size;
          });
        freed = true;
      };
      return buffer;
    };
    try {
      const layers = await work();
      await device.queue.onSubmittedWorkDone();
      const left = bytes;
      destroy(layers);
      return { peak, left };
    } finally {
      device.createBuffer = create;
    }
  }

  test('the peak is the layers’ buffers and what is in flight; joining by copies takes twice the buffers', async () => {
    const sources = await layersOf(specs);
    const beside = await peakOf(async () => (await loadThrough(new Traffic(device, SMALL), [sources], FLOAT32))[0] as LinearWeightQuant[]);
    const joined = await peakOf(async () => {
      const layers = await Promise.all(sources.map((source) => loadLayer(device, source, { ...FLOAT32, chunkBytes: SMALL.piece })));
      await prepareMany(layers, [1]);
      return layers;
    });
    expect(beside.left).toBe(joined.left);
    expect(beside.left).toBeGreaterThan(512 * 1024);
    expect(beside.peak).toBeLessThanOrEqual(beside.left + SMALL.inFlight);
    expect(joined.peak).toBeGreaterThan(2 * 512 * 1024);
  });

  test('floats that the GPU quantizes: the bits, reports and limits of each alone', async () => {
    const tensors = [192, 128, 64].map((n) => infoOf(raw(`w${n}`, 'F16', [n, 1024], floats(n, n * 1024))));
    const options = { ...FLOAT32, quantize: 'int4' } as const;
    let layers: LinearWeightQuant[] = [];
    const traffic = new Traffic(device, SMALL);
    const x = xOf(1024);
    const apart = await Promise.all(tensors.map((tensor) => loadLayer(device, tensor, options)));
    await prepareMany(apart, [3]);
    const { peak, left } = await peakOf(async () => {
      [layers] = (await loadThrough(traffic, [tensors], options)) as [LinearWeightQuant[]];
      return [];
    });
    expect(await readAll(forwardMany(layers, x))).toEqual(await readAll(forwardMany(apart, x)));
    expect(layers.map(({ report }) => report)).toEqual(apart.map(({ report }) => report));
    expect(countOf(layers, x)).toBe(1);
    expect(peak).toBeLessThanOrEqual(left + SMALL.inFlight);
    expect(traffic.mostInFlight).toBeLessThanOrEqual(SMALL.inFlight);
    expect([traffic.inFlight, traffic.hands]).toEqual([0, 0]);
    destroy([...layers, ...apart]);
  });

  test('in flight and in hands are within the limits, and reading goes on while the GPU packs', async () => {
    const traffic = new Traffic(device, SMALL);
    const flying: number[] = [];
    const onRead = (): void => {
      flying.push(traffic.inFlight);
    };
    const { a, b, c } = specs;
    const sources = await layersOf({ a: { ...a, onRead }, b: { ...b, onRead }, c: { ...c, onRead } });
    const layers = await loadThrough(traffic, [sources.slice(0, 2), sources[2]!], FLOAT32);
    expect(traffic.mostInFlight).toBeLessThanOrEqual(SMALL.inFlight);
    expect(traffic.mostInFlight).toBeGreaterThan(SMALL.piece); // more than one piece at once
    // Two first pieces, and one as it is read and imported.
    expect(traffic.mostInHands).toBeLessThanOrEqual(4 * SMALL.piece);
    expect(flying.filter((bytes) => bytes > 0).length).toBeGreaterThan(flying.length / 2);
    expect([traffic.inFlight, traffic.hands]).toEqual([0, 0]);
    destroy(layers.flat());
  });

  test('the limits that a call has', () => {
    expect(LIMITS.inFlight).toBe(32 * 2 ** 20);
    expect((4 + 2 + 2) * LIMITS.piece).toBe(64 * 2 ** 20);
  });

  test('progress: bytes that are read, and bytes that the GPU has taken, each to its end', async () => {
    const told: Progress[] = [];
    const sources = await layersOf({ ...specs, d: { n: 64, bias: true } });
    const options = { ...FLOAT32, onProgress: (progress: Progress) => told.push(progress) };
    const layers = await loadThrough(new Traffic(device, SMALL), [sources.slice(0, 3), sources[3]!], options);
    const total = 512 * 1024 + 64 * 256 + 4 * (512 + 64);
    for (const phase of ['read', 'pack'] as const) {
      const own = told.filter((one) => one.phase === phase);
      expect(own.length).toBeGreaterThan(30);
      expect(own.every((one, i) => one.total === total && one.done > (own[i - 1]?.done ?? 0))).toBe(true);
      expect(own.at(-1)!.done).toBe(total);
    }
    destroy(layers.flat());
  });
});

describe('after an error nothing is left, on the GPU and on its way', () => {
  const good = { n: 64 };
  /** The traffic of a load that fails. */
  async function failing(specs: Readonly<Record<string, Spec>>, expected: unknown, more: object = {}): Promise<void> {
    const sources = await layersOf(specs);
    const traffic = new Traffic(device, { piece: 2000, inFlight: 6000 });
    const failed = loadThrough(traffic, [sources[0]!, sources.slice(1)], { ...FLOAT32, ...more });
    if (expected instanceof Error) await expect(failed).rejects.toBe(expected);
    else await expect(failed).rejects.toThrow(expected as never);
    expect(alive.labels()).toEqual([]);
    expect(traffic.inFlight).toBe(0);
    expect(traffic.mostInFlight).toBeGreaterThan(0);
  }
  const three = { a: good, b: { n: 64, bias: true }, c: { n: 128 } };

  test('aborted while layers lie half side by side: the reason', async () => {
    const abort = new AbortController();
    const reason = new Error('enough');
    const onProgress = ({ phase, done }: Progress): void => {
      if (phase === 'read' && done > 40_000) abort.abort(reason);
    };
    await failing(three, reason, { signal: abort.signal, onProgress });
  });

  test('aborted when all is read', async () => {
    const abort = new AbortController();
    const reason = new Error('too late');
    const onProgress = ({ done, total }: Progress): void => {
      if (done === total) abort.abort(reason);
    };
    await failing(three, reason, { signal: abort.signal, onProgress });
  });

  test.each(['b', 'c'])('a read of %s that fails: its error', async (name) => {
    const failure = new Error('the disk is gone');
    await failing({ ...three, [name]: { ...three[name as 'b'], fails: failure } }, failure);
  });

  test('a scale that is NaN in a later piece of the last layer: a FormatError', async () => {
    await failing({ ...three, c: { n: 128, bad: 100 } }, FormatError);
  });

  test.each(['read', 'pack'])('a callback of progress that throws at %s: its error', async (at) => {
    const failure = new Error('a bug of the page');
    const onProgress = ({ phase, done }: Progress): void => {
      if (phase === at && done > 10_000) throw failure;
    };
    await failing(three, failure, { onProgress });
  });

  test.each(['read', 'pack'])('the same while floats are quantized, at %s', async (at) => {
    const tensors = [64, 128].map((n) => infoOf(raw(`w${n}`, 'F16', [n, 256], floats(n, n * 256))));
    const failure = new Error('a bug of the page');
    const onProgress = ({ phase, done }: Progress): void => {
      if (phase === at && done > 40_000) throw failure;
    };
    const traffic = new Traffic(device, { piece: 4000, inFlight: 12_000 });
    await expect(loadThrough(traffic, [tensors], { ...FLOAT32, quantize: 'int8', onProgress })).rejects.toBe(failure);
    expect(alive.labels()).toEqual([]);
    expect(traffic.inFlight).toBe(0);
  });

  test('no GPU memory for the shared buffers: the error', async () => {
    const create = device.createBuffer;
    device.createBuffer = (descriptor) => {
      if (descriptor.label?.includes('of 2 layers')) throw new RangeError('made up');
      return create.call(device, descriptor);
    };
    try {
      await failing(three, 'no memory for a buffer');
    } finally {
      device.createBuffer = create;
    }
  });

  test('a device that is lost half-way: its error', async () => {
    const sources = await layersOf(three);
    const load = (own: GPUDevice, onProgress: () => void) =>
      loadThrough(new Traffic(own, { piece: 2000, inFlight: 6000 }), [sources[0]!, sources.slice(1)], { ...FLOAT32, onProgress });
    await expect(loseWhile(load)).rejects.toThrow(/lost/);
  });
});
