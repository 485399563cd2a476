// The text of every file of shaders/, by its path from there. The built package has the texts without comments (strip.ts) until
// `antiquant/shaders` is imported, which puts the readable ones here.

const found = import.meta.glob('./**/*.wgsl', { base: '../../shaders', query: '?raw', import: 'default', eager: true });

/** Keyed by the path from shaders/. */
export const sources = Object.fromEntries(Object.entries(found).map(([path, text]) => [path.slice(2), text])) as Record<string, string>;
