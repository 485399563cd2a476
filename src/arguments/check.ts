// Checks of a caller's arguments: a Check returns the value with its type, or throws an ArgumentError. A record of checks describes an
// options object. No value is trusted: its class may lie, its getters may throw, its arrays may have holes.
import { ArgumentError, DeviceLostError } from '../errors.js';
import { arrayKind, article, showValue } from './show-value.js';

/** Returns `value` with its type. @throws ArgumentError that names it `argument` */
export type Check<T> = (value: unknown, argument: string) => T;

export const refuse = (argument: string, expected: string, value: unknown): never => {
  throw new ArgumentError(argument, expected, showValue(value));
};

/* @__NO_SIDE_EFFECTS__ */
const check =
  <T>(expected: string, holds: (value: unknown) => boolean): Check<T> =>
  (value, argument) =>
    holds(value) ? (value as T) : refuse(argument, expected, value);

/** Accepts `undefined` too. */
/* @__NO_SIDE_EFFECTS__ */
export const optional =
  <T>(inner: Check<T>): Check<T | undefined> =>
  (value, argument) =>
    value === undefined ? undefined : inner(value, argument);

/* @__NO_SIDE_EFFECTS__ */
export const wholeNumber = (least: number): Check<number> =>
  check(`a whole number of at least ${least}`, (value) => Number.isSafeInteger(value) && (value as number) >= least);
export const finiteNumber: Check<number> = check('a finite number', (value) => Number.isFinite(value));
export const text: Check<string> = check('a string', (value) => typeof value === 'string');
export const flag: Check<boolean> = check('true or false', (value) => typeof value === 'boolean');
export const callback: Check<(...given: unknown[]) => unknown> = check('a function', (value) => typeof value === 'function');
/* @__NO_SIDE_EFFECTS__ */
export const oneOf = <const T>(...allowed: readonly T[]): Check<T> =>
  check(allowed.join(' or '), (value) => (allowed as readonly unknown[]).includes(value));
/** Accepts any value; another check follows later. */
export const anything: Check<unknown> = (value) => value;

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
export const object: Check<object> = check('an object', isObject);

/** `of[name]`. @throws ArgumentError if it cannot be read */
export function property(of: object, name: PropertyKey, argument: string): unknown {
  try {
    return (of as Readonly<Record<PropertyKey, unknown>>)[name];
  } catch (cause) {
    throw ours(cause) ? cause : unreadable(argument, cause);
  }
}

/** Errors that a layer's getters throw need no translation. */
const ours = (error: unknown): boolean => error instanceof ArgumentError || error instanceof DeviceLostError;

function unreadable(argument: string, cause: unknown): ArgumentError {
  const error = new ArgumentError(argument, 'a value that can be read', `an error instead: ${showError(cause)}`);
  error.cause = cause;
  return error;
}

function showError(error: unknown): string {
  try {
    return error instanceof Error ? String(error.message) : showValue(error);
  } catch {
    return 'one that cannot be read';
  }
}

/** Runs code of the caller's; an error inside becomes an ArgumentError. */
export function reading<T>(argument: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw ours(cause) ? cause : unreadable(argument, cause);
  }
}

type Of<C> = C extends Check<infer T> ? T : never;
type Absent<Checks> = { [Name in keyof Checks]: undefined extends Of<Checks[Name]> ? Name : never }[keyof Checks];
type Checked<Checks> = { readonly [Name in Exclude<keyof Checks, Absent<Checks>>]: Of<Checks[Name]> } & {
  readonly [Name in Absent<Checks>]?: Exclude<Of<Checks[Name]>, undefined>;
};

/** An object with these fields; other fields are ignored. Each field is read once, and the result is plain data. */
/* @__NO_SIDE_EFFECTS__ */
export const fields =
  <const Fields extends Readonly<Record<string, Check<unknown>>>>(checks: Fields): Check<Checked<Fields>> =>
  (value, argument) => {
    const given = object(value, argument);
    const out: Record<string, unknown> = {};
    for (const [name, inner] of Object.entries(checks)) {
      const path = argument === 'options' ? name : `${argument}.${name}`;
      const checked = inner(property(given, name, path), path);
      if (checked !== undefined) out[name] = checked;
    }
    return out as Checked<Fields>;
  };

/** The same for options: an unknown name is an error. */
/* @__NO_SIDE_EFFECTS__ */
export const onlyFields =
  <const Fields extends Readonly<Record<string, Check<unknown>>>>(checks: Fields): Check<Checked<Fields>> =>
  (value, argument) => {
    const given = object(value, argument);
    const unknown = reading(argument, () => Object.keys(given)).find((name) => !Object.hasOwn(checks, name));
    if (unknown !== undefined) throw new ArgumentError(unknown, Object.keys(checks).join(' or '), 'an unknown option');
    return fields(checks)(value, argument);
  };

/** An object with any names, as plain data. Each field is read once. */
/* @__NO_SIDE_EFFECTS__ */
export const dictionary =
  <T>(inner: Check<T>): Check<Readonly<Record<string, T>>> =>
  (value, argument) => {
    const given = object(value, argument);
    const names = reading(argument, () => Object.keys(given));
    // __proto__ is a name like any other.
    return Object.fromEntries(names.map((name) => [name, inner(property(given, name, name), name)]));
  };

/** An array, copied to a new array. */
/* @__NO_SIDE_EFFECTS__ */
export const list =
  <T>(inner: Check<T>): Check<readonly T[]> =>
  (value, argument) => {
    if (!reading(argument, () => Array.isArray(value))) return refuse(argument, 'an array', value);
    const given = value as readonly unknown[];
    const length = wholeNumber(0)(property(given, 'length', argument), `${argument}.length`);
    const out: T[] = [];
    for (let i = 0; i < length; i++) out.push(inner(property(given, i, `${argument}[${i}]`), `${argument}[${i}]`));
    return out;
  };

/** An array, typed array or array-like of this length; elements are not checked. Copied to a new array unless it is typed. */
/* @__NO_SIDE_EFFECTS__ */
export const elements =
  (length: number, what: string): Check<ArrayLike<unknown>> =>
  (value, argument) => {
    const given = arrayKind(value) === undefined ? object(value, argument) : (value as object);
    const has = property(given, 'length', argument);
    if (has !== length) return refuse(argument, `${length} ${what}`, typeof has === 'number' ? has : value);
    return arrayKind(value) === undefined ? reading(argument, () => Array.from(value as ArrayLike<unknown>)) : (value as Uint8Array);
  };

/** Numbers of any value. */
export const number: Check<number> = check('a number', (value) => typeof value === 'number');

/** Sizes of axes, or strides: whole numbers of at least 0. */
export const sizes: Check<readonly number[]> = (value, argument) => {
  const isList = reading(argument, () => Array.isArray(value));
  const copy = isList ? reading(argument, () => Array.from(value as readonly unknown[])) : [];
  const holds = isList && copy.every((size) => Number.isSafeInteger(size) && (size as number) >= 0);
  return holds ? (copy as number[]) : refuse(argument, 'an array of whole numbers of at least 0', value);
};

/** A typed array of one of these kinds, not detached. */
/* @__NO_SIDE_EFFECTS__ */
export const typedArray =
  <T extends ArrayBufferView>(...kinds: readonly string[]): Check<T> =>
  (value, argument) => {
    const kind = arrayKind(value);
    if (kind === undefined || !kinds.includes(kind)) return refuse(argument, article(kinds.join(' or ')), value);
    return value as T;
  };

export const float32s: Check<Float32Array> = typedArray('Float32Array');
export const bytes: Check<Uint8Array> = typedArray('Uint8Array');

/** An object with these methods. */
/* @__NO_SIDE_EFFECTS__ */
export const withMethods =
  <T extends object>(expected: string, ...methods: readonly string[]): Check<T> =>
  (value, argument) => {
    if (!isObject(value) && typeof value !== 'function') return refuse(argument, expected, value);
    const lacks = methods.find((name) => typeof property(value as object, name, argument) !== 'function');
    return lacks === undefined ? (value as T) : refuse(argument, expected, value);
  };

/** An AbortSignal. */
export const signal: Check<AbortSignal> = withMethods('an AbortSignal', 'throwIfAborted', 'addEventListener', 'removeEventListener');
