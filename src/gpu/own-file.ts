// Loads files of this library on demand.
import { ReadError } from '../errors.js';

/** Imports a file by `from`. @throws ReadError, e.g. if the page is offline */
export async function loadOwn<T>(what: string, from: () => Promise<T>): Promise<T> {
  try {
    return await from();
  } catch (error) {
    throw new ReadError(`antiquant, ${what}`, error instanceof Error ? error.message : String(error));
  }
}
