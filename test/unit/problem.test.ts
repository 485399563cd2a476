// Arguments: which are accepted, how each is read, and the errors of others, for a layer (weight (N, K)) and for the functional form
// (weight (K, N)). The base case is that of torch_npu's tests: M = 96, K = 11264, N = 1664.
import { describe, expect, test } from 'vitest';
import { showValue } from '../../src/arguments/show-value.js';
import type { DType, Format } from '../../src/dtype.js';
import { checkOptions, checkWeights, checkX, checkY } from '../../src/problem/checks.js';
import type { Bits } from '../../src/problem/code-width.js';
import { contiguousX, type LinearOptions, makeProblem, type Operands, type WeightTensors } from '../../src/problem/problem.js';
import { type FunctionalOptions, functionalSpec } from '../../src/problem/torch-arguments.js';
import { isContiguous, isTransposed, showShape, type View } from '../../src/problem/view.js';
import { expectArgument } from '../support/expect-errors.js';

const [M, K, N] = [96, 11264, 1664];

const v = (shape: readonly number[], dtype: DType = 'float16', format: Format = 'ND'): View => ({
  shape,
  strides: shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1)),
  dtype,
  format,
  offset: 0,
});
const swap = (list: readonly number[]): number[] => [...list.slice(0, -2), list.at(-1)!, list.at(-2)!];
const t = (view: View): View => ({ ...view, shape: swap(view.shape), strides: swap(view.strides) });
const strided = (view: View, strides: readonly number[]): View => ({ ...view, strides });

/** A layer's checks: the base case with changes. */
function module(views: Partial<WeightTensors<View>> = {}, options: Partial<LinearOptions> = {}): Operands {
  const dtype = options.dtype ?? 'float16';
  const spec = checkOptions({ inFeatures: K, outFeatures: N, ...options });
  return checkWeights(spec, {
    weight: v([spec.outFeatures, spec.inFeatures], 'int8'),
    antiquantScale: v([spec.outFeatures], dtype),
    ...views,
  });
}
type Call = { readonly x?: View; readonly weight?: View; readonly scale?: View } & FunctionalOptions<View>;
/** The functional form's checks: the base case with changes. */
function functional({ x = v([M, K]), weight = v([K, N], 'int8'), scale, ...options }: Call = {}): Operands {
  const antiquantScale = scale ?? v([N], x.dtype);
  const { spec, views } = functionalSpec(x, { weight, antiquantScale, ...options }, (_, view) => view, t);
  const operands = checkWeights(spec, views, { flipped: true });
  checkX(spec, x);
  return operands;
}

describe('the base case', () => {
  const base: Operands = {
    n: N,
    k: K,
    bits: 8,
    held: 8,
    mode: 'channel',
    groupSize: K,
    groups: 1,
    scaleDtype: 'float16',
    shift: 'none',
    codebook: 'none',
    permuted: false,
    inputScaled: false,
    biased: false,
    requantized: false,
    weight: { nz: 0, strideN: K, strideK: 1 },
    scale: { dtype: 'float16', strideG: 0, strideN: 1 },
    offset: undefined,
    bias: undefined,
    quant: undefined,
  };
  test('of a layer', () => {
    expect(module()).toEqual(base);
  });
  test('of the functional form: weight (K, N)', () => {
    expect(functional()).toEqual({ ...base, weight: { nz: 0, strideN: 1, strideK: N } });
  });
});

describe('weights, and how their codes are found', () => {
  const [alongK, alongN] = [
    { strideN: K, strideK: 1 },
    { strideN: 1, strideK: N },
  ];
  test.each<[string, View, Bits, Operands['weight']]>([
    ['int8 (N, K)', v([N, K], 'int8'), 8, { nz: 0, ...alongK }],
    ['int8, the transpose of (K, N)', t(v([K, N], 'int8')), 8, { nz: 0, ...alongN }],
    ['int4 along K: int32 (N, K/8)', v([N, K / 8], 'int32'), 4, { nz: 0, ...alongK }],
    ['int4 along N: the transpose of int32 (K, N/8)', t(v([K, N / 8], 'int32')), 4, { nz: 0, ...alongN }],
    ['int8 NZ of (N, K)', v([N, K], 'int8', 'FRACTAL_NZ'), 8, { nz: 1, ...alongK }],
    ['int8 NZ of (K, N)', t(v([K, N], 'int8', 'FRACTAL_NZ')), 8, { nz: 2, ...alongN }],
    ['int4 NZ of (N, K/8)', v([N, K / 8], 'int32', 'FRACTAL_NZ'), 4, { nz: 1, ...alongK }],
    ['int4 NZ of (K, N/8)', t(v([K, N / 8], 'int32', 'FRACTAL_NZ')), 4, { nz: 2, ...alongN }],
  ])('%s', (_, weight, bits, found) => {
    expect(module({ weight })).toMatchObject({ n: N, k: K, bits, weight: found });
    expect(functional({ weight: t(weight) })).toMatchObject({ n: N, k: K, bits, weight: found });
  });

  test('a single word of int4 is whichever fits', () => {
    const word = v([1, 1], 'int32');
    const scale = v([1]);
    const column = module({ weight: word, antiquantScale: scale }, { inFeatures: 8, outFeatures: 1 });
    expect(column).toMatchObject({ n: 1, k: 8, weight: { strideK: 1 } });
    const row = module({ weight: word, antiquantScale: scale }, { inFeatures: 1, outFeatures: 8 });
    expect(row).toMatchObject({ n: 8, k: 1, weight: { strideN: 1 } });
    expect(functional({ x: v([3, 8]), weight: word, scale })).toMatchObject({ n: 1, k: 8, weight: { strideK: 1 } });
    expect(functional({ x: v([3, 1]), weight: word, scale })).toMatchObject({ n: 8, k: 1, weight: { strideN: 1 } });
  });

  test('a single word in FRACTAL_NZ: of (N, K/8), or of (K, N/8)', () => {
    const views = { weight: v([1, 1], 'int32', 'FRACTAL_NZ'), antiquantScale: v([1]) };
    expect(module(views, { inFeatures: 8, outFeatures: 1 })).toMatchObject({ weight: { nz: 1 } });
    expect(module(views, { inFeatures: 1, outFeatures: 8 })).toMatchObject({ weight: { nz: 2 } });
  });

  test('one row of words: along K it is a transposed view, along N it is not', () => {
    const scale = v([1]);
    expect(functional({ x: v([3, 8]), weight: t(v([24, 1], 'int32')), scale })).toMatchObject({
      n: 24,
      k: 8,
      weight: { strideN: 8, strideK: 1 },
    });
    expect(functional({ x: v([3, 1]), weight: v([1, 24], 'int32'), scale })).toMatchObject({ n: 192, k: 1, weight: { strideN: 1 } });
    expect(functional({ x: v([3, 192]), weight: t(v([1, 24], 'int32')), scale })).toMatchObject({ n: 1, k: 192, weight: { strideK: 1 } });
  });

  test('a single column or row of int8', () => {
    const scale = v([1]);
    for (const weight of [v([K, 1], 'int8'), t(v([1, K], 'int8'))])
      expect(functional({ weight, scale })).toMatchObject({ n: 1, k: K, weight: { strideK: 1 } });
    for (const weight of [v([1, N], 'int8'), t(v([N, 1], 'int8'))])
      expect(functional({ x: v([M, 1]), weight, scale })).toMatchObject({ n: N, k: 1, weight: { strideN: 1 } });
  });

  test('K and N have no upper limit', () => {
    expect(functional({ x: v([2, 65536]), weight: v([65536, N], 'int8') })).toMatchObject({ k: 65536 });
    expect(functional({ weight: v([K, 70000], 'int8'), scale: v([70000]) })).toMatchObject({ n: 70000 });
  });
});

describe('scales and offsets', () => {
  const column = { dtype: 'float16', strideG: 0, strideN: 1 };
  const single = { dtype: 'float16', strideG: 0, strideN: 0 };

  test.each<[string, View, Operands['mode'], object]>([
    ['(1,)', v([1]), 'tensor', single],
    ['(1, 1)', v([1, 1]), 'tensor', single],
    ['(N,)', v([N]), 'channel', column],
    ['(N, 1)', v([N, 1]), 'channel', column],
    ['(1, N)', v([1, N]), 'channel', column],
    ['(N, 1), the transpose of (1, N)', t(v([1, N])), 'channel', column],
    ['(1, N), the transpose of (N, 1)', t(v([N, 1])), 'channel', column],
  ])('a layer takes %s', (_, scale, mode, found) => {
    expect(module({ antiquantScale: scale })).toMatchObject({ mode, groups: 1, groupSize: K, scale: found, offset: undefined });
    expect(module({ antiquantScale: scale, antiquantOffset: scale })).toMatchObject({ mode, scale: found, offset: found });
  });

  test.each<[string, View, Operands['mode'], object]>([
    ['(1,)', v([1]), 'tensor', single],
    ['(1, 1)', v([1, 1]), 'tensor', single],
    ['(N,)', v([N]), 'channel', column],
    ['(1, N)', v([1, N]), 'channel', column],
    ['(1, N), the transpose of (N, 1)', t(v([N, 1])), 'channel', column],
  ])('the functional form takes %s', (_, scale, mode, found) => {
    expect(functional({ scale, antiquantOffset: scale })).toMatchObject({ mode, scale: found, offset: found });
  });

  test.each([
    [32, 352],
    [1664, 7], // the last group is short
    [11232, 2],
  ])('groups of %i: %i rows of scales', (antiquantGroupSize, G) => {
    const groups = { mode: 'group', groupSize: antiquantGroupSize, groups: G };
    const [rows, columns] = [
      { strideG: 1, strideN: G },
      { strideG: N, strideN: 1 },
    ];
    const spec = { antiquantGroupSize };
    expect(module({ antiquantScale: v([N, G]) }, spec)).toMatchObject({ ...groups, scale: rows });
    expect(module({ antiquantScale: t(v([G, N])), antiquantOffset: v([N, G]) }, spec)).toMatchObject({ scale: columns, offset: rows });
    expect(functional({ scale: v([G, N]), ...spec })).toMatchObject({ ...groups, scale: columns });
    expect(functional({ scale: t(v([N, G])), antiquantOffset: v([G, N]), ...spec })).toMatchObject({ scale: rows, offset: columns });
  });

  test('with N = 1 groups still have a row each', () => {
    const views = { weight: v([1, 70], 'int8'), antiquantScale: v([1, 3]) };
    expect(module(views, { inFeatures: 70, outFeatures: 1, antiquantGroupSize: 32 })).toMatchObject({ groups: 3, scale: { strideG: 1 } });
  });

  test('float32 and bfloat16, as x', () => {
    for (const dtype of ['float32', 'bfloat16'] as const) {
      const scale = v([N], dtype);
      expect(module({ antiquantScale: scale, antiquantOffset: scale }, { dtype })).toMatchObject({ scale: { dtype }, offset: { dtype } });
      expect(functional({ x: v([M, K], dtype), scale })).toMatchObject({ scale: { dtype } });
    }
  });

  test.each([[[N]], [[N, 1]], [[1, N]]])('int64 scales with int32 offsets: %o', (shape) => {
    const views = { antiquantScale: v(shape, 'int64'), antiquantOffset: v(shape, 'int32') };
    expect(module(views)).toMatchObject({
      mode: 'channel',
      scale: { dtype: 'int64', strideG: 0, strideN: 1 },
      offset: { dtype: 'int32', strideG: 0, strideN: 1 },
    });
    expect(module({ antiquantScale: v(shape, 'int64') })).toMatchObject({ offset: undefined });
  });

  test('int64 scales have no limits on M, K or N, and take either layout of the weight', () => {
    const scale = v([1, 37], 'int64');
    const call = { x: v([200, 77]), scale, antiquantOffset: v([1, 37], 'int32') };
    expect(functional({ ...call, weight: v([77, 37], 'int8') })).toMatchObject({ scale: { dtype: 'int64' } });
    expect(functional({ ...call, weight: t(v([37, 77], 'int8')) })).toMatchObject({ scale: { dtype: 'int64' } });
  });
});

describe('bias', () => {
  test.each([
    [[N], 1],
    [[1, N], 1],
    [[1], 0],
  ])('%o', (shape, strideN) => {
    expect(module({ bias: v(shape) })).toMatchObject({ bias: { dtype: 'float16', strideN } });
    expect(functional({ bias: v(shape) })).toMatchObject({ bias: { dtype: 'float16', strideN } });
  });
  test('may be bfloat16 beside bfloat16', () => {
    const call = { x: v([M, K], 'bfloat16'), bias: v([N], 'bfloat16') };
    expect(functional(call)).toMatchObject({ bias: { dtype: 'bfloat16' } });
    expectArgument(() => functional({ x: v([M, K], 'float32'), bias: v([N], 'bfloat16') }), 'bias', 'float32', 'bfloat16');
  });
  test('is float32 beside bfloat16 and float32', () => {
    for (const dtype of ['float32', 'bfloat16'] as const) {
      const call = { x: v([M, K], dtype), bias: v([N], 'float32') };
      expect(functional(call)).toMatchObject({ bias: { dtype: 'float32' } });
    }
  });
  test('of shape (0,) is none', () => {
    expect(functional({ bias: v([0]) })).toMatchObject({ bias: undefined });
  });
});

describe('output scales', () => {
  test.each([
    [[1], 0],
    [[1, 1], 0],
    [[N], 1],
    [[1, N], 1],
  ])('%o', (shape, stride) => {
    const [float, packed] = [v(shape, 'float32'), v(shape, 'int64')];
    for (const run of [module, functional]) {
      expect(run({ quantScale: float })).toMatchObject({ quant: { packed: false, stride, offset: false } });
      expect(run({ quantScale: float, quantOffset: float })).toMatchObject({ quant: { packed: false, stride, offset: true } });
      expect(run({ quantScale: packed })).toMatchObject({ quant: { packed: true, stride, offset: false } });
      // A packed scale has its own offset; another is checked and not read.
      expect(run({ quantScale: packed, quantOffset: float })).toMatchObject({ quant: { packed: true, stride, offset: false } });
    }
  });
  test('of shape (0,) is none', () => {
    expect(functional({ quantScale: v([0], 'float32') })).toMatchObject({ quant: undefined });
  });
  test('go with every dtype of x, with groups, and with int4 along either axis', () => {
    const quantScale = v([N], 'float32');
    const scale = v([2, N], 'bfloat16');
    for (const weight of [v([64, N / 8], 'int32'), t(v([N, 8], 'int32'))])
      expect(functional({ x: v([M, 64], 'bfloat16'), weight, scale, antiquantGroupSize: 32, quantScale })).toMatchObject({
        mode: 'group',
        quant: { packed: false },
      });
  });
});

describe('x and y', () => {
  const spec = checkOptions({ inFeatures: 8, outFeatures: 6, dtype: 'float32' });
  const x = (view: View) => checkX(spec, view);

  test('rows of x', () => {
    expect(x(v([5, 8], 'float32'))).toEqual({ m: 5, view: { offset: 0, batchRows: 5, strideB: 40, strideM: 8, strideK: 1 } });
    expect(x({ ...v([1, 8], 'float32'), offset: 7 })).toMatchObject({ m: 1, view: { offset: 7, strideM: 8, strideK: 1 } });
  });
  test('leading dimensions are rows too', () => {
    expect(x(v([2, 3, 5, 8], 'float32'))).toEqual({ m: 30, view: { offset: 0, batchRows: 5, strideB: 40, strideM: 8, strideK: 1 } });
  });
  test('transposed x', () => {
    expect(x(t(v([8, 5], 'float32')))).toEqual({ m: 5, view: { offset: 0, batchRows: 5, strideB: 40, strideM: 1, strideK: 5 } });
    expect(x(t(v([2, 8, 5], 'float32')))).toMatchObject({ m: 10, view: { batchRows: 5, strideB: 40, strideM: 1, strideK: 5 } });
  });
  test('a single row is contiguous either way', () => {
    expect(x(t(v([8, 1], 'float32')))).toMatchObject({ m: 1, view: { strideM: 8, strideK: 1 } });
  });
  test('wrong x', () => {
    expectArgument(() => x(v([5, 8], 'float16')), 'x', 'dtype float32', 'float16');
    expectArgument(() => x(v([5, 8], 'float32', 'FRACTAL_NZ')), 'x', 'format ND', 'FRACTAL_NZ');
    expectArgument(() => x(v([5, 7], 'float32')), 'x', 'K = 8', '(5, 7)');
    const three = strided(v([2, 3, 5, 8], 'float32'), [1000, 50, 9, 1]); // batches of batches
    expectArgument(() => x(three), 'x', 'rows in batches of equal rows', 'strides (1000, 50, 9, 1)');
  });

  test('x of any strides', () => {
    const rows = (shape: readonly number[], strides: readonly number[]) => {
      const { m, view } = x(strided(v(shape, 'float32'), strides));
      return [m, view.batchRows, view.strideB, view.strideM, view.strideK];
    };
    expect(rows([5, 8], [16, 1])).toEqual([5, 5, 40, 16, 1]); // columns of a wider matrix
    expect(rows([5, 8], [8, 2])).toEqual([5, 5, 40, 8, 2]); // every second column
    expect(rows([5, 8], [0, 1])).toEqual([5, 5, 40, 0, 1]); // one row for all
    expect(rows([3, 5, 8], [8, 24, 1])).toEqual([15, 5, 8, 24, 1]); // other axes swapped
    expect(rows([2, 5, 8], [80, 1, 5])).toEqual([10, 5, 80, 1, 5]); // gaps between batches
    expect(rows([2, 3, 5, 8], [240, 80, 16, 1])).toEqual([30, 5, 80, 16, 1]); // batches in a row
    expect(rows([2, 3, 5, 8], [999, 80, 16, 1])).toEqual([30, 15, 999, 16, 1]); // batches of rows in a row
    expect(rows([0, 8], [8, 1])[0]).toBe(0);
    expect(rows([2, 0, 8], [0, 8, 1])[0]).toBe(0);
    expect(rows([8], [1])).toEqual([1, 1, 8, 8, 1]);
  });

  test('y takes the rows in any leading shape', () => {
    for (const shape of [
      [30, 6],
      [2, 3, 5, 6],
      [30, 1, 6],
    ])
      expect(() => checkY(spec, 30, v(shape, 'float32'))).not.toThrow();
  });
  test('y with gaps between its rows', () => {
    const eight = checkOptions({ inFeatures: 8, outFeatures: 8, dtype: 'float32' });
    const y = (shape: readonly number[], strides: readonly number[], offset = 0) =>
      checkY(eight, 6, { ...strided(v(shape, 'float32'), strides), offset });
    expect(y([6, 8], [8, 1])).toEqual({ offset: 0, pitch: 8 });
    expect(y([6, 8], [20, 1], 4)).toEqual({ offset: 4, pitch: 20 });
    expect(y([2, 3, 8], [60, 20, 1])).toEqual({ offset: 0, pitch: 20 });
    expectArgument(() => y([6, 8], [20, 1], 2), 'y', 'multiples of 4', 'from element 2');
    expectArgument(() => y([6, 8], [18, 1]), 'y', 'multiples of 4', 'strides (18, 1)');
    expectArgument(() => y([6, 8], [4, 1]), 'y', 'multiples of 4', 'strides (4, 1)'); // rows over each other
    expectArgument(() => y([6, 8], [20, 2]), 'y', 'multiples of 4', 'strides (20, 2)');
    expectArgument(() => y([2, 3, 8], [100, 20, 1]), 'y', 'multiples of 4', 'strides (100, 20, 1)');
  });
  test('wrong y', () => {
    const y = (view: View) => checkY(spec, 30, view);
    expectArgument(() => y(v([30, 6], 'float16')), 'y', 'dtype float32', 'float16');
    expectArgument(() => y(v([30, 6], 'float32', 'FRACTAL_NZ')), 'y', 'format ND', 'FRACTAL_NZ');
    expectArgument(() => y(v([29, 6], 'float32')), 'y', '30 rows', '(29, 6)');
    expectArgument(() => y(v([30, 7], 'float32')), 'y', '(…, 6)', '(30, 7)');
    expectArgument(() => y(v([6], 'float32')), 'y', '(…, 6)', '(6,)');
    expectArgument(() => y(t(v([6, 30], 'float32'))), 'y', 'contiguous', 'strides (1, 30)');
    expectArgument(() => y(strided(v([30, 6], 'float32'), [8, 1])), 'y', 'multiples of 4', 'strides (8, 1) from element 0');
    const quantized = checkOptions({ inFeatures: 8, outFeatures: 6, dtype: 'float32', quantScale: true });
    expectArgument(() => checkY(quantized, 30, v([30, 6], 'float32')), 'y', 'dtype int8', 'float32');
    expect(() => checkY(quantized, 30, v([30, 6], 'int8'))).not.toThrow();
  });
});

describe('options', () => {
  const options = (change: object) => checkOptions({ inFeatures: K, outFeatures: N, ...change });

  test('defaults are those of the original, but for the dtype', () => {
    const off = { antiquantOffset: false, quantScale: false, quantOffset: false, antiquantGroupSize: 0, innerPrecise: 0 };
    const given = { inFeatures: 3, outFeatures: 2 };
    const rest = { bias: true, dtype: 'float16', weightRounding: 'none', outputDtype: 'float16' };
    expect(checkOptions(given)).toEqual({ ...given, ...off, ...rest });
  });
  test('undefined is as if it were not there', () => {
    expect(options({ bias: undefined, innerPrecise: undefined })).toMatchObject({ bias: true, innerPrecise: 0 });
  });
  test.each([0, 1])('innerPrecise %i', (innerPrecise) => {
    expect(options({ innerPrecise })).toMatchObject({ innerPrecise });
  });
  test.each([0, 32, 64, 1664, K - 32])('antiquantGroupSize %i', (antiquantGroupSize) => {
    expect(options({ antiquantGroupSize })).toMatchObject({ antiquantGroupSize });
  });
  test('a group may be K - 1 long', () => {
    expect(checkOptions({ inFeatures: 33, outFeatures: 1, antiquantGroupSize: 32 })).toMatchObject({ antiquantGroupSize: 32 });
  });

  test.each<[string, object, string, string, string]>([
    ['K = 0', { inFeatures: 0 }, 'inFeatures', 'at least 1', '0'],
    ['K below 0', { inFeatures: -8 }, 'inFeatures', 'at least 1', '-8'],
    ['K not whole', { inFeatures: 1.5 }, 'inFeatures', 'a whole number', '1.5'],
    ['no K', { inFeatures: undefined }, 'inFeatures', 'a whole number', 'undefined'],
    ['N = 0', { outFeatures: 0 }, 'outFeatures', 'at least 1', '0'],
    ['N beyond whole numbers', { outFeatures: 2 ** 53 }, 'outFeatures', 'a whole number', '9007199254740992'],
    ['N as text', { outFeatures: '64' }, 'outFeatures', 'a whole number', '64'],
    ['a tensor for bias', { bias: 1 }, 'bias', 'true or false', '1'],
    ['an unknown option', { groupSize: 32 }, 'groupSize', 'antiquantGroupSize', 'an unknown option'],
    ['a wrong flag', { antiquantOffset: 'yes' }, 'antiquantOffset', 'true or false', 'yes'],
    ['an integer dtype', { dtype: 'int8' }, 'dtype', 'float32 or float16 or bfloat16', 'int8'],
    ['quantOffset alone', { quantOffset: true }, 'quantOffset', 'a quantScale', 'none'],
    ['innerPrecise 2', { innerPrecise: 2 }, 'innerPrecise', '0 or 1', '2'],
    ['innerPrecise -1', { innerPrecise: -1 }, 'innerPrecise', '0 or 1', '-1'],
    ['group 2', { antiquantGroupSize: 2 }, 'antiquantGroupSize', 'a multiple of 32', '2'],
    ['group 31', { antiquantGroupSize: 31 }, 'antiquantGroupSize', 'a multiple of 32', '31'],
    ['group 48', { antiquantGroupSize: 48 }, 'antiquantGroupSize', 'a multiple of 32', '48'],
    ['a negative group', { antiquantGroupSize: -32 }, 'antiquantGroupSize', '0 or', '-32'],
    ['group K', { antiquantGroupSize: K }, 'antiquantGroupSize', `K - 1 = ${K - 1}`, String(K)],
    ['group above K', { antiquantGroupSize: K + 32 }, 'antiquantGroupSize', `K - 1 = ${K - 1}`, String(K + 32)],
    ['group NaN', { antiquantGroupSize: Number.NaN }, 'antiquantGroupSize', '0 or', 'NaN'],
    ['group Infinity', { antiquantGroupSize: Number.POSITIVE_INFINITY }, 'antiquantGroupSize', '0 or', 'Infinity'],
  ])('%s', (_, change, argument, expected, got) => {
    expectArgument(() => options(change), argument, expected, got);
  });
});

describe('a layer refuses', () => {
  const [int64, int32] = [v([N], 'int64'), v([N], 'int32')];
  const quantScale = v([N], 'float32');
  const g32 = { antiquantGroupSize: 32 };
  const bfloat16 = { dtype: 'bfloat16' } as const;
  const views: readonly (readonly [string, Partial<WeightTensors<View>>, Partial<LinearOptions>, string, string, string])[] = [
    // weight
    ['a float weight', { weight: v([N, K]) }, {}, 'weight', 'dtype int8, or int32', 'float16'],
    ['an unknown format', { weight: v([N, K], 'int8', 'NCHW' as Format) }, {}, 'weight', 'format ND or FRACTAL_NZ', 'NCHW'],
    ['a 1-D weight', { weight: v([N * K], 'int8') }, {}, 'weight', 'two dimensions', '(18743296,)'],
    ['a 1-D int32 weight', { weight: v([N], 'int32') }, {}, 'weight', 'two dimensions', '(1664,)'],
    ['a 3-D weight', { weight: v([1, N, K], 'int8') }, {}, 'weight', 'two dimensions', '(1, 1664, 11264)'],
    ['another K', { weight: v([N, K + 1], 'int8') }, {}, 'weight', '(1664, 11264)', '(1664, 11265)'],
    ['another N', { weight: v([N + 1, K], 'int8') }, {}, 'weight', '(1664, 11264)', '(1665, 11264)'],
    ['(K, N)', { weight: v([K, N], 'int8') }, {}, 'weight', '(1664, 11264)', '(11264, 1664)'],
    ['int4 of another K', { weight: v([N, K / 8 + 1], 'int32') }, {}, 'weight', '(1664, 1408)', '(1664, 1409)'],
    ['int4 not packed', { weight: v([N, K], 'int32') }, {}, 'weight', '(1664, 1408)', '(1664, 11264)'],
    ['int4 along N of another N', { weight: t(v([K, N / 8 + 1], 'int32')) }, {}, 'weight', '(208, 11264)', '(209, 11264)'],
    ['int4 along K, K odd', { weight: v([N, 1408], 'int32') }, { inFeatures: 11263 }, 'weight', 'K to be a multiple of 8', '(1664, 1408)'],
    [
      'int4 along N, N odd',
      { weight: t(v([K, 208], 'int32')) },
      { outFeatures: 1663 },
      'weight',
      'N to be a multiple of 8',
      '(208, 11264)',
    ],
    ['gaps between rows', { weight: strided(v([N, K], 'int8'), [2 * K, 1]) }, {}, 'weight', 'contiguous', 'strides (22528, 1)'],
    ['gaps between elements', { weight: strided(v([N, K], 'int8'), [2 * K, 2]) }, {}, 'weight', 'contiguous', 'strides'],
    ['NZ with an int8 output', { weight: v([N, K], 'int8', 'FRACTAL_NZ'), quantScale }, {}, 'weight', 'format ND', 'FRACTAL_NZ'],
    ['int4 NZ with an int8 output', { weight: v([N, K / 8], 'int32', 'FRACTAL_NZ'), quantScale }, {}, 'weight', 'format ND', 'FRACTAL_NZ'],
    // antiquantScale
    ['a float32 scale beside float16', { antiquantScale: v([N], 'float32') }, {}, 'antiquantScale', 'dtype float16', 'float32'],
    ['an int32 scale', { antiquantScale: int32 }, {}, 'antiquantScale', 'dtype float16', 'int32'],
    ['a scale of (1663,)', { antiquantScale: v([1663]) }, {}, 'antiquantScale', '(1664,)', '(1663,)'],
    ['a scale of (1, 1663)', { antiquantScale: v([1, 1663]) }, {}, 'antiquantScale', '(1, 1664)', '(1, 1663)'],
    ['a scale of (N, 2)', { antiquantScale: v([N, 2]) }, {}, 'antiquantScale', '(1664, 1)', '(1664, 2)'],
    ['a scale of (2, N)', { antiquantScale: v([2, N]) }, {}, 'antiquantScale', '(1664, 1)', '(2, 1664)'],
    ['a scale of (0,)', { antiquantScale: v([0]) }, {}, 'antiquantScale', '(1664,)', '(0,)'],
    ['a scale of (1, N, 1)', { antiquantScale: v([1, N, 1]) }, {}, 'antiquantScale', '(1664,)', '(1, 1664, 1)'],
    ['a scale in NZ', { antiquantScale: v([N, 1], 'float16', 'FRACTAL_NZ') }, {}, 'antiquantScale', 'format ND', 'FRACTAL_NZ'],
    ['a scale with gaps', { antiquantScale: strided(v([N]), [2]) }, {}, 'antiquantScale', 'contiguous', 'strides (2,)'],
    ['one scale for groups', { antiquantScale: v([1]) }, g32, 'antiquantScale', '(1664, 352)', '(1,)'],
    ['a 1-D scale for groups', { antiquantScale: v([N]) }, g32, 'antiquantScale', '(1664, 352)', '(1664,)'],
    ['(G, N) for groups', { antiquantScale: v([352, N]) }, g32, 'antiquantScale', '(1664, 352)', '(352, 1664)'],
    ['a group too few', { antiquantScale: v([N, 351]) }, g32, 'antiquantScale', '(1664, 352)', '(1664, 351)'],
    ['group 1664 with scale (N,)', {}, { antiquantGroupSize: 1664 }, 'antiquantScale', '(1664, 7)', '(1664,)'],
    [
      'the last, short group left out',
      { antiquantScale: v([N, 6]) },
      { antiquantGroupSize: 1664 },
      'antiquantScale',
      '(1664, 7)',
      '(1664, 6)',
    ],
    // int64
    ['int64 beside bfloat16', { antiquantScale: int64 }, bfloat16, 'antiquantScale', 'float16 x only', 'int64'],
    ['int64 beside float32', { antiquantScale: int64 }, { dtype: 'float32' }, 'antiquantScale', 'float16 x only', 'int64'],
    ['int64 with int4', { antiquantScale: int64, weight: v([N, K / 8], 'int32') }, {}, 'antiquantScale', 'int8 weights only', 'int64'],
    ['int64 with groups', { antiquantScale: v([N, 352], 'int64') }, g32, 'antiquantScale', 'per-channel only', 'int64'],
    ['int64 with quantScale', { antiquantScale: int64, quantScale }, {}, 'quantScale', 'none beside an int64 antiquantScale', 'float32'],
    ['int64 of (1,)', { antiquantScale: v([1], 'int64') }, {}, 'antiquantScale', '(1664,)', '(1,)'],
    // antiquantOffset
    ['a float32 offset beside float16', { antiquantOffset: v([N], 'float32') }, {}, 'antiquantOffset', 'dtype float16', 'float32'],
    ['an int32 offset beside float16 scales', { antiquantOffset: int32 }, {}, 'antiquantOffset', 'dtype float16', 'int32'],
    ['a float16 offset beside int64', { antiquantScale: int64, antiquantOffset: v([N]) }, {}, 'antiquantOffset', 'dtype int32', 'float16'],
    [
      'an offset of another shape',
      { antiquantOffset: v([N, 1]) },
      {},
      'antiquantOffset',
      'the shape of antiquantScale (1664,)',
      '(1664, 1)',
    ],
    ['one offset for many scales', { antiquantOffset: v([1]) }, {}, 'antiquantOffset', '(1664,)', '(1,)'],
    ['an offset with gaps', { antiquantOffset: strided(v([N]), [4]) }, {}, 'antiquantOffset', 'contiguous', 'strides (4,)'],
    // bias
    ['a float32 bias beside float16', { bias: v([N], 'float32') }, {}, 'bias', 'dtype float16 beside float16 x', 'float32'],
    ['a bias of (1663,)', { bias: v([1663]) }, {}, 'bias', '(1664,)', '(1663,)'],
    ['a bias of (2, N)', { bias: v([2, N]) }, {}, 'bias', '(1, 1664)', '(2, 1664)'],
    ['a bias of (N, 1)', { bias: v([N, 1]) }, {}, 'bias', '(1, 1664)', '(1664, 1)'],
    ['a 3-D bias', { bias: v([1, 1, N]) }, {}, 'bias', '(1, 1664)', '(1, 1, 1664)'],
    ['a bias with gaps', { bias: strided(v([N]), [2]) }, {}, 'bias', 'a contiguous tensor', 'strides (2,)'],
    ['a bias in NZ', { bias: v([1, N], 'float16', 'FRACTAL_NZ') }, {}, 'bias', 'format ND', 'FRACTAL_NZ'],
    // quantScale, quantOffset
    ['a float16 quantScale', { quantScale: v([N]) }, {}, 'quantScale', 'dtype float32 or int64', 'float16'],
    ['an int32 quantScale', { quantScale: int32 }, {}, 'quantScale', 'dtype float32 or int64', 'int32'],
    ['a quantScale of (1663,)', { quantScale: v([1663], 'float32') }, {}, 'quantScale', '(1664,)', '(1663,)'],
    ['a quantScale of (2, N)', { quantScale: v([2, N], 'float32') }, {}, 'quantScale', '(1, 1664)', '(2, 1664)'],
    ['a quantScale of (N, 1)', { quantScale: v([N, 1], 'float32') }, {}, 'quantScale', '(1, 1664)', '(1664, 1)'],
    ['a quantScale with gaps', { quantScale: strided(quantScale, [2]) }, {}, 'quantScale', 'a contiguous tensor', 'strides (2,)'],
    ['quantOffset alone', { quantOffset: quantScale }, {}, 'quantOffset', 'a quantScale', 'none'],
    ['a float16 quantOffset', { quantScale, quantOffset: v([N]) }, {}, 'quantOffset', 'dtype float32', 'float16'],
    ['an int64 quantOffset', { quantScale, quantOffset: int64 }, {}, 'quantOffset', 'dtype float32', 'int64'],
    ['a quantOffset of another shape', { quantScale, quantOffset: v([1, N], 'float32') }, {}, 'quantOffset', '(1664,)', '(1, 1664)'],
    ['one quantOffset for many scales', { quantScale, quantOffset: v([1], 'float32') }, {}, 'quantOffset', '(1664,)', '(1,)'],
    ['a quantOffset with gaps', { quantScale, quantOffset: strided(quantScale, [2]) }, {}, 'quantOffset', 'contiguous', 'strides (2,)'],
  ];
  test.each(views)('%s', (_, given, options, argument, expected, got) => {
    expectArgument(() => module(given, options), argument, expected, got);
  });

  test.each([
    ['bfloat16', 'float16', 'bfloat16'],
    ['bfloat16', 'float32', 'bfloat16'],
    ['float16', 'bfloat16', 'float16'],
    ['float32', 'float16', 'float32'],
  ] as const)('beside %s x scales of %s', (dtype, scale, wanted) => {
    expectArgument(() => module({ antiquantScale: v([N], scale) }, { dtype }), 'antiquantScale', `dtype ${wanted}`, scale);
  });

  test.each([
    ['bfloat16', 'float16', 'float32 or bfloat16'],
    ['float32', 'float16', 'float32'],
    ['float32', 'bfloat16', 'float32'],
  ] as const)('beside %s x a bias of %s', (dtype, bias, wanted) => {
    expectArgument(() => module({ bias: v([N], bias) }, { dtype }), 'bias', `dtype ${wanted}`, bias);
  });
});

describe('the functional form refuses, in the words of (K, N) and (G, N)', () => {
  const cases: readonly (readonly [string, Call, string, string, string])[] = [
    ['an int8 x', { x: v([M, K], 'int8') }, 'x', 'dtype float32 or float16 or bfloat16', 'int8'],
    ['a 1-D x', { x: v([K]) }, 'x', 'at least two dimensions', '(11264,)'],
    ['an x in NZ', { x: v([M, K], 'float16', 'FRACTAL_NZ') }, 'x', 'format ND', 'FRACTAL_NZ'],
    ['an empty K', { x: v([M, 0]), weight: v([0, N], 'int8') }, 'inFeatures', 'at least 1', '0'],
    ['another K', { weight: v([K + 1, N], 'int8') }, 'weight', 'K = 11264', 'K = 11265'],
    ['(N, K)', { weight: v([N, K], 'int8') }, 'weight', 'K = 11264', 'K = 1664'],
    ['another K of int4 along K', { weight: t(v([N, K / 8 - 1], 'int32')) }, 'weight', 'K = 11264', 'K = 11256, of shape (1407, 1664)'],
    ['int4 (K/8, N) that is not a transposed view', { weight: v([K / 8, N], 'int32') }, 'weight', 'K = 11264', 'K = 1408'],
    ['a 1-D weight', { weight: v([N], 'int32') }, 'weight', 'two dimensions (K, N)', '(1664,)'],
    ['a 3-D weight', { weight: v([1, K, N], 'int8') }, 'weight', 'two dimensions (K, N)', '(1, 11264, 1664)'],
    ['a float weight', { weight: v([K, N]) }, 'weight', 'dtype int8, or int32', 'float16'],
    ['a weight with gaps', { weight: strided(v([K, N], 'int8'), [2 * N, 1]) }, 'weight', 'contiguous', 'strides (3328, 1)'],
    ['a scale of (N, 1)', { scale: v([N, 1]) }, 'antiquantScale', '(1, 1664)', '(1664, 1)'],
    ['a scale of (1, 1663)', { scale: v([1, 1663]) }, 'antiquantScale', '(1, 1664)', '(1, 1663)'],
    ['a scale of (2, N)', { scale: v([2, N]) }, 'antiquantScale', '(1, 1664)', '(2, 1664)'],
    ['a float32 scale', { scale: v([N], 'float32') }, 'antiquantScale', 'dtype float16', 'float32'],
    ['(N, G)', { scale: v([N, 352]), antiquantGroupSize: 32 }, 'antiquantScale', '(352, 1664)', '(1664, 352)'],
    ['a group too many', { scale: v([353, N]), antiquantGroupSize: 32 }, 'antiquantScale', '(352, 1664)', '(353, 1664)'],
    ['group 2', { antiquantGroupSize: 2 }, 'antiquantGroupSize', 'a multiple of 32', '2'],
    ['group K', { antiquantGroupSize: K }, 'antiquantGroupSize', 'K - 1 = 11263', '11264'],
    ['innerPrecise 3', { innerPrecise: 3 }, 'innerPrecise', '0 or 1', '3'],
    ['an offset of another shape', { scale: v([1, N]), antiquantOffset: v([N]) }, 'antiquantOffset', '(1, 1664)', '(1664,)'],
    ['a bias of (1663,)', { bias: v([1663]) }, 'bias', '(1664,)', '(1663,)'],
    ['a float32 bias', { bias: v([N], 'float32') }, 'bias', 'dtype float16', 'float32'],
    ['quantOffset alone', { quantOffset: v([N], 'float32') }, 'quantOffset', 'a quantScale', 'none'],
    [
      'quantOffset beside an empty quantScale',
      { quantScale: v([0], 'float32'), quantOffset: v([N], 'float32') },
      'quantOffset',
      'a quantScale',
      'none',
    ],
    ['a quantScale of (2, N)', { quantScale: v([2, N], 'float32') }, 'quantScale', '(1, 1664)', '(2, 1664)'],
  ];
  test.each(cases)('%s', (_, call, argument, expected, got) => {
    expectArgument(() => functional(call), argument, expected, got);
  });

  // The original refuses null for either; callers from JavaScript have no compiler to tell them.
  test.each(['weight', 'antiquantScale'])('no %s', (name) => {
    const given = { weight: v([K, N], 'int8'), antiquantScale: v([N]), [name]: undefined as unknown as View };
    expectArgument(() => functionalSpec(v([M, K]), given, (_, view) => view, t), name, 'tensor', 'none');
  });
});

test('a problem takes its numbers from operands, options and x', () => {
  const spec = checkOptions({ inFeatures: K, outFeatures: N, innerPrecise: 1, antiquantGroupSize: 32 });
  const operands = module({ antiquantScale: v([N, 352]), antiquantOffset: v([N, 352]), bias: v([N]) }, { antiquantGroupSize: 32 });
  expect(makeProblem({ spec, weights: operands }, { m: M, x: contiguousX(M, K), y: { offset: 7 } })).toEqual({
    m: M,
    weights: operands,
    xDtype: 'float16',
    yDtype: 'float16',
    innerPrecise: 1,
    weightDtype: 'float32',
    x: { offset: 0, batchRows: M, strideB: M * K, strideM: K, strideK: 1 },
    adds: false,
    yOffset: 7,
    yPitch: N,
  });
});

describe('weightRounding', () => {
  const options = { inFeatures: K, outFeatures: N };
  const roundedTo = (change: object) => {
    const spec = checkOptions({ ...options, ...change });
    return makeProblem({ spec, weights: module({}) }, { m: 1, x: contiguousX(1, K) }).weightDtype;
  };
  test('none: weights are not rounded; dtype: to the dtype of x, which is nothing where that is float32', () => {
    expect(roundedTo({})).toBe('float32');
    expect(roundedTo({ weightRounding: 'none' })).toBe('float32');
    for (const dtype of ['float16', 'bfloat16', 'float32'] as const) expect(roundedTo({ weightRounding: 'dtype', dtype })).toBe(dtype);
  });
  test('is nothing else', () => {
    for (const wrong of ['float16', '', null, 1, true])
      expectArgument(
        () => checkOptions({ ...options, weightRounding: wrong as 'none' }),
        'weightRounding',
        'none or dtype',
        showValue(wrong),
      );
  });
});

describe('outputDtype', () => {
  const options = { inFeatures: K, outFeatures: N };
  test('is x’s, or float32', () => {
    expect(checkOptions(options).outputDtype).toBe('float16');
    expect(checkOptions({ ...options, dtype: 'bfloat16' }).outputDtype).toBe('bfloat16');
    const spec = checkOptions({ ...options, outputDtype: 'float32' });
    expect(makeProblem({ spec, weights: module({}) }, { m: 1, x: contiguousX(1, K) }).yDtype).toBe('float32');
  });
  test('is nothing else', () => {
    expectArgument(() => checkOptions({ ...options, outputDtype: 'bfloat16' }), 'outputDtype', 'float16 or float32', 'bfloat16');
    expectArgument(() => checkOptions({ ...options, quantScale: true, outputDtype: 'float32' }), 'outputDtype', 'float16', 'float32');
  });
});

test('packed scales become float32 in a problem, and int8 outputs are int8', () => {
  const spec = checkOptions({ inFeatures: K, outFeatures: N });
  const problem = (views: Partial<WeightTensors<View>>) => makeProblem({ spec, weights: module(views) }, { m: 1, x: contiguousX(1, K) });
  expect(problem({ antiquantScale: v([N], 'int64') })).toMatchObject({
    weights: { scaleDtype: 'float32', shift: 'none' },
    yDtype: 'float16',
  });
  expect(problem({ quantScale: v([N], 'int64') })).toMatchObject({
    weights: { scaleDtype: 'float16', biased: false },
    yDtype: 'int8',
  });
});

test('isContiguous and isTransposed', () => {
  const kind = (shape: readonly number[], strides: readonly number[]): string =>
    [isContiguous({ shape, strides }) && 'contiguous', isTransposed({ shape, strides }) && 'transposed'].filter(Boolean).join(' ');
  expect(kind([3, 4], [4, 1])).toBe('contiguous');
  expect(kind([3, 4], [1, 3])).toBe('transposed');
  expect(kind([3, 4], [1, 4])).toBe('');
  expect(kind([3, 4], [8, 1])).toBe('');
  expect(kind([1, 1], [1, 1])).toBe('contiguous'); // torch's rule
  expect(kind([1, 4], [1, 1])).toBe('contiguous transposed');
  expect(kind([1, 4], [99, 1])).toBe('contiguous'); // strides of single elements do not count
  expect(kind([2, 3, 4], [12, 4, 1])).toBe('contiguous');
  expect(kind([2, 3, 4], [12, 1, 3])).toBe('transposed');
  expect(kind([2, 3, 4], [24, 1, 3])).toBe('');
  expect(kind([2, 3, 4], [4, 8, 1])).toBe('');
  expect(kind([5], [1])).toBe('contiguous');
  expect(kind([5], [2])).toBe('');
});

test('shapes are written as Python has them', () => {
  expect([[], [5], [2, 3]].map(showShape)).toEqual(['()', '(5,)', '(2, 3)']);
});
