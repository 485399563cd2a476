// Checks the caller's arguments and returns plain numbers. All rules about shapes, dtypes and layouts are here. Pure.
//
// Rules: torch_npu's LinearWeightQuant and npu_weight_quant_batchmatmul on Atlas A2/A3, without their limits on K and N, with float32 and
// with leading batch dimensions of x.
import { showValue } from '../arguments/show-value.js';
import type { FloatDType } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { widthOfDtype } from './code-width.js';
import {
  type ColumnView,
  type LinearOptions,
  type LinearSpec,
  type Operands,
  type WeightTensors,
  type XView,
  yDtypeOf,
} from './problem.js';
import { isContiguous, isTransposed, showShape, type View } from './view.js';

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const same = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((v, i) => v === b[i]);
const oneOf = (shape: readonly number[], accepted: readonly (readonly number[])[]): boolean => accepted.some((form) => same(form, shape));
const showShapes = (shapes: readonly (readonly number[])[]): string => [...new Set(shapes.map(showShape))].join(' or ');

function check(condition: boolean, argument: string, expected: string, got: string): asserts condition {
  if (!condition) throw new ArgumentError(argument, expected, got);
}

// ---------------------------------------------------------------------------------------------------------------- options

/** Dtypes of x. */
export const FLOATS: readonly string[] = ['float32', 'float16', 'bfloat16'];

/** Roundings of dequantized weights. */
export const ROUNDINGS: readonly NonNullable<LinearOptions['weightRounding']>[] = ['none', 'dtype'];

const OPTIONS: readonly string[] = [
  'inFeatures',
  'outFeatures',
  'bias',
  'dtype',
  'antiquantOffset',
  'quantScale',
  'quantOffset',
  'antiquantGroupSize',
  'innerPrecise',
  'weightRounding',
  'outputDtype',
];

/** The options with their defaults. @throws ArgumentError */
export function checkOptions(options: LinearOptions): LinearSpec {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  check(!unknown, unknown ?? '', OPTIONS.join(' or '), 'an unknown option');
  const spec: LinearSpec = {
    bias: true,
    dtype: 'float16',
    antiquantOffset: false,
    quantScale: false,
    quantOffset: false,
    antiquantGroupSize: 0,
    innerPrecise: 0,
    weightRounding: 'none',
    outputDtype: options.dtype ?? 'float16',
    ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
  } as LinearSpec;
  for (const name of ['inFeatures', 'outFeatures'] as const) {
    check(Number.isSafeInteger(spec[name]) && spec[name] >= 1, name, 'a whole number of at least 1', showValue(spec[name]));
  }
  for (const name of ['bias', 'antiquantOffset', 'quantScale', 'quantOffset'] as const) {
    check(typeof spec[name] === 'boolean', name, 'true or false', showValue(spec[name]));
  }
  check(FLOATS.includes(spec.dtype), 'dtype', FLOATS.join(' or '), showValue(spec.dtype));
  check(!spec.quantOffset || spec.quantScale, 'quantOffset', 'a quantScale beside it', 'none');
  check(spec.innerPrecise === 0 || spec.innerPrecise === 1, 'innerPrecise', '0 or 1', showValue(spec.innerPrecise));
  check(ROUNDINGS.includes(spec.weightRounding), 'weightRounding', ROUNDINGS.join(' or '), showValue(spec.weightRounding));
  const outputs = spec.quantScale ? [spec.dtype] : [...new Set([spec.dtype, 'float32'])];
  check(outputs.includes(spec.outputDtype), 'outputDtype', `${outputs.join(' or ')} beside ${spec.dtype} x`, showValue(spec.outputDtype));
  const { antiquantGroupSize: group, inFeatures: k } = spec;
  const legal = group === 0 || (Number.isInteger(group) && group >= 32 && group % 32 === 0 && group <= k - 1);
  check(legal, 'antiquantGroupSize', `0 or a multiple of 32 from 32 to K - 1 = ${k - 1}`, showValue(group));
  return spec;
}

// ---------------------------------------------------------------------------------------------------------------- weights

/**
 * A layer's weights in the module's orientation: weight (N, K), scales (N, G).
 * @param flipped messages speak of (K, N) and (G, N), as the caller does
 * @throws ArgumentError
 */
export function checkWeights(spec: LinearSpec, views: WeightTensors<View>, { flipped = false } = {}): Operands {
  const { inFeatures: k, outFeatures: n, dtype, antiquantGroupSize: group } = spec;
  const asCalled = (shape: readonly number[]): readonly number[] => (flipped && shape.length === 2 ? [...shape].reverse() : shape);
  const show = (shape: readonly number[]): string => showShape(asCalled(shape));
  const { weight, antiquantScale: scale, antiquantOffset: offset, quantScale } = views;

  for (const [name, view] of Object.entries(views) as [string, View | undefined][]) {
    if (view && name !== 'weight') check(view.format === 'ND', name, 'format ND', view.format);
  }

  // weight
  const width = widthOfDtype(weight.dtype);
  check(width !== undefined, 'weight', 'dtype int8, or int32 (eight int4)', weight.dtype);
  check(weight.format === 'ND' || weight.format === 'FRACTAL_NZ', 'weight', 'format ND or FRACTAL_NZ', weight.format);
  check(weight.shape.length === 2, 'weight', `two dimensions ${show([n, k])}`, show(weight.shape));
  const { bits, inElement, name: codeName } = width;
  const packedCodes = inElement > 1;
  const transposed = isTransposed(weight);
  check(transposed || isContiguous(weight), 'weight', 'a contiguous tensor or the transpose of one', `strides ${show(weight.strides)}`);
  // Packed codes follow the axis that is contiguous in memory. A single element may be packed along either.
  const alongK: readonly number[] = [n, k / inElement];
  const alongN: readonly number[] = [n / inElement, k];
  const single = same(weight.shape, [1, 1]);
  const packedAlongN = packedCodes && (transposed || (single && n === inElement && k === 1));
  const expected = packedAlongN ? alongN : alongK;
  check(
    same(weight.shape, expected),
    'weight',
    !packedCodes
      ? `shape ${show([n, k])}`
      : expected.every(Number.isInteger)
        ? `shape ${show(expected)} (eight int4 in an int32, along ${packedAlongN ? 'N' : 'K'})`
        : `${packedAlongN ? 'N' : 'K'} to be a multiple of ${inElement} (eight int4 in an int32), not ${packedAlongN ? n : k}`,
    `shape ${show(weight.shape)}`,
  );
  const nz = weight.format === 'ND' ? 0 : transposed || packedAlongN ? 2 : 1;
  // A single column is a run along k either way.
  const strides = (packedAlongN || transposed) && n > 1 ? { strideN: 1, strideK: n } : { strideN: k, strideK: 1 };

  // antiquantScale, antiquantOffset
  const packedScale = scale.dtype === 'int64';
  if (packedScale) {
    check(dtype === 'float16', 'antiquantScale', `dtype ${dtype} as x (int64 is for float16 x only)`, 'int64');
    check(!packedCodes, 'antiquantScale', `dtype float16 for ${codeName} weights (int64 is for int8 weights only)`, 'int64');
    check(group === 0, 'antiquantScale', 'dtype float16 with groups (int64 is per-channel only)', 'int64');
    check(!quantScale, 'quantScale', 'none beside an int64 antiquantScale', String(quantScale?.dtype));
  } else {
    check(scale.dtype === dtype, 'antiquantScale', `dtype ${dtype} as x${dtype === 'float16' ? ', or int64' : ''}`, scale.dtype);
  }
  const groups = group > 0 ? Math.ceil(k / group) : 1;
  const perChannel: readonly (readonly number[])[] = flipped ? [[n], [n, 1]] : [[n], [n, 1], [1, n]];
  const accepted = group > 0 ? [[n, groups]] : packedScale ? perChannel : [[1], [1, 1], ...perChannel];
  check(oneOf(scale.shape, accepted), 'antiquantScale', `shape ${showShapes(accepted.map(asCalled))}`, show(scale.shape));
  const mode = group > 0 ? 'group' : count(scale.shape) === 1 ? 'tensor' : 'channel';
  if (offset) {
    const wanted = packedScale ? 'int32' : dtype;
    check(offset.dtype === wanted, 'antiquantOffset', `dtype ${wanted}, to go with antiquantScale`, offset.dtype);
    check(same(offset.shape, scale.shape), 'antiquantOffset', `the shape of antiquantScale ${show(scale.shape)}`, show(offset.shape));
  }
  const columns = (name: string, view: View): ColumnView => {
    check(isContiguous(view) || isTransposed(view), name, 'a contiguous tensor or the transpose of one', `strides ${show(view.strides)}`);
    if (mode === 'group') return { dtype: view.dtype, strideG: view.strides[1]!, strideN: view.strides[0]! };
    return { dtype: view.dtype, strideG: 0, strideN: mode === 'tensor' ? 0 : 1 };
  };

  const outputs = checkOutputs(spec, views);
  check(!quantScale || weight.format === 'ND', 'weight', 'format ND for an int8 output', weight.format);
  return {
    n,
    k,
    bits,
    held: bits,
    mode,
    groupSize: group || k,
    groups,
    // The packed layout keeps the scales' dtype. 64-bit packed scales become float32, because no half holds their exponent.
    scaleDtype: packedScale ? 'float32' : (scale.dtype as FloatDType),
    shift: offset ? 'offset' : 'none',
    codebook: 'none',
    permuted: false,
    inputScaled: false,
    biased: views.bias !== undefined,
    requantized: quantScale !== undefined,
    weight: { nz, ...strides },
    scale: columns('antiquantScale', scale),
    offset: offset && columns('antiquantOffset', offset),
    ...outputs,
  };
}

/** Bias and the scale of an int8 output. @throws ArgumentError */
export function checkOutputs(
  { outFeatures: n, dtype }: Pick<LinearSpec, 'outFeatures' | 'dtype'>,
  { bias, quantScale, quantOffset }: Pick<WeightTensors<View>, 'bias' | 'quantScale' | 'quantOffset'>,
): Pick<Operands, 'bias' | 'quant'> {
  // bias
  const biasDtypes = dtype === 'bfloat16' ? ['float32', 'bfloat16'] : [dtype];
  if (bias) {
    check(biasDtypes.includes(bias.dtype), 'bias', `dtype ${biasDtypes.join(' or ')} beside ${dtype} x`, bias.dtype);
    const forms = [[n], [1, n], [1]];
    check(oneOf(bias.shape, forms), 'bias', `shape ${showShapes(forms)}`, showShape(bias.shape));
    check(isContiguous(bias), 'bias', 'a contiguous tensor', `strides ${showShape(bias.strides)}`);
  }

  // quantScale, quantOffset
  check(!quantOffset || quantScale !== undefined, 'quantOffset', 'a quantScale beside it', 'none');
  if (quantScale) {
    check(quantScale.dtype === 'float32' || quantScale.dtype === 'int64', 'quantScale', 'dtype float32 or int64', quantScale.dtype);
    const forms = [[n], [1, n], [1], [1, 1]];
    check(oneOf(quantScale.shape, forms), 'quantScale', `shape ${showShapes(forms)}`, showShape(quantScale.shape));
    check(isContiguous(quantScale), 'quantScale', 'a contiguous tensor', `strides ${showShape(quantScale.strides)}`);
    if (quantOffset) {
      check(quantOffset.dtype === 'float32', 'quantOffset', 'dtype float32', quantOffset.dtype);
      check(
        same(quantOffset.shape, quantScale.shape),
        'quantOffset',
        `the shape of quantScale ${showShape(quantScale.shape)}`,
        showShape(quantOffset.shape),
      );
      check(isContiguous(quantOffset), 'quantOffset', 'a contiguous tensor', `strides ${showShape(quantOffset.strides)}`);
    }
  }
  return {
    bias: bias && { dtype: bias.dtype, strideG: 0, strideN: count(bias.shape) === 1 ? 0 : 1 },
    quant: quantScale && {
      packed: quantScale.dtype === 'int64',
      stride: count(quantScale.shape) === 1 ? 0 : 1,
      // A packed scale holds its own offset; the hardware does not read another.
      offset: quantOffset !== undefined && quantScale.dtype === 'float32',
    },
  };
}

// --------------------------------------------------------------------------------------------------------------- x and y

/** Merges adjacent dimensions where stride = inner stride · inner size. Drops dimensions of one element. */
function runsOf(shape: readonly number[], strides: readonly number[]): { readonly size: number; readonly stride: number }[] {
  const runs: { size: number; stride: number }[] = [];
  for (let i = shape.length - 1; i >= 0; i--) {
    const [size, stride] = [shape[i]!, strides[i]!];
    const inner = runs[0];
    if (size === 1) continue;
    if (inner && stride === inner.stride * inner.size) inner.size *= size;
    else runs.unshift({ size, stride });
  }
  return runs;
}

/**
 * How to read x (…, K) as M rows. Strides may be any if the rows form batches of equal rows: columns of a wider matrix, every second row,
 * a transposed matrix, one row repeated (stride 0).
 * @throws ArgumentError
 */
export function checkX(spec: Pick<LinearSpec, 'inFeatures' | 'dtype'>, x: View): { readonly m: number; readonly view: XView } {
  const { inFeatures: k, dtype } = spec;
  check(x.format === 'ND', 'x', 'format ND', x.format);
  check(x.dtype === dtype, 'x', `dtype ${dtype}`, x.dtype);
  check(x.shape.length >= 1, 'x', `at least one dimension (…, ${k})`, showShape(x.shape));
  check(x.shape.at(-1) === k, 'x', `a last dimension of K = ${k}`, showShape(x.shape));
  const leading = x.shape.slice(0, -1);
  const m = count(leading);
  const [offset, strideK] = [x.offset, k === 1 ? 1 : x.strides.at(-1)!];
  const batchRows = leading.at(-1) ?? 1;
  const strideM = batchRows === 1 ? k * strideK : x.strides.at(-2)!;
  const batches = runsOf(leading.slice(0, -1), x.strides.slice(0, -2));
  if (batches.length <= 1) {
    const strideB = batches[0]?.stride ?? batchRows * k;
    return { m, view: { offset, batchRows, strideB, strideM, strideK } };
  }
  const [outer, inner, ...more] = runsOf(leading, x.strides.slice(0, -1));
  check(
    inner !== undefined && more.length === 0,
    'x',
    'rows in batches of equal rows; contiguous() makes them so',
    `strides ${showShape(x.strides)}`,
  );
  return { m, view: { offset, batchRows: inner.size, strideB: outer!.stride, strideM: inner.stride, strideK } };
}

/** Ids on the GPU. @throws ArgumentError */
export function checkIds({ dtype, format, shape, strides }: View): void {
  check(format === 'ND', 'ids', 'format ND', format);
  check(dtype === 'int32', 'ids', 'dtype int32', dtype);
  check(isContiguous({ shape, strides }), 'ids', 'a contiguous tensor', `strides ${showShape(strides)}`);
}

/** A y (…, K) for m rows of weights. @throws ArgumentError */
export function checkRowsY(
  { k, m, dtype }: { readonly k: number; readonly m: number; readonly dtype: FloatDType | undefined },
  y: View,
): void {
  check(y.format === 'ND', 'y', 'format ND', y.format);
  check(dtype ? y.dtype === dtype : FLOATS.includes(y.dtype), 'y', `dtype ${dtype ?? FLOATS.join(' or ')}`, y.dtype);
  const fits = y.shape.at(-1) === k && count(y.shape.slice(0, -1)) === m;
  check(fits, 'y', `shape (…, ${k}) with ${m} rows`, showShape(y.shape));
  check(isContiguous(y), 'y', 'a contiguous tensor', `strides ${showShape(y.strides)}`);
}

/** Ids or values of the best of m rows. @throws ArgumentError */
export function checkBest(name: 'ids' | 'values', m: number, { dtype, format, shape, strides }: View): void {
  const wanted = name === 'ids' ? 'int32' : 'float32';
  check(format === 'ND', name, 'format ND', format);
  check(dtype === wanted, name, `dtype ${wanted}`, dtype);
  check(count(shape) === m, name, `an element for each of ${m} rows`, showShape(shape));
  check(isContiguous({ shape, strides }), name, 'a contiguous tensor', `strides ${showShape(strides)}`);
}

/** Where in its buffer y takes the product's m rows. @throws ArgumentError if it cannot */
export function checkY(spec: LinearSpec, m: number, y: View): { readonly offset: number; readonly pitch: number } {
  const dtype = yDtypeOf(spec, { requantized: spec.quantScale });
  const { outFeatures: n } = spec;
  check(y.format === 'ND', 'y', 'format ND', y.format);
  check(y.dtype === dtype, 'y', `dtype ${dtype}`, y.dtype);
  const fits = y.shape.at(-1) === n && count(y.shape.slice(0, -1)) === m;
  check(fits, 'y', `shape (…, ${n}) with ${m} rows`, showShape(y.shape));
  if (isContiguous(y)) return { offset: y.offset, pitch: n };
  const [run, ...more] = runsOf(y.shape.slice(0, -1), y.strides.slice(0, -1));
  const apart = more.length === 0 && run !== undefined && run.stride >= n && (n === 1 || y.strides.at(-1) === 1);
  const quads = apart && n % 4 === 0 && run.stride % 4 === 0 && y.offset % 4 === 0;
  const wanted = 'a contiguous tensor, or columns of a wider one: N, the distance of rows and the first element multiples of 4';
  check(quads, 'y', wanted, `strides ${showShape(y.strides)} from element ${y.offset}`);
  return { offset: y.offset, pitch: run.stride };
}
