// The text of every file of shaders/, by its path from there. The built package has the texts without comments (strip.ts) until
// `antiquant/shaders` is imported, which puts the readable ones here.

const found = import.meta.glob('../../shaders/**/*.wgsl', { query: '?raw', import: 'default', eager: true }) as Record<string, string>;

/** Keyed by the path from shaders/. */
export const sources: Record<string, string> = Object.fromEntries(
  Object.entries(found).map(([path, text]) => [path.replace('../../shaders/', ''), text]),
);
