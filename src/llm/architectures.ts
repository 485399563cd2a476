// What the architectures of language models differ in, as data. A row says what a file's architecture name implies; what files of one
// architecture may differ in is read from their keys (config.ts). All rows here: RMSNorm before attention and before the feed-forward part,
// gated SiLU, one rotation for all layers. Sources: llama.cpp's graphs of these names, transformers' modeling_*.py.
import type { LayerPart } from './names.js';

/**
 * The numbers of a head that a rotation turns together, w of them in pairs i < w/2. pairs: 2i and 2i + 1. halves: i and i + w/2.
 */
export type RopeKind = 'pairs' | 'halves';

/** What an architecture implies. */
export interface Architecture {
  /**
   * In GGUF files. The source decides, not the model: llama.cpp's converter permutes the rows of q and k of llama models, and Hugging Face's own
   * files always hold halves.
   */
  readonly ropeInGguf: RopeKind;
  /** May a GGUF file have `rope_freqs.weight`, a divisor for each frequency (the scaling of Llama 3)? */
  readonly ropeDivisors: boolean;
  /** Biases that every layer has. */
  readonly biases: readonly Extract<LayerPart, `${string}Bias`>[];
  /** Is there an RMSNorm of each head of q and k before the rotation? */
  readonly qkNorms: boolean;
  /**
   * Is the feed-forward part of each layer one of experts? maybe: the keys say so. A row meets those of the largest products with the router, and
   * the softmax of these products are their weights: the same as the softmax over all experts, divided by what the chosen have of it.
   */
  readonly experts: 'never' | 'maybe' | 'always';
}

/** By GGUF's general.architecture. */
const ARCHITECTURES = {
  /** Also Mistral, Mixtral and SmolLM2. */
  llama: { ropeInGguf: 'pairs', ropeDivisors: true, biases: [], qkNorms: false, experts: 'maybe' },
  qwen2: { ropeInGguf: 'halves', ropeDivisors: false, biases: ['qBias', 'kBias', 'vBias'], qkNorms: false, experts: 'never' },
  qwen3: { ropeInGguf: 'halves', ropeDivisors: false, biases: [], qkNorms: true, experts: 'never' },
  qwen3moe: { ropeInGguf: 'halves', ropeDivisors: false, biases: [], qkNorms: true, experts: 'always' },
} as const satisfies Readonly<Record<string, Architecture>>;

/** GGUF's general.architecture of a model that is served. */
export type ArchitectureName = keyof typeof ARCHITECTURES;

export const ARCHITECTURE_NAMES = Object.keys(ARCHITECTURES) as readonly ArchitectureName[];

export const isArchitecture = (name: unknown): name is ArchitectureName => (ARCHITECTURE_NAMES as readonly unknown[]).includes(name);

export const architectureOf = (name: ArchitectureName): Architecture => ARCHITECTURES[name];
