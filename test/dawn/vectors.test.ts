// The operator's exact vectors: every intermediate is exact, so y is equal in every bit in every kernel that does not round x.
import { beforeAll, describe, expect, test } from 'vitest';
import { encode16 } from '../../src/dtype.js';
import { convertWeightToInt4Pack, type HostTensor, LinearWeightQuant, requestDevice, Tensor, transQuantParam } from '../../src/index.js';
import { ofNumbers } from '../../src/kernels/index.js';
import { PRECISE } from '../../src/problem/accuracy.js';
import type { Bits } from '../../src/problem/code-width.js';
import type { Problem } from '../../src/problem/problem.js';
import { type RequantizeVector, requantizeVectors } from '../cases/requantize-vectors.js';
import { upload } from '../cases/run-case.js';
import { sliced } from '../cases/slice.js';
import { gpu } from '../support/dawn.js';

let device: GPUDevice;
beforeAll(async () => {
  device = await requestDevice({ gpu });
});

const mod = (value: number, by: number): number => ((value % by) + by) % by;
const table = (rows: number, columns: number, make: (row: number, column: number) => number): Float32Array =>
  Float32Array.from({ length: rows * columns }, (_, i) => make(Math.floor(i / columns), i % columns));

interface Vector {
  readonly name: string;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly bits: Bits;
  readonly group: number;
  readonly extras: boolean; // offset and bias
  readonly y: readonly number[];
  readonly quant?: { readonly scale: number; readonly offset: number; readonly y: readonly number[] };
}
const vectors: readonly Vector[] = [
  {
    name: 'A',
    m: 2,
    k: 8,
    n: 3,
    bits: 8,
    group: 0,
    extras: true,
    y: [-0.03125, 4.4375, 4.40625, -19.03125, -33.1875, -51.46875],
    quant: { scale: 4, offset: -3, y: [-3, 15, 15, -79, -128, -128] },
  },
  {
    name: 'B',
    m: 2,
    k: 70,
    n: 4,
    bits: 4,
    group: 32,
    extras: true,
    y: [-1.109375, -5.390625, 1.6875, 5.859375, -3.375, 5.515625, -3.5, 4.1875],
    quant: { scale: 16, offset: 5, y: [-13, -81, 32, 99, -49, 93, -51, 72] },
  },
  {
    name: 'C',
    m: 3,
    k: 64,
    n: 8,
    bits: 4,
    group: 32,
    extras: false,
    y: [
      1.75, -6.265625, -2.453125, 3.21875, 6.609375, -0.703125, -6.671875, 2.1875, -3.734375, 5.03125, 0.171875, 5.4375, 0.171875, -2.75,
      3.9375, -0.6875, 2.296875, 1.546875, -3.046875, -1.96875, -4.203125, -3.59375, 6.125, -0.984375,
    ],
  },
];

/** Module-oriented host tensors of a vector. int4 rows that are no multiple of 8 are packed along N. */
function tensorsOf(v: Vector, dtype: 'float32' | 'float16' | 'bfloat16') {
  const groups = v.group ? Math.ceil(v.k / v.group) : 1;
  const floats = (values: Float32Array, shape: readonly number[]): HostTensor => ({
    data: dtype === 'float32' ? values : encode16(values, dtype),
    shape,
    dtype,
  });
  const code = (n: number, k: number): number => (v.bits === 8 ? mod(37 * k + 11 * n, 256) - 128 : mod(5 * k + 3 * n, 16) - 8);
  const alongK = v.bits === 8 || v.k % 8 === 0;
  // A last dimension of 4 is padded to 8 columns for packing along N, as a caller would have to; the layer has N = 8 then.
  const n = alongK ? v.n : Math.ceil(v.n / 8) * 8;
  const stored = alongK ? table(n, v.k, code) : table(v.k, n, (k, c) => code(c, k));
  const codes = Int8Array.from(stored);
  const weight: HostTensor =
    v.bits === 8
      ? { data: codes, shape: [n, v.k], dtype: 'int8' }
      : alongK
        ? { data: convertWeightToInt4Pack(codes, [n, v.k]), shape: [n, v.k / 8], dtype: 'int32' }
        : { data: convertWeightToInt4Pack(codes, [v.k, n]), shape: [n / 8, v.k], strides: [1, n / 8], dtype: 'int32' };
  const scaleShape = v.group ? [n, groups] : [n];
  return {
    n,
    x: floats(
      table(v.m, v.k, (m, k) => (mod(7 * m + 3 * k, 11) - 5) / 4),
      [v.m, v.k],
    ),
    tensors: {
      weight,
      antiquantScale: floats(
        table(n, groups, (c, g) => (1 + mod(3 * g + c, 5)) / 16),
        scaleShape,
      ),
      ...(v.extras && {
        antiquantOffset: floats(
          table(n, groups, (c, g) => mod(2 * g + c, 7) - 3),
          scaleShape,
        ),
        bias: {
          ...floats(
            table(1, n, (_, c) => (mod(5 * c, 9) - 4) / 2),
            [n],
          ),
          ...(dtype === 'bfloat16' && { data: table(1, n, (_, c) => (mod(5 * c, 9) - 4) / 2), dtype: 'float32' as const }),
        },
      }),
    },
  };
}

async function run(v: Vector, dtype: 'float32' | 'float16' | 'bfloat16', kernel: string, quant?: HostTensor, offset?: HostTensor) {
  const { n, x, tensors } = tensorsOf(v, dtype);
  const layer = new LinearWeightQuant(device, {
    inFeatures: v.k,
    outFeatures: n,
    dtype,
    bias: v.extras,
    antiquantOffset: v.extras,
    antiquantGroupSize: v.group,
    quantScale: quant !== undefined,
    quantOffset: offset !== undefined,
    plan: { force: { kernel } },
  });
  const all = { ...tensors, ...(quant && { quantScale: quant }), ...(offset && { quantOffset: offset }) };
  layer.load(Object.fromEntries(Object.entries(all).map(([name, tensor]) => [name, upload(device, tensor)])));
  const y = layer.forward(upload(device, x));
  const padded = await y.read();
  return { y, values: Array.from(padded as Float32Array).filter((_, i) => i % n < v.n) };
}

/** Less one that rounds x (quantized.test.ts), and one that wants matrix units (matrix.test.ts). */
const exactKernels = ofNumbers.filter(
  ({ tiles, accuracy }) => tiles[0]!.M_SIZE === undefined && (accuracy?.({} as Problem, { BITS: 4, ...tiles[0] }) ?? PRECISE).xStep === 0,
);

/** By their titles. */
const checks: Readonly<Record<string, (v: Vector, kernel: string) => Promise<void>>> = {
  float32: async (v, kernel) => expect((await run(v, 'float32', kernel)).values).toEqual(v.y),
  float16: async (v, kernel) => expect((await run(v, 'float16', kernel)).values).toEqual(v.y),
  'bfloat16 rounds the same sums once': async (v, kernel) => {
    const { values } = await run(v, 'bfloat16', kernel);
    const bits = encode16(Float32Array.from(v.y), 'bfloat16');
    expect(encode16(Float32Array.from(values), 'bfloat16')).toEqual(bits);
  },
  'int8 output': async (v, kernel) => {
    const { scale, offset, y } = v.quant!;
    const one = (value: number): HostTensor => ({ data: new Float32Array([value]), shape: [1], dtype: 'float32' });
    expect((await run(v, 'float16', kernel, one(scale), one(offset))).values).toEqual(y);
    const packed = transQuantParam(new Float32Array([scale]), new Float32Array([offset]));
    expect((await run(v, 'float16', kernel, { data: packed, shape: [1], dtype: 'int64' })).values).toEqual(y);
  },
};
const all = exactKernels.flatMap(({ name: kernel }) =>
  vectors.flatMap(({ name: vector, quant }) =>
    Object.keys(checks)
      .filter((check) => check !== 'int8 output' || quant)
      .map((check) => ({ kernel, vector, check })),
  ),
);
const titled = sliced(all).map((one) => [`${one.kernel} vector '${one.vector}' ${one.check}`, one] as const);
test.each(titled)('%s', async (_, { kernel, vector, check }) => {
  await checks[check]!(vectors.find(({ name }) => name === vector)!, kernel);
});

test('vector A in float16, to the bit', async () => {
  const { y } = await run(vectors[0]!, 'float16', 'matmul-plain');
  const words = (await Tensor.wrap(device, y.buffer, { shape: [3], dtype: 'int32' }).read()) as Int32Array;
  expect(Array.from(new Uint16Array(words.buffer), (bits) => bits.toString(16))).toEqual(['a800', '4470', '4468', 'ccc2', 'd026', 'd26f']);
});

describe('int8 output as the hardware makes it', () => {
  // Two more: a scale whose low bits are cut, and offsets that are rounded, when they are packed.
  const rows: readonly RequantizeVector[] = [...requantizeVectors, [1, 1 + 2 ** -12, 0.5, 1], [3, -1, 2.5, -1]];
  const n = rows.length;
  const column = (i: 1 | 2): HostTensor => ({ data: Float32Array.from(rows, (row) => row[i]), shape: [n], dtype: 'float32' });
  // A multiple of 4 goes straight into int8; one less passes through round-rows.
  test.each([n, n - 1].flatMap((count) => [true, false].map((packed) => ({ count, packed }))))(
    '$count columns, 64-bit packed: $packed',
    async ({ count, packed }) => {
      const cut = (tensor: HostTensor): HostTensor => ({ ...tensor, data: (tensor.data as Float32Array).slice(0, count), shape: [count] });
      const [scale, offset] = [cut(column(1)), cut(column(2))];
      const quantScale: HostTensor = packed
        ? { data: transQuantParam(scale.data as Float32Array, offset.data as Float32Array), shape: [count], dtype: 'int64' }
        : scale;
      const layer = new LinearWeightQuant(device, {
        inFeatures: 1,
        outFeatures: count,
        dtype: 'float32',
        quantScale: true,
        quantOffset: true,
      });
      layer.load({
        weight: upload(device, { data: new Int8Array(count), shape: [count, 1], dtype: 'int8' }),
        antiquantScale: upload(device, { data: new Float32Array([1]), shape: [1], dtype: 'float32' }),
        quantScale: upload(device, quantScale),
        // beside a packed scale it has no effect, whatever it says
        quantOffset: upload(device, packed ? { ...offset, data: new Float32Array(count).fill(99) } : offset),
        bias: upload(device, { data: Float32Array.from(rows.slice(0, count), (row) => row[0]), shape: [count], dtype: 'float32' }),
      });
      const x = Tensor.from(device, new Float32Array([1]), { shape: [1, 1], dtype: 'float32' });
      expect(Array.from((await layer.forward(x).read()) as Int8Array)).toEqual(rows.slice(0, count).map((row) => row[3]));
    },
  );
});

test('whatever the low 13 bits of a 64-bit scale hold, they are masked', async () => {
  const n = 8;
  const dirty = (scale: number): BigInt64Array<ArrayBuffer> =>
    transQuantParam(new Float32Array(n).fill(scale)).map((value) => value | 0x1fffn);
  const weight: HostTensor = { data: Int8Array.from({ length: n }, (_, i) => i + 1), shape: [n, 1], dtype: 'int8' };
  const x = (dtype: 'float16' | 'float32') => Tensor.from(device, new Float32Array([2047]), { shape: [1, 1], dtype });
  const options = { inFeatures: 1, outFeatures: n, bias: false };

  const weights = new LinearWeightQuant(device, options);
  const antiquantScale = upload(device, { data: dirty(1), shape: [n], dtype: 'int64' });
  weights.load({ weight: upload(device, weight), antiquantScale });
  const y = (await weights.forward(x('float16')).read()) as Float32Array;
  expect(y[0]).toBe(2047); // 2048 if the bits had stayed

  const output = new LinearWeightQuant(device, { ...options, dtype: 'float32', quantScale: true });
  output.load({
    weight: upload(device, weight),
    antiquantScale: upload(device, { data: new Float32Array([2 ** -11]), shape: [1], dtype: 'float32' }),
    quantScale: upload(device, { data: dirty(2.5), shape: [n], dtype: 'int64' }),
  });
  // 2047/2048 · 2.5 = 2.4988 rounds to 2; with the low bits it would be above 2.5 and round to 3
  expect(((await output.forward(x('float32')).read()) as Int8Array)[0]).toBe(2);
});
