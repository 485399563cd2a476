// What a store of measured choices is. stores.ts has those of browsers and of Node.
import { type Check, withMethods } from '../arguments/check.js';

/**
 * A place for JSON values. Yours may be anything; what it throws, and what it has not answered after half a second, is taken as `not there`,
 * and `explain(rows).notes` says so.
 */
export interface TuningStore {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<void>;
}

/** A store, or null for none. */
export const checkStore: Check<TuningStore | null> = (value, argument) =>
  value === null ? null : withMethods<TuningStore>('a store, with get and set, or null', 'get', 'set')(value, argument);
