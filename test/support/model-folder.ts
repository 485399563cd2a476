// Small language models as Hugging Face folders in memory, in every format, with their weights as float64. Holds no test.
import type { Config } from '../../src/llm/config.js';
import { rolesOf } from '../../src/llm/model-tensors.js';
import { type OwnNames, type Role, tensorName } from '../../src/llm/names.js';
import { yarnOf } from '../../src/llm/yarn.js';
import type { Weight } from '../../src/reference/llm.js';
import { concat, type MadeTensor, makeSafetensors, makeShards, utf8 } from './files.js';
import { blocksOf, inTurns, stacked } from './folder-experts.js';
import { FOLDER_FORMATS, type FolderFormat, type FolderFormatName, f16, float } from './folder-formats.js';
import { drawOf } from './model-blocks.js';
import { ALPHABET, gainOf, SPECIAL } from './model-file.js';

export interface FolderOptions {
  readonly type: FolderType;
  readonly format: FolderFormatName;
  readonly tied?: boolean;
  readonly seed?: number;
  readonly sizes?: Partial<Pick<Config, 'layers' | 'width' | 'heads' | 'kvHeads' | 'headWidth' | 'feedForward'>>;
  /** Of config.json, over what is here. */
  readonly json?: Readonly<Record<string, unknown>>;
  /** Files of weights; with more than one there is an index. */
  readonly shards?: number;
  /** q, k and v are one matrix, and gate and up another, as MLC has them; names that differ from phi3's. */
  readonly joined?: OwnNames;
}

/** The parts of a folder, for tests that change some of them before `filesOf`. */
export interface FolderParts {
  readonly config: Config;
  readonly json: Record<string, unknown>;
  readonly tensors: MadeTensor[];
  readonly weight: Weight;
  readonly shards: number;
}

/** What architectures imply, apart from src/llm. */
const KINDS = {
  llama: { architecture: 'llama', biases: [], qkNorms: false },
  mistral: { architecture: 'llama', biases: [], qkNorms: false },
  qwen2: { architecture: 'qwen2', biases: ['qBias', 'kBias', 'vBias'], qkNorms: false },
  qwen3: { architecture: 'qwen3', biases: [], qkNorms: true },
  qwen3_moe: { architecture: 'qwen3moe', biases: [], qkNorms: true, experts: { count: 4, top: 2, scale: 1 } },
  mixtral: { architecture: 'llama', biases: [], qkNorms: false, experts: { count: 4, top: 2, scale: 1 } },
  gpt_oss: {
    ...{ architecture: 'gpt-oss', qkNorms: false, activation: 'swiglu_oai', sinks: true, experts: { count: 4, top: 2, scale: 1 } },
    ...{ biases: ['qBias', 'kBias', 'vBias', 'oBias', 'routerBias', 'gatesBias', 'upsBias', 'downsBias'], windows: { size: 9, every: 2 } },
  },
  smollm3: { architecture: 'smollm3', biases: [], qkNorms: false },
  phi3: { architecture: 'phi3', biases: [], qkNorms: false, joined: true },
  gemma2: { architecture: 'gemma2', biases: [], qkNorms: false, activation: 'gelu_tanh', postNorms: true },
  gemma3_text: { architecture: 'gemma3', biases: [], qkNorms: true, activation: 'gelu_tanh', postNorms: true },
} as const satisfies Readonly<Record<string, Partial<Config>>>;
export type FolderType = keyof typeof KINDS;

/** Keys that a type has beside those of all, and what they are in a Config. */
interface OwnKeys {
  readonly json: object;
  readonly config: (width: number, rope: Config['rope']) => Partial<Config>;
}
const GELU = { hidden_act: undefined, hidden_activation: 'gelu_pytorch_tanh', query_pre_attn_scalar: 48, sliding_window: 9 };
const gemma = (width: number): Partial<Config> => ({
  ...{ embeddingScale: Math.sqrt(width), scoreScale: 1 / Math.sqrt(48), windows: { size: 9, every: 2 } },
});
const OWN: Readonly<Record<string, OwnKeys>> = {
  qwen3_moe: {
    json: {
      ...{ intermediate_size: 999, moe_intermediate_size: 256, num_experts: 4, num_experts_per_tok: 2, norm_topk_prob: true },
      ...{ decoder_sparse_step: 1, mlp_only_layers: [], output_router_logits: false, router_aux_loss_coef: 0.001 },
    },
    config: () => ({}),
  },
  mixtral: {
    json: {
      num_local_experts: 4,
      num_experts_per_tok: 2,
      output_router_logits: false,
      router_aux_loss_coef: 0.02,
      router_jitter_noise: 0,
      sliding_window: null,
    },
    config: () => ({}),
  },
  gpt_oss: {
    json: {
      ...{
        num_local_experts: 4,
        num_experts_per_tok: 2,
        experts_per_token: 2,
        initial_context_length: 64,
        swiglu_limit: 7,
        attention_bias: true,
      },
      ...{
        sliding_window: 9,
        output_router_logits: false,
        router_aux_loss_coef: 0.9,
      },
      rope_scaling: { rope_type: 'yarn', factor: 8, beta_fast: 32, beta_slow: 1, original_max_position_embeddings: 64, truncate: false },
    },
    config: () => ({}),
  },
  smollm3: { json: { no_rope_layer_interval: 2 }, config: () => ({ noRopeEvery: 2 }) },
  gemma2: {
    json: { ...GELU, attn_logit_softcapping: 5, final_logit_softcapping: 3 },
    config: (width) => ({ ...gemma(width), scoreCap: 5, logitCap: 3 }),
  },
  gemma3_text: {
    json: { ...GELU, rope_local_base_freq: 20_000, sliding_window_pattern: 2 },
    config: (width, rope) => ({ ...gemma(width), localRope: { ...rope, base: 20_000, factor: 1 } }),
  },
};
/** Names of parts in a type's folders, where they are its own. */
const NAMES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  mixtral: {
    router: 'block_sparse_moe.gate.weight',
    gates: 'block_sparse_moe.experts.w1.weight',
    ups: 'block_sparse_moe.experts.w3.weight',
    downs: 'block_sparse_moe.experts.w2.weight',
  },
  gpt_oss: { router: 'mlp.router.weight', routerBias: 'mlp.router.bias', downs: 'mlp.experts.down_proj' },
};
/** As MLX names experts, which it stacks. */
const STACKED: Readonly<Record<string, string>> = { gates: 'gate_proj', ups: 'up_proj', downs: 'down_proj' };
const STACKS: Readonly<Record<string, string>> = {
  qwen3_moe: 'mlp.switch_mlp',
  mixtral: 'block_sparse_moe.switch_mlp',
  gpt_oss: 'mlp.experts',
};
/** As folders of gemma name norms, which hold their weights less one. */
const GEMMA_NORMS: Readonly<Record<string, string>> = {
  postAttentionNorm: 'post_attention_layernorm',
  feedForwardNorm: 'pre_feedforward_layernorm',
  postFeedForwardNorm: 'post_feedforward_layernorm',
};
const VOCABULARY = 264; // bytes, three special tokens, and rows that no text has
const CONTEXT = 512;

/** Llama 3's rule as transformers has it: by wave lengths. */
export function llama3Divisors(
  { base, width }: Pick<Config['rope'], 'base' | 'width'>,
  { factor, low, high, original }: { readonly factor: number; readonly low: number; readonly high: number; readonly original: number },
): Float64Array {
  return Float64Array.from({ length: width / 2 }, (_, i) => {
    const frequency = base ** ((-2 * i) / width);
    const wave = (2 * Math.PI) / frequency;
    if (wave < original / high) return 1;
    if (wave > original / low) return factor;
    const smooth = (original / wave - low) / (high - low);
    return frequency / (((1 - smooth) * frequency) / factor + smooth * frequency);
  });
}

/** Of rope_scaling. */
interface Scaling {
  readonly rope_type?: string;
  readonly type?: string;
  readonly factor?: number;
  readonly original_max_position_embeddings?: number;
  readonly truncate?: boolean;
  readonly short_factor?: readonly number[];
  readonly long_factor?: readonly number[];
}

const yarnSettings = ({ factor, original_max_position_embeddings: original = CONTEXT, truncate = true }: Scaling) => ({
  ...{ factor: factor!, original, fast: 32, slow: 1, truncate },
});

export function folderParts(options: FolderOptions): FolderParts {
  const { type, format, tied = false, seed = 1, sizes = {}, shards = 1, joined } = options;
  const form: FolderFormat = FOLDER_FORMATS[format];
  const { partial_rotary_factor: turning = 1, rope_scaling: scaling } = { ...OWN[type]?.json, ...options.json } as {
    partial_rotary_factor?: number;
    rope_scaling?: Scaling;
  };
  const kind = scaling && (scaling.rope_type ?? scaling.type);
  const headWidth = sizes.headWidth ?? 32;
  const long = kind === 'longrope' ? (options.json?.original_max_position_embeddings as number) : undefined;
  const window = type === 'mistral' || type === 'phi3' ? (options.json?.sliding_window as number | undefined) : undefined;
  const rope = {
    kind: 'halves',
    width: headWidth * turning,
    base: 50_000,
    factor: kind === 'linear' ? scaling!.factor! : 1,
    divisors: kind === 'llama3',
    ...(long && { original: long, magnitude: Math.sqrt(1 + Math.log(CONTEXT / long) / Math.log(long)) }),
    ...(kind === 'yarn' && yarnOf(yarnSettings(scaling!), { base: 50_000, width: headWidth })),
  } as const;
  const own = OWN[type];
  const isGemma = type.startsWith('gemma');
  const config: Config = {
    layers: 2,
    width: 128,
    heads: 4,
    kvHeads: 2,
    feedForward: 256,
    vocabulary: VOCABULARY,
    contextLength: CONTEXT,
    epsilon: 1e-6,
    ...sizes,
    headWidth,
    rope,
    tied,
    ...KINDS[type],
    ...(window !== undefined && window < CONTEXT && { windows: { size: window, every: 0 } }),
    ...own?.config(sizes.width ?? 128, rope),
    ...(joined && { joined: true, biases: type === 'qwen2' ? ['qkvBias'] : [] }),
  };
  const weights = new Map<string, Float64Array>();
  if (long) {
    weights.set('ropeShort', Float64Array.from(scaling!.short_factor!, Math.fround));
    weights.set('ropeLong', Float64Array.from(scaling!.long_factor!, Math.fround));
  }
  if (kind === 'llama3') {
    const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling as never;
    weights.set('ropeDivisors', llama3Divisors(rope, { factor, low, high, original }));
  }
  const stacks = format === 'MLX';
  const together = type === 'gpt_oss' && !stacks;
  const waiting = new Map<string, readonly MadeTensor[]>();
  /** Gates wait for ups, with which they take turns. */
  const ofTurns = (part: string, layer: string, made: readonly MadeTensor[]): MadeTensor[] => {
    const [, what, bias = ''] = /^(gates|ups|downs)(Bias)?$/.exec(part) ?? [];
    const base = `model.layers.${layer}.mlp.experts`;
    if (!what) return [...made];
    if (what === 'downs') return bias ? [{ ...made[0]!, name: `${base}.down_proj_bias` }] : [...made];
    if (what === 'gates') waiting.set(layer + bias, made);
    if (what === 'gates') return [];
    return waiting
      .get(layer + bias)!
      .map((gates, i) => inTurns(`${base}.gate_up_proj${bias ? '_bias' : gates.name.slice(-7)}`, gates, made[i]!));
  };
  /** Only experts of gpt-oss are MXFP4; what is not is float. */
  const packOf = (part: string) => (together && !(part in STACKED) ? float : form.pack);
  const tensors = [...rolesOf(config)].flatMap(([role, shape]): MadeTensor[] => {
    const [part, layer] = role.split('.') as [string, string];
    const norm = isGemma ? GEMMA_NORMS[part] : undefined;
    const ownName = norm ? `${norm}.weight` : NAMES[type]?.[part];
    const name = ownName ? `model.layers.${layer}.${ownName}` : tensorName(role, 'huggingFace', { own: joined });
    if (name === undefined) return [];
    const offset = isGemma ? 1 : 0;
    const draw = drawOf(`${seed} ${role}`);
    const [n, k] = shape as [number, number | undefined];
    // Vectors and routers stay floats.
    if (k === undefined || part.endsWith('Bias') || (part === 'router' && !stacks)) {
      const count = n * (k ?? 1);
      const deviation = part === 'router' ? gainOf(part, config) / Math.sqrt(k!) : part.endsWith('Bias') ? 0.3 : 0.2;
      const middle = part.endsWith('Norm') ? 1 - offset : 0;
      const made = f16(
        name,
        shape,
        Array.from({ length: count }, () => middle + deviation * draw.normal()),
      );
      const values = new Float64Array(count);
      const view = new DataView(made.bytes.buffer, made.bytes.byteOffset);
      for (let i = 0; i < count; i++) values[i] = (part.endsWith('Norm') ? offset : 0) + halfOf(view.getUint16(2 * i, true));
      weights.set(role, values);
      return together ? ofTurns(part, layer, [made]) : [made];
    }
    const quantized = form.whole || (part !== 'embedding' && part !== 'head');
    const [rows, columns] = shape.slice(-2) as [number, number];
    const asked = { n: rows, k: columns, std: gainOf(part, config) / Math.sqrt(columns), draw };
    const each = Array.from({ length: shape.length === 3 ? n : 1 }, () => (quantized ? packOf(part)(asked) : float(asked)));
    weights.set(role, Float64Array.from(each.flatMap((one) => [...one.weights])));
    const matrix = name.replace(/\.weight$/, '');
    if (shape.length === 3 && stacks) return stacked(`model.layers.${layer}.${STACKS[type]}.${STACKED[part]}`, each);
    if (shape.length === 3 && together) return ofTurns(part, layer, blocksOf(matrix, each));
    return each.flatMap((one, expert) => {
      const own = shape.length === 3 ? matrix.replace('experts', `experts.${expert}`) : matrix;
      return one.tensors.map((tensor) => ({ ...tensor, name: `${own}${tensor.name}` }));
    });
  });
  const json = {
    architectures: [`${type}ForCausalLM`],
    model_type: type,
    hidden_size: config.width,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: headWidth,
    intermediate_size: config.feedForward,
    vocab_size: VOCABULARY,
    max_position_embeddings: CONTEXT,
    rms_norm_eps: config.epsilon,
    rope_theta: rope.base,
    hidden_act: 'silu',
    tie_word_embeddings: tied,
    eos_token_id: 257,
    ...own?.json,
    ...form.config,
    ...options.json,
  };
  const weight = (role: string): Float64Array => {
    const found = weights.get(role as Role);
    if (!found) throw new Error(`the model has no ${role}`);
    return found;
  };
  return { config, json, tensors, weight, shards };
}

/** IEEE 754's rule. */
function halfOf(bits: number): number {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

export const TEMPLATE = '{% for m in messages %}<|turn|>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|turn|>{% endif %}';

export const TOKENIZER = {
  added_tokens: SPECIAL.map((content, i) => ({ id: 256 + i, content, special: true })),
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
  decoder: { type: 'ByteLevel' },
  model: { type: 'BPE', vocab: Object.fromEntries(ALPHABET.map((token, id) => [token, id])), merges: [] },
};

type Bytes = Uint8Array<ArrayBuffer>;
const text = (value: unknown): Bytes => concat([utf8(typeof value === 'string' ? value : JSON.stringify(value))]);

/** The files of a folder by name. */
export function filesOf({ json, tensors, shards }: Pick<FolderParts, 'json' | 'tensors' | 'shards'>): Map<string, Bytes> {
  const each = Math.ceil(tensors.length / shards);
  const weights: Map<string, Bytes> =
    shards === 1
      ? new Map([['model.safetensors', makeSafetensors(tensors, { format: 'pt' })]])
      : makeShards(Array.from({ length: shards }, (_, i) => tensors.slice(i * each, (i + 1) * each)));
  return new Map([
    ['config.json', text(json)],
    ...weights,
    ['tokenizer.json', text(TOKENIZER)],
    ['tokenizer_config.json', text({ bos_token: SPECIAL[0], eos_token: SPECIAL[1], add_bos_token: false, chat_template: TEMPLATE })],
    ['generation_config.json', text({ eos_token_id: [257, 258] })],
  ]);
}

/** As a page gets them. */
export const asFiles = (files: ReadonlyMap<string, Bytes>): File[] => [...files].map(([name, bytes]) => new File([bytes], name));
