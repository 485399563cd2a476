// x as int8 codes: the result of quantizeRows, its use by layers, and the error of innerPrecise = 1.
import { beforeAll, describe, expect, test } from 'vitest';
import type { FloatDType } from '../../src/dtype.js';
import { encode16, roundTo } from '../../src/dtype.js';
import {
  convertWeightToInt4Pack,
  encodeQuantizeRows,
  forwardMany,
  type HostTensor,
  LinearWeightQuant,
  type QuantizedRows,
  quantizeRows,
  readQuantizedRows,
  requestDevice,
  Tensor,
} from '../../src/index.js';
import { PRECISE } from '../../src/problem/accuracy.js';
import { BITS } from '../../src/problem/code-width.js';
import { ROUNDING } from '../../src/problem/x-codes.js';
import { transposeHost } from '../../src/reference/reference.js';
import { makeCase } from '../cases/cases.js';
import { makeData, random } from '../cases/data.js';
import { compare, expected, upload } from '../cases/run-case.js';
import { sliced } from '../cases/slice.js';
import { gpu } from '../support/dawn.js';

let device: GPUDevice;
beforeAll(async () => {
  device = await requestDevice({ gpu });
});

/** N(0, 1), seeded. */
function normals(seed: string, length: number): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length }, () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()));
}
const asX = (values: Float32Array, shape: readonly number[], dtype: FloatDType): HostTensor => ({
  data: dtype === 'float32' ? values : encode16(values, dtype),
  shape,
  dtype,
});

describe('quantizeRows', () => {
  const [m, k] = [3, 76]; // two blocks and a short one
  const xs = normals('rows', m * k);
  xs.fill(0, k, k + 32); // a block of zeros
  xs[2 * k + 70] = 2 ** 100;
  xs[2 * k + 5] = -(2 ** -120);

  test.each(BITS.flatMap((bits) => ([1, 2] as const).map((digits) => ({ bits, digits }))))(
    'int$bits, $digits digits: every x is within the rounding of its block',
    async ({ bits, digits }) => {
      for (const layout of ['contiguous', 'transposed'] as const) {
        const stored = layout === 'contiguous' ? xs : Float32Array.from(xs, (_, i) => xs[(i % m) * k + Math.floor(i / m)]!);
        const host: HostTensor = { data: stored, shape: layout === 'contiguous' ? [m, k] : [k, m], dtype: 'float32' };
        const x = upload(device, layout === 'contiguous' ? host : transposeHost(host));
        const { codes, step, sum } = await readQuantizedRows(quantizeRows(x, { held: bits, digits }));
        expect(step).toHaveLength(3 * m);
        for (let row = 0; row < m; row++)
          for (let block = 0; block < 3; block++) {
            const values = Array.from(xs.slice(row * k + 32 * block, row * k + Math.min(k, 32 * block + 32)));
            const largest = Math.max(...values.map(Math.abs));
            const s = step[3 * row + block]!;
            let total = 0;
            values.forEach((value, i) => {
              const at = row * k + 32 * block + i;
              const back = s * (codes[at]! + (digits === 2 ? codes[m * k + at]! / 254 : 0));
              total += back;
              expect(Math.abs(back - value), `x[${row}, ${32 * block + i}]`).toBeLessThanOrEqual(ROUNDING[digits] * largest);
            });
            expect(Math.abs(sum[3 * row + block]! - total)).toBeLessThanOrEqual(2 ** -22 * 32 * largest);
          }
      }
    },
  );

  test('integers up to 127 times a power of two are their own codes', async () => {
    const next = random('exact');
    const scale = [1, 2 ** -20, 2 ** 90];
    const values = Float32Array.from({ length: 3 * 64 }, () => Math.floor(next() * 255) - 127);
    for (const at of [0, 32, 64, 96, 128, 160]) values[at + (at % 31)] = at % 64 === 0 ? 127 : -127;
    const x = Tensor.from(
      device,
      values.map((value, i) => value * scale[Math.floor(i / 64)]!),
      { shape: [3, 64], dtype: 'float32' },
    );
    for (const bits of BITS) {
      const { codes, step, sum } = await readQuantizedRows(quantizeRows(x, { held: bits }));
      expect(Array.from(codes)).toEqual(Array.from(values));
      expect(Array.from(step)).toEqual(scale.flatMap((s) => [s, s]));
      const sums = Array.from({ length: 6 }, (_, i) => values.slice(32 * i, 32 * i + 32).reduce((a, b) => a + b, 0) * scale[i >> 1]!);
      expect(Array.from(sum)).toEqual(sums);
    }
  });

  test('a block that is not finite has no step', async () => {
    const values = new Float32Array(96).fill(1);
    values[40] = Number.NaN;
    values[70] = Number.NEGATIVE_INFINITY;
    const { step } = await readQuantizedRows(quantizeRows(Tensor.from(device, values, { shape: [1, 96], dtype: 'float32' }), { held: 8 }));
    expect(step[0]).toBeCloseTo(1 / 127, 6);
    expect(Array.from(step.slice(1))).toEqual([Number.NaN, Number.NaN]);
  });

  test('what it refuses', () => {
    const x = Tensor.from(device, new Float32Array(64), { shape: [1, 64], dtype: 'float32' });
    expect(() => quantizeRows(x, { held: 7 as 4 })).toThrow(/held: expected 2 or 3 or 4 or 5 or 6 or 8, got 7/);
    expect(() => quantizeRows(x, { held: 4, digits: 3 as 2 })).toThrow(/digits: expected 1 or 2, got 3/);
    const codes = Tensor.from(device, new Int8Array(64), { shape: [1, 64], dtype: 'int8' });
    expect(() => quantizeRows(codes, { held: 4 })).toThrow(/x: expected dtype float32 or float16 or bfloat16, got int8/);
  });
});

describe('layers take it', () => {
  const c = makeCase({ m: 5, k: 160, n: 24, bits: 4, mode: 'group', groupSize: 64, offset: true, bias: true, dtype: 'float16' });
  const { x, tensors } = makeData(c);
  const options = {
    inFeatures: c.k,
    outFeatures: c.n,
    dtype: c.dtype,
    bias: true,
    antiquantOffset: true,
    antiquantGroupSize: 64,
    innerPrecise: 1,
  } as const;
  const layerOf = (force = 'matmul-dot4'): LinearWeightQuant => {
    const layer = new LinearWeightQuant(device, { ...options, plan: { force: { kernel: force } } });
    return layer.load(Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, upload(device, tensor)])));
  };
  const want = (digits: 1 | 2) => expected(c, x, tensors, { ...PRECISE, xRun: 32, xStep: ROUNDING[digits] });
  const check = async (y: Tensor, digits: 1 | 2) => {
    expect(compare(c, (await y.read()) as Float32Array, want(digits)).wrong).toEqual([]);
  };

  test('one quantization for several layers, as from x itself', async () => {
    const [a, b] = [layerOf(), layerOf()];
    const input = upload(device, x);
    const q = quantizeRows(input, a);
    const plain = await a.forward(input).read();
    expect(await a.forward(q).read()).toEqual(plain);
    expect(await b.forward(q).read()).toEqual(plain);
    const [many] = forwardMany([a, b], q);
    expect(await many!.read()).toEqual(plain);
  });

  test('two digits, in a layer that rounds nothing by itself', async () => {
    const layer = new LinearWeightQuant(device, { ...options, innerPrecise: 0 });
    layer.load(Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, upload(device, tensor)])));
    const input = upload(device, x);
    await check(layer.forward(quantizeRows(input, { held: 4, digits: 2 })), 2);
    await check(layer.forward(quantizeRows(input, { held: 4 })), 1);
  });

  test('encode, and encodeQuantizeRows for the next x in the same buffer', async () => {
    const layer = layerOf();
    const input = upload(device, x);
    const q = quantizeRows(upload(device, { ...x, data: new Uint16Array(x.data.length) }), layer);
    const y = Tensor.from(device, new Float32Array(c.m * c.n), { shape: [c.m, c.n], dtype: 'float16' });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(input.buffer, 0, q.x.buffer, 0, input.buffer.size);
    const pass = encoder.beginComputePass();
    encodeQuantizeRows(pass, q);
    layer.encode(pass, q, y);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await check(y, 1);
  });

  test('rows that are not whole words, x of several batches', async () => {
    const odd = makeCase({ batch: [2], m: 3, k: 77, n: 13, bits: 8, x: 'transposed', offset: true });
    const data = makeData(odd);
    const layer = new LinearWeightQuant(device, { inFeatures: 77, outFeatures: 13, dtype: 'float32', bias: false, antiquantOffset: true });
    layer.load(Object.fromEntries(Object.entries(data.tensors).map(([name, tensor]) => [name, upload(device, tensor)])));
    const y = (await layer.forward(quantizeRows(upload(device, data.x), layer)).read()) as Float32Array;
    const bound = expected(odd, data.x, data.tensors, { ...PRECISE, xRun: 32, xStep: ROUNDING[1] });
    expect(compare(odd, y, bound).wrong).toEqual([]);
  });

  test('what they refuse', () => {
    const layer = layerOf();
    const q = quantizeRows(upload(device, x), { held: 8 });
    expect(() => layer.forward(q)).toThrow(/x: expected codes ordered for weights held in 4 bits, got for 8 bits/);
    expect(() => layer.forward({ ...q } as QuantizedRows)).toThrow(/x: expected a Tensor, or what quantizeRows returned/);
    const short = quantizeRows(Tensor.from(device, new Float32Array(64), { shape: [1, 64], dtype: 'float16' }), layer);
    expect(() => layer.forward(short)).toThrow(/a last dimension of K = 160/);
    short.codes.destroy();
    expect(() => layer.forward(short)).toThrow(/x.codes: expected a live tensor/);
  });
});

describe('how far innerPrecise = 1 is from the formula, on N(0, 1)', () => {
  const [m, k, n] = [4, 1024, 64];
  const modes = BITS.flatMap((bits) =>
    [0, 32, 128].flatMap((group) =>
      [false, true].map((offset) => ({ bits, group, offset, dtype: group === 32 ? 'float16' : 'float32' }) as const),
    ),
  );
  test.each(sliced(modes))('int$bits, groups of $group, offset $offset, $dtype', async ({ bits, group, offset, dtype }) => {
    const seed = `norm ${bits} ${group} ${offset}`;
    const groups = group ? k / group : 1;
    const x = asX(normals(`${seed} x`, m * k), [m, k], dtype);
    // Weights from N(0, 1) too, rounded to codes by their groups' largest.
    const weights = normals(`${seed} w`, n * k);
    const limit = 2 ** (bits - 1) - 1;
    const codes = new Int8Array(n * k);
    const scales = new Float32Array(n * groups);
    const length = k / groups;
    for (let g = 0; g < n * groups; g++) {
      const run = weights.subarray(g * length, (g + 1) * length);
      scales[g] = roundTo(run.reduce((a, b) => Math.max(a, Math.abs(b)), 0) / limit, dtype);
      run.forEach((value, i) => {
        codes[g * length + i] = Math.max(-limit, Math.min(limit, Math.round(value / scales[g]!)));
      });
    }
    const offsets = normals(`${seed} o`, n * groups).map((value) => roundTo(value, dtype));
    const packed = bits === 8 ? codes : convertWeightToInt4Pack(codes, [n, k]);
    const tensors: Record<string, HostTensor> = {
      weight:
        bits === 8 ? { data: codes, shape: [n, k], dtype: 'int8' } : { data: packed as Int32Array, shape: [n, k / 8], dtype: 'int32' },
      antiquantScale: asX(scales, group ? [n, groups] : [n], dtype),
      ...(offset && { antiquantOffset: asX(offsets, group ? [n, groups] : [n], dtype) }),
    };
    const exact = expected({ groupSize: group }, x, tensors).exact;
    const error: number[] = [];
    for (const digits of [1, 2] as const) {
      const layer = new LinearWeightQuant(device, {
        ...{ inFeatures: k, outFeatures: n, bias: false, dtype, antiquantOffset: offset, antiquantGroupSize: group },
      });
      layer.load(Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, upload(device, tensor)])));
      const y = (await layer.forward(quantizeRows(upload(device, x), { held: bits, digits })).read()) as Float32Array;
      const size = Math.hypot(...exact);
      error.push(Math.hypot(...y.map((value, i) => value - exact[i]!)) / size);
    }
    console.log(
      `int${bits} g${group} offset ${offset} ${dtype}: ‖y - ref‖ / ‖ref‖ = ${error.map((e) => e.toExponential(2)).join(', two digits ')}`,
    );
    expect(error[0]).toBeLessThanOrEqual(1e-2);
    // Two digits leave a 254th of it; a float16 y is rounded by more than that.
    expect(error[1]).toBeLessThanOrEqual(dtype === 'float16' ? 5e-4 : 5e-5);
  });
});
