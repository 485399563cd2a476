// What a token, and rows of a prompt, take: a flat list of gathers, products and dispatches as plain data, which names weights and buffers.
// The runner (runner.ts) gives it to recordSteps. Pure.

import { attendDispatches, attendRowsDispatch, ropeDispatch } from '../llm/attention.js';
import type { Config } from '../llm/config.js';
import { gluDispatch } from '../llm/glu.js';
import { rmsDispatch } from '../llm/rms.js';
import type { LlmDispatch } from '../llm/shaders.js';
import type { Caps } from '../problem/caps.js';
import { headsOf, type KvDType, MOST_ROWS } from './memory.js';

/** Tensors of a step: those of `bufferSizes`, the twin of x, and `id`, the last id that was chosen. */
export type TensorName = 'x' | 'twin' | 'h' | 'qkv' | 'att' | 'act' | 'gateAndUp' | 'logits' | 'ids' | 'id';
/**
 * Weights that products take: of the model, or of a layer. `gateUp` is one layer that ends in the gated unit, `gateAndUp` the two where they
 * cannot be one.
 */
export type ProductName = 'head' | `${'qkv' | 'o' | 'gateUp' | 'gateAndUp' | 'down'}.${number}`;

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
  /** Layers whose gate and up are two products. */
  readonly apart?: ReadonlySet<number> | undefined;
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

/** A layer: q, k and v; the attention; o; gate and up; down. */
function layerSteps(
  config: Config,
  layer: number,
  {
    rows,
    fused,
    attention,
    apart,
  }: Pick<Planning, 'apart'> & { readonly rows: number; readonly fused: boolean; readonly attention: readonly LlmDispatch[] },
): readonly PlanStep[] {
  const scaled = fused && { scaled: true as const };
  const twin = fused && { twin: true as const };
  const product = (name: 'qkv' | 'o' | 'gateUp' | 'gateAndUp' | 'down'): ProductName => `${name}.${layer}`;
  // The twin of the embedding would be a dispatch, and so is the norm.
  const entry = fused && layer > 0;
  const normed = fused ? 'twin' : 'h';
  return [
    ...(entry ? [] : [norm(config, rows, `attentionNorm.${layer}`)]),
    { product: product('qkv'), x: entry ? 'twin' : 'h', y: 'qkv', ...(entry && scaled) },
    ...attention.map((dispatch) => ({ dispatch, buffers: cacheOf(layer) })),
    { product: product('o'), x: 'att', y: 'x', add: true, ...twin },
    ...(fused ? [] : [norm(config, rows, `feedForwardNorm.${layer}`)]),
    ...(apart?.has(layer)
      ? [
          { product: product('gateAndUp'), x: normed, y: 'gateAndUp' as const, ...scaled } as const,
          { dispatch: gluDispatch({ rows, width: config.feedForward, glu: 'silu' }), buffers: {} },
        ]
      : [{ product: product('gateUp'), x: normed, y: 'act', ...scaled } as const]),
    { product: product('down'), x: 'act', y: 'x', add: true, ...twin },
  ];
}

/** The embedding of the last id to the logits of the next: a token without its choice. @throws ArgumentError, UnsupportedError */
export function tokenSteps({ config, kv, capacity, caps, apart }: Planning, fused = fusesNorms(caps)): readonly PlanStep[] {
  const { software } = caps;
  const attention = attendDispatches(headsOf(config, kv, capacity), { software, positions: capacity });
  return [
    { gather: 'embedding', ids: 'id', y: 'x' },
    ...Array.from({ length: config.layers }, (_, layer) => layerSteps(config, layer, { rows: 1, fused, attention, apart })).flat(),
    ...(fused ? [{ product: 'head', x: 'twin', y: 'logits', scaled: true } as const] : headSteps(config)),
  ];
}

/** The residual of one row to its logits. @throws ArgumentError */
export const headSteps = (config: Config): readonly PlanStep[] => [norm(config, 1, 'outputNorm'), { product: 'head', x: 'h', y: 'logits' }];

/** Rows of a prompt: their ids to their residuals, with K and V in the cache. @throws ArgumentError, UnsupportedError */
export function promptSteps({ config, kv, capacity, caps, apart }: Planning, rows: number): readonly PlanStep[] {
  const heads = headsOf(config, kv, capacity);
  const attention = [ropeDispatch(heads, { rows, caps, apart: MOST_ROWS }), attendRowsDispatch(heads, { rows })];
  return [
    { gather: 'embedding', ids: 'ids', y: 'x' },
    ...Array.from({ length: config.layers }, (_, layer) => layerSteps(config, layer, { rows, fused: false, attention, apart })).flat(),
  ];
}
