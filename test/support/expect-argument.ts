import { expect } from 'vitest';
import { ArgumentError } from '../../src/errors.js';

/** `run` throws an ArgumentError about `argument` that says what was expected and what was met. */
export function expectArgument(run: () => unknown, argument: string, expected: string, got: string): void {
  let thrown: unknown;
  try {
    run();
  } catch (error) {
    thrown = error;
  }
  expect(thrown, `nothing, or no ArgumentError, for ${argument}`).toBeInstanceOf(ArgumentError);
  const error = thrown as ArgumentError;
  expect(error.name).toBe('ArgumentError');
  expect(error.argument).toBe(argument);
  expect(error.expected).toContain(expected);
  expect(error.got).toContain(got);
  expect(error.message).toBe(`${argument}: expected ${error.expected}, got ${error.got}`);
}
