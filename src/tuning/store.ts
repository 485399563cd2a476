// The type of a store of measured choices. stores.ts has the stores of browsers and of Node.
import { type Check, withMethods } from '../arguments/check.js';

/**
 * A store of JSON values by key. If it throws, or does not answer within half a second, the value counts as absent, and
 * `explain(rows).notes` says so.
 */
export interface TuningStore {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<void>;
}

/** A store, or null for none. */
export const checkStore: Check<TuningStore | null> = (value, argument) =>
  value === null ? null : withMethods<TuningStore>('a store, with get and set, or null', 'get', 'set')(value, argument);
