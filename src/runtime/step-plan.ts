// What a token, and rows of a prompt, take: a flat list of gathers, products and dispatches as plain data, which names weights and buffers.
// The runner (runner.ts) gives it to recordSteps. Pure.

import { attendDispatches, attendRowsDispatch, ropeDispatch } from '../llm/attention.js';
import type { Config, Experts } from '../llm/config.js';
import { rmsDispatch } from '../llm/rms.js';
import { routeDispatch } from '../llm/route.js';
import type { LlmDispatch } from '../llm/shaders.js';
import type { Caps } from '../problem/caps.js';
import { headsOf, type KvDType, MOST_ROWS } from './memory.js';

/** Tensors of a step: those of `bufferSizes`, the twin of x, and `id`, the last id that was chosen. */
export type TensorName = 'x' | 'twin' | 'h' | 'qkv' | 'att' | 'act' | 'logits' | 'ids' | 'id' | 'expertIds' | 'expertWeights';
/** Weights that products take: of the model, or of a layer. */
export type ProductName = 'head' | `${'qkv' | 'o' | 'gateUp' | 'down'}.${number}`;
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

/** What the steps of a model hang on. */
export interface Planning {
  readonly config: Config;
  readonly kv: KvDType;
  /** Positions of the cache; the steps serve any length up to it. */
  readonly capacity: number;
  readonly caps: Caps;
}

/**
 * Do norms take no dispatch: products leave twins and take the norm's factor? Where the operator fuses them. Software adapters make the
 * factor and the multiplied rows in dispatches of their own, of which a norm needs only one.
 */
export const fusesNorms = ({ software }: Pick<Caps, 'software'>): boolean => !software;

function norm({ width, epsilon }: Config, rows: number, weight: string): PlanStep {
  return { dispatch: rmsDispatch({ rows, width, epsilon }), buffers: { weight, y: 'h' } };
}
const cacheOf = (layer: number): Readonly<Record<string, string>> => ({
  k_cache: `k.${layer}`,
  v_cache: `v.${layer}`,
  norms: `norms.${layer}`,
});

/** The feed-forward part of a layer with experts: their choice, which norms x; their order; gate and up; down, weighted and summed. */
function expertSteps(
  { width, epsilon }: Config,
  layer: number,
  { experts, rows, fused }: { readonly experts: Experts; readonly rows: number | undefined; readonly fused: boolean },
): readonly PlanStep[] {
  const sorted = rows === undefined;
  const dispatch = routeDispatch(experts, { rows: rows ?? 1, width, epsilon, sorted });
  const buffers = {
    weight: `feedForwardNorm.${layer}`,
    router: `router.${layer}`,
    ids: 'expertIds',
    weights: 'expertWeights',
    sorted: 'tokenPairs',
  };
  return [
    { dispatch, buffers },
    ...(sorted ? [] : [{ sort: 'expertIds' } as const]),
    { experts: `gateUp.${layer}`, x: 'h', y: 'act' },
    { experts: `down.${layer}`, x: 'act', y: 'x', summed: true, ...(fused && { twin: true as const }) },
  ];
}

/** A layer: q, k and v; the attention; o; gate and up; down. @param of.rows of a prompt; undefined: a token */
function layerSteps(
  config: Config,
  layer: number,
  { rows: ofPrompt, fused, attention }: { readonly rows?: number; readonly fused: boolean; readonly attention: readonly LlmDispatch[] },
): readonly PlanStep[] {
  const rows = ofPrompt ?? 1;
  const { experts } = config;
  const scaled = fused && { scaled: true as const };
  const twin = fused && { twin: true as const };
  const product = (name: 'qkv' | 'o'): ProductName => `${name}.${layer}`;
  // The twin of the embedding would be a dispatch, and so is the norm.
  const entry = fused && layer > 0;
  return [
    ...(entry ? [] : [norm(config, rows, `attentionNorm.${layer}`)]),
    { product: product('qkv'), x: entry ? 'twin' : 'h', y: 'qkv', ...(entry && scaled) },
    ...attention.map((dispatch) => ({ dispatch, buffers: cacheOf(layer) })),
    { product: product('o'), x: 'att', y: 'x', add: true, ...(!experts && twin) },
    ...(experts ? expertSteps(config, layer, { experts, rows: ofPrompt, fused }) : denseSteps(config, layer, { rows, fused })),
  ];
}

/** The feed-forward part of a layer: gate and up; down. */
function denseSteps(
  config: Config,
  layer: number,
  { rows, fused }: { readonly rows: number; readonly fused: boolean },
): readonly PlanStep[] {
  const twin = fused && { twin: true as const };
  return [
    ...(fused ? [] : [norm(config, rows, `feedForwardNorm.${layer}`)]),
    { product: `gateUp.${layer}`, x: fused ? 'twin' : 'h', y: 'act', ...(fused && { scaled: true as const }) },
    { product: `down.${layer}`, x: 'act', y: 'x', add: true, ...twin },
  ];
}

/** The embedding of the last id to the logits of the next: a token without its choice. @throws ArgumentError, UnsupportedError */
export function tokenSteps({ config, kv, capacity, caps }: Planning, fused = fusesNorms(caps)): readonly PlanStep[] {
  const { software } = caps;
  const attention = attendDispatches(headsOf(config, kv, capacity), { software, positions: capacity });
  return [
    { gather: 'embedding', ids: 'id', y: 'x' },
    ...Array.from({ length: config.layers }, (_, layer) => layerSteps(config, layer, { fused, attention })).flat(),
    ...(fused ? [{ product: 'head', x: 'twin', y: 'logits', scaled: true } as const] : headSteps(config)),
  ];
}

/** The residual of one row to its logits. @throws ArgumentError */
export const headSteps = (config: Config): readonly PlanStep[] => [norm(config, 1, 'outputNorm'), { product: 'head', x: 'h', y: 'logits' }];

/** Rows of a prompt: their ids to their residuals, with K and V in the cache. @throws ArgumentError, UnsupportedError */
export function promptSteps({ config, kv, capacity, caps }: Planning, rows: number): readonly PlanStep[] {
  const heads = headsOf(config, kv, capacity);
  const attention = [ropeDispatch(heads, { rows, caps, apart: MOST_ROWS }), attendRowsDispatch(heads, { rows })];
  return [
    { gather: 'embedding', ids: 'ids', y: 'x' },
    ...Array.from({ length: config.layers }, (_, layer) => layerSteps(config, layer, { rows, fused: false, attention })).flat(),
  ];
}
