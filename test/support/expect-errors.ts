// Expectations about errors: class, fields, and a message that contains the fields.
import { expect } from 'vitest';
import { ArgumentError, FormatError, ReadError, UnsupportedError } from '../../src/errors.js';

/** What `run` throws; fails if it throws nothing, or another class. */
function thrownBy<T extends Error>(run: () => unknown, type: abstract new (...args: never[]) => T): T {
  let thrown: unknown;
  try {
    run();
  } catch (error) {
    thrown = error;
  }
  expect(thrown, `nothing, or no ${type.name}`).toBeInstanceOf(type);
  return thrown as T;
}

/** `run` throws an ArgumentError about `argument` that says what was expected and what was met. */
export function expectArgument(run: () => unknown, argument: string, expected: string, got: string): void {
  const error = thrownBy(run, ArgumentError);
  expect(error.name).toBe('ArgumentError');
  expect(error.argument).toBe(argument);
  expect(error.expected).toContain(expected);
  expect(error.got).toContain(got);
  expect(error.message).toBe(`${argument}: expected ${error.expected}, got ${error.got}`);
}

/** `run` throws a FormatError about this field, and about what was expected and got, where these are said. */
export function expectFormat(run: () => unknown, field: string | RegExp, expected?: string | RegExp, got?: string): void {
  const error = thrownBy(run, FormatError);
  expect(error.field).toMatch(field);
  if (expected !== undefined) expect(error.expected).toMatch(expected);
  if (got !== undefined) expect(error.got).toContain(got);
}

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
  const thrown = await work.then(
    (value) => expect.fail(`expected a FormatError (${wanted.field}), got ${String(value)}`),
    (error: unknown) => error,
  );
  const { file, tensor, field, expected, got, message } = thrownBy(() => {
    throw thrown;
  }, FormatError);
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

/** It rejects with a ReadError of these fields, whose message names the file and holds `reason`. */
export async function expectReadError(
  work: Promise<unknown>,
  { file, reason, ...fields }: { readonly file: string; readonly reason: string; readonly missing?: boolean; readonly status?: number },
): Promise<void> {
  const error = await work.then(
    (value) => expect.fail(`expected a ReadError, got ${String(value)}`),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ReadError);
  expect(error).toMatchObject(fields);
  expect((error as ReadError).file).toContain(file);
  expect((error as ReadError).message).toContain(`${file}: cannot be read: `);
  expect((error as ReadError).message).toContain(reason);
}

/** Does `run` end, without an error or with one about the file? */
export const endsWell = (run: () => Promise<unknown>): Promise<boolean> =>
  run().then(
    () => true,
    (error) => error instanceof FormatError || error instanceof UnsupportedError,
  );
