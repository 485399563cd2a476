// Roles of tensors in a language model ↔ their names in GGUF files and in Hugging Face folders. Sources: llama.cpp's gguf-py/gguf/constants.py
// (TENSOR_NAMES) and transformers' modeling_llama.py, modeling_qwen2.py, modeling_qwen3.py,
// modeling_gemma3.py, modeling_phi3.py and modeling_qwen3_moe.py.

/** Where a model comes from: it decides names, and which numbers of a head a rotation pairs. */
export type Source = 'gguf' | 'huggingFace';

/** The name in GGUF files, the name in Hugging Face folders if there is one, and the latter of models with norms behind products, if it is another. */
type Names = readonly [gguf: string, huggingFace: string | undefined, withPostNorms?: string];

const MODEL = {
  embedding: ['token_embd.weight', 'model.embed_tokens.weight'],
  outputNorm: ['output_norm.weight', 'model.norm.weight'],
  head: ['output.weight', 'lm_head.weight'],
  ropeDivisors: ['rope_freqs.weight', undefined], // config.json has the rule by which converters make them
  ropeShort: ['rope_factors_short.weight', undefined], // config.json has them as lists
  ropeLong: ['rope_factors_long.weight', undefined],
} as const satisfies Readonly<Record<string, Names>>;

/** Behind `blk.3.` and `model.layers.3.`. */
const LAYER = {
  attentionNorm: ['attn_norm.weight', 'input_layernorm.weight'],
  q: ['attn_q.weight', 'self_attn.q_proj.weight'],
  k: ['attn_k.weight', 'self_attn.k_proj.weight'],
  v: ['attn_v.weight', 'self_attn.v_proj.weight'],
  qBias: ['attn_q.bias', 'self_attn.q_proj.bias'],
  kBias: ['attn_k.bias', 'self_attn.k_proj.bias'],
  vBias: ['attn_v.bias', 'self_attn.v_proj.bias'],
  /** A score of each head of queries. */
  sinks: ['attn_sinks.weight', 'self_attn.sinks'],
  qNorm: ['attn_q_norm.weight', 'self_attn.q_norm.weight'],
  kNorm: ['attn_k_norm.weight', 'self_attn.k_norm.weight'],
  /** q, k and v, one below the other. */
  qkv: ['attn_qkv.weight', 'self_attn.qkv_proj.weight'],
  qkvBias: ['attn_qkv.bias', 'self_attn.qkv_proj.bias'],
  o: ['attn_output.weight', 'self_attn.o_proj.weight'],
  oBias: ['attn_output.bias', 'self_attn.o_proj.bias'],
  postAttentionNorm: ['post_attention_norm.weight', undefined, 'post_attention_layernorm.weight'], // others have that name for feedForwardNorm
  feedForwardNorm: ['ffn_norm.weight', 'post_attention_layernorm.weight', 'pre_feedforward_layernorm.weight'],
  /** Gate, and up below it; in GGUF files they have the name of up, which is the role that the name says. */
  gateUp: ['ffn_up.weight', 'mlp.gate_up_proj.weight'],
  gate: ['ffn_gate.weight', 'mlp.gate_proj.weight'],
  up: ['ffn_up.weight', 'mlp.up_proj.weight'],
  down: ['ffn_down.weight', 'mlp.down_proj.weight'],
  // Of experts, with an axis of E in front. Folders have a tensor for each expert, with its number behind `experts.`.
  router: ['ffn_gate_inp.weight', 'mlp.gate.weight'],
  routerBias: ['ffn_gate_inp.bias', 'mlp.gate.bias'],
  gates: ['ffn_gate_exps.weight', 'mlp.experts.gate_proj.weight'],
  ups: ['ffn_up_exps.weight', 'mlp.experts.up_proj.weight'],
  downs: ['ffn_down_exps.weight', 'mlp.experts.down_proj.weight'],
  gatesBias: ['ffn_gate_exps.bias', 'mlp.experts.gate_proj.bias'],
  upsBias: ['ffn_up_exps.bias', 'mlp.experts.up_proj.bias'],
  downsBias: ['ffn_down_exps.bias', 'mlp.experts.down_proj.bias'],
  postFeedForwardNorm: ['post_ffw_norm.weight', undefined, 'post_feedforward_layernorm.weight'],
} as const satisfies Readonly<Record<string, Names>>;

/** A tensor that the model has once. */
export type ModelPart = keyof typeof MODEL;
/** A tensor that every layer of the model (attention and feed-forward part) has. */
export type LayerPart = keyof typeof LAYER;
/** `embedding`, or `q.3` in layer 3. */
export type Role = ModelPart | `${LayerPart}.${number}`;

const AT: Readonly<Record<Source, 0 | 1>> = { gguf: 0, huggingFace: 1 };
const PREFIX: Readonly<Record<Source, string>> = { gguf: 'blk.', huggingFace: 'model.layers.' };

const isPart = <T extends string>(table: Readonly<Record<T, Names>>, part: string): part is T => Object.hasOwn(table, part);

/** In folders, what stands for `model.`, and in front of `lm_head.`. */
export type Roots = readonly [model: string, head: string];

/** Names of a layer's tensors that some models have in place of the usual ones. */
export type OwnNames = Readonly<Partial<Record<LayerPart, string>>>;

/** What names depend on. */
export interface Naming {
  /** Has the model norms behind products? */
  readonly postNorms?: boolean | undefined;
  /** In folders; default: `model.` and nothing. */
  readonly roots?: Roots | undefined;
  readonly own?: OwnNames | undefined;
}

/** The tensor's name: `attn_q.weight` in layer 3 is `blk.3.attn_q.weight`. Undefined if the source has no such tensor. */
export function tensorName(role: Role, source: Source, { postNorms, roots, own }: Naming = {}): string | undefined {
  const rooted = (name: string | undefined): string | undefined => {
    if (!roots || name === undefined || source === 'gguf') return name;
    return name.startsWith('model.') ? `${roots[0]}${name.slice('model.'.length)}` : `${roots[1]}${name}`;
  };
  if (isPart(MODEL, role)) return rooted(MODEL[role][AT[source]]);
  const [part, layer] = role.split('.') as [LayerPart, string];
  const names: Names = LAYER[part];
  const name = own?.[part] ?? ((postNorms && source === 'huggingFace' && names[2]) || names[AT[source]]);
  return rooted(name && `${PREFIX[source]}${layer}.${name}`);
}

/** `blk.3.attn_q` of `blk.3.attn_q.weight`: the name that findLayers gives the matrix. */
export const matrixName = (role: Role, source: Source, naming?: Naming): string | undefined =>
  tensorName(role, source, naming)?.replace(/\.weight$/, '');

/** By source, parts by their names. */
const PARTS = { gguf: partsBy(0), huggingFace: partsBy(1) };

function partsBy(at: 0 | 1): { readonly model: ReadonlyMap<string, ModelPart>; readonly layer: ReadonlyMap<string, LayerPart> } {
  const inverse = <T extends string>(table: Readonly<Record<T, Names>>): Map<string, T> =>
    new Map((Object.keys(table) as T[]).flatMap((part) => (table[part][at] === undefined ? [] : [[table[part][at], part]])));
  return { model: inverse<ModelPart>(MODEL), layer: inverse<LayerPart>(LAYER) };
}

/** The role of a tensor's name; undefined for a name that is not in the table. */
export function roleOf(name: string, source: Source): Role | undefined {
  const { model, layer } = PARTS[source];
  const [, number, rest] = /^(0|[1-9]\d{0,8})\.(.*)$/.exec(name.startsWith(PREFIX[source]) ? name.slice(PREFIX[source].length) : '') ?? [];
  const part = layer.get(rest ?? '');
  return part ? `${part}.${Number(number)}` : model.get(name);
}
