// antiquant/shaders: the shaders with comments. The other entries carry them without comments, which saves a page 11 kB.

import { sources } from './wgsl/sources.js';

const found = import.meta.glob('./**/*.wgsl', { base: '../shaders', query: '?raw&readable', import: 'default', eager: true });

/**
 * The text of every file of shaders/, by its path from shaders/. Once this entry is imported, layers compile these texts and
 * `explain(rows).wgsl` shows them. Only comments differ: results and measured choices stay the same.
 * @example
 * import 'antiquant/shaders';
 * console.log(layer.explain(1).wgsl); // with comments
 */
export const shaders: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(found).map(([path, text]) => [path.slice(2), text as string]),
);

Object.assign(sources, shaders);
