// What a message cannot carry, as data: the library's errors lose their class when they are cloned, functions and signals are refused.
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

export function carriedError(error: unknown): CarriedError {
  if (!(error instanceof Error)) return { message: String(error), stack: undefined, fields: {} };
  return { message: error.message, stack: error.stack, fields: { ...error, name: error.name } };
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

export function carriedOptions(options: object): CarriedOptions {
  const entries = Object.entries(options);
  return {
    data: Object.fromEntries(entries.filter(([, value]) => typeof value !== 'function' && !(value instanceof AbortSignal))),
    functions: new Map(entries.filter(([, value]) => typeof value === 'function')),
    signal: entries.map(([, value]) => value).find((value) => value instanceof AbortSignal),
  };
}
