// A product as plain data: a layer's options, its weights, and the Problem that planning takes. checks.ts makes the first two from the
// caller's arguments.
import type { DType, FloatDType } from '../dtype.js';
import { type Bits, lowWords } from './code-width.js';
import type { ExpertPairs } from './experts.js';
import { columnsOfY, type Glu } from './glu.js';
import type { RowScale } from './row-scale.js';
import type { WeightFormat } from './weight-format.js';
import type { Digits } from './x-codes.js';

/** The options of torch_npu's LinearWeightQuant, by their camelCase names. */
export interface LinearOptions {
  /** K. */
  readonly inFeatures: number;
  /** N. */
  readonly outFeatures: number;
  readonly bias?: boolean;
  /** Dtype of x, y and the scales. */
  readonly dtype?: FloatDType;
  readonly antiquantOffset?: boolean;
  readonly quantScale?: boolean;
  readonly quantOffset?: boolean;
  /** Rows of w that share a scale; 0 for one scale per column or one for all. */
  readonly antiquantGroupSize?: number;
  /** 0: x is not rounded. 1: kernels may round x to int8 codes, 32 k at a time, where that is faster. */
  readonly innerPrecise?: number;
  /**
   * dtype: each dequantized weight is rounded to `dtype`, as the original's golden does: W = t(t(weight + offset) · scale). none: it is not.
   */
  readonly weightRounding?: 'none' | 'dtype';
  /** Dtype of y: `dtype`, or float32, which saves a residual stream one rounding. Not with a quantScale, whose y is int8. */
  readonly outputDtype?: FloatDType;
}
export type LinearSpec = Required<LinearOptions>;

/** Elements base + g·strideG + n·strideN. */
export interface ColumnView {
  readonly dtype: DType;
  readonly strideG: number;
  readonly strideN: number;
}

/** A layer's weights: sizes, dtypes and the formula that they follow. */
export interface Weights extends WeightFormat {
  readonly n: number;
  readonly k: number;
  readonly mode: 'tensor' | 'channel' | 'group';
  /** A number of whole words of codes; K without groups. */
  readonly groupSize: number;
  readonly groups: number;
  /** The codes' order of k differs from x's. */
  readonly permuted: boolean;
  /** Each input of x has a scale. */
  readonly inputScaled: boolean;
  readonly biased: boolean;
  /** y is int8. */
  readonly requantized: boolean;
  /** The columns are those of gate and up, in pairs that alternate, and y is this unit of them, half as wide. Absent: y is the product. */
  readonly glu?: Glu | undefined;
  /** y can have a twin: behind the bias are the scales of its columns. */
  readonly twinned?: boolean | undefined;
}

/** Weights of torch's tensors, whose codes fill their slots, and how to read each tensor. */
export interface Operands extends Weights {
  readonly bits: Bits;
  readonly scaleDtype: FloatDType;
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

/** Low words of codes in a group; without groups, in a column. */
export const groupWords = ({ groupSize, k, held }: Pick<Weights, 'groupSize' | 'k' | 'held'>): number =>
  lowWords(Math.min(groupSize, k), held);

/** The tensors that a layer is loaded from, or views of them. */
export interface WeightTensors<T> {
  readonly weight: T;
  readonly antiquantScale: T;
  readonly antiquantOffset?: T | undefined;
  readonly quantScale?: T | undefined;
  readonly quantOffset?: T | undefined;
  readonly bias?: T | undefined;
}

/** One product to plan. */
export interface Problem {
  /** Rows of x. */
  readonly m: number;
  readonly weights: Weights;
  readonly xDtype: FloatDType;
  readonly yDtype: FloatDType | 'int8';
  readonly innerPrecise: number;
  /** What dequantized weights are rounded to; float32: they are not rounded. */
  readonly weightDtype: FloatDType;
  /** Digits of x's codes, if x comes quantized. Its elements come too. */
  readonly xDigits?: Digits | undefined;
  readonly x: XView;
  /** First element of y, in elements. */
  readonly yOffset: number;
  /** Elements from a row of y to the next; its columns where there are no gaps. */
  readonly yPitch: number;
  /** The product is added to what y holds. */
  readonly adds: boolean;
  /** First element of y's twin in y's buffer: y times a scale of each column. */
  readonly twin?: number | undefined;
  /** First of the float32 scales of inputs that the call gives, beside those of the weights. */
  readonly inputScale?: number | undefined;
  /** What the sums of each row are multiplied by. */
  readonly rowScale?: RowScale | undefined;
  /** No y is asked for, but the greatest of each of its rows. */
  readonly best?: Best | undefined;
  /** Each layer's columns and y, if the weights are those of several layers side by side. */
  readonly layers?: readonly LayerColumns[] | undefined;
  /** The matrices that rows of x meet, if there are many. y has a row for each pair. */
  readonly experts?: ExpertPairs | undefined;
}

/** What is asked of each row of a product in place of y: the id and the value of its greatest element. */
export interface Best {
  /** How many columns count, from the first on. */
  readonly columns: number;
  /** First element of the ids in their buffer, and of the values in theirs. */
  readonly ids: number;
  readonly values: number;
}

type Sizes = Pick<Problem, 'm' | 'experts'>;
/** Pairs of rows of x and matrices. */
export const pairsOf = ({ m, experts }: Sizes): number => m * (experts?.perRow ?? 1);
/** Rows of y: pairs, or sums of them. */
export const rowsOfY = (problem: Sizes): number => pairsOf(problem) / (problem.experts?.summed?.top ?? 1);

/** A layer's columns among those of several layers, and its y: a matrix of `count` columns that starts at element `yOffset`. */
export interface LayerColumns {
  /** First column, a multiple of 128. Columns between two layers belong to no layer. */
  readonly begin: number;
  readonly count: number;
  readonly yOffset: number;
}

/** The part of a problem that reading x depends on. */
export type XProblem = Pick<Problem, 'm' | 'xDtype' | 'x' | 'rowScale' | 'inputScale'> & {
  readonly weights: Pick<Weights, 'k' | 'held' | 'permuted' | 'inputScaled'>;
};

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
  {
    m,
    x,
    y = {},
    adds = false,
    twin,
    inputScale,
    rowScale,
    best,
    xDigits,
    experts,
  }: {
    readonly m: number;
    readonly x: XView;
    readonly y?: Destination;
    readonly adds?: boolean | undefined;
    readonly twin?: number | undefined;
    readonly inputScale?: number | undefined;
    readonly rowScale?: RowScale | undefined;
    readonly best?: Best | undefined;
    readonly xDigits?: Digits | undefined;
    readonly experts?: ExpertPairs | undefined;
  },
): Problem {
  return {
    m,
    weights,
    xDtype: spec.dtype,
    yDtype: best ? 'float32' : yDtypeOf(spec, weights),
    innerPrecise: spec.innerPrecise,
    weightDtype: weightDtypeOf(spec),
    xDigits,
    x,
    yOffset: y.offset ?? 0,
    yPitch: y.pitch ?? columnsOfY(weights),
    adds,
    twin,
    inputScale,
    rowScale,
    best,
    layers: y.layers,
    experts,
  };
}

/** Where y goes: its first element and its row length, in elements; or, of several layers side by side, each one's columns. */
export interface Destination {
  readonly offset?: number;
  readonly pitch?: number;
  readonly layers?: readonly LayerColumns[];
}

/** What dequantized weights are rounded to; float32: they are not rounded. */
export const weightDtypeOf = ({ dtype, weightRounding }: Pick<LinearSpec, 'dtype' | 'weightRounding'>): FloatDType =>
  weightRounding === 'dtype' ? dtype : 'float32';

/** The dtype of y. */
export const yDtypeOf = (
  { outputDtype }: Pick<LinearSpec, 'outputDtype'>,
  { requantized }: Pick<Weights, 'requantized'>,
): Problem['yDtype'] => (requantized ? 'int8' : outputDtype);

/** The view of a contiguous x of `m` rows. */
export const contiguousX = (m: number, k: number): XView => ({ offset: 0, batchRows: m, strideB: m * k, strideM: k, strideK: 1 });
