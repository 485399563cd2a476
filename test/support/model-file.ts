// Small language models as GGUF files in memory: random weights, a whole header, and a vocabulary of bytes that tokenizers can use. Three
// layers, about a megabyte. What they say is nonsense; what they must say is known (src/reference/llm.ts).
import { type ArchitectureName, architectureOf } from '../../src/llm/architectures.js';
import type { Config } from '../../src/llm/config.js';
import { rolesOf } from '../../src/llm/model-tensors.js';
import { type LayerPart, type ModelPart, type Role, tensorName } from '../../src/llm/names.js';
import { yarnOf } from '../../src/llm/yarn.js';
import { type GgufValue, type MadeTensor, makeGguf } from './files.js';
import { type BlockType, type Draw, drawOf, randomBlocks } from './model-blocks.js';

export interface ModelOptions {
  readonly architecture: ArchitectureName;
  /** Of matrices, by part, or of one layer (`v.0`). Default: `type`. The embedding of a tied model is its head. */
  readonly types?: Partial<Readonly<Record<LayerPart | ModelPart | Role, BlockType>>> | undefined;
  /** Default: Q4_0. */
  readonly type?: BlockType | undefined;
  readonly seed?: number | undefined;
  /**
   * normal: variance 1/K. heavy: scales of blocks spread over a factor of a hundred, and one number of the residual is huge behind layer 0, as
   * real models have it.
   */
  readonly weights?: 'normal' | 'heavy' | undefined;
  readonly tied?: boolean | undefined;
  /** 259: bytes and three special tokens. More: pairs of letters too, up to 1,043; and a letter before pairs, up to 22,995. */
  readonly vocabulary?: number | undefined;
  /** Sizes; default: L 3, d 256, H 8, V 2, e 32, f 512, context 2,048, ε 1e-6, base 10,000. */
  readonly sizes?:
    | Partial<Pick<Config, 'layers' | 'width' | 'heads' | 'kvHeads' | 'headWidth' | 'feedForward' | 'contextLength' | 'epsilon'>>
    | undefined;
  /** qwen3moe and gpt-oss have 8 and 2 without it; the others have none. */
  readonly experts?: Partial<NonNullable<Config['experts']>> | undefined;
  readonly rope?: Partial<Pick<Config['rope'], 'base' | 'factor' | 'divisors' | 'width' | 'original' | 'magnitude'>> | undefined;
  /** YaRN; gpt-oss has it with a factor of 8 from 64 positions on without it. */
  readonly yarn?: { readonly factor: number; readonly original: number } | undefined;
  /** Size of the windows of architectures that have them; 0: none. Default: 12 for gemma and gpt-oss, else none. */
  readonly window?: number | undefined;
  /** Of architectures that have them; default 50 and 30. */
  readonly caps?: { readonly scores: number; readonly logits: number } | undefined;
}

/** The parts of a file, for tests that change some of them before `makeGguf`. */
export interface ModelParts {
  readonly config: Config;
  readonly metadata: Map<string, GgufValue>;
  readonly tensors: MadeTensor[];
}

/** What an architecture says of its files; kept apart from src/llm/architectures.ts, which is tested with them. */
const KINDS = {
  llama: { kind: 'pairs', biases: [], qkNorms: false },
  qwen2: { kind: 'halves', biases: ['qBias', 'kBias', 'vBias'], qkNorms: false },
  qwen3: { kind: 'halves', biases: [], qkNorms: true },
  qwen3moe: { kind: 'halves', biases: [], qkNorms: true },
  gemma2: {
    ...{ kind: 'halves', biases: [], qkNorms: false, window: 12, every: 2, local: undefined },
    more: { activation: 'gelu_tanh', postNorms: true, scoreCap: 50, logitCap: 30 },
  },
  gemma3: {
    ...{ kind: 'halves', biases: [], qkNorms: true, window: 12, every: 6, local: 10_000 },
    more: { activation: 'gelu_tanh', postNorms: true },
  },
  'gpt-oss': {
    ...{ kind: 'halves', qkNorms: false, window: 12, every: 2, yarn: { factor: 8, original: 64 } },
    biases: ['qBias', 'kBias', 'vBias', 'oBias', 'routerBias', 'gatesBias', 'upsBias', 'downsBias'],
    more: { activation: 'swiglu_oai', sinks: true },
  },
  smollm3: { kind: 'pairs', biases: [], qkNorms: false, more: { noRopeEvery: 4 } },
  phi3: { kind: 'halves', biases: [], qkNorms: false, more: { joined: true } },
} as const satisfies Readonly<Record<ArchitectureName, Kind>>;

interface Kind extends Pick<Config, 'biases' | 'qkNorms'> {
  readonly kind: 'pairs' | 'halves';
  readonly window?: number;
  readonly every?: number;
  /** Base of layers with a window. */
  readonly local?: number | undefined;
  readonly yarn?: ModelOptions['yarn'];
  readonly more?: Partial<Config>;
}

export function modelConfig({
  architecture,
  tied = false,
  vocabulary = 259,
  sizes = {},
  rope = {},
  window,
  caps,
  experts,
  yarn,
}: ModelOptions): Config {
  const { kind, biases, qkNorms, every = 0, local, more, ...of }: Kind = KINDS[architecture];
  const headWidth = sizes.headWidth ?? 32;
  const plain: Config['rope'] = { kind, width: headWidth, base: 10_000, factor: 1, divisors: false, ...rope };
  const scaled = yarn ?? of.yarn;
  const turns = scaled ? { ...plain, ...yarnOf({ ...scaled, fast: 32, slow: 1, truncate: true }, plain) } : plain;
  const size = window ?? of.window ?? 0;
  const isGemma = architecture.startsWith('gemma');
  return {
    architecture,
    layers: 3,
    width: 256,
    heads: 8,
    kvHeads: 2,
    feedForward: 512,
    vocabulary,
    contextLength: 2048,
    ...sizes,
    epsilon: Math.fround(sizes.epsilon ?? 1e-6), // as a file holds it
    headWidth,
    rope: turns,
    tied,
    biases,
    qkNorms,
    ...((experts || HAS_EXPERTS.includes(architecture)) && { experts: { count: 8, top: 2, scale: 1, ...experts } }),
    ...more,
    ...(caps && more?.scoreCap && { scoreCap: Math.fround(caps.scores), logitCap: Math.fround(caps.logits) }),
    ...(isGemma && { embeddingScale: Math.sqrt(sizes.width ?? 256) }),
    ...(size > 0 && { windows: { size, every } }),
    ...(local !== undefined &&
      size > 0 &&
      (turns.base !== local || turns.factor !== 1) && { localRope: { ...turns, base: local, factor: 1 } }),
  };
}

// ------------------------------------------------------------------------------------------------------------------ header

/** GPT-2's alphabet: a printable character for each byte (bytes_to_unicode of its encoder.py). */
export const ALPHABET = ((): readonly string[] => {
  const printable = (byte: number): boolean => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();
export const SPECIAL = ['<|begin|>', '<|end|>', '<|turn|>'] as const;
/** 28: space, newline and letters, whose pairs are tokens. */
const LETTERS = [...'\u0120\u010aetaoinshrdlucmfwypvbgkjqxz'];
const [NORMAL, CONTROL] = [1, 3];

/** A byte-level BPE in llama.cpp's form: bytes, special tokens, then a merge a token. */
function tokenizerKeys(vocabulary: number): [string, GgufValue][] {
  const pairs = LETTERS.flatMap((a) => LETTERS.map((b) => `${a} ${b}`));
  const triples = LETTERS.flatMap((a) => pairs.map((pair) => `${a} ${pair.replace(' ', '')}`));
  const merges = [...pairs, ...triples].slice(0, vocabulary - 259);
  const tokens = [...ALPHABET, ...SPECIAL, ...merges.map((merge) => merge.replace(' ', ''))];
  if (tokens.length !== vocabulary) throw new Error(`a vocabulary of 259 to ${259 + pairs.length + triples.length}, not ${vocabulary}`);
  return [
    ['tokenizer.ggml.model', ['STRING', 'gpt2']],
    ['tokenizer.ggml.pre', ['STRING', 'gpt-2']],
    ['tokenizer.ggml.tokens', ['ARRAY', ['STRING', tokens]]],
    ['tokenizer.ggml.token_type', ['ARRAY', ['INT32', tokens.map((_, i) => (i >= 256 && i < 259 ? CONTROL : NORMAL))]]],
    ['tokenizer.ggml.merges', ['ARRAY', ['STRING', merges]]],
    ['tokenizer.ggml.bos_token_id', ['UINT32', 256]],
    ['tokenizer.ggml.eos_token_id', ['UINT32', 257]],
    ['tokenizer.ggml.add_bos_token', ['BOOL', 0]],
  ];
}

const yarnIn = (architecture: ArchitectureName): ModelOptions['yarn'] => (KINDS[architecture] as Kind).yarn;
const HAS_EXPERTS: readonly string[] = ['qwen3moe', 'gpt-oss'];

/** Real files of qwen3moe say both widths, of which the other is nobody's; Mixtral's say one. */
function expertKeys({ architecture: a, experts, feedForward }: Config): [string, GgufValue][] {
  if (!experts) return [];
  const { count, top, scale } = experts;
  return [
    [`${a}.expert_count`, ['UINT32', count]],
    [`${a}.expert_used_count`, ['UINT32', top]],
    ...(scale === 1 ? [] : [[`${a}.expert_weights_scale`, ['FLOAT32', scale]] as [string, GgufValue]]),
    ...(HAS_EXPERTS.includes(a) ? [[`${a}.expert_feed_forward_length`, ['UINT32', feedForward]] as [string, GgufValue]] : []),
  ];
}

function headerOf(
  { architecture: a, rope, headWidth, ...config }: Config,
  { yarn = yarnIn(a) }: Pick<ModelOptions, 'yarn'>,
): [string, GgufValue][] {
  const whole = (value: number): GgufValue => ['UINT32', value];
  const float = (value: number): GgufValue => ['FLOAT32', value];
  const linear: [string, GgufValue][] = [
    [`${a}.rope.scaling.type`, ['STRING', 'linear']],
    [`${a}.rope.scaling.factor`, float(rope.factor)],
  ];
  const ofYarn = (of: NonNullable<ModelOptions['yarn']>): [string, GgufValue][] => [
    [`${a}.rope.scaling.type`, ['STRING', 'yarn']],
    [`${a}.rope.scaling.factor`, float(of.factor)],
    [`${a}.rope.scaling.original_context_length`, whole(of.original)],
  ];
  return [
    ['general.architecture', ['STRING', a]],
    ['general.name', ['STRING', 'random']],
    [`${a}.context_length`, whole(config.contextLength)],
    [`${a}.embedding_length`, whole(config.width)],
    [`${a}.block_count`, whole(config.layers)],
    [`${a}.feed_forward_length`, whole(a === 'qwen3moe' ? 4 * config.feedForward : config.feedForward)],
    ...expertKeys({ ...config, architecture: a, rope, headWidth }),
    [`${a}.attention.head_count`, whole(config.heads)],
    [`${a}.attention.head_count_kv`, whole(config.kvHeads)],
    [`${a}.attention.layer_norm_rms_epsilon`, float(config.epsilon)],
    [`${a}.rope.freq_base`, float(rope.base)],
    [`${a}.rope.dimension_count`, whole(rope.width)],
    [`${a}.attention.key_length`, whole(headWidth)],
    [`${a}.attention.value_length`, whole(headWidth)],
    [`${a}.vocab_size`, whole(config.vocabulary)],
    ...(rope.factor === 1 ? [] : linear),
    ...(yarn ? ofYarn(yarn) : []),
    ...(config.windows ? [[`${a}.attention.sliding_window`, whole(config.windows.size)] as [string, GgufValue]] : []),
    ...(rope.original === undefined
      ? []
      : ([
          [`${a}.rope.scaling.original_context_length`, whole(rope.original)],
          [`${a}.rope.scaling.attn_factor`, float(rope.magnitude ?? 1)],
        ] as [string, GgufValue][])),
    ...(config.scoreCap ? [[`${a}.attn_logit_softcapping`, float(config.scoreCap)] as [string, GgufValue]] : []),
    ...(config.logitCap ? [[`${a}.final_logit_softcapping`, float(config.logitCap)] as [string, GgufValue]] : []),
    ...tokenizerKeys(config.vocabulary),
  ];
}

// ----------------------------------------------------------------------------------------------------------------- tensors

const floats = (length: number, value: (i: number) => number): Uint8Array => {
  const view = new DataView(new ArrayBuffer(4 * length));
  for (let i = 0; i < length; i++) view.setFloat32(4 * i, value(i), true);
  return new Uint8Array(view.buffer);
};

/** Llama 3's divisors, in kind: 1 for fast frequencies, 8 for slow ones, between them a way from one to the other. */
const divisor = (i: number, pairs: number): number => 1 + 7 * Math.min(1, Math.max(0, (3 * i) / pairs - 1));

/** The number of the residual that is huge in heavy models, and how much larger its row of layer 0's `down` is. */
const MASSIVE = { at: 7, factor: 300 };

function vectorOf(role: Role, length: number, { weights, draw }: Drawn): Uint8Array {
  const [part, layer] = role.split('.') as [string, string | undefined];
  if (part === 'ropeDivisors') return floats(length, (i) => divisor(i, length));
  if (part === 'ropeShort' || part === 'ropeLong') return floats(length, (i) => divisor(i, length) + (part === 'ropeLong' ? 2 : 0));
  if (part === 'sinks') return floats(length, () => 1 + draw.normal());
  if (part.endsWith('Bias')) return floats(length, () => 0.3 * draw.normal());
  // Norms behind a huge number push it down.
  const behind = weights === 'heavy' && (part === 'outputNorm' || (/^(attention|feedForward)Norm$/.test(part) && layer !== '0'));
  return floats(length, (i) => (behind && i === MASSIVE.at ? 0.1 : 1) * (1 + 0.2 * draw.normal()));
}

/** Standard deviations in units of 1/√K: q and k make scores that differ, the head logits that differ; the residual begins at 1. */
export function gainOf(part: string, { tied, width, embeddingScale = 1 }: Config): number {
  if (part === 'embedding') return tied ? 2 : Math.sqrt(width) / embeddingScale;
  return { q: 1.5, k: 1.5, qkv: 1.5, gate: 1.5, up: 1.5, gateUp: 1.5, gates: 1.5, ups: 1.5, router: 1.5, head: 2 }[part] ?? 1;
}

function matrixOf(role: Role, type: BlockType, [n, k]: readonly [number, number], { config, weights, draw }: Drawn): Uint8Array {
  const std = gainOf(role.split('.')[0]!, config) / Math.sqrt(k);
  const heavy = (row: number): number => {
    const spread = Math.exp(draw.normal() - 1); // E[spread²] = 1
    return std * spread * (role === 'down.0' && row === MASSIVE.at ? MASSIVE.factor : 1);
  };
  return randomBlocks(type, { n, k }, weights === 'heavy' ? heavy : () => std, draw);
}

interface Drawn {
  readonly config: Config;
  readonly weights: 'normal' | 'heavy';
  readonly draw: Draw;
}

export function modelParts(options: ModelOptions): ModelParts {
  const { types = {}, type = 'Q4_0', seed = 1, weights = 'normal' } = options;
  const config = modelConfig(options);
  const tensors = [...rolesOf(config)].map(([role, shape]): MadeTensor => {
    const part = role.split('.')[0] as LayerPart | ModelPart;
    const drawn = { config, weights, draw: drawOf(`${seed} ${role}`) };
    const name = tensorName(role, 'gguf', { own: architectureOf(config.architecture).names })!;
    const [n, k] = (shape.length === 3 ? [shape[0]! * shape[1]!, shape[2]] : shape) as [number, number | undefined];
    if (k === undefined || part.endsWith('Bias')) return { name, dtype: 'F32', shape, bytes: vectorOf(role, n * (k ?? 1), drawn) };
    const dtype = types[role] ?? types[part] ?? (part === 'router' ? 'F32' : type);
    return { name, dtype, shape, bytes: matrixOf(role, dtype, [n, k], drawn) };
  });
  return { config, metadata: new Map(headerOf(config, options)), tensors };
}

/** The bytes of a whole file; the same for the same options. */
export function modelFile(options: ModelOptions): Uint8Array<ArrayBuffer> {
  const { metadata, tensors } = modelParts(options);
  return makeGguf(tensors, { metadata });
}
