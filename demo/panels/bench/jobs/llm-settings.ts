// What the language model's measurement is asked, and what it tells, as plain data. Pure.
import type { WllamaFiles } from '../../../wllama.js';

declare const __WLLAMA_FILES__: WllamaFiles;
export const WLLAMA_FILES: WllamaFiles = __WLLAMA_FILES__;

/** Where wllama computes. */
export type WllamaOn = 'webgpu' | 'wasm';

/** Tokens of a sample. Prompts are texts of at most so many. */
export const TOKENS = { prompt: 128, decode: 64 } as const;
/** Positions of a sequence: all that the model was trained for. */
export const CONTEXT = 256;

/** One that writes. Milliseconds are by round; an index is the same round for all of them. */
export interface Voice {
  readonly name: string;
  readonly family: 'ours' | 'wllama';
  /** From the call with a prompt that nothing is kept of until its first token. */
  readonly first: readonly number[];
  /** A token of a text, from its first to its last. */
  readonly decode: readonly number[];
}

export interface LlmMeasured {
  readonly model: { readonly name: string; readonly bytes: number; readonly architecture: string; readonly layers: number };
  /** Tokens of the prompts, by round, and of the texts. */
  readonly tokens: { readonly prompt: readonly number[]; readonly decode: number };
  readonly rounds: number;
  readonly voices: readonly Voice[];
  /** Why one that was asked for is not among them. */
  readonly notes: readonly string[];
  readonly dispatches: number;
  /** Bytes that a token reads: of weights as they are held, and of keys and values at the middle of the texts. */
  readonly bytes: { readonly weights: number; readonly cache: number };
  /** Bytes a second that this adapter reads and writes when it copies as many bytes. */
  readonly copy: number;
  /** Bytes of GPU memory by use. */
  readonly memory: Readonly<Record<string, number>>;
  readonly loadMs: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly software: boolean;
  readonly isolated: boolean;
  readonly date: string;
  readonly seconds: number;
}
