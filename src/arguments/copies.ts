// Several copies of this library on one page: a dependency of a dependency has its own, or a module was reloaded. Each has classes and
// caches of its own. What they must know of each other goes through registered symbols.
import { ArgumentError } from '../errors.js';
import { VERSION } from '../version.js';
import { property } from './check.js';
import { showValue } from './show-value.js';

/** The property that holds, on what a copy makes, that copy's version. */
export const markOf = (what: string): symbol => Symbol.for(`antiquant.${what}`);

/** What of a version has to agree for its objects to be used here: the major one, or the minor one before 1.0. */
const apiOf = (version: string): string => /^(0\.\d+|\d+)/.exec(version)?.[0] ?? version;

/** The version of the copy that made `value`; undefined if none did. */
export function versionOf(value: unknown, what: string, argument: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const version = property(value, markOf(what), argument);
  return typeof version === 'string' ? version : undefined;
}

export const isCompatible = (version: string): boolean => apiOf(version) === apiOf(VERSION);

/** That `value`, which is none of this copy's own, was refused. */
export function notOurs(
  argument: string,
  { what, expected }: { readonly what: string; readonly expected: string },
  value: unknown,
): ArgumentError {
  const version = versionOf(value, what, argument);
  const got =
    version === undefined
      ? showValue(value)
      : `one of another copy of antiquant, version ${version}: this is ${VERSION}; let one copy make both (npm ls antiquant lists them)`;
  return new ArgumentError(argument, expected, got);
}

/** A WeakMap that all copies have in common: what is said of a device once holds for each of them. Its values' form may never change. */
export function sharedMap<Key extends WeakKey, Value>(what: string): WeakMap<Key, Value> {
  const global = globalThis as { [mark: symbol]: WeakMap<Key, Value> | undefined };
  return (global[markOf(what)] ??= new WeakMap());
}
