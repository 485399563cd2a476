// Checks of every ByteSource: the part lies in the file, all bytes came, the signal is not aborted.
import { FormatError, ReadError, UnsupportedError } from '../errors.js';
import type { ByteSource } from './tensor-file.js';

/** A source with checks around `readPart`, which may return fewer bytes. It is not called for an empty part. */
export function guardedSource(name: string, size: number, readPart: ByteSource['read']): ByteSource {
  return {
    name,
    size,
    async read(begin, end, signal) {
      signal?.throwIfAborted();
      const lies = Number.isSafeInteger(begin) && Number.isSafeInteger(end) && begin >= 0 && begin <= end && end <= size;
      if (!lies) throw new FormatError({ file: name, field: 'bytes' }, `a part of the ${size} that there are`, `${begin} to ${end}`);
      if (begin === end) return new Uint8Array(0);
      const bytes = await readPart(begin, end, signal);
      signal?.throwIfAborted();
      if (bytes.byteLength !== end - begin)
        throw new FormatError({ file: name, field: `bytes ${begin} to ${end}` }, `${end - begin} bytes`, `${bytes.byteLength}`);
      return bytes;
    },
  };
}

/** Largest part: more than any part that is read at once, and small enough for an array. */
const MOST = 2 ** 32;

/** Allocates memory for a part. @throws UnsupportedError if there is none: a server may claim any size */
export function memoryFor(bytes: number, file: string): Uint8Array<ArrayBuffer> {
  const tooLarge = (): UnsupportedError => new UnsupportedError(file, [`${bytes} bytes are too many to be read at once`]);
  if (bytes > MOST) throw tooLarge();
  try {
    return new Uint8Array(bytes);
  } catch {
    throw tooLarge();
  }
}

const MISSING = ['ENOENT', 'ENOTDIR'];

/** Turns an error of the system or of fetch into a ReadError; an error of this library stays the same. */
export function asReadError(error: unknown, file: string, what?: string): Error {
  if (error instanceof FormatError || error instanceof ReadError || error instanceof UnsupportedError) return error;
  const { message, code, cause } = error as { message?: string; code?: unknown; cause?: { message?: string; code?: unknown } };
  const reason = [what, message ?? String(error), cause?.message].filter(Boolean).join(': ');
  const said = [code, cause?.code].find((one): one is string => typeof one === 'string');
  return new ReadError(file, reason, { code: said, missing: said !== undefined && MISSING.includes(said) });
}
