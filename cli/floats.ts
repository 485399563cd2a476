// Classifies float tensors by name, shape and use: which of them quantize takes, and why it leaves the others. Pure.
import type { FoundLayers, TensorFile, TensorInfo } from '../src/formats.js';

const FLOATS = ['F16', 'BF16', 'F32'];
export const isFloat = ({ dtype }: Pick<TensorInfo, 'dtype'>): boolean => FLOATS.includes(dtype);

/** Matrices whose quantization loses much and saves little: `quantize` takes them only if --include names them. */
const SPARED: readonly (readonly [name: RegExp, what: string])[] = [
  [
    /(^|[._])(wte|wpe|tok_embd|token_embd|position_embd|embed\w*)([._]|$)|(^|\.)(emb|shared|relative_attention_bias)\.weight$/i,
    'an embedding',
  ],
  [/(^|\.)(lm_head|embed_out|output|score|classifier|output_projection)\.weight$|^(model\.)?(proj_out|head)\.weight$/, 'the head'],
  [/(^|\.)(gate|router|router\.\w+|gate\.wg|moe_gate|ffn_gate_inp(_shexp)?|shared_expert_gate)\.weight$/, 'a router of experts'],
  [/norm|(^|[._])ln(_|\d|\.|$)/i, 'a norm'],
];

/** Facts about a model beside its tensors' names. */
export interface ModelFacts {
  /** Rows of embeddings and heads. */
  readonly vocabularies: ReadonlySet<number>;
  /** Rows of routers. */
  readonly experts: ReadonlySet<number>;
  /** Names of modules with weights (K, N), like GPT-2's Conv1D. */
  readonly turned: ReadonlySet<string>;
  /** For ONNX: names of matrices that MatMul or Gemm takes. */
  readonly multiplied: ReadonlySet<string> | undefined;
  readonly transposed: ReadonlySet<string>;
}

const CONV1D = ['c_attn', 'c_fc', 'c_proj', 'q_attn'];
const CONV1D_MODELS = ['gpt2', 'openai-gpt', 'imagegpt', 'decision_transformer'];
const EXPERTS = ['num_experts', 'num_local_experts', 'n_routed_experts', 'moe_num_experts'];

const moduleOf = (name: string): string => name.replace(/\.weight$/, '');
const leafOf = (name: string): string => moduleOf(name).split('.').at(-1)!;

/** @param config config.json, parsed */
export function factsOf(file: TensorFile, config: unknown, found: Pick<FoundLayers, 'multiplied' | 'transposed'>): ModelFacts {
  const root = (typeof config === 'object' && config !== null ? config : {}) as Record<string, unknown>;
  // Multimodal models have the text model's configuration inside.
  const parts = [root, ...Object.values(root).filter((one): one is Record<string, unknown> => typeof one === 'object' && one !== null)];
  const numbers = (names: readonly string[]): Set<number> =>
    new Set(
      parts.flatMap((part) =>
        names.flatMap((name) => (Number.isSafeInteger(part[name]) && (part[name] as number) > 1 ? [part[name] as number] : [])),
      ),
    );
  const biases = new Map<string, number>();
  for (const { name, shape } of file.tensors.values())
    if (name.endsWith('.bias') && shape.length === 1) biases.set(name.replace(/\.bias$/, ''), shape[0]!);
  const matrices = [...file.tensors.values()].filter((info) => isFloat(info) && info.shape.length === 2);
  const isTurned = ({ name, shape: [rows, columns] }: TensorInfo): boolean => {
    const bias = biases.get(moduleOf(name));
    return bias !== undefined && bias === columns && bias !== rows;
  };
  const all =
    CONV1D_MODELS.includes(String(root.model_type)) || matrices.some((info) => CONV1D.includes(leafOf(info.name)) && isTurned(info));
  const turned = matrices.filter((info) => isTurned(info) || (all && CONV1D.includes(leafOf(info.name))));
  return {
    vocabularies: numbers(['vocab_size']),
    experts: numbers(EXPERTS),
    turned: new Set(turned.map(({ name }) => name)),
    multiplied: found.multiplied,
    transposed: found.transposed ?? new Set(),
  };
}

/** N and K of a matrix, stored as (N, K) or (K, N). */
export function sizesOf(
  { name, shape }: Pick<TensorInfo, 'name' | 'shape'>,
  { transposed }: ModelFacts,
): { readonly n: number; readonly k: number } {
  const [rows = 0, columns = 0] = shape;
  return transposed.has(name) ? { n: columns, k: rows } : { n: rows, k: columns };
}

/** The kind of a spared matrix; undefined if it is not spared. */
export function spared(info: Pick<TensorInfo, 'name' | 'shape'>, facts: ModelFacts): string | undefined {
  const { name } = info;
  const { vocabularies, experts } = facts;
  const named = SPARED.find(([pattern]) => pattern.test(name))?.[1];
  const { n: rows } = sizesOf(info, facts);
  if (named) return named;
  if (vocabularies.has(rows)) return 'an embedding or the head: a row for each token';
  if (experts.has(rows)) return 'a router of experts: a row for each';
  return rows === 1 ? 'a single output' : undefined;
}

/** Why a float tensor cannot be a linear layer's weight; undefined if it can. */
export function whyNoLayer({ name, shape }: Pick<TensorInfo, 'name' | 'shape'>, { turned, multiplied }: ModelFacts): string | undefined {
  if (shape.length < 2) return 'no matrix';
  if (shape.length > 2) return `${shape.length} dimensions: no matrix, or several in one, which are not quantized yet`;
  if (shape.includes(0)) return 'it is empty';
  if (multiplied) return multiplied.has(name) ? undefined : 'no MatMul or Gemm takes it';
  if (turned.has(name)) return 'it lies as (K, N), as the weights of Conv1D do, which are not quantized yet';
  return name.endsWith('.weight') ? undefined : 'its name does not end in .weight';
}
