// What a message cannot carry, as data: the library's errors lose their class when they are cloned, functions and signals are refused.
import { object } from '../arguments/check.js';
import { showValue } from '../arguments/show-value.js';
import { ArgumentError, DeviceLostError, FormatError, GpuError, ReadError, ShaderError, UnsupportedError } from '../errors.js';

const CLASSES: Readonly<Record<string, { readonly prototype: Error }>> = {
  ...{ ArgumentError, UnsupportedError, ShaderError, GpuError, DeviceLostError, ReadError, FormatError },
};

/** An error as data: its message, its stack, and its own fields. */
export interface CarriedError {
  readonly message: string;
  readonly stack: string | undefined;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A value as it is where messages carry it, else as text: an error that cannot be sent would never end its call. */
function carried(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return showValue(value);
  }
}

export function carriedError(error: unknown): CarriedError {
  if (!(error instanceof Error)) return { message: typeof error === 'string' ? error : showValue(error), stack: undefined, fields: {} };
  const fields = Object.fromEntries(Object.entries(error).map(([name, value]) => [name, carried(value)]));
  return { message: error.message, stack: error.stack, fields: { ...fields, name: error.name } };
}

/** The error that it stands for, of its class. */
export function errorOf({ message, stack, fields }: CarriedError): Error {
  const error = new Error(message);
  const known = typeof fields.name === 'string' && Object.hasOwn(CLASSES, fields.name) ? CLASSES[fields.name] : undefined;
  if (known) Object.setPrototypeOf(error, known.prototype);
  return Object.assign(error, fields, stack === undefined ? {} : { stack });
}

/** Options that a message carries, and what stays here. */
export interface CarriedOptions {
  readonly data: Readonly<Record<string, unknown>>;
  readonly functions: ReadonlyMap<string, (...given: readonly unknown[]) => unknown>;
  readonly signal: AbortSignal | undefined;
}

/** @throws ArgumentError for options that are no object */
export function carriedOptions(options: unknown): CarriedOptions {
  const entries = Object.entries(object(options, 'options'));
  return {
    data: Object.fromEntries(entries.filter(([, value]) => typeof value !== 'function' && !(value instanceof AbortSignal))),
    functions: new Map(entries.filter(([, value]) => typeof value === 'function')),
    signal: entries.map(([, value]) => value).find((value) => value instanceof AbortSignal),
  };
}
