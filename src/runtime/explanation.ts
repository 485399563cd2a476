// What a language model tells of itself.
import type { CacheStats } from '../files/cached-source.js';
import type { Times } from '../sequence/time-tokens.js';

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
  /**
   * Bytes that the next token reads: of the file's matrices those that it is multiplied with, and keys and values of the positions before it, up to
   * where the sequence stands.
   */
  readonly reads: Readonly<Record<'weights' | 'cache', number>>;
  /** Positions that the cache has room for now. */
  readonly capacity: number;
  /** What was not taken as the file has it. */
  readonly notes: readonly string[];
}

/** Where the time of a token goes, by timestamps of the GPU. Milliseconds are means. */
export interface LlmProfile extends Times {
  /** Of how many tokens these are means. */
  readonly tokens: number;
  /** Where they stand in the sequence: that many positions are before each. */
  readonly position: number;
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
