// The one form of progress: a long call tells what it does, how much of it is done, and of how much.

/**
 * What is counted. read: bytes of the file that have been read; pack: bytes of the file that the GPU has taken; compile: shaders; test: variants
 * whose self-test has run; quantize: rows of weights; write: bytes written.
 */
export type Phase = 'read' | 'pack' | 'compile' | 'test' | 'quantize' | 'write';

/** Progress of a long call. `done` of a phase never falls, and is `total` at its end. */
export interface Progress {
  readonly phase: Phase;
  readonly done: number;
  readonly total: number;
}
