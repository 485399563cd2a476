// Several copies of this library may be on one page, through dependencies or a reloaded module. Each copy has separate classes and caches.
// Registered symbols carry the facts that copies share.
import { ArgumentError } from '../errors.js';
import { VERSION } from '../version.js';
import { property } from './check.js';
import { showValue } from './show-value.js';

/** The property of an object that holds the version of the copy that made it. */
export const markOf = (what: string): symbol => Symbol.for(`antiquant.${what}`);

/** The part of a version that must agree for objects to be exchanged: the major version, or the minor one before 1.0. */
const apiOf = (version: string): string => /^(0\.\d+|\d+)/.exec(version)?.[0] ?? version;

/** The version of the copy that made `value`; undefined if no copy made it. */
export function versionOf(value: unknown, what: string, argument: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const version = property(value, markOf(what), argument);
  return typeof version === 'string' ? version : undefined;
}

export const isCompatible = (version: string): boolean => apiOf(version) === apiOf(VERSION);

/** The error for a `value` that this copy did not make. */
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

/** A WeakMap that all copies share. The form of its values may never change. */
export function sharedMap<Key extends WeakKey, Value>(what: string): WeakMap<Key, Value> {
  const global = globalThis as { [mark: symbol]: WeakMap<Key, Value> | undefined };
  return (global[markOf(what)] ??= new WeakMap());
}
