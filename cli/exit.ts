// Exit codes, and errors as a sentence for people and as fields for programs.
import { DeviceLostError, GpuError, ShaderError } from '../src/errors.js';
import { ArgumentError, FormatError, ReadError, UnsupportedError } from '../src/formats.js';

export const EXIT = {
  fine: 0,
  /** verify found a wrong or refused layer. */
  finding: 1,
  usage: 2,
  /** A file contradicts its format. */
  format: 3,
  /** Not possible here: no GPU, no space, no permission, weights that are quantized already. */
  impossible: 4,
  /** The shells' code for SIGINT. */
  interrupted: 130,
} as const;

/** The command line is wrong. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly errorCode = 'ANTIQUANT_USAGE';
}

export interface Failure {
  readonly code: number;
  readonly message: string;
  readonly error: Readonly<Record<string, unknown>>;
}

const isSystem = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && typeof (error as { code?: unknown }).code === 'string';

/** @param resumes the command goes on where it was stopped */
export function failureOf(error: unknown, signal?: AbortSignal, resumes = false): Failure {
  const made = (code: number, message: string, parts: object = {}): Failure => {
    const name = error instanceof Error ? error.name : 'Error';
    const { errorCode } = (error ?? {}) as { readonly errorCode?: string };
    return { code, message, error: { name, ...(errorCode !== undefined && { errorCode }), message, ...parts } };
  };
  if (signal?.aborted) return made(EXIT.interrupted, resumes ? 'stopped; the same command continues' : 'stopped');
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
  if (error instanceof GpuError) return made(EXIT.impossible, error.message, { what: error.what, said: error.said });
  if (error instanceof ShaderError) return made(EXIT.impossible, error.message, { variant: error.variant, messages: error.messages });
  if (error instanceof DeviceLostError) return made(EXIT.impossible, error.message);
  if (isSystem(error)) return made(EXIT.impossible, error.message, { code: error.code });
  return made(EXIT.impossible, `an error of this program: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}
