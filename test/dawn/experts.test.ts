// Experts against a loop of layers, equal in every bit; experts of files; products of batches; memory; and what is refused.
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { findLayers, ggufTypes, type LayerSource, loadExperts, loadLayer, type QuantizedMatrix } from '../../src/formats.js';
import {
  ArgumentError,
  ExpertLayers,
  encodeExperts,
  encodeSortPairs,
  forwardExperts,
  LinearWeightQuant,
  readPairCounts,
  requestDevice,
  sortPairs,
  Tensor,
  UnsupportedError,
  weightQuantBatchMatmul,
} from '../../src/index.js';
import { sortedPairs } from '../../src/problem/experts.js';
import { random } from '../cases/data.js';
import { whole } from '../cases/slice.js';
import { gpu } from '../support/dawn.js';
import { bytes, fileOf, steps, words } from '../support/every-format.js';
import { raw } from '../support/tensors.js';

const device = await requestDevice({ gpu });
const uncaught: string[] = [];
device.addEventListener('uncapturederror', ({ error }) => uncaught.push(error.message));
afterAll(() => device.destroy());
beforeEach(() => {
  uncaught.length = 0;
});

const [E, N, K, M, TOP] = [6, 36, 128, 5, 3];
const dtype = 'float32';
const sizes = { inFeatures: K, outFeatures: N, bias: false, dtype } as const;
const next = random('experts');
const integers = (length: number, low: number, high: number) => Array.from({ length }, () => low + Math.floor(next() * (high - low + 1)));
const matrices = Array.from(
  { length: E },
  (): QuantizedMatrix => ({
    n: N,
    k: K,
    bits: 4,
    groupSize: 32,
    scaleDtype: 'float16',
    codes: Uint32Array.from(words((N * K) / 8, 1 + Math.floor(next() * 2 ** 20)), (word) => word >>> 0),
    scale: Float32Array.from(steps((N * K) / 32)),
  }),
);
const xs = Float32Array.from({ length: M * K }, () => next() - 0.5);
const x = Tensor.from(device, xs, { shape: [M, K], dtype });
const list = Int32Array.from(integers(M * TOP, -1, E));
const idTensor = (ids: ArrayLike<number> = list) =>
  Tensor.from(device, Int32Array.from(ids), { shape: [ids.length / TOP, TOP], dtype: 'int32' });
const made = (): ExpertLayers => new ExpertLayers(device, { experts: E, ...sizes }).loadMatrices(matrices);
const numbersOf = async (tensor: Tensor) => (await tensor.read()) as Float32Array;

/** Rows of pairs, by a layer for each expert. */
async function byLayers(layers: readonly LinearWeightQuant[], input: Tensor, ids: ArrayLike<number>, top = TOP): Promise<Float32Array> {
  const n = (await numbersOf(layers[0]!.forward(input))).length / (ids.length / top);
  const out = new Float32Array(ids.length * n);
  const all = await Promise.all(layers.map((layer) => numbersOf(layer.forward(input))));
  for (let p = 0; p < ids.length; p++) {
    const row = Math.floor(p / top);
    const own = all[ids[p]!];
    if (own) out.set(own.subarray(row * n, (row + 1) * n), p * n);
  }
  return out;
}
const loop = () => matrices.map((matrix) => new LinearWeightQuant(device, sizes).loadMatrix(matrix));

describe('against a loop of layers', () => {
  test('every bit is equal, with one row, some and many', async () => {
    const [experts, layers] = [made(), loop()];
    for (const m of [1, 5, 40]) {
      const input = Tensor.from(
        device,
        Float32Array.from({ length: m * K }, () => next() - 0.5),
        { shape: [m, K], dtype },
      );
      const ids = integers(m * TOP, -1, E);
      const y = forwardExperts(experts, input, { ids: idTensor(ids) });
      expect(y.shape).toEqual([m, TOP, N]);
      expect(await numbersOf(y)).toEqual(await byLayers(layers, input, ids));
    }
  });

  test('encode reads the ids and x of each submit, and writes no byte outside y', async () => {
    const [experts, layers] = [made(), loop()];
    const ids = idTensor();
    const sorted = sortPairs(ids, E);
    const GUARD = 64;
    const size = 4 * M * TOP * N;
    for (const routes of [{ ids }, { sorted }]) {
      const buffer = device.createBuffer({ size: size + 2 * GUARD, usage: 0x8c });
      const y = Tensor.wrap(device, buffer, { shape: [M, TOP, N], dtype, byteOffset: GUARD });
      for (const round of [0, 1]) {
        const now = integers(M * TOP, -1, E);
        device.queue.writeBuffer(ids.buffer, 0, Int32Array.from(now));
        device.queue.writeBuffer(buffer, 0, new Uint8Array(size + 2 * GUARD).fill(0xa5));
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        if ('sorted' in routes) encodeSortPairs(pass, sorted);
        encodeExperts(pass, experts, x, y, routes as { ids: Tensor });
        pass.end();
        device.queue.submit([encoder.finish()]);
        expect(await numbersOf(y), `round ${round}`).toEqual(await byLayers(layers, x, now));
        const around = (await Tensor.wrap(device, buffer, { shape: [buffer.size / 4], dtype: 'int32' }).read()) as Int32Array;
        for (const i of [...Array(GUARD / 4).keys()]) expect([around[i], around.at(-1 - i)]).toEqual([0xa5a5a5a5 | 0, 0xa5a5a5a5 | 0]);
      }
    }
    expect(uncaught).toEqual([]);
  });

  test('gate, up and down share sorted pairs: down has a row of x for each pair', async () => {
    const [gates, layers] = [made(), loop()];
    const downs = matrices.map(
      (matrix): QuantizedMatrix => ({
        ...matrix,
        n: K,
        k: N,
        groupSize: N,
        scale: Float32Array.from(steps(K)),
        codes: Uint32Array.from(words(K * Math.ceil(N / 8), 11), (word) => word >>> 0),
      }),
    );
    const down = new ExpertLayers(device, { experts: E, inFeatures: N, outFeatures: K, bias: false, dtype }).loadMatrices(downs);
    const sorted = sortPairs(idTensor(), E);
    const h = forwardExperts(gates, x, { sorted });
    const y = forwardExperts(down, h, { sorted });
    expect(y.shape).toEqual([M, TOP, K]);
    const between = await byLayers(layers, x, list);
    const rows = Tensor.from(device, between, { shape: [M * TOP, N], dtype });
    const ends = downs.map((matrix) => new LinearWeightQuant(device, { ...sizes, inFeatures: N, outFeatures: K }).loadMatrix(matrix));
    expect(await numbersOf(y)).toEqual(await byLayers(ends, rows, list, 1));
  });

  test('pairs are counted by expert, and those without one', async () => {
    const counts = await readPairCounts(sortPairs(idTensor(), E));
    expect([...counts]).toEqual([...Array(E).keys(), -1].map((e) => list.filter((id) => (e < 0 ? id < 0 || id >= E : id === e)).length));
  });

  test('the GPU sorts as the CPU does, but for the order within an expert', async () => {
    const ids = integers(3 * 500, -2, 40);
    const got = new Uint32Array(((await sortPairs(idTensor(ids), 39).sorted.read()) as Int32Array).buffer);
    const want = sortedPairs(ids, 39);
    const order = want.length - ids.length;
    expect([...got.subarray(0, order)]).toEqual([...want.subarray(0, order)]);
    for (let e = 0; e < 40; e++) {
      const run = (all: Uint32Array) => [...all.subarray(order + want[e]!, order + want[e + 1]!)].sort((a, b) => a - b);
      expect(run(got)).toEqual(run(want));
    }
  });

  test('no rows make no rows', async () => {
    const y = forwardExperts(made(), Tensor.from(device, new Float32Array(0), { shape: [0, K], dtype }), {
      ids: Tensor.from(device, new Int32Array(0), { shape: [0, TOP], dtype: 'int32' }),
    });
    expect(y.shape).toEqual([0, TOP, N]);
    expect(await numbersOf(y)).toEqual(new Float32Array(0));
  });
});

describe('of a file', () => {
  const ofFile = async (tensors: Parameters<typeof fileOf>[0], options: Parameters<typeof findLayers>[1] = {}) => {
    const { experts, refused } = await findLayers(fileOf(tensors), options);
    expect(refused).toEqual([]);
    expect(experts).toHaveLength(1);
    return experts[0]!;
  };
  /** Loaded experts against a loop of the experts' layers, each loaded alone. */
  const compare = async (source: { readonly experts: readonly LayerSource[]; readonly k: number }) => {
    const options = { dtype, plan: { selfTest: false } } as const;
    const experts = await loadExperts(device, source as never, { ...options, chunkBytes: 2000 });
    const layers = await Promise.all(source.experts.map((one) => loadLayer(device, one, options)));
    const input = Tensor.from(
      device,
      Float32Array.from({ length: M * source.k }, () => next() - 0.5),
      { shape: [M, source.k], dtype },
    );
    const ids = integers(M * TOP, -1, source.experts.length);
    const y = await numbersOf(forwardExperts(experts, input, { ids: idTensor(ids) }));
    expect(y).toEqual(await byLayers(layers, input, ids));
    expect(y.every(Number.isFinite)).toBe(true);
    experts.destroy();
  };

  // Each type is read in test/unit/formats/experts.test.ts; these are held in different forms.
  const shown = Object.entries(ggufTypes).filter(([type]) => whole || ['Q8_0', 'Q4_K', 'Q6_K', 'IQ4_XS', 'MXFP4'].includes(type));
  test.each(shown)('GGUF %s of three dimensions', async (type, { blockSize, bytes: inBlock }) => {
    const k = 2 * Math.max(blockSize, 64);
    const [count, n] = [3, 12];
    const blocks = (count * n * k) / blockSize;
    const data = bytes(blocks * inBlock, 7);
    // Halves and exponents of any bytes would be infinite: every byte that may be the high one of a half is small.
    for (let i = 0; i < data.length; i++) data[i]! &= 0x3f;
    const tensor = { name: 'blk.0.ffn_gate_exps.weight', dtype: type, shape: [count, n, k], bytes: Uint8Array.from(data) };
    await compare(await ofFile([tensor]));
  });

  test('MXFP4 of gpt-oss, with a bias for each expert', async () => {
    const [count, n, k] = [4, 12, 96];
    const name = 'model.layers.0.mlp.experts.down_proj';
    await compare(
      await ofFile([
        raw(`${name}_blocks`, 'U8', [count, n, k / 32, 16], bytes((count * n * k) / 2, 3)),
        raw(
          `${name}_scales`,
          'U8',
          [count, n, k / 32],
          Array.from({ length: (count * n * k) / 32 }, (_, i) => 120 + (i % 9)),
        ),
        raw(`${name}_bias`, 'F32', [count, n], steps(count * n)),
      ]),
    );
  });

  test('MLX with an axis of experts', async () => {
    const [count, n, k] = [3, 8, 64];
    await compare(
      await ofFile(
        [
          raw('switch_mlp.up_proj.weight', 'U32', [count, n, k / 8], words((count * n * k) / 8, 5)),
          raw('switch_mlp.up_proj.scales', 'F16', [count, n, k / 32], steps((count * n * k) / 32)),
          raw('switch_mlp.up_proj.biases', 'F16', [count, n, k / 32], steps((count * n * k) / 32)),
        ],
        { config: { quantization: { bits: 4, group_size: 32 } } },
      ),
    );
  });

  test('layers with numbers in their names', async () => {
    const one = (e: number) => [
      raw(`mlp.experts.${e}.up_proj.weight`, 'I8', [8, 64], bytes(512, e + 1)),
      raw(`mlp.experts.${e}.up_proj.weight_scale`, 'BF16', [8, 1], steps(8)),
    ];
    await compare(await ofFile([0, 1, 2].flatMap(one)));
  });

  test('FP8 in numbered layers, with scales of blocks', async () => {
    const one = (e: number) => [
      raw(
        `mlp.experts.${e}.up_proj.weight`,
        'F8_E4M3',
        [8, 256],
        bytes(2048, e + 1).map((byte) => byte & 0xbf),
      ),
      raw(`mlp.experts.${e}.up_proj.weight_scale_inv`, 'F32', [1, 2], [e + 1, 0.5]),
    ];
    await compare(await ofFile([0, 1, 2].flatMap(one)));
  });

  test('NVFP4 in numbered layers, each with a factor', async () => {
    const one = (e: number) => [
      raw(`mlp.experts.${e}.up_proj.weight`, 'U8', [8, 32], bytes(256, e + 1)),
      raw(
        `mlp.experts.${e}.up_proj.weight_scale`,
        'F8_E4M3',
        [8, 4],
        bytes(32, e + 5).map((byte) => byte & 0x77),
      ),
      raw(`mlp.experts.${e}.up_proj.weight_scale_2`, 'F32', [], [0.01 * (e + 1)]),
    ];
    await compare(await ofFile([0, 1, 2].flatMap(one)));
  });

  test('a load that fails leaves no buffer', async () => {
    const name = 'mlp.experts.down_proj';
    const scales = Array.from({ length: 4 * 12 }, (_, i) => (i === 40 ? 255 : 127));
    const source = await ofFile([
      raw(`${name}_blocks`, 'U8', [4, 12, 1, 16], bytes(4 * 12 * 16, 3)),
      raw(`${name}_scales`, 'U8', [4, 12, 1], scales),
    ]);
    const alive = new Set<GPUBuffer>();
    const create = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => {
      const buffer = create(descriptor);
      const destroy = buffer.destroy.bind(buffer);
      alive.add(buffer);
      buffer.destroy = () => {
        alive.delete(buffer);
        destroy();
      };
      return buffer;
    };
    try {
      await expect(loadExperts(device, source)).rejects.toThrow(`${name}_scales[3]: element 4`);
      expect(alive.size).toBe(0);
    } finally {
      device.createBuffer = create;
    }
  });
});

describe('tensors of torch', () => {
  const [B, G] = [4, 4];
  const weights = Int8Array.from(integers(B * K * N, -128, 127));
  const scales = Float32Array.from({ length: B * G * N }, () => 2 ** -integers(1, 3, 6)[0]!);
  const offsets = Float32Array.from(integers(B * G * N, -5, 5));
  const biases = Float32Array.from(integers(B * N, -8, 8));
  const input = Float32Array.from(integers(B * M * K, -4, 4));
  const tensor = (data: Float32Array | Int8Array | Int32Array, shape: number[], of: 'float32' | 'int8' | 'int32' = dtype) =>
    Tensor.from(device, data, { shape, dtype: of });

  test('a weight for each batch: y[b] = x[b] · W[b]', async () => {
    const y = weightQuantBatchMatmul(tensor(input, [B, M, K]), tensor(weights, [B, K, N], 'int8'), tensor(scales, [B, G, N]), {
      antiquantOffset: tensor(offsets, [B, G, N]),
      bias: tensor(biases, [B, N]),
      antiquantGroupSize: 32,
    });
    expect(y.shape).toEqual([B, M, N]);
    const got = await numbersOf(y);
    for (let b = 0; b < B; b++) {
      const of = <T extends Float32Array | Int8Array>(all: T, count: number) =>
        all.slice((b * all.length) / B, ((b + 1) * all.length) / B) as T & { length: typeof count };
      const one = weightQuantBatchMatmul(
        tensor(of(input, 0), [M, K]),
        tensor(of(weights, 0), [K, N], 'int8'),
        tensor(of(scales, 0), [G, N]),
        {
          antiquantOffset: tensor(of(offsets, 0), [G, N]),
          bias: tensor(of(biases, 0), [N]),
          antiquantGroupSize: 32,
        },
      );
      expect(got.subarray(b * M * N, (b + 1) * M * N)).toEqual(await numbersOf(one));
    }
  });

  test('(N, K) storage as its transpose, int4, and scales that the batches share', async () => {
    const packed = Int32Array.from(words((B * N * K) / 8, 9));
    const y = weightQuantBatchMatmul(
      tensor(input, [B, M, K]),
      tensor(packed, [B, N, K / 8], 'int32').transpose(),
      tensor(Float32Array.from(steps(N)), [N]),
    );
    const got = await numbersOf(y);
    for (let b = 0; b < B; b++) {
      const one = weightQuantBatchMatmul(
        tensor(input.slice(b * M * K, (b + 1) * M * K), [M, K]),
        tensor(packed.slice((b * N * K) / 8, ((b + 1) * N * K) / 8), [N, K / 8], 'int32').transpose(),
        tensor(Float32Array.from(steps(N)), [N]),
      );
      expect(got.subarray(b * M * N, (b + 1) * M * N)).toEqual(await numbersOf(one));
    }
  });

  test('load takes an axis of experts in front of each tensor', async () => {
    const options = { ...sizes, bias: true, antiquantGroupSize: 32 };
    const weight = (data: Int8Array, count: number) => tensor(data, count > 1 ? [count, N, K] : [N, K], 'int8');
    const experts = new ExpertLayers(device, { experts: B, ...options }).load({
      weight: weight(weights, B),
      antiquantScale: tensor(scales, [B, N, G]),
      bias: tensor(biases, [B, N]),
    });
    const layers = [...Array(B).keys()].map((b) =>
      new LinearWeightQuant(device, options).load({
        weight: weight(weights.slice(b * N * K, (b + 1) * N * K), 1),
        antiquantScale: tensor(scales.slice(b * N * G, (b + 1) * N * G), [N, G]),
        bias: tensor(biases.slice(b * N, (b + 1) * N), [N]),
      }),
    );
    const y = await numbersOf(forwardExperts(experts, x, { ids: idTensor() }));
    expect(y).toEqual(
      await byLayers(
        layers,
        x,
        list.map((id) => (id >= B ? -1 : id)),
      ),
    );
  });
});

describe('refused', () => {
  const experts = made();
  const wrong =
    (routes: object, input: Tensor = x) =>
    () =>
      forwardExperts(experts, input, routes as never);
  test.each([
    ['ids of another dtype', wrong({ ids: Tensor.from(device, new Float32Array(M * TOP), { shape: [M, TOP], dtype }) }), 'int32'],
    ['ids of other rows', wrong({ ids: Tensor.from(device, new Int32Array(TOP), { shape: [1, TOP], dtype: 'int32' }) }), `(${M},)`],
    ['neither ids nor sorted', wrong({}), 'either ids or sorted'],
    ['sorted pairs of other experts', wrong({ sorted: sortPairs(idTensor(), E + 1) }), `pairs of ${E} experts`],
    ['x of another K', wrong({ ids: idTensor() }, Tensor.from(device, new Float32Array(M * 4), { shape: [M, 4], dtype })), `K = ${K}`],
    ['too few matrices', () => new ExpertLayers(device, { experts: E, ...sizes }).loadMatrices(matrices.slice(1)), `${E}, one for each`],
    [
      'another shape',
      () =>
        made().loadMatrices(
          matrices.map((m, e) =>
            e === 2 ? { ...m, n: 2 * N, scale: new Float32Array(2 * N * 4), codes: new Uint32Array(2 * N * 16) } : m,
          ),
        ),
      `(${N}, ${K})`,
    ],
    ['int8 output', () => new ExpertLayers(device, { experts: E, ...sizes, quantScale: true } as never), 'no such option'],
  ])('%s', (_, call, text) => {
    expect(call).toThrow(ArgumentError);
    expect(call).toThrow(text);
  });
  test('what each expert would read another x for', () => {
    const permutation = Uint32Array.from({ length: K }, (_, i) => K - 1 - i);
    const inputScale = new Float32Array(K).fill(2);
    for (const more of [{ permutation }, { inputScale }])
      expect(() => made().loadMatrices(matrices.map((matrix) => ({ ...matrix, ...more })))).toThrow(UnsupportedError);
  });
  test('more rows than a binding holds', () => {
    const small = new ExpertLayers(device, { experts: E, ...sizes, plan: { caps: { maxStorageBufferBindingSize: 8192 } } }).loadMatrices(
      matrices,
    );
    expect(() => small.explain(100, TOP)).toThrow('multiply fewer at a time');
  });
});
