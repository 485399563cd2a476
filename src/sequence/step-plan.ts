// What a token, and rows of a prompt, take: a flat list of gathers, products and dispatches as plain data, which names weights and buffers.
// The runner (runner.ts) gives it to recordSteps. Pure.

import { attentionOfLayer } from '../llm/attention-config.js';
import type { Config, Experts } from '../llm/config.js';
import { attendDispatches, attendRowsDispatch, type Heads, type KvDType, ropeDispatch } from '../llm-kernels/attention.js';
import { capDispatch } from '../llm-kernels/cap.js';
import { gluDispatch } from '../llm-kernels/glu.js';
import { normAddDispatch, rmsDispatch, routeDispatch } from '../llm-kernels/rms.js';
import type { LlmDispatch } from '../llm-kernels/shaders.js';
import type { Caps } from '../problem/caps.js';
import { headsOf, MOST_ROWS } from './memory.js';

/** Tensors of a step: those of `bufferSizes`, the twin of x, and `id`, the last id that was chosen. */
export type TensorName = 'x' | 'twin' | 'h' | 'qkv' | 'att' | 'act' | 'gateAndUp' | 'logits' | 'ids' | 'id' | 'expertIds' | 'expertWeights';
/**
 * Weights that products take: of the model, or of a layer. `gateUp` is one layer that ends in the gated unit, `gateAndUp` the two where they
 * cannot be one.
 */
export type ProductName = 'head' | `${'qkv' | 'o' | 'gateUp' | 'gateAndUp' | 'down'}.${number}`;
/** And what products with experts take, of a layer that has them. */
export type ExpertsName = `${'gateUp' | 'down'}.${number}`;

export type PlanStep =
  | { readonly gather: 'embedding'; readonly ids: 'ids' | 'id'; readonly y: 'x' }
  | {
      readonly product: ProductName;
      readonly x: TensorName;
      readonly y: TensorName;
      /** Adds to y: the residual. */
      readonly add?: true;
      /** Leaves the twin of y: y ∘ the weight of the next norm. */
      readonly twin?: true;
      /** Multiplies by RMSNorm's factor of x, since its own x is the twin. */
      readonly scaled?: true;
      /** Rounds rows of x to int8 codes first, for the layers that take them. */
      readonly integers?: true;
    }
  /** Sorts the pairs of rows and experts; of a token the route has. */
  | { readonly sort: 'expertIds' }
  | {
      readonly experts: ExpertsName;
      readonly x: TensorName;
      readonly y: TensorName;
      /** y has a row for each row of ids: the sum of its pairs, by their weights, added to what it holds. */
      readonly summed?: true;
      readonly twin?: true;
    }
  | {
      readonly dispatch: LlmDispatch;
      /** The buffer of each binding that is not called as the binding: `{ weight: 'attentionNorm.3' }`. */
      readonly buffers: Readonly<Record<string, string>>;
    };

/** What a step does, of whatever layer: a product by its weights, another by its shader. */
export function nameOf(step: PlanStep): string {
  if ('gather' in step) return step.gather;
  if ('sort' in step) return 'sort';
  if ('dispatch' in step) return step.dispatch.shader.name.replace('llm/', '');
  const [name] = ('product' in step ? step.product : step.experts).split('.');
  return 'experts' in step ? `experts ${name}` : name!;
}

/** What the steps of a model hang on. */
export interface Planning {
  readonly config: Config;
  readonly kv: KvDType;
  /** Positions of the cache; the steps serve any length up to it. */
  readonly capacity: number;
  readonly caps: Caps;
  /** Layers whose gate and up are two products. */
  readonly apart?: ReadonlySet<number> | undefined;
  /** Are rows of a prompt multiplied as integers? */
  readonly integers?: boolean | undefined;
}

/**
 * Do norms take no dispatch: products leave twins and take the norm's factor? Where the operator fuses them. Software adapters make the
 * factor and the multiplied rows in dispatches of their own, of which a norm needs only one. Norms behind products need a dispatch anyway,
 * which makes the next norm, too.
 */
export const fusesNorms = ({ postNorms }: Pick<Config, 'postNorms'>, { software }: Pick<Caps, 'software'>): boolean =>
  !software && !postNorms;

/** @param scale what x is yet to be multiplied by: the norm is that of the product */
function norm({ width, epsilon }: Config, rows: number, weight: string, scale = 1): PlanStep {
  return { dispatch: rmsDispatch({ rows, width, epsilon: epsilon / scale ** 2 }), buffers: { weight, y: 'h' } };
}
const buffersOf = (config: Config, layer: number): Readonly<Record<string, string>> => ({
  k_cache: `k.${layer}`,
  v_cache: `v.${layer}`,
  norms: `norms.${layer}`,
  sinks: `sinks.${layer}`,
  ...(attentionOfLayer(config, layer).rope === 'localRope' && { angles: 'localAngles' }),
});

interface LayerPlan extends Pick<Planning, 'apart'> {
  readonly rows: number;
  readonly fused: boolean;
  /** Is the row a token's? Its route leaves pairs in their order. Rows of a prompt, even one, are sorted. */
  readonly token?: boolean;
  /** The dispatches of a layer's attention. */
  readonly attention: (layer: number) => readonly LlmDispatch[];
}

/** Dispatches by layer, made once for all layers of a kind. */
function byKind({ config, kv, capacity }: Planning, dispatches: (heads: Heads) => readonly LlmDispatch[]): LayerPlan['attention'] {
  const made = new Map<string, readonly LlmDispatch[]>();
  return (layer) => {
    const { window, rope } = attentionOfLayer(config, layer);
    const kind = `${window} ${rope === undefined}`;
    const known = made.get(kind) ?? dispatches(headsOf(config, kv, capacity, layer));
    made.set(kind, known);
    return known;
  };
}

/** Gate, up and their unit: one product, or two and a dispatch. */
function gateUpSteps(
  { feedForward, activation = 'silu' }: Config,
  layer: number,
  { rows, apart }: LayerPlan,
  from: { readonly x: TensorName; readonly scaled?: true },
): readonly PlanStep[] {
  if (!apart?.has(layer)) return [{ product: `gateUp.${layer}`, y: 'act', ...from }];
  return [
    { product: `gateAndUp.${layer}`, y: 'gateAndUp', ...from },
    { dispatch: gluDispatch({ rows, width: feedForward, glu: activation }), buffers: {} },
  ];
}

/** A layer whose norms are behind products, too: what they leave in h is added to x, and h is then the next norm. */
function postNormSteps(config: Config, layer: number, plan: LayerPlan): readonly PlanStep[] {
  const { rows, attention } = plan;
  const { width, epsilon, layers, embeddingScale = 1 } = config;
  const added = (weight: string, next: string, scale = 1): PlanStep => ({
    dispatch: normAddDispatch({ rows, width, epsilon, scale }),
    buffers: { weight: `${weight}.${layer}`, next },
  });
  // x begins as the embedding itself; its scale comes with the first sum.
  const scale = layer === 0 ? embeddingScale : 1;
  return [
    ...(layer === 0 ? [norm(config, rows, 'attentionNorm.0', scale)] : []),
    { product: `qkv.${layer}`, x: 'h', y: 'qkv' },
    ...attention(layer).map((dispatch) => ({ dispatch, buffers: buffersOf(config, layer) })),
    { product: `o.${layer}`, x: 'att', y: 'h' },
    added('postAttentionNorm', `feedForwardNorm.${layer}`, scale),
    ...gateUpSteps(config, layer, plan, { x: 'h' }),
    { product: `down.${layer}`, x: 'act', y: 'h' },
    added('postFeedForwardNorm', layer + 1 < layers ? `attentionNorm.${layer + 1}` : 'outputNorm'),
  ];
}

/** The feed-forward part of a layer with experts: their choice, which norms x; their order; gate and up; down, weighted and summed. */
function expertSteps(
  { width, epsilon }: Config,
  layer: number,
  { rows, fused, token = false }: LayerPlan,
  experts: Experts,
): readonly PlanStep[] {
  const dispatch = routeDispatch(experts, { rows, width, epsilon, sorted: token });
  const buffers = {
    weight: `feedForwardNorm.${layer}`,
    router: `router.${layer}`,
    ids: 'expertIds',
    weights: 'expertWeights',
    sorted: 'tokenPairs',
  };
  return [
    { dispatch, buffers },
    ...(token ? [] : [{ sort: 'expertIds' } as const]),
    { experts: `gateUp.${layer}`, x: 'h', y: 'act' },
    { experts: `down.${layer}`, x: 'act', y: 'x', summed: true, ...(fused && { twin: true as const }) },
  ];
}

/** A layer: q, k and v; the attention; o; gate and up; down. */
function layerSteps(config: Config, layer: number, plan: LayerPlan): readonly PlanStep[] {
  const { rows, fused, attention } = plan;
  if (config.postNorms) return postNormSteps(config, layer, plan);
  const { experts } = config;
  const scaled = fused && { scaled: true as const };
  const twin = fused && { twin: true as const };
  const product = (name: 'qkv' | 'o'): ProductName => `${name}.${layer}`;
  // The twin of the embedding would be a dispatch, and so is the norm.
  const entry = fused && layer > 0;
  return [
    ...(entry ? [] : [norm(config, rows, `attentionNorm.${layer}`)]),
    { product: product('qkv'), x: entry ? 'twin' : 'h', y: 'qkv', ...(entry && scaled) },
    ...attention(layer).map((dispatch) => ({ dispatch, buffers: buffersOf(config, layer) })),
    { product: product('o'), x: 'att', y: 'x', add: true, ...(!experts && twin) },
    ...(experts ? expertSteps(config, layer, plan, experts) : denseSteps(config, layer, plan)),
  ];
}

/** The feed-forward part of a layer: gate and up; down. */
function denseSteps(config: Config, layer: number, plan: LayerPlan): readonly PlanStep[] {
  const { rows, fused } = plan;
  return [
    ...(fused ? [] : [norm(config, rows, `feedForwardNorm.${layer}`)]),
    ...gateUpSteps(config, layer, plan, { x: fused ? 'twin' : 'h', ...(fused && { scaled: true as const }) }),
    { product: `down.${layer}`, x: 'act', y: 'x', add: true, ...(fused && { twin: true as const }) },
  ];
}

/** The embedding of one id to its residual, by the kernels of a token. */
function oneRow(planning: Planning, ids: 'ids' | 'id', fused: boolean): readonly PlanStep[] {
  const { config, capacity, caps, apart } = planning;
  const attention = byKind(planning, (heads) => attendDispatches(heads, { software: caps.software, positions: capacity }));
  return [
    { gather: 'embedding', ids, y: 'x' },
    ...Array.from({ length: config.layers }, (_, layer) =>
      layerSteps(config, layer, { rows: 1, fused, token: true, attention, apart }),
    ).flat(),
  ];
}

/** The embedding of the last id to the logits of the next: a token without its choice. @throws ArgumentError, UnsupportedError */
export function tokenSteps(planning: Planning, fused = fusesNorms(planning.config, planning.caps)): readonly PlanStep[] {
  const { config, caps } = planning;
  const head = fused
    ? [{ product: 'head', x: 'twin', y: 'logits', scaled: true } as const]
    : [...(config.postNorms ? [] : [norm(config, 1, 'outputNorm')]), { product: 'head', x: 'h', y: 'logits' } as const];
  return [...oneRow(planning, 'id', fused), ...head, ...capSteps(config, caps)];
}

/**
 * One row of a prompt, to its residual: the kernels are those of a token, so that a row alone compiles and tests no others, and leaves the bits that a
 * token leaves.
 * @throws ArgumentError, UnsupportedError
 */
export const rowSteps = (planning: Planning): readonly PlanStep[] => oneRow(planning, 'ids', fusesNorms(planning.config, planning.caps));

function capSteps({ vocabulary, logitCap }: Config, caps: Caps): readonly PlanStep[] {
  return logitCap === undefined ? [] : [{ dispatch: capDispatch({ vocabulary, cap: logitCap }, caps), buffers: { z: 'logits' } }];
}

/** The residual of one row to its logits. @throws ArgumentError, UnsupportedError */
export const headSteps = (config: Config, caps: Caps): readonly PlanStep[] => [
  norm(config, 1, 'outputNorm'),
  { product: 'head', x: 'h', y: 'logits' },
  ...capSteps(config, caps),
];

/** Rows of a prompt: their ids to their residuals, with K and V in the cache. @throws ArgumentError, UnsupportedError */
export function promptSteps(planning: Planning, rows: number): readonly PlanStep[] {
  const { config, caps } = planning;
  const apart = config.joined ? undefined : MOST_ROWS; // one product leaves q, k and v of a row side by side
  const attention = byKind(planning, (heads) => [ropeDispatch(heads, { rows, caps, apart }), attendRowsDispatch(heads, { rows })]);
  const steps = Array.from({ length: config.layers }, (_, layer) =>
    layerSteps(config, layer, { rows, fused: false, attention, apart: planning.apart }),
  ).flat();
  return [
    { gather: 'embedding', ids: 'ids', y: 'x' },
    ...(planning.integers ? steps.map((step) => ('product' in step ? { ...step, integers: true as const } : step)) : steps),
  ];
}
