// Files of this library that are fetched when they are first needed.
import { ReadError } from '../errors.js';

/** What `from` imports. A page that has gone offline since cannot. @throws ReadError */
export async function loadOwn<T>(what: string, from: () => Promise<T>): Promise<T> {
  try {
    return await from();
  } catch (error) {
    throw new ReadError(`antiquant, ${what}`, error instanceof Error ? error.message : String(error));
  }
}
