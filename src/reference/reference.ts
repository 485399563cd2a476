// The CPU truth of the operator: the formula summed in float64 from the same bytes, and how far a float32 kernel may be from it.
// It shares the argument rules (checks.ts) and nothing else with the GPU path.

import {
  anything,
  type Check,
  fields,
  finiteNumber,
  oneOf,
  onlyFields,
  optional,
  sizes,
  typedArray,
  wholeNumber,
} from '../arguments/check.js';
import { fractalIndex, fractalLength, tileColumns } from '../ascend/fractal-nz.js';
import { unpackInt4 } from '../ascend/int4-pack.js';
import { decodeQuantParam, transQuantParam } from '../ascend/quant-param.js';
import { BYTES, type DType, decode16, type FloatDType, type Format, roundTo } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { type Accuracy, PRECISE } from '../problem/accuracy.js';
import { checkWeights, checkX } from '../problem/checks.js';
import { widthOf } from '../problem/code-width.js';
import { GLUS, type Glu } from '../problem/glu.js';
import { type Operands, weightDtypeOf, type XView } from '../problem/problem.js';
import { type FunctionalOptions, functionalSpec, NUMERIC } from '../problem/torch-arguments.js';
import { isTransposed, showShape, type View } from '../problem/view.js';
import { finish, type ReferenceResult, type Sums } from './sums.js';

/** The numbers of a tensor in memory; int64 as BigInt. */
export type HostData = Float32Array | Uint16Array | Int8Array | Int32Array | Uint32Array | BigInt64Array | BigUint64Array;

/** A tensor in the CPU's memory. float16 and bfloat16 are raw bits in a Uint16Array, or numbers in a Float32Array that are rounded to them. */
export interface HostTensor {
  readonly data: HostData;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** In elements; row-major without it. */
  readonly strides?: readonly number[];
  readonly format?: Format;
}

export const rowMajor = (shape: readonly number[]): number[] => shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));

/** The tensor with its last two dimensions swapped; the same bytes. */
export function transposeHost(tensor: HostTensor): HostTensor {
  const swap = (list: readonly number[]): number[] => [...list.slice(0, -2), list.at(-1)!, list.at(-2)!];
  return { ...tensor, shape: swap(tensor.shape), strides: swap(tensor.strides ?? rowMajor(tensor.shape)) };
}

/** What data of each dtype are in. */
const KINDS: Readonly<Record<DType, readonly string[]>> = {
  float32: ['Float32Array'],
  float16: ['Uint16Array', 'Float32Array'],
  bfloat16: ['Uint16Array', 'Float32Array'],
  int8: ['Int8Array'],
  int32: ['Int32Array', 'Uint32Array'],
  int64: ['BigInt64Array', 'BigUint64Array'],
};
const TENSOR = fields({
  data: anything,
  shape: sizes,
  dtype: oneOf(...(Object.keys(BYTES) as DType[])),
  strides: optional(sizes),
  format: optional(oneOf<Format>('ND', 'FRACTAL_NZ')),
});

/** What a caller gave as a tensor. @throws ArgumentError */
export function hostTensor(given: unknown, name: string): HostTensor {
  const tensor = TENSOR(given, name);
  const { shape, strides, dtype, format = 'ND' } = tensor;
  const data = typedArray<HostData>(...KINDS[dtype])(tensor.data, `${name}.data`);
  if (strides && strides.length !== shape.length) throw new ArgumentError(`${name}.strides`, `${shape.length} strides`, showShape(strides));
  if (format === 'FRACTAL_NZ' && shape.length < 2)
    throw new ArgumentError(`${name}.shape`, 'two or more dimensions for FRACTAL_NZ', showShape(shape));
  return { ...tensor, data };
}
/** The same, where undefined and null (torch's None) are none. */
export const optionalTensor: Check<HostTensor | undefined> = (given, name) =>
  given === undefined || given === null ? undefined : hostTensor(given, name);
const sumRun: Check<number> = (value, argument) => (value === Number.POSITIVE_INFINITY ? value : wholeNumber(1)(value, argument));
export const accuracy = fields({ codeBias: finiteNumber, xStep: finiteNumber, xRun: wholeNumber(1), sumRun, weightStep: finiteNumber });

export const hostView = (name: string, tensor: HostTensor): View => {
  const { data, shape, dtype, strides = rowMajor(shape), format = 'ND' } = tensor;
  const stored = isTransposed({ shape, strides }) ? [...shape].reverse() : shape;
  const span =
    format === 'FRACTAL_NZ' ? fractalLength(stored, dtype) : 1 + shape.reduce((sum, size, i) => sum + (size - 1) * strides[i]!, 0);
  if (!shape.includes(0) && data.length < span)
    throw new ArgumentError(name, `${span} elements for ${format} ${showShape(shape)}`, String(data.length));
  return { shape, strides, dtype, format, offset: 0 };
};

/** What is done to each part of a weight: float32 means nothing. Kernels round the float32 sum or product to the dtype, and so does this. */
export const weightRounder = (dtype: FloatDType): ((part: number) => number) =>
  dtype === 'float32' ? (part) => part : (part) => roundTo(part, dtype);

/** Every element as a number, in memory order. */
export function numbers({ data, dtype }: HostTensor): ArrayLike<number> {
  if (dtype === 'float16' || dtype === 'bfloat16') {
    return data instanceof Uint16Array ? decode16(data, dtype) : Float32Array.from(data as Float32Array, (value) => roundTo(value, dtype));
  }
  if (dtype === 'int64') return Float64Array.from(data as BigInt64Array, (value) => decodeQuantParam(value).scale);
  return data as Int8Array | Int32Array | Float32Array;
}

/** x as M rows of K numbers. */
export function readRows(
  x: HostTensor,
  { m, k, view: rows }: { readonly m: number; readonly k: number; readonly view: XView },
): Float64Array {
  const values = numbers(x);
  const xs = new Float64Array(m * k);
  for (let i = 0; i < m; i++) {
    const base = Math.floor(i / rows.batchRows) * rows.strideB + (i % rows.batchRows) * rows.strideM;
    for (let j = 0; j < k; j++) xs[i * k + j] = values[base + j * rows.strideK]!;
  }
  return xs;
}

/** q(n, k) as an Int8Array (N, K), whatever the weight's layout. */
function readCodes(weight: HostTensor, { n, k, bits, weight: layout }: Operands): Int8Array {
  const { inElement } = widthOf(bits);
  const codes = inElement > 1 ? unpackInt4(weight.data as Int32Array) : (weight.data as Int8Array);
  const width = tileColumns(weight.dtype) * inElement;
  const out = new Int8Array(n * k);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < k; j++) {
      const at =
        layout.nz === 0
          ? i * layout.strideN + j * layout.strideK
          : layout.nz === 1
            ? fractalIndex(i, j, n, width)
            : fractalIndex(j, i, k, width);
      out[i * k + j] = codes[at]!;
    }
  return out;
}

const OPTIONS = onlyFields({
  antiquantOffset: optionalTensor,
  quantScale: optionalTensor,
  quantOffset: optionalTensor,
  bias: optionalTensor,
  antiquantGroupSize: optional(wholeNumber(0)),
  innerPrecise: optional(oneOf(0, 1)),
  ...NUMERIC,
  accuracy: optional(accuracy),
  add: optionalTensor,
  rowScale: optional(anything),
  glu: optional(oneOf(...(Object.keys(GLUS) as Glu[]))),
});

/**
 * y = x · ((weight + antiquantOffset) · antiquantScale) + bias, or its int8 requantization, on the CPU: the arguments of
 * `weightQuantBatchMatmul`, as typed arrays. Sums in float64; y is rounded once.
 *
 * @param x (…, K) @param weight (K, N), or packed int4 (K, N/8); a transposed view for (N, K) storage
 * @param antiquantScale (1,), (N,), (1, N) or (G, N)
 * @param options.accuracy how the kernel sums whose result is judged (`explain(rows).accuracy`); plain float32 without it
 * @param options.add (…, N), of y's dtype: what the product is added to, before y is rounded
 * @param options.rowScale float32 factors (M,), or rows (M, D) for RMSNorm's: what the sums of each row are multiplied by before the bias
 * @param options.glu y is this gated linear unit of the first half of the columns, the gate's, and of the second: (…, N / 2)
 * @throws ArgumentError, in the same cases as the GPU path
 * @example reference({ data: x, shape: [1, 64], dtype: 'float32' }, { data: w, shape: [64, 8], dtype: 'int8' }, { data: s, shape: [8], dtype: 'float32' }).data
 */
export function reference(
  x: HostTensor,
  weight: HostTensor,
  antiquantScale: HostTensor,
  options: FunctionalOptions<HostTensor> & {
    readonly accuracy?: Accuracy;
    readonly add?: HostTensor | undefined;
    readonly glu?: Glu | undefined;
    readonly rowScale?: HostRowScale | undefined;
  } = {},
): ReferenceResult {
  const { accuracy: how = PRECISE, add, glu, rowScale, ...more } = OPTIONS(options, 'options');
  const input = hostTensor(x, 'x');
  const given = { weight: hostTensor(weight, 'weight'), antiquantScale: hostTensor(antiquantScale, 'antiquantScale'), ...more };
  const { spec, views, tensors } = functionalSpec(hostView('x', input), given, hostView, transposeHost);
  const operands = checkWeights(spec, views, { flipped: true });
  const { m, view: rows } = checkX(spec, hostView('x', input));
  const { n, k, groupSize, quant } = operands;

  const xs = readRows(input, { m, k, view: rows });
  const codes = readCodes(given.weight, operands);
  const scales = numbers(given.antiquantScale);
  const offsets = tensors.antiquantOffset && numbers(tensors.antiquantOffset);
  const biases = tensors.bias && numbers(tensors.bias);
  const { zero: zeroCode } = widthOf(operands.bits);
  const { codeBias } = how;
  const rounded = weightRounder(weightDtypeOf(spec));
  const shape = shapeOfY([...input.shape.slice(0, -1), n], { glu, add, quantized: quant !== undefined });
  return finish({
    xs,
    m,
    n,
    k,
    groups: operands.groups,
    groupSize,
    accuracy: how,
    column(c, { weights, sizes, scales: columnScales }) {
      for (let j = 0; j < k; j++) {
        const g = Math.floor(j / groupSize);
        const s = scales[g * operands.scale.strideG + c * operands.scale.strideN]!;
        const o = offsets ? offsets[g * operands.offset!.strideG + c * operands.offset!.strideN]! : 0;
        const q = codes[c * k + j]!;
        weights[j] = rounded(rounded(q + o) * s);
        sizes[j] = Math.abs(weights[j]!) + (zeroCode + codeBias) * Math.abs(s);
        columnScales[j] = s;
      }
    },
    bias: (c) => (biases ? biases[c * operands.bias!.strideN]! : 0),
    residual: add && residualOf(add, { shape, dtype: spec.outputDtype, quantized: quant !== undefined }),
    rowScale: rowScale === undefined ? undefined : rowScaleOf(rowScale, m),
    glu,
    shape,
    dtype: spec.outputDtype,
    quant: tensors.quantScale && { columns: quantColumns(tensors.quantScale, tensors.quantOffset), stride: quant!.stride },
  });
}

/** Factors of rows: float32 (M,), or RMSNorm's of float32 rows (M, D). */
export type HostRowScale = HostTensor | { readonly rms: HostTensor; readonly epsilon: number };
const RMS = fields({ rms: hostTensor, epsilon: finiteNumber });

/** The factors, and how far a kernel's may be from them: sums of squares in lanes, a division, an inverse square root. @throws ArgumentError */
export function rowScaleOf(given: unknown, m: number): NonNullable<Sums['rowScale']> {
  const squares = typeof given === 'object' && given !== null && 'rms' in given;
  const { rms, epsilon } = squares ? RMS(given, 'rowScale') : { rms: hostTensor(given, 'rowScale'), epsilon: 0 };
  const values = numbers(rms);
  const width = squares ? (rms.shape.at(-1) ?? 0) : 1;
  if (rms.dtype !== 'float32' || values.length !== m * width || width === 0)
    throw new ArgumentError('rowScale', squares ? `float32 rows of ${m}` : `${m} float32 factors`, `${rms.dtype} ${showShape(rms.shape)}`);
  if (!squares) return { factors: values, slack: 0 };
  const factors = Float64Array.from({ length: m }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < width; j++) sum += values[i * width + j]! ** 2;
    // Where float32 has no such sum, it has an infinity, and the factor is 0.
    return Number.isFinite(Math.fround(sum)) ? 1 / Math.sqrt(sum / width + epsilon) : 0;
  });
  return { factors, slack: (width / 64 + 80) * 2 ** -24 };
}

/** The shape of y from that of the product. @throws ArgumentError where a gated linear unit has a residual, an int8 y or an odd N */
export function shapeOfY(
  product: readonly number[],
  { glu, add, quantized }: { readonly glu: Glu | undefined; readonly add: HostTensor | undefined; readonly quantized: boolean },
): readonly number[] {
  const n = product.at(-1)!;
  if (!glu) return product;
  if (add || quantized) throw new ArgumentError('glu', 'none beside add or an int8 y', glu);
  if (n % 2 !== 0) throw new ArgumentError('glu', 'an even number of columns', String(n));
  return [...product.slice(0, -1), n / 2];
}

/** @throws ArgumentError if it has not the form of y */
export function residualOf(
  add: HostTensor,
  { shape, dtype, quantized }: { readonly shape: readonly number[]; readonly dtype: FloatDType; readonly quantized: boolean },
): ArrayLike<number> {
  if (quantized) throw new ArgumentError('add', 'none beside an int8 y', showShape(add.shape));
  const view = hostView('add', add);
  if (view.dtype !== dtype) throw new ArgumentError('add', `dtype ${dtype}, as y`, view.dtype);
  const fits = showShape(view.shape) === showShape(shape) && showShape(view.strides) === showShape(rowMajor(shape)) && view.format === 'ND';
  if (!fits)
    throw new ArgumentError(
      'add',
      `a contiguous tensor ${showShape(shape)}, as y`,
      `${showShape(view.shape)} of strides ${showShape(view.strides)}`,
    );
  return numbers(add);
}

/** Scale and offset of an int8 output, of each column or of all. */
export function quantColumns(scale: HostTensor, offset: HostTensor | undefined): { readonly scale: number; readonly offset: number }[] {
  const packed =
    scale.dtype === 'int64'
      ? (scale.data as BigInt64Array)
      : transQuantParam(scale.data as Float32Array, offset?.data as Float32Array | undefined);
  return Array.from(packed, decodeQuantParam);
}
