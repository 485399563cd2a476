// What is to be multiplied, as plain data: views of tensors, a layer's options and operands, and the Problem that planning gets.
// checks.ts makes these from the caller's arguments.
import type { DType, FloatDType, Format } from '../dtype.js';
import type { Digits } from './x-codes.js';

/** What checking needs of a tensor; class Tensor is one, and so is what the CPU reference takes. */
export interface View {
  readonly shape: readonly number[];
  /** In elements. */
  readonly strides: readonly number[];
  readonly dtype: DType;
  readonly format: Format;
  /** First element, counted in elements. */
  readonly offset: number;
}

/** The options of torch_npu's LinearWeightQuant, by their camelCase names. */
export interface LinearOptions {
  /** K. */
  readonly inFeatures: number;
  /** N. */
  readonly outFeatures: number;
  readonly bias?: boolean;
  /** Of x, y and the scales. */
  readonly dtype?: FloatDType;
  readonly antiquantOffset?: boolean;
  readonly quantScale?: boolean;
  readonly quantOffset?: boolean;
  /** Rows of w that share a scale; 0 for one scale per column or one for all. */
  readonly antiquantGroupSize?: number;
  /** 0: x is used as it is. 1: kernels may round x to int8 codes, 32 k at a time, where that is faster. */
  readonly innerPrecise?: number;
}
export type LinearSpec = Required<LinearOptions>;

/** Elements base + g·strideG + n·strideN. */
export interface ColumnView {
  readonly dtype: DType;
  readonly strideG: number;
  readonly strideN: number;
}

/** A layer's weights: what they mean. */
export interface Weights {
  readonly n: number;
  readonly k: number;
  readonly bits: 4 | 8;
  readonly mode: 'tensor' | 'channel' | 'group';
  /** K where there are no groups; else whole words of codes. */
  readonly groupSize: number;
  readonly groups: number;
  /** As the packed layout keeps scale and offset. */
  readonly scaleDtype: FloatDType;
  /** What is added: an offset to a code before it is scaled, or a minimum after. */
  readonly shift: 'none' | 'offset' | 'minimum';
  /** Codes are indices of 16 values. */
  readonly codebook: boolean;
  /** Column k of the codes meets another k of x. */
  readonly permuted: boolean;
  readonly biased: boolean;
  /** y is int8. */
  readonly requantized: boolean;
}

/** A layer's weights, and how to read each of the caller's tensors. */
export interface Operands extends Weights {
  readonly weight: {
    /** 0 strided, 1 FRACTAL_NZ of (N, K), 2 FRACTAL_NZ of (K, N). */
    readonly nz: 0 | 1 | 2;
    /** In codes. */
    readonly strideN: number;
    readonly strideK: number;
  };
  readonly scale: ColumnView;
  readonly offset: ColumnView | undefined;
  readonly bias: ColumnView | undefined;
  readonly quant: { readonly packed: boolean; readonly stride: 0 | 1; readonly offset: boolean } | undefined;
}

/** What a layer is loaded with, as tensors or as views of them. */
export interface WeightTensors<T> {
  readonly weight: T;
  readonly antiquantScale: T;
  readonly antiquantOffset?: T | undefined;
  readonly quantScale?: T | undefined;
  readonly quantOffset?: T | undefined;
  readonly bias?: T | undefined;
}

/** One product to be planned. */
export interface Problem {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly bits: 4 | 8;
  readonly mode: Weights['mode'];
  /** Whole words; or K where there are no groups. */
  readonly groupSize: number;
  readonly groups: number;
  readonly xDtype: FloatDType;
  readonly scaleDtype: FloatDType;
  readonly yDtype: FloatDType | 'int8';
  readonly shift: Weights['shift'];
  readonly codebook: boolean;
  readonly permuted: boolean;
  readonly bias: boolean;
  readonly innerPrecise: number;
  /** x comes quantized, with so many digits, beside its own elements. */
  readonly xDigits?: Digits | undefined;
  readonly x: XView;
  /** First element of y, in elements. */
  readonly yOffset: number;
  /** Where the columns go, if y is not one matrix: several layers' weights lie side by side. */
  readonly parts?: readonly Part[];
}

/** A layer's columns among those of several, and its y: a matrix of `count` columns that starts at element `yOffset`. */
export interface Part {
  /** First column; multiples of 128, between which the last columns of a layer may leave some that nobody has. */
  readonly begin: number;
  readonly count: number;
  readonly yOffset: number;
}

/** What reading x takes of a problem. */
export type XOf = Pick<Problem, 'm' | 'k' | 'bits' | 'xDtype' | 'x' | 'permuted'>;

/** Element offset + b·strideB + i·strideM + k·strideK of row m = b·batchRows + i. */
export interface XView {
  readonly offset: number;
  readonly batchRows: number;
  readonly strideB: number;
  readonly strideM: number;
  readonly strideK: number;
}

// ---------------------------------------------------------------------------------------------------------------- layouts

/** (2, 3) or (4,). */
export const showShape = (shape: readonly number[]): string => `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;

/** Row-major without gaps; strides of single elements do not count. */
export function isContiguous({ shape, strides }: Pick<View, 'shape' | 'strides'>): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i]!;
  }
  return true;
}

/** The last two dimensions stored the other way round, by torch's rule: (1, 1) is not. */
export function isTransposed({ shape, strides }: Pick<View, 'shape' | 'strides'>): boolean {
  const rank = shape.length;
  if (rank < 2) return false;
  const [rows, columns] = [shape[rank - 2]!, shape[rank - 1]!];
  if (rows === 1 && columns === 1) return false;
  if (strides[rank - 2] !== 1 || strides[rank - 1] !== rows) return false;
  const swapped = (list: readonly number[]) => [...list.slice(0, -2), list[rank - 1]!, list[rank - 2]!];
  return isContiguous({ shape: swapped(shape), strides: swapped(strides) });
}

/** The problem of multiplying `m` rows, laid out as `x`, into a y that starts at an element, or into parts. */
export function makeProblem(spec: LinearSpec, weights: Weights, m: number, x: XView, y: number | readonly Part[]): Problem {
  return {
    m,
    n: weights.n,
    k: weights.k,
    bits: weights.bits,
    mode: weights.mode,
    groupSize: weights.groupSize,
    groups: weights.groups,
    xDtype: spec.dtype,
    scaleDtype: weights.scaleDtype,
    yDtype: weights.requantized ? 'int8' : spec.dtype,
    shift: weights.shift,
    codebook: weights.codebook,
    permuted: weights.permuted,
    bias: weights.biased,
    innerPrecise: spec.innerPrecise,
    x,
    ...(typeof y === 'number' ? { yOffset: y } : { yOffset: 0, parts: y }),
  };
}

/** The layout of an x of `m` rows without gaps: what a caller most often has. */
export const contiguousX = (m: number, k: number): XView => ({ offset: 0, batchRows: m, strideB: m * k, strideM: k, strideK: 1 });
