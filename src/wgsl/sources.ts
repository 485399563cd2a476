// The text of every file of shaders/, by its path from shaders/, but for those that come with the code that needs them (quantize-text.ts,
// sort-text.ts, rows-text.ts, best-text.ts, glu-text.ts). The built package has the texts without comments (strip.ts); importing `antiquant/shaders` replaces them by the texts with
// comments.

const found = import.meta.glob(
  [
    './**/*.wgsl',
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

/** The files that come with what needs them: only quantizing float weights, only ExpertLayers, only gatherRows, only best, and only joinGateUp do. */
export const ON_DEMAND = [
  'quantize-weights.wgsl',
  'sort-pairs.wgsl',
  'gather-weights.wgsl',
  'count-outside.wgsl',
  'best-rows.wgsl',
  'interleave.wgsl',
  'lib/one-weight.wgsl',
] as const;

/** Keyed by the path from shaders/. */
export const sources = Object.fromEntries(Object.entries(found).map(([path, text]) => [path.slice(2), text])) as Record<string, string>;
