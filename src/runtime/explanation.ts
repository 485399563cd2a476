// What a language model tells of itself.
import type { CacheStats } from '../files/cached-source.js';

/** What a model costs. */
export interface LlmExplanation {
  /** Of a token after the prompt, its choice among them. */
  readonly dispatchesPerToken: number;
  /** How many of them each variant of a shader makes. */
  readonly variants: Readonly<Record<string, number>>;
  /** Are norms parts of products? Only the first of a token is then a dispatch. */
  readonly fusedNorms: boolean;
  /** Bytes by use. Weights are those of the file; `cache` grows with the sequence. */
  readonly memory: Readonly<Record<'weights' | 'cache' | 'rows' | 'logits', number>>;
  /** Positions that the cache has room for now. */
  readonly capacity: number;
  /** What was not taken as the file has it. */
  readonly notes: readonly string[];
}

/** Milliseconds and counts since the model was loaded. */
export interface LlmStats {
  readonly loadMs: number;
  /** Of a URL that was loaded with `cache`. */
  readonly cache?: Readonly<CacheStats> | undefined;
  /** Ids of prompts that were computed, without those that were kept. */
  promptTokens: number;
  promptMs: number;
  tokens: number;
  decodeMs: number;
  submits: number;
  /** Keys and values beyond ±65,504, which a cache of f16 holds as that. */
  clamped: number;
}
