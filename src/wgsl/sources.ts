// The text of every file of shaders/, by its path from shaders/. The built package has the texts without comments (strip.ts);
// importing `antiquant/shaders` replaces them by the texts with comments.

const found = import.meta.glob('./**/*.wgsl', { base: '../../shaders', query: '?raw', import: 'default', eager: true });

/** Keyed by the path from shaders/. */
export const sources = Object.fromEntries(Object.entries(found).map(([path, text]) => [path.slice(2), text])) as Record<string, string>;
