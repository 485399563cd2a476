// What is to be multiplied, as plain data: a layer's options, its weights, and the Problem that planning gets. checks.ts makes the
// first two from the caller's arguments.
import type { DType, FloatDType } from '../dtype.js';
import { type Bits, wordsOf } from './code-width.js';
import type { Digits } from './x-codes.js';

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
  /** Of y: dtype, or float32, which spares a residual stream a rounding. Not beside a quantScale, whose y is int8. */
  readonly outputDtype?: FloatDType;
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
  readonly bits: Bits;
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

/** u32 words of codes in a group; all of a column's where there are no groups. */
export const groupWords = ({ groupSize, k, bits }: Pick<Weights, 'groupSize' | 'k' | 'bits'>): number =>
  wordsOf(Math.min(groupSize, k), bits);

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
  readonly weights: Weights;
  readonly xDtype: FloatDType;
  readonly yDtype: FloatDType | 'int8';
  readonly innerPrecise: number;
  /** x comes quantized, with so many digits, beside its own elements. */
  readonly xDigits?: Digits | undefined;
  readonly x: XView;
  /** First element of y, in elements. */
  readonly yOffset: number;
  /** Elements from a row of y to the next; N where there are no gaps. */
  readonly yPitch: number;
  /** Where the columns go, if the weights are those of several layers side by side and each layer has a y. */
  readonly layers?: readonly LayerColumns[] | undefined;
}

/** A layer's columns among those of several, and its y: a matrix of `count` columns that starts at element `yOffset`. */
export interface LayerColumns {
  /** First column; multiples of 128, between which the last columns of a layer may leave some that belong to no layer. */
  readonly begin: number;
  readonly count: number;
  readonly yOffset: number;
}

/** As much of a problem as reading x takes. */
export type XProblem = Pick<Problem, 'm' | 'xDtype' | 'x'> & { readonly weights: Pick<Weights, 'k' | 'bits' | 'permuted'> };

/** Element offset + b·strideB + i·strideM + k·strideK of row m = b·batchRows + i. */
export interface XView {
  readonly offset: number;
  readonly batchRows: number;
  readonly strideB: number;
  readonly strideM: number;
  readonly strideK: number;
}

/** The problem of multiplying `m` rows, laid out as `x`, into a y that starts at an element, or into several layers' ys. */
export function makeProblem(
  { spec, weights }: { readonly spec: LinearSpec; readonly weights: Weights },
  { m, x, y = {}, xDigits }: { readonly m: number; readonly x: XView; readonly y?: Destination; readonly xDigits?: Digits | undefined },
): Problem {
  return {
    m,
    weights,
    xDtype: spec.dtype,
    yDtype: yDtypeOf(spec, weights),
    innerPrecise: spec.innerPrecise,
    xDigits,
    x,
    yOffset: y.offset ?? 0,
    yPitch: y.pitch ?? weights.n,
    layers: y.layers,
  };
}

/** Where y goes: its first element and its row length, in elements; or, of several layers side by side, each one's columns. */
export interface Destination {
  readonly offset?: number;
  readonly pitch?: number;
  readonly layers?: readonly LayerColumns[];
}

/** The dtype of y. */
export const yDtypeOf = (
  { outputDtype }: Pick<LinearSpec, 'outputDtype'>,
  { requantized }: Pick<Weights, 'requantized'>,
): Problem['yDtype'] => (requantized ? 'int8' : outputDtype);

/** The layout of an x of `m` rows without gaps: what a caller most often has. */
export const contiguousX = (m: number, k: number): XView => ({ offset: 0, batchRows: m, strideB: m * k, strideM: k, strideK: 1 });
