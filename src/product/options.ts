// What a caller gives to a product, and asks of it beyond y = x · W + bias; checked.

import { anything, finiteNumber, flag, onlyFields, optional, reading } from '../arguments/check.js';
import { ArgumentError } from '../errors.js';
import type { Taken } from '../gpu/guard.js';
import { Tensor } from '../gpu/tensor.js';
import type { IDS, SORTED } from '../plan/pair-steps.js';
import type { ExpertPairs } from '../problem/experts.js';
import type { RowScale } from '../problem/row-scale.js';
import { isContiguous, showShape } from '../problem/view.js';
import type { Digits } from '../problem/x-codes.js';

/** x, with its codes if it came quantized, and with its experts if there are many matrices. */
export interface Input {
  readonly x: Tensor;
  readonly codes?: Tensor;
  readonly digits?: Digits;
  /** Ids of experts, or pairs that came sorted. */
  readonly pairs?: {
    readonly role: typeof IDS | typeof SORTED;
    readonly tensor: Tensor;
    /** By which the products of pairs are multiplied before they are summed. */
    readonly weights?: Tensor | undefined;
    readonly experts: ExpertPairs;
  };
  /** Rejects if the work that writes any of them failed. */
  readonly written: Taken | undefined;
}

/** Does y share a buffer with what is read? */
export const sharesBuffer = ({ x, codes, pairs }: Input, y: Tensor): boolean =>
  [x, codes, pairs?.tensor, pairs?.weights].some((tensor) => tensor?.buffer === y.buffer);

/** What a caller asks of one product beyond y = x · W + bias. */
export interface ProductOptions {
  /**
   * y = add + x · W + bias: the residual of a transformer's block, at no dispatch more. It is y itself, or another Tensor of the same
   * elements: one binding is then read and written. The sum is made in float32 and y is rounded once. Not for an int8 y.
   */
  readonly add?: Tensor | undefined;
  /**
   * What the sums of each row are multiplied by before the bias: float32 factors (M,), or RMSNorm's factor 1 / √(mean x² + epsilon) of each row
   * of a float32 tensor (M, D). With RMSNorm's weight in x already, the product is that of the norm. It is no dispatch more where one row
   * is multiplied and the tensor lies in x's buffer; otherwise x passes through rows in scratch memory. Not for quantized rows.
   */
  readonly rowScale?: RowScaled | undefined;
  /**
   * A float32 scale of each input (K,): x ∘ inputScale is multiplied, beside the layer's own scales of inputs. With RMSNorm's weight and its
   * factor as the `rowScale` it is that norm's product, in three dispatches; the twin of the product before saves two. Not for quantized rows.
   */
  readonly inputScale?: Tensor | undefined;
  /**
   * Where y's twin goes, y ∘ the scale of `leaveTwin`: a Tensor of y's dtype and shape in y's buffer, beside it. y and it are contiguous and
   * begin at multiples of four elements; N is one, too.
   */
  readonly twin?: Tensor | undefined;
}
/** What the sums of rows are multiplied by: float32 factors (M,), or the float32 rows (M, D) of RMSNorm's factors and their epsilon. */
export type RowScaled = Tensor | { readonly rms: Tensor; readonly epsilon: number };

const OPTIONS = onlyFields({
  add: optional(anything),
  rowScale: optional(anything),
  inputScale: optional(anything),
  twin: optional(anything),
});
/** Squares that float32 takes for 0 are nothing beside it. */
const LEAST_EPSILON = 1e-12;
const RMS = onlyFields({ rms: anything, epsilon: finiteNumber });

/** Factors of rows: how to read them, and whose buffer they are in. */
export interface ScaledBy {
  readonly rowScale: RowScale;
  readonly tensor: Tensor;
}

/** What a call multiplies x with on its way. */
export interface Scales {
  readonly scaled?: ScaledBy | undefined;
  readonly inputScale?: Tensor | undefined;
}
/** What a call asks for beyond the product. */
export interface Asked extends Scales {
  readonly adds: boolean;
  readonly twin: Tensor | undefined;
}
/** @throws ArgumentError */
export function askedOf(
  options: ProductOptions | undefined,
  { input, m, y }: { readonly input: Input; readonly m: number; readonly y: Tensor },
): Asked {
  if (options === undefined) return { adds: false, twin: undefined };
  const { add, rowScale, inputScale, twin } = OPTIONS(options, 'options');
  return { ...beside(y, { add, twin }), ...scalesOf({ rowScale, inputScale }, { input, m, y }) };
}

/** What a product with experts can ask for. */
export type ExpertOptions = Pick<ProductOptions, 'add' | 'twin'>;
const EXPERT_OPTIONS = onlyFields({ add: optional(anything), twin: optional(anything) });

/** @internal @throws ArgumentError */
export const askedOfExperts = (options: ExpertOptions | undefined, y: Tensor): Pick<Asked, 'adds' | 'twin'> =>
  beside(y, options === undefined ? {} : EXPERT_OPTIONS(options, 'options'));

/** What y holds before, and what lies beside it. @throws ArgumentError */
const beside = (y: Tensor, { add, twin }: { readonly add?: unknown; readonly twin?: unknown }): Pick<Asked, 'adds' | 'twin'> => ({
  adds: add !== undefined && addsTo(y, add),
  twin: twin === undefined ? undefined : twinOf(twin, y),
});

/** @throws ArgumentError */
function twinOf(given: unknown, y: Tensor): Tensor {
  const twin = Tensor.given(given, 'twin', y.device);
  if (twin.buffer !== y.buffer) throw new ArgumentError('twin', 'the buffer of y', 'another one');
  const same = twin.dtype === y.dtype && showShape(twin.shape) === showShape(y.shape) && isContiguous(twin) && isContiguous(y);
  if (!same) throw new ArgumentError('twin', `contiguous, as y: ${placeOf(y)}`, placeOf(twin));
  const apart = Math.abs(twin.offset - y.offset) >= y.shape.reduce((a, b) => a * b, 1);
  if (!apart) throw new ArgumentError('twin', 'elements that are not of y', `those from ${twin.offset} on, where y begins at ${y.offset}`);
  if (twin.offset % 4 !== 0) throw new ArgumentError('twin', 'a first element at a multiple of 4', String(twin.offset));
  return twin;
}

/** @internal Is it RMSNorm's factor, and no tensor of factors? */
export const ofSquares = (given: unknown): given is Exclude<RowScaled, Tensor> =>
  typeof given === 'object' && given !== null && reading('rowScale', () => 'rms' in given);

/** What a product into a new y can ask for: nothing that y must hold or lie beside. */
export type ForwardOptions = Pick<ProductOptions, 'rowScale' | 'inputScale'>;
const SCALED = { rowScale: optional(anything), inputScale: optional(anything) };
/** @internal */
export const FORWARD = onlyFields(SCALED);

/** Where a new y lies. */
export interface OutputOptions {
  /**
   * y lies alone in a new GPUBuffer, from its first byte on, that nobody else has: `destroy` frees it, and it never goes back to the layer.
   * A library that is given `y.buffer` may destroy it itself. Without it a destroyed y gives its buffer to a later call, and ys of
   * `forwardMany` may share one. Each call then allocates and records anew.
   */
  readonly ownBuffer?: boolean | undefined;
}
/** @internal */
export const OUTPUT = onlyFields({ ownBuffer: optional(flag) });
/** @internal */
export const FORWARD_TO = onlyFields({ ...SCALED, ownBuffer: optional(flag) });

/** @throws ArgumentError */
export function scalesOf(
  { rowScale, inputScale }: { readonly rowScale?: unknown; readonly inputScale?: unknown },
  of: { readonly input: Input; readonly m: number; readonly y?: Tensor },
): Scales {
  return {
    scaled: rowScale === undefined ? undefined : scaledBy(rowScale, of),
    inputScale: inputScale === undefined ? undefined : inputScaleOf(inputScale, of),
  };
}

/** @throws ArgumentError */
function inputScaleOf(given: unknown, { input, y }: { readonly input: Input; readonly y?: Tensor }): Tensor {
  const name = 'inputScale';
  const scale = Tensor.given(given, name, input.x.device);
  const k = input.x.shape.at(-1)!;
  const fits =
    scale.dtype === 'float32' && scale.format === 'ND' && scale.shape.length === 1 && scale.shape[0] === k && isContiguous(scale);
  if (!fits) throw new ArgumentError(name, `contiguous float32 (${k})`, placeOf(scale));
  if (scale.buffer === y?.buffer) throw new ArgumentError(name, 'another buffer than y', 'the same one');
  if (input.codes) throw new ArgumentError(name, 'none beside quantized rows', 'one');
  return scale;
}

/** @throws ArgumentError */
function scaledBy(given: unknown, { input, m, y }: { readonly input: Input; readonly m: number; readonly y?: Tensor }): ScaledBy {
  const isTensor = !ofSquares(given);
  const { rms, epsilon } = isTensor ? { rms: given, epsilon: 0 } : RMS(given, 'rowScale');
  const name = isTensor ? 'rowScale' : 'rowScale.rms';
  const tensor = Tensor.given(rms, name, input.x.device);
  const { shape, dtype, offset } = tensor;
  const rows = shape.slice(0, isTensor ? undefined : -1).reduce((a, b) => a * b, 1);
  if (dtype !== 'float32' || !isContiguous(tensor) || tensor.format !== 'ND')
    throw new ArgumentError(name, 'a contiguous float32 tensor', placeOf(tensor));
  if (rows !== m || (!isTensor && (shape.length < 1 || shape.at(-1) === 0)))
    throw new ArgumentError(name, isTensor ? `a factor for each of ${m} rows` : `(…, D) of ${m} rows`, showShape(shape));
  if (!isTensor && !(epsilon >= LEAST_EPSILON))
    throw new ArgumentError('rowScale.epsilon', `a number of at least ${LEAST_EPSILON}`, String(epsilon));
  if (tensor.buffer === y?.buffer) throw new ArgumentError(name, 'another buffer than y', 'the same one');
  if (input.codes) throw new ArgumentError(name, 'none beside quantized rows', 'one');
  const place = { beside: tensor.buffer === input.x.buffer, offset, by: 'rows' } as const;
  if (isTensor) return { tensor, rowScale: { ...place, of: 'factors' } };
  const width = shape.at(-1)!;
  return { tensor, rowScale: { ...place, of: 'rms', pitch: width, width, epsilon: Math.fround(epsilon) } };
}

const placeOf = ({ dtype, format, byteOffset, shape, strides }: Tensor): string =>
  `${format} ${dtype} ${showShape(shape)} of strides ${showShape(strides)} from byte ${byteOffset}`;

/** Is the product added to what y holds? @throws ArgumentError if `add` is not y, or if y is int8 */
function addsTo(y: Tensor, add: unknown): boolean {
  if (y.dtype === 'int8') throw new ArgumentError('add', 'none beside an int8 y', 'one');
  if (add === y) return true;
  const residual = Tensor.given(add, 'add', y.device);
  if (residual.buffer !== y.buffer) throw new ArgumentError('add', 'the buffer of y', 'another one');
  if (placeOf(residual) !== placeOf(y)) throw new ArgumentError('add', placeOf(y), placeOf(residual));
  return true;
}
