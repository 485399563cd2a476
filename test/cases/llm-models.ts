// The small models whose logits llama.cpp has computed (scripts/goldens/llm.mjs), and the tokens that they read.
import type { ModelOptions } from '../support/model-file.js';

/** Layers of gemma3, of which the last sees all positions. */
const SIX = { layers: 6, feedForward: 256 };

/**
 * By name of the fixture: every architecture, every block type, both kinds of weights, G = 1, 2, 4, tied and not, both scalings of positions.
 * With float32 weights and cache llama.cpp rounds nothing below float32, so that these models hold the rules; the others hold the block types.
 */
export const GOLDEN_MODELS: Readonly<Record<string, ModelOptions>> = {
  'llama-f32': { architecture: 'llama', type: 'F32', seed: 21, sizes: { kvHeads: 8 } },
  'llama-divisors-f32': { architecture: 'llama', type: 'F32', seed: 22, rope: { divisors: true }, sizes: { heads: 4, headWidth: 64 } },
  'llama-linear-f32': { architecture: 'llama', type: 'F32', tied: true, seed: 23, rope: { factor: 4, base: 500_000 } },
  'llama-heavy-f32': { architecture: 'llama', type: 'F32', weights: 'heavy', seed: 24 },
  'qwen2-f32': { architecture: 'qwen2', type: 'F32', tied: true, seed: 25, rope: { base: 1e6 }, sizes: { epsilon: 1e-5 } },
  'qwen3-f32': { architecture: 'qwen3', type: 'F32', seed: 26, rope: { base: 1e6 }, sizes: { headWidth: 64 } },
  'qwen3moe-f32': { architecture: 'qwen3moe', type: 'F32', seed: 27, rope: { base: 1e6 }, sizes: { headWidth: 64, feedForward: 64 } },
  'llama-experts-f32': { architecture: 'llama', type: 'F32', seed: 28, experts: { count: 6, top: 3 }, sizes: { feedForward: 96 } },
  'qwen3moe-mixed': {
    architecture: 'qwen3moe',
    type: 'Q4_K',
    types: { downs: 'Q6_K', head: 'Q8_0' },
    seed: 29,
    experts: { count: 6, top: 2 },
    sizes: { layers: 2, headWidth: 64, feedForward: 256 },
  },
  'gemma3-f32': {
    architecture: 'gemma3',
    type: 'F32',
    tied: true,
    seed: 41,
    rope: { base: 1e6, factor: 8 },
    sizes: { ...SIX, headWidth: 64 },
  },
  'gemma2-f32': { architecture: 'gemma2', type: 'F32', tied: true, seed: 42, caps: { scores: 4, logits: 6 }, sizes: { headWidth: 64 } },
  'gpt-oss-f32': { architecture: 'gpt-oss', type: 'F32', seed: 48, rope: { base: 150_000 }, sizes: { headWidth: 64, feedForward: 64 } },
  'gpt-oss-mxfp4': {
    ...{
      architecture: 'gpt-oss',
      type: 'Q8_0',
      types: { gates: 'MXFP4', ups: 'MXFP4', downs: 'MXFP4' },
      seed: 49,
      rope: { base: 150_000 },
    },
    ...{ experts: { count: 6, top: 4 }, sizes: { layers: 2, headWidth: 64, feedForward: 96 } },
  },
  'qwen3-yarn-f32': {
    architecture: 'qwen3',
    type: 'F32',
    seed: 50,
    rope: { base: 1e6 },
    yarn: { factor: 4, original: 512 },
    sizes: { headWidth: 64 },
  },
  'smollm3-f32': {
    architecture: 'smollm3',
    type: 'F32',
    tied: true,
    seed: 43,
    rope: { base: 5e6 },
    sizes: { layers: 4, feedForward: 256 },
  },
  'phi3-f32': { architecture: 'phi3', type: 'F32', seed: 44, sizes: { kvHeads: 8 } },
  'phi3-long-f32': {
    ...{ architecture: 'phi3', type: 'F32', tied: true, seed: 45, sizes: { heads: 4, headWidth: 64 } },
    rope: { width: 48, original: 1024, magnitude: Math.fround(1.19) },
  },
  'gemma3-q4_0': { architecture: 'gemma3', type: 'Q4_0', tied: true, types: { embedding: 'Q6_K' }, seed: 46, sizes: SIX },
  'phi3-q4_k': { architecture: 'phi3', type: 'Q4_K', types: { down: 'Q6_K', embedding: 'Q6_K' }, tied: true, seed: 47 },
  'llama-q4_0': { architecture: 'llama', type: 'Q4_0', seed: 11 },
  'llama-q4_k_m': {
    architecture: 'llama',
    type: 'Q4_K',
    types: { v: 'Q6_K', down: 'Q6_K', head: 'Q6_K' },
    seed: 12,
    sizes: { heads: 4, headWidth: 64 },
  },
  'llama-heavy-f16': { architecture: 'llama', type: 'F16', weights: 'heavy', seed: 13 },
  'qwen2-q8_0': { architecture: 'qwen2', type: 'Q8_0', tied: true, seed: 15 },
  'qwen2-mixed': { architecture: 'qwen2', type: 'Q4_K', types: { embedding: 'Q6_K', v: 'Q8_0', o: 'Q4_0' }, tied: true, seed: 16 },
  'qwen3-q4_0': { architecture: 'qwen3', type: 'Q4_0', types: { embedding: 'Q6_K' }, tied: true, seed: 17 },
  'qwen3-q6_k': { architecture: 'qwen3', type: 'Q6_K', seed: 18 },
};

/** Does llama.cpp compute with float32 only? */
export const isFloat32 = ({ type }: ModelOptions): boolean => type === 'F32';

/** 41 tokens, of which the logits behind the last 3 are kept. */
export const GOLDEN_IDS: readonly number[] = Array.from({ length: 41 }, (_, i) => (i * 37 + 3) % 256);
export const GOLDEN_ROWS = 3;
