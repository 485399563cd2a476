// Options of `quantize`: checks them and fills in defaults. It does not read weights, only their number.

import {
  anything,
  dictionary,
  fields,
  finiteNumber,
  flag,
  float32s,
  oneOf,
  optional,
  property,
  typedArray,
  wholeNumber,
} from '../arguments/check.js';
import { arrayKind, showValue } from '../arguments/show-value.js';
import type { FloatDType } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { type Bits, CODE_WIDTHS, widthOf } from '../problem/code-width.js';

/** The weights that share a scale: all, those of an output (a row), or `groupSize` inputs of an output. */
export type Mode = 'tensor' | 'channel' | 'group';
/** How the scale and the zero point of a group are chosen; docs/quantizers.md. */
export type Method = 'minmax' | 'mse' | 'hqq';

/** float32 numbers, or the bits of float16 or bfloat16. */
export type Weights = Float32Array | Uint16Array;

/** Statistics of the layer's inputs x: exactly one of the first four. docs/quantizers.md compares them. */
export interface Activations {
  /** (K): mean of |x[k]|. Squared, it weights the errors. */
  readonly meanAbs?: Float32Array | undefined;
  /** (K): mean of x[k]². It weights the errors. */
  readonly meanSquare?: Float32Array | undefined;
  /** (K, K), symmetric: sum or mean of xᵀ·x. The weights after a weight compensate its error (GPTQ). */
  readonly hessian?: Float32Array | undefined;
  /** (M, K): rows of x, from which the Hessian is computed. */
  readonly x?: Float32Array | undefined;
  /** With a Hessian: the share of its mean diagonal that is added to the diagonal. Default 0.01. */
  readonly damp?: number | undefined;
}

/** Options of `quantize`: sizes, bits, groups, method. */
export interface QuantizeOptions {
  /** Outputs. */
  readonly n: number;
  /** Inputs. */
  readonly k: number;
  readonly bits: Bits;
  /** Default `group` if a groupSize is given, else `channel`. */
  readonly mode?: Mode | undefined;
  /** For `group`: k that share a scale, a multiple of 32 / bits up to K. Default 128. 0 without a mode: a scale for each output. */
  readonly groupSize?: number | undefined;
  /** No zero points: codes stand for -(2^(bits-1)-1) … 2^(bits-1)-1. Default false. */
  readonly symmetric?: boolean | undefined;
  /** Default `minmax`. */
  readonly method?: Method | undefined;
  /** Dtype to which scales are rounded before codes are computed. Default float16. */
  readonly scaleDtype?: FloatDType | undefined;
  /** Dtype of the weights. Default float32 for a Float32Array, float16 for a Uint16Array. */
  readonly dtype?: FloatDType | undefined;
  readonly activations?: Activations | undefined;
  /**
   * `search`: scales of the inputs by AWQ's search over the activations. The matrix has their inverse as `inputScale`, if some are better
   * than none. Default: none.
   */
  readonly inputScale?: 'search' | undefined;
}

/** The options with defaults, and numbers that follow from them. */
export interface Settings {
  readonly n: number;
  readonly k: number;
  readonly bits: Bits;
  readonly mode: Mode;
  /** K unless the mode is `group`. */
  readonly groupSize: number;
  readonly symmetric: boolean;
  readonly method: Method;
  readonly scaleDtype: FloatDType;
  readonly dtype: FloatDType;
  readonly activations: Activations | undefined;
  readonly inputScale: 'search' | undefined;
  /** The largest code. */
  readonly top: number;
  /** 2^(bits-1): the code of weight 0 without a zero point. */
  readonly middle: number;
}

const float = oneOf<FloatDType>('float32', 'float16', 'bfloat16');
const OPTIONS = fields({
  n: wholeNumber(1),
  k: wholeNumber(1),
  bits: oneOf(...CODE_WIDTHS.map((width) => width.bits)),
  mode: optional(oneOf<Mode>('tensor', 'channel', 'group')),
  groupSize: optional(wholeNumber(0)),
  symmetric: optional(flag),
  method: optional(oneOf<Method>('minmax', 'mse', 'hqq')),
  scaleDtype: optional(float),
  dtype: optional(float),
  activations: optional(dictionary(anything)),
  inputScale: optional(oneOf<'search'>('search')),
});

/** Checks all but the weights and the activations' values. @throws ArgumentError */
export function checkForm(options: QuantizeOptions): Settings {
  const given = OPTIONS(options, 'options');
  const { n, k, bits, symmetric = false, method = 'minmax', scaleDtype = 'float16', dtype = 'float32' } = given;
  const said = given.groupSize === 0 ? undefined : given.groupSize; // 0 means no groups, as on the command line
  const mode: Mode = given.mode ?? (said === undefined ? 'channel' : 'group');
  const groupSize = mode === 'group' ? (given.groupSize ?? 128) : k;
  const { inWord, mask: top, zero: middle } = widthOf(bits);
  const whole = groupSize >= 1 && groupSize <= k && (groupSize % inWord === 0 || groupSize === k);
  if (!whole) throw new ArgumentError('groupSize', `a multiple of ${inWord} up to K = ${k}, or K`, String(groupSize));
  if (mode !== 'group' && said !== undefined && said !== k)
    throw new ArgumentError('groupSize', `none, or K = ${k}, for mode ${mode}`, String(said));
  if (symmetric && method === 'hqq') throw new ArgumentError('symmetric', 'false for hqq, which looks for zero points', 'true');
  const activations = given.activations && checkActivations(given.activations, k);
  const { inputScale } = given;
  if (inputScale && !activations) throw new ArgumentError('activations', "some, for inputScale 'search'", 'none');
  return { n, k, bits, mode, groupSize, symmetric, method, scaleDtype, dtype, activations, inputScale, top, middle };
}

const WEIGHTS = typedArray<Weights>('Float32Array', 'Uint16Array');

/** @throws ArgumentError */
export function checkQuantize(weights: Weights, options: QuantizeOptions): Settings {
  const settings = checkForm(options);
  const { n, k } = settings;
  WEIGHTS(weights, 'weights');
  if (weights.length !== n * k) throw new ArgumentError('weights', `${n * k} elements for (${n}, ${k})`, showValue(weights));
  const isFloat32 = arrayKind(weights) === 'Float32Array';
  const said = property(options, 'dtype', 'dtype');
  const dtype = said === undefined ? (isFloat32 ? 'float32' : 'float16') : settings.dtype;
  oneOf<FloatDType>(...(isFloat32 ? (['float32'] as const) : (['float16', 'bfloat16'] as const)))(dtype, 'dtype');
  return { ...settings, dtype };
}

const MEANS: readonly string[] = ['meanAbs', 'meanSquare', 'hessian', 'x'];

function checkActivations({ damp, ...given }: Readonly<Record<string, unknown>>, k: number): Activations {
  const there = Object.entries(given).filter(([, values]) => values !== undefined);
  if (there.length !== 1 || !MEANS.includes(there[0]![0]))
    throw new ArgumentError('activations', `one of ${MEANS.join(', ')}`, there.map(([name]) => name).join(' and ') || 'none');
  const [name, list] = there[0]!;
  const argument = `activations.${name}`;
  const values = float32s(list, argument);
  const fits = name === 'x' ? values.length > 0 && values.length % k === 0 : values.length === (name === 'hessian' ? k * k : k);
  const expected = name === 'x' ? `rows of ${k} values` : `${name === 'hessian' ? k * k : k} values`;
  if (!fits) throw new ArgumentError(argument, expected, String(values.length));
  const bad = values.findIndex((value) => !Number.isFinite(value) || (value < 0 && name.startsWith('mean')));
  if (bad >= 0) throw new ArgumentError(`${argument}[${bad}]`, 'a finite number, not below 0 if it is a mean', String(values[bad]));
  if (damp !== undefined && !(finiteNumber(damp, 'activations.damp') >= 0))
    throw new ArgumentError('activations.damp', 'a finite number of at least 0', String(damp));
  return { [name]: values, ...(damp !== undefined && { damp: damp as number }) };
}
