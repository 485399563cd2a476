// What the process ends with, and what is said of an error: a sentence for people, its parts for programs.
import { ArgumentError, FormatError, ReadError, UnsupportedError } from '../src/formats.js';

export const EXIT = {
  fine: 0,
  /** What was looked for was found: a layer that is not what it should be. */
  finding: 1,
  usage: 2,
  /** A file is not what it says. */
  format: 3,
  /** Cannot be done here: no GPU, no space, no permission, weights that are quantized already. */
  impossible: 4,
  /** As shells have it for SIGINT. */
  interrupted: 130,
} as const;

/** The command line is wrong. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface Failure {
  readonly code: number;
  readonly message: string;
  readonly error: Readonly<Record<string, unknown>>;
}

const isSystem = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && typeof (error as { code?: unknown }).code === 'string';

export function failureOf(error: unknown, signal?: AbortSignal): Failure {
  const made = (code: number, message: string, parts: object = {}): Failure => {
    const name = error instanceof Error ? error.name : 'Error';
    return { code, message, error: { name, message, ...parts } };
  };
  if (signal?.aborted) return made(EXIT.interrupted, 'stopped; the same command goes on where this one was');
  if (error instanceof UsageError) return made(EXIT.usage, error.message);
  if (error instanceof ArgumentError) {
    const { argument, expected, got } = error;
    return made(EXIT.usage, error.message, { argument, expected, got });
  }
  if (error instanceof FormatError) {
    const { file, tensor, field, expected, got } = error;
    return made(EXIT.format, error.message, { file, tensor, field, expected, got });
  }
  if (error instanceof ReadError) {
    const { file, status, code } = error;
    return made(EXIT.impossible, error.message, { file, status, code });
  }
  if (error instanceof UnsupportedError) return made(EXIT.impossible, error.message, { reasons: error.reasons });
  if (isSystem(error)) return made(EXIT.impossible, error.message, { code: error.code });
  return made(EXIT.impossible, `an error of this program: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}
