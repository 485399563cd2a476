// The keys of one architecture in a file's header, each asked for by name and checked.
import { FormatError, UnsupportedError } from '../errors.js';
import { clip, show } from '../files/show.js';
import type { TensorFile } from '../files/tensor-file.js';

/** Beyond every model; small enough that sizes multiply exactly. */
export const MOST = 2 ** 24;

/** Reads the keys of one architecture. */
export interface Keys {
  readonly namespace: string;
  /** Undefined if the file has no such key. */
  get(key: string): unknown;
  refuse(key: string, expected: string, got?: string): never;
  unserved(key: string, expected: string): never;
  /** Keys that nothing has asked for. */
  rest(): readonly string[];
}

export function keysOf({ name: file, metadata }: TensorFile, namespace: string): Keys {
  const asked = new Set<string>();
  const get = (key: string): unknown => {
    asked.add(key);
    return Object.hasOwn(metadata, `${namespace}.${key}`) ? metadata[`${namespace}.${key}`] : undefined;
  };
  return {
    namespace,
    get,
    refuse: (key, expected, got = show(get(key))) => {
      throw new FormatError({ file, field: `${namespace}.${key}` }, expected, got);
    },
    unserved: (key, expected) => {
      throw new UnsupportedError(`${file}: ${clip(`${namespace}.${key}`)}`, [`expected ${expected}, got ${show(get(key))}`]);
    },
    rest: () =>
      Object.keys(metadata)
        .filter((key) => key.startsWith(`${namespace}.`))
        .map((key) => key.slice(namespace.length + 1))
        .filter((key) => !asked.has(key)),
  };
}

/** A whole number from 1, or the same one for each layer. */
export function size(keys: Keys, key: string, layers?: number): number {
  const given = keys.get(key);
  if (Array.isArray(given) && layers !== undefined) {
    if (given.length !== layers) return keys.refuse(key, `a number, or one for each of ${layers} layers`, `${given.length} of them`);
    if (given.some((one) => one !== given[0])) return keys.unserved(key, 'the same number for all layers');
  }
  const value: unknown = Array.isArray(given) && layers !== undefined ? given[0] : given;
  const fits = typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MOST;
  return fits ? value : keys.refuse(key, `a whole number from 1 to ${MOST}`);
}

export const optionalSize = (keys: Keys, key: string, without: number, layers?: number): number =>
  keys.get(key) === undefined ? without : size(keys, key, layers);

export function positive(keys: Keys, key: string, without?: number): number {
  const value = keys.get(key) ?? without;
  return typeof value === 'number' && value > 0 && Number.isFinite(value) ? value : keys.refuse(key, 'a number above 0');
}
