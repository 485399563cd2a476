// What every ByteSource checks, whatever it reads from: the part lies in the file, as many bytes came as were asked for, nobody has aborted.
import { FormatError } from '../errors.js';
import type { ByteSource } from './tensor-file.js';

/** A source whose `readPart` may come back with fewer bytes: that is found here. Never called for an empty part. */
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

/** What somebody else's error becomes here: what was aborted with, if it was, else a FormatError with the error's own words. */
export function asFormatError(error: unknown, at: { readonly file: string; readonly field: string }, expected: string): FormatError {
  if (error instanceof FormatError) return error;
  const { message, cause } = error as { message?: string; cause?: { message?: string } };
  return new FormatError(at, expected, [message ?? String(error), cause?.message].filter(Boolean).join(': '));
}
