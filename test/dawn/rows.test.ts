// gatherRows: rows of weights of every format, equal to those of dequantize in every bit.
import { afterAll, describe, expect, test, vi } from 'vitest';
import { decode16, encode16, type FloatDType, roundTo } from '../../src/dtype.js';
import {
  encodeGatherRows,
  forwardMany,
  gatherRows,
  LinearWeightQuant,
  type PlanningOptions,
  readOutOfRange,
  requestDevice,
  Tensor,
  UnsupportedError,
} from '../../src/index.js';
import { CODE_BITS, type CodeBits } from '../../src/problem/code-width.js';
import { checkMatrix, dequantize, packCodes, type QuantizedMatrix } from '../../src/problem/matrix.js';
import { LEGAL_FORMATS } from '../../src/problem/weight-format.js';
import { random } from '../cases/data.js';
import { bothOf, fault, rowsOf } from '../cases/run-rows.js';
import { gpu } from '../support/dawn.js';
import { FORMS, type Form, matrixOf, type Sizes, widthsOf } from '../support/matrix-forms.js';

const device = await requestDevice({ gpu });
const errors: string[] = [];
device.addEventListener('uncapturederror', ({ error }) => errors.push(error.message));
afterAll(() => {
  expect(errors).toEqual([]);
  device.destroy();
});

const idsOf = (list: readonly number[]) => Tensor.from(device, Int32Array.from(list), { shape: [list.length], dtype: 'int32' });

/** A layer with the matrix. */
function layerOf(matrix: QuantizedMatrix, plan: PlanningOptions = {}, dtype: FloatDType = 'float32'): LinearWeightQuant {
  return new LinearWeightQuant(device, { inFeatures: matrix.k, outFeatures: matrix.n, bias: false, dtype, plan }).loadMatrix(matrix);
}

/** Scales, minimums and float zero points with as many digits as their dtypes hold, and inputs in another order and with scales. */
function roughened(
  matrix: QuantizedMatrix,
  { permuted, scaled }: { readonly permuted: boolean; readonly scaled: boolean },
): QuantizedMatrix {
  const { n, k, bits, scale, scaleDtype, scaleForm, zeroPoint, zeroPointDtype, minimum } = matrix;
  const next = random(`rough ${bits} ${scaleDtype}`);
  const rough = (list: Float32Array, low: number, high: number) =>
    Float32Array.from(list, () => roundTo(low + (high - low) * next(), scaleDtype));
  const out: QuantizedMatrix = {
    ...matrix,
    ...(!scaleForm && { scale: rough(scale, -0.05, 0.05) }),
    ...(!scaleForm && minimum && { minimum: rough(minimum, -0.5, 0.5) }),
    ...(zeroPoint && zeroPointDtype === scaleDtype && { zeroPoint: rough(zeroPoint, 0.5, 2 ** bits) }),
    ...(permuted && { permutation: Uint32Array.from({ length: k }, (_, i) => (i * 7 + 3) % k) }),
    ...(scaled && { inputScale: Float32Array.from({ length: k }, () => 0.5 + next()) }),
  };
  checkMatrix(out);
  expect(out.n).toBe(n);
  return out;
}

const SIZES: readonly Sizes[] = [
  { n: 6, k: 300, groupSize: 16 },
  { n: 9, k: 264, groupSize: 32 },
  { n: 5, k: 299, groupSize: 64 },
];
/** In any order, the last, one again, and some that are no rows. */
const askedIds = (n: number): number[] => [n - 1, 0, n, 2, 2, -1, 3, 2 ** 31 - 1, -(2 ** 31), 1];

const POISON: Readonly<Record<FloatDType, number>> = { float32: 0x7fc01234, float16: 0x7e01, bfloat16: 0x7fc1 };
/** What gatherRows writes into `lead` elements from the start of a buffer full of NaN; all of it is compared but rows. */
async function gathered(
  layer: LinearWeightQuant,
  ids: readonly number[],
  { k, dtype, lead }: { k: number; dtype: FloatDType; lead: number },
) {
  const count = ids.length * k;
  const size = count + lead + 5;
  const bits = dtype === 'float32' ? new Uint32Array(size).fill(POISON[dtype]) : new Uint16Array(size + (size % 2)).fill(POISON[dtype]);
  const words = new Int32Array(bits.buffer);
  const memory = Tensor.from(device, words, { shape: [words.length], dtype: 'int32' });
  const bytes = dtype === 'float32' ? 4 : 2;
  const y = Tensor.wrap(device, memory.buffer, { shape: [ids.length, k], dtype, byteOffset: bytes * lead });
  const own = idsOf(ids);
  expect(gatherRows(layer, own, { y })).toBe(y);
  const all = new Uint8Array(((await memory.read()) as Int32Array).buffer);
  const after = dtype === 'float32' ? new Uint32Array(all.buffer) : new Uint16Array(all.buffer);
  const around = [...after.subarray(0, lead), ...after.subarray(lead + count)];
  expect(around.every((one) => one === POISON[dtype])).toBe(true);
  const rows = after.slice(lead, lead + count);
  memory.destroy();
  own.destroy();
  return dtype === 'float32' ? new Float32Array(rows.buffer) : decode16(rows as Uint16Array, dtype);
}

const HALF = ['float16', 'bfloat16'] as const;
const cases = CODE_BITS.flatMap((bits) =>
  FORMS.filter((form) => widthsOf(form).includes(bits)).flatMap((form) => [false, true].map((wideCodes) => ({ bits, form, wideCodes }))),
).map((c, i) => {
  const j = i >> 1;
  return { ...c, sizes: SIZES[(j + (j >> 2)) % 3]!, permuted: j % 2 === 1, scaled: j % 3 > 0, half: HALF[(j >> 1) % 2]! };
});
const seen = new Set<string>();

const matrixFor = (bits: CodeBits, form: Form, sizes: Sizes, inputs: { readonly permuted: boolean; readonly scaled: boolean }) =>
  roughened(matrixOf(bits, form, sizes, { exponents: [-100, 100] }), inputs);

test.each(cases)('$bits bits, $form.name, wide codes $wideCodes', async ({ bits, form, wideCodes, sizes, half, ...inputs }) => {
  const matrix = matrixFor(bits, form, sizes, inputs);
  const layer = layerOf(matrix, { caps: { wideCodes } });
  const both = bothOf(matrix);
  const ids = askedIds(matrix.n);
  const { held, scaleDtype, shift, codebook } = layer.packed;
  // Rounded twice only where zero points or minimums are float32.
  expect(both[0].every((value, j) => value === both[1][j]) || (scaleDtype === 'float32' && ['zero', 'minimum'].includes(shift))).toBe(true);
  const wanted = both.map((w) => rowsOf(w, matrix, ids));
  // Wide codes change few widths: the other ones have the same text with both, and so each dtype of y once.
  const y = wideCodes ? ({ dtype: half, lead: 1 } as const) : ({ dtype: 'float32', lead: 3 } as const);
  expect(fault(await gathered(layer, ids, { k: matrix.k, ...y }), wanted, y.dtype)).toBeUndefined();
  expect(await readOutOfRange(layer)).toBe(4);
  seen.add([held, scaleDtype, shift, codebook].join());
  layer.destroy();
});

test('every form that kernels read was gathered, with and without a permutation and scales of inputs', () => {
  const all = LEGAL_FORMATS.map(({ held, scaleDtype, shift, codebook }) => [held, scaleDtype, shift, codebook].join());
  expect(all.filter((one) => !seen.has(one))).toEqual([]);
  for (const permuted of [false, true])
    for (const scaled of [false, true])
      for (const half of HALF)
        for (const wide of [false, true])
          expect(cases.some((c) => c.permuted === permuted && c.scaled === scaled && c.half === half && c.wideCodes === wide)).toBe(true);
});

describe('float32 forms that may be rounded twice', () => {
  test.each([
    [4, 'minimum'],
    [8, 'minimum'],
    [4, 'zeros'],
    [8, 'zeros'],
  ] as const)('%i bits, %s: some weights differ between the two', (bits, shift) => {
    const [once, twice] = bothOf(matrixFor(bits, { name: '', shift }, SIZES[1]!, { permuted: false, scaled: false }));
    expect(once.some((value, i) => value !== twice[i])).toBe(true);
  });
});

/** 4 bits, whole scales: every product is exact. */
function plainMatrix(n: number, k: number, groupSize = 32): QuantizedMatrix {
  const next = random(`plain ${n} ${k}`);
  return {
    ...{ n, k, bits: 4 as const, groupSize, scaleDtype: 'float16' as const },
    codes: packCodes(
      Array.from({ length: n * k }, () => Math.floor(16 * next())),
      n,
      k,
      4,
    ),
    scale: Float32Array.from({ length: n * Math.ceil(k / groupSize) }, () => 1 + Math.floor(7 * next())),
    zeroPoint: Float32Array.from({ length: n * Math.ceil(k / groupSize) }, () => Math.floor(16 * next())),
  };
}

test('slabs, and y in windows of few rows', async () => {
  const matrix = { ...plainMatrix(53, 304, 80), inputScale: Float32Array.from({ length: 304 }, (_, i) => 2 ** (i % 3)) };
  const layer = layerOf(matrix, { caps: { maxStorageBufferBindingSize: 2048 } });
  expect(layer.packed.slabs.length).toBeGreaterThan(3);
  const ids = Array.from({ length: 60 }, (_, i) => (i * 17) % 55); // 53 and 54 are none
  for (const dtype of ['float32', 'float16', 'bfloat16'] as const)
    expect(fault(await gathered(layer, ids, { k: 304, dtype, lead: 1 }), [rowsOf(dequantize(matrix), matrix, ids)], dtype)).toBeUndefined();
  expect(await readOutOfRange(layer)).toBe(3 * ids.filter((id) => id > 52).length);
  layer.destroy();
});

test('a grid that is folded', async () => {
  const matrix = plainMatrix(8, 320);
  const layer = layerOf(matrix, { caps: { maxComputeWorkgroupsPerDimension: 7 } });
  const ids = Array.from({ length: 9 }, (_, i) => i % 8);
  expect(
    fault(await gathered(layer, ids, { k: 320, dtype: 'float32', lead: 0 }), [rowsOf(dequantize(matrix), matrix, ids)], 'float32'),
  ).toBe(undefined);
  layer.destroy();
});

test.each([
  [1, 1],
  [3, 8],
  [5, 33],
])('N = %i, K = %i', async (n, k) => {
  const matrix = plainMatrix(n, k, k);
  const layer = layerOf(matrix);
  const ids = [0, n - 1, n, 0];
  for (const dtype of ['float32', 'float16', 'bfloat16'] as const)
    expect(fault(await gathered(layer, ids, { k, dtype, lead: 1 }), [rowsOf(dequantize(matrix), matrix, ids)], dtype)).toBeUndefined();
  layer.destroy();
});

test("weights of torch's tensors, with offsets that are no whole numbers", async () => {
  const [n, k] = [6, 64];
  const next = random('torch');
  const weight = Int8Array.from({ length: n * k }, () => Math.floor(256 * next()) - 128);
  const [scale, offset] = [0.02, 100].map((most) => Float32Array.from({ length: n }, () => roundTo(most * next(), 'float16')));
  const layer = new LinearWeightQuant(device, { inFeatures: k, outFeatures: n, bias: false, antiquantOffset: true }).load({
    weight: Tensor.from(device, weight, { shape: [n, k], dtype: 'int8' }),
    antiquantScale: Tensor.from(device, scale!, { shape: [n], dtype: 'float16' }),
    antiquantOffset: Tensor.from(device, offset!, { shape: [n], dtype: 'float16' }),
  });
  const w = Float32Array.from(weight, (q, i) => (q + offset![Math.floor(i / k)]!) * scale![Math.floor(i / k)]!);
  const y = gatherRows(layer, idsOf([3, 1]), { dtype: 'float32' });
  expect(y.shape).toEqual([2, k]);
  expect(fault((await y.read()) as Float32Array, [rowsOf(w, { n, k }, [3, 1])], 'float32')).toBeUndefined();
  expect(gatherRows(layer, idsOf([3])).dtype).toBe('float16'); // the layer's
  layer.destroy();
});

describe('calls', () => {
  const matrix = plainMatrix(10, 64);
  const w = dequantize(matrix);
  const layer = layerOf(matrix);
  const read = async (y: Tensor) => Array.from((await y.read()) as Float32Array);

  test('ids of any shape; no ids', async () => {
    const ids = Tensor.from(device, Int32Array.of(4, 9, 0, 1, 2, 3), { shape: [2, 3], dtype: 'int32' });
    const y = gatherRows(layer, ids);
    expect([y.shape, y.dtype]).toEqual([[2, 3, 64], 'float32']);
    expect(await read(y)).toEqual(rowsOf(w, matrix, [4, 9, 0, 1, 2, 3]));
    const none = gatherRows(layer, Tensor.from(device, new Int32Array(0), { shape: [0], dtype: 'int32' }));
    expect([none.shape, await read(none)]).toEqual([[0, 64], []]);
  });

  test('a part of a buffer of ids', async () => {
    const all = idsOf([11, 4, 5, 12]);
    const part = Tensor.wrap(device, all.buffer, { shape: [2], dtype: 'int32', byteOffset: 4 });
    const before = await readOutOfRange(layer);
    expect(await read(gatherRows(layer, part))).toEqual(rowsOf(w, matrix, [4, 5]));
    expect(await readOutOfRange(layer)).toBe(before);
  });

  test('encode reads the ids of that time, and allocates nothing the second time', async () => {
    const ids = idsOf([1, 2]);
    const y = Tensor.from(device, new Float32Array(128), { shape: [2, 64], dtype: 'float32' });
    const submit = () => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      encodeGatherRows(pass, layer, ids, y);
      pass.end();
      device.queue.submit([encoder.finish()]);
    };
    submit();
    expect(await read(y)).toEqual(rowsOf(w, matrix, [1, 2]));
    device.queue.writeBuffer(ids.buffer, 0, Int32Array.of(7, 10));
    const before = await readOutOfRange(layer);
    const made = (['createBuffer', 'createBindGroup'] as const).map((name) => vi.spyOn(device, name));
    submit();
    for (const spy of made) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
    expect(await read(y)).toEqual(rowsOf(w, matrix, [7, 10]));
    expect(await readOutOfRange(layer)).toBe(before + 1);
  });

  test('a destroyed y gives its buffer back to the layer', () => {
    const ids = idsOf([1]);
    const first = gatherRows(layer, ids);
    const { buffer } = first;
    first.destroy();
    expect(gatherRows(layer, ids).buffer).toBe(buffer);
  });

  test('a layer that never gathered counts none', async () => {
    const other = layerOf(matrix);
    expect(await readOutOfRange(other)).toBe(0);
    other.destroy();
  });

  test('layers that share a dispatch, before and after they move', async () => {
    const matrices = [plainMatrix(12, 64), plainMatrix(20, 64)];
    const layers = matrices.map((one) => layerOf(one));
    const ids = idsOf([11, 0, 19]);
    const x = Tensor.from(device, new Float32Array(64).fill(1), { shape: [1, 64], dtype: 'float32' });
    const before = layers.map((one) => one.packed);
    for (let round = 0; round < 2; round++) {
      for (const [i, one] of layers.entries())
        expect(await read(gatherRows(one, ids))).toEqual(rowsOf(dequantize(matrices[i]!), matrices[i]!, [11, 0, 19]));
      for (const y of forwardMany(layers, x)) await y.read();
      await device.queue.onSubmittedWorkDone();
    }
    for (const [i, one] of layers.entries()) expect(one.packed).not.toBe(before[i]);
    for (const one of layers) one.destroy();
  });

  test('a row that exceeds a binding', () => {
    const long = plainMatrix(4, 4096);
    const narrow = layerOf(long, { caps: { maxStorageBufferBindingSize: 8448 } });
    expect(() => gatherRows(narrow, idsOf([0]))).toThrow(UnsupportedError);
    expect(() => gatherRows(narrow, idsOf([0]))).toThrow('y (1, 4096): needs bindings of 16640 bytes');
    narrow.destroy();
  });

  test('what is refused', () => {
    const ids = idsOf([1, 2]);
    const floats = Tensor.from(device, new Float32Array(128), { shape: [2, 64], dtype: 'float32' });
    expect(() => gatherRows(layer, floats)).toThrow('ids: expected dtype int32, got float32');
    const every2nd = Tensor.wrap(device, ids.buffer, { shape: [1, 1], strides: [2, 2], dtype: 'int32' });
    expect(() => gatherRows(layer, Tensor.wrap(device, floats.buffer, { shape: [4], strides: [2], dtype: 'int32' }))).toThrow(
      'ids: expected a contiguous tensor, got strides (2,)',
    );
    expect(gatherRows(layer, every2nd).shape).toEqual([1, 1, 64]);
    expect(() => gatherRows(layer, ids, { y: floats, dtype: 'float16' })).toThrow('y: expected dtype float16, got float32');
    expect(() => gatherRows(layer, idsOf([1]), { y: floats })).toThrow('y: expected shape (…, 64) with 1 rows, got (2, 64)');
    const turned = Tensor.wrap(device, floats.buffer, { shape: [2, 64], strides: [1, 2], dtype: 'float32' });
    expect(() => gatherRows(layer, ids, { y: turned })).toThrow('y: expected a contiguous tensor');
    const same = Tensor.wrap(device, floats.buffer, { shape: [2], dtype: 'int32' });
    expect(() => gatherRows(layer, same, { y: floats })).toThrow('y: expected another buffer than ids, got the same one');
    expect(() => gatherRows(layer, ids, { z: floats } as never)).toThrow('z: expected y or dtype, got an unknown option');
    const gone = layerOf(matrix);
    gone.destroy();
    expect(() => gatherRows(gone, ids)).toThrow('layer: expected a live layer, got a destroyed one');
    expect(() => gone.packed).toThrow('layer: expected a live layer, got a destroyed one');
  });

  test('a float16 beyond 65504 is infinite, and a small one is rounded to nearest even', async () => {
    const values = [70000, 65519, 2 ** -25, 3 * 2 ** -25, 1 + 2 ** -11, 1 + 3 * 2 ** -11];
    const one: QuantizedMatrix = {
      ...{ n: values.length, k: 8, bits: 4, groupSize: 8, scaleDtype: 'float32' },
      codes: packCodes(new Uint8Array(8 * values.length).fill(9), values.length, 8, 4),
      scale: Float32Array.from(values),
    };
    const own = layerOf(one);
    const ids = values.map((_, i) => i);
    const y = await gatherRows(own, idsOf(ids), { dtype: 'float16' }).read();
    const got = ids.map((i) => Number(y[8 * i]));
    expect(got).toEqual([...decode16(encode16(values, 'float16'), 'float16')]);
    expect(got.slice(0, 3)).toEqual([Number.POSITIVE_INFINITY, 65504, 0]);
    own.destroy();
  });
});
