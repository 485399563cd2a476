// The text of every file of shaders/, by its path from there. The only file that knows the bundler.

const found = import.meta.glob('../../shaders/**/*.wgsl', { query: '?raw', import: 'default', eager: true }) as Record<string, string>;

export const sources: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(found).map(([path, text]) => [path.replace('../../shaders/', ''), text]),
);
