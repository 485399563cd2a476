// The keys of an object of config.json, each asked for by name and checked; and what a key is without a value.
import { FormatError, UnsupportedError } from '../errors.js';
import { clip, show } from '../files/show.js';
import type { Keys } from './keys.js';

export type Json = Readonly<Record<string, unknown>>;

export const isRecord = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Keys of an object of config.json. A key without a value has the default's; null counts as none. @param prefix in front of keys in messages */
export function jsonKeys(json: Json, defaults: Json, { file, prefix = '' }: { readonly file: string; readonly prefix?: string }): Keys {
  const asked = new Set<string>();
  const get = (key: string): unknown => {
    asked.add(key);
    const own = Object.hasOwn(json, key);
    return (own ? json[key] : defaults[key]) ?? undefined;
  };
  return {
    namespace: prefix,
    get,
    refuse: (key, expected, got = show(get(key))) => {
      throw new FormatError({ file, field: `${prefix}${key}` }, expected, got);
    },
    unserved: (key, expected) => {
      throw new UnsupportedError(`${file}: ${clip(`${prefix}${key}`)}`, [`expected ${expected}, got ${show(get(key))}`]);
    },
    rest: () => Object.keys(json).filter((key) => !asked.has(key) && json[key] !== null),
  };
}

/** @throws FormatError */
export function flag(keys: Keys, key: string): boolean {
  const value = keys.get(key);
  return typeof value === 'boolean' ? value : keys.refuse(key, 'true or false');
}
