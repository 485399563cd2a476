// The text of every file of shaders/, by its path from shaders/, but for those that come with the code that needs them (quantize-text.ts,
// sort-text.ts, rows-text.ts, best-text.ts, glu-text.ts, llm-text.ts). The built package has the texts without comments (strip.ts); importing `antiquant/shaders` replaces them by the texts with
// comments.

const found = import.meta.glob(
  [
    './**/*.wgsl',
    '!./llm/*.wgsl',
    '!./quantize-weights.wgsl',
    '!./sort-pairs.wgsl',
    '!./gather-weights.wgsl',
    '!./count-outside.wgsl',
    '!./best-rows.wgsl',
    '!./interleave.wgsl',
    '!./lib/one-weight.wgsl',
  ],
  { base: '../../shaders', query: '?raw', import: 'default', eager: true },
);

/** The files that come with what needs them: quantizing float weights, ExpertLayers, gatherRows, best, joinGateUp, and in a folder of theirs language models. */
const ON_DEMAND: readonly string[] = [
  'quantize-weights.wgsl',
  'sort-pairs.wgsl',
  'gather-weights.wgsl',
  'count-outside.wgsl',
  'best-rows.wgsl',
  'interleave.wgsl',
  'lib/one-weight.wgsl',
];
export const isOnDemand = (path: string): boolean => ON_DEMAND.includes(path) || path.startsWith('llm/');

/** Keyed by the path from shaders/. */
export const sources = Object.fromEntries(Object.entries(found).map(([path, text]) => [path.slice(2), text])) as Record<string, string>;
