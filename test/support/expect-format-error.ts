import { expect } from 'vitest';
import { FormatError } from '../../src/errors.js';

export interface Wanted {
  readonly file?: string;
  readonly tensor?: string | undefined;
  readonly field: string;
  /** Parts of what was expected and got. */
  readonly expected?: string;
  readonly got?: string;
}

/** It rejects with a FormatError that says these things, each within what the error says; `tensor` exactly. */
export async function expectFormatError(work: Promise<unknown>, wanted: Wanted): Promise<void> {
  const error = await work.then(
    (value) => expect.fail(`expected a FormatError (${wanted.field}), got ${String(value)}`),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(FormatError);
  const { file, tensor, field, expected, got, message } = error as FormatError;
  expect({ file, tensor, field, expected, got }, message).toEqual({
    file: expect.stringContaining(wanted.file ?? ''),
    tensor: wanted.tensor,
    field: wanted.field,
    expected: expect.stringContaining(wanted.expected ?? ''),
    got: expect.stringContaining(wanted.got ?? ''),
  });
  for (const part of [file, tensor, field, expected, got]) if (part !== undefined) expect(message).toContain(part);
  expect(message.length).toBeLessThan(1000);
}
