// What the architectures of language models differ in, as data. A row says what a file's architecture name implies; what files of one
// architecture may differ in is read from their keys (config.ts). All rows here: RMSNorm before attention and before the feed-forward part, a
// gated linear unit. Sources: llama.cpp's graphs and hyperparameters of these names (src/models/*.cpp), transformers' modeling_*.py.
import type { Glu } from '../problem/glu.js';
import type { LayerPart, OwnNames } from './names.js';

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
   * Is the feed-forward part of each layer one of experts? maybe: the keys say so. Default: it is not. A row meets the experts whose products with
   * the router are largest. Their weights are the softmax of these products: the softmax over all experts, divided by its sum over the chosen.
   */
  readonly experts?: 'maybe' | 'always';
  /** Default: SiLU. */
  readonly activation?: Glu;
  /** Are there norms of the attention's output and of the feed-forward part's, before they are added to the residual? */
  readonly postNorms?: true;
  /** Is the embedding multiplied by √d? */
  readonly scalesEmbedding?: true;
  /** Are q, k and v one tensor, and gate and up another? */
  readonly joined?: true;
  /** May the rotation turn a part of a head only? */
  readonly partialRope?: true;
  /** May a file have `rope_factors_short.weight` and `rope_factors_long.weight`, divisors for short and for long contexts (LongRoPE)? */
  readonly longRope?: true;
  /** Every n-th layer does not rotate. */
  readonly noRopeEvery?: number;
  /** Layers of this number take 1 / √(d / H) as the scale of q · k, and not 1 / √e: the models of 27 billion weights. */
  readonly wideScaleAt?: number;
  /** May files say the scale of q · k? */
  readonly scaleKey?: true;
  /** Sliding windows, for files that have a size of one. */
  readonly window?: WindowRule;
  /** May a file scale positions by YaRN (yarn.ts)? */
  readonly yarn?: true;
  /** Has each head of queries a sink: a score beside those of the keys, and no value? */
  readonly sinks?: true;
  /** Names in GGUF files that are others than those in names.ts. */
  readonly names?: OwnNames;
  /** Caps of files that do not say theirs; 0: none. Files of rows without have no caps. */
  readonly caps?: { readonly scores: number; readonly logits: number };
}

/** Which layers see a window. */
export interface WindowRule {
  /** Every n-th sees all positions, others the window; 0: all of them the window. Files may have a key for another. */
  readonly every: number;
  /** The size where a file has no key; undefined: no window. */
  readonly size?: number;
  /** Must a file have the key? */
  readonly required?: true;
  /** Layers with a window turn by this base, unscaled. Default: as all others. */
  readonly base?: number;
}

/** By GGUF's general.architecture. */
const ARCHITECTURES = {
  /** Also Mistral, whose first models have windows, Mixtral and SmolLM2. */
  llama: { ropeInGguf: 'pairs', ropeDivisors: true, biases: [], qkNorms: false, window: { every: 0 }, experts: 'maybe' },
  qwen2: { ropeInGguf: 'halves', ropeDivisors: false, biases: ['qBias', 'kBias', 'vBias'], qkNorms: false, yarn: true },
  qwen3: { ropeInGguf: 'halves', ropeDivisors: false, biases: [], qkNorms: true, yarn: true },
  qwen3moe: { ropeInGguf: 'halves', ropeDivisors: false, biases: [], qkNorms: true, yarn: true, experts: 'always' },
  'gpt-oss': {
    ...{ ropeInGguf: 'halves', ropeDivisors: false, qkNorms: false, yarn: true, experts: 'always', activation: 'swiglu_oai', sinks: true },
    ...{ window: { every: 2, required: true }, names: { feedForwardNorm: 'post_attention_norm.weight' } },
    biases: ['qBias', 'kBias', 'vBias', 'oBias', 'routerBias', 'gatesBias', 'upsBias', 'downsBias'],
  },
  gemma3: {
    ...{ ropeInGguf: 'halves', ropeDivisors: false, biases: [], qkNorms: true },
    ...{ activation: 'gelu_tanh', postNorms: true, scalesEmbedding: true, wideScaleAt: 62, scaleKey: true },
    ...{ window: { every: 6, required: true, base: 10_000 }, caps: { scores: 0, logits: 0 } },
  },
  gemma2: {
    ...{ ropeInGguf: 'halves', ropeDivisors: false, biases: [], qkNorms: false },
    ...{ activation: 'gelu_tanh', postNorms: true, scalesEmbedding: true, wideScaleAt: 46, scaleKey: true },
    ...{ window: { every: 2, size: 4096 }, caps: { scores: 50, logits: 30 } },
  },
  smollm3: { ropeInGguf: 'pairs', ropeDivisors: false, biases: [], qkNorms: false, noRopeEvery: 4, scaleKey: true },
  /** Also Phi-4. */
  phi3: {
    ...{ ropeInGguf: 'halves', ropeDivisors: false, biases: [], qkNorms: false },
    ...{ joined: true, partialRope: true, longRope: true, window: { every: 0 } },
  },
} as const satisfies Readonly<Record<string, Architecture>>;

/** GGUF's general.architecture of a model that is served. */
export type ArchitectureName = keyof typeof ARCHITECTURES;

export const ARCHITECTURE_NAMES = Object.keys(ARCHITECTURES) as readonly ArchitectureName[];

export const isArchitecture = (name: unknown): name is ArchitectureName => (ARCHITECTURE_NAMES as readonly unknown[]).includes(name);

export const architectureOf = (name: ArchitectureName): Architecture => ARCHITECTURES[name];
