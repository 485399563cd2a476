// The text of every file of shaders/, by its path from shaders/, but for one that comes on demand (quantize-text.ts). The built package has the texts without comments (strip.ts);
// importing `antiquant/shaders` replaces them by the texts with comments.

const found = import.meta.glob(['./**/*.wgsl', '!./quantize-weights.wgsl'], {
  base: '../../shaders',
  query: '?raw',
  import: 'default',
  eager: true,
});

/** The file that comes on demand: only quantizing float weights needs it. No product depends on it. */
export const ON_DEMAND = 'quantize-weights.wgsl';

/** Keyed by the path from shaders/. */
export const sources = Object.fromEntries(Object.entries(found).map(([path, text]) => [path.slice(2), text])) as Record<string, string>;
