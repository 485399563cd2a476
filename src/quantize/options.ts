// What quantize takes, checked and with every default filled in. Nothing here looks at a weight but at how many there are.
import type { FloatDType } from '../dtype.js';
import { ArgumentError } from '../errors.js';

/** What shares a scale: the whole matrix, an output (a row of weights), or `groupSize` inputs of an output. */
export type Mode = 'tensor' | 'channel' | 'group';
/** How the scale and the zero point of a group are chosen; docs/quantizers.md. */
export type Method = 'minmax' | 'mse' | 'hqq';

/** float32 numbers, or the bits of float16 or bfloat16. */
export type Weights = Float32Array | Uint16Array;

/** What is known of the inputs x of the layer; exactly one of the four. docs/quantizers.md says what each buys. */
export interface Activations {
  /** (K): mean of |x[k]|. Squared, it weights the errors. */
  readonly meanAbs?: Float32Array | undefined;
  /** (K): mean of x[k]². It weights the errors. */
  readonly meanSquare?: Float32Array | undefined;
  /** (K, K), symmetric: sum or mean of xᵀ·x. Each weight's error is made good by the weights after it. */
  readonly hessian?: Float32Array | undefined;
  /** (M, K), rows of x: the Hessian is made of them. */
  readonly x?: Float32Array | undefined;
  /** With a Hessian: the part of its mean diagonal that is added to every entry of its diagonal. Default 0.01. */
  readonly damp?: number | undefined;
}

export interface QuantizeOptions {
  /** Outputs. */
  readonly n: number;
  /** Inputs. */
  readonly k: number;
  readonly bits: 4 | 8;
  /** Default `group` where a groupSize is given, else `channel`. */
  readonly mode?: Mode | undefined;
  /** For `group`: k that share a scale, a multiple of 32 / bits up to K. Default 128. 0 without a mode: a scale for each output. */
  readonly groupSize?: number | undefined;
  /** No zero points: codes stand for -(2^(bits-1)-1) … 2^(bits-1)-1. Default false. */
  readonly symmetric?: boolean | undefined;
  /** Default `minmax`. */
  readonly method?: Method | undefined;
  /** Scales are rounded to it before codes are made. Default float16. */
  readonly scaleDtype?: FloatDType | undefined;
  /** Of weights given as bits. Default float32 for a Float32Array, float16 for a Uint16Array. */
  readonly dtype?: FloatDType | undefined;
  readonly activations?: Activations | undefined;
}

/** The options without gaps, and the numbers that follow from them. */
export interface Settings {
  readonly n: number;
  readonly k: number;
  readonly bits: 4 | 8;
  readonly mode: Mode;
  /** K unless the mode is `group`. */
  readonly groupSize: number;
  readonly symmetric: boolean;
  readonly method: Method;
  readonly scaleDtype: FloatDType;
  readonly dtype: FloatDType;
  readonly activations: Activations | undefined;
  /** The largest code. */
  readonly top: number;
  /** 2^(bits-1): the zero point where there is none. */
  readonly middle: number;
}

const FLOATS: readonly FloatDType[] = ['float32', 'float16', 'bfloat16'];

function oneOf<T>(name: string, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value)) throw new ArgumentError(name, allowed.join(' or '), String(value));
  return value;
}

/** All but what is said of the weights' and activations' values. @throws ArgumentError */
export function checkForm(options: QuantizeOptions): Settings {
  const { n, k, bits, symmetric = false, method = 'minmax', scaleDtype = 'float16', dtype = 'float32', activations } = options;
  for (const [name, value] of Object.entries({ n, k }))
    if (!Number.isSafeInteger(value) || value < 1) throw new ArgumentError(name, 'a whole number of at least 1', String(value));
  oneOf('bits', bits, [4, 8]);
  oneOf('symmetric', symmetric, [false, true]);
  oneOf('method', method, ['minmax', 'mse', 'hqq']);
  oneOf('scaleDtype', scaleDtype, FLOATS);
  const said = options.groupSize === 0 ? undefined : options.groupSize; // 0, as the command line has it: no groups
  const mode: Mode = oneOf<Mode>('mode', options.mode ?? (said === undefined ? 'channel' : 'group'), ['tensor', 'channel', 'group']);
  const groupSize = mode === 'group' ? (options.groupSize ?? 128) : k;
  const inWord = 32 / bits;
  const whole = Number.isInteger(groupSize) && groupSize >= 1 && groupSize <= k && (groupSize % inWord === 0 || groupSize === k);
  if (!whole) throw new ArgumentError('groupSize', `a multiple of ${inWord} up to K = ${k}, or K`, String(groupSize));
  if (mode !== 'group' && said !== undefined && said !== k)
    throw new ArgumentError('groupSize', `none, or K = ${k}, for mode ${mode}`, String(options.groupSize));
  if (symmetric && method === 'hqq') throw new ArgumentError('symmetric', 'false for hqq, which looks for zero points', 'true');
  const settled = { n, k, bits, mode, groupSize, symmetric, method, scaleDtype, dtype, activations };
  return { ...settled, top: 2 ** bits - 1, middle: 2 ** (bits - 1) };
}

/** @throws ArgumentError */
export function checkQuantize(weights: Weights, options: QuantizeOptions): Settings {
  const settings = checkForm(options);
  const { n, k, activations } = settings;
  if (!(weights instanceof Float32Array) && !(weights instanceof Uint16Array))
    throw new ArgumentError('weights', 'a Float32Array or Uint16Array', Object.prototype.toString.call(weights).slice(8, -1));
  if (weights.length !== n * k) throw new ArgumentError('weights', `${n * k} elements for (${n}, ${k})`, String(weights.length));
  const isFloat32 = weights instanceof Float32Array;
  const dtype = options.dtype ?? (isFloat32 ? 'float32' : 'float16');
  oneOf<FloatDType>('dtype', dtype, isFloat32 ? ['float32'] : ['float16', 'bfloat16']);
  if (activations) checkActivations(activations, k);
  return { ...settings, dtype };
}

function checkActivations({ damp, ...given }: Activations, k: number): void {
  const fields = Object.entries(given).filter(([, values]) => values !== undefined);
  const NAMES = ['meanAbs', 'meanSquare', 'hessian', 'x'];
  if (fields.length !== 1 || !NAMES.includes(fields[0]![0]))
    throw new ArgumentError('activations', `one of ${NAMES.join(', ')}`, fields.map(([name]) => name).join(' and ') || 'none');
  const [name, values] = fields[0] as [string, Float32Array];
  const argument = `activations.${name}`;
  if (!(values instanceof Float32Array))
    throw new ArgumentError(argument, 'a Float32Array', Object.prototype.toString.call(values).slice(8, -1));
  const fits = name === 'x' ? values.length > 0 && values.length % k === 0 : values.length === (name === 'hessian' ? k * k : k);
  const expected = name === 'x' ? `rows of ${k} values` : `${name === 'hessian' ? k * k : k} values`;
  if (!fits) throw new ArgumentError(argument, expected, String(values.length));
  const bad = values.findIndex((value) => !Number.isFinite(value) || (value < 0 && name.startsWith('mean')));
  if (bad >= 0) throw new ArgumentError(`${argument}[${bad}]`, 'a finite number, not below 0 if it is a mean', String(values[bad]));
  if (damp !== undefined && !(Number.isFinite(damp) && damp >= 0))
    throw new ArgumentError('activations.damp', 'a finite number of at least 0', String(damp));
}
