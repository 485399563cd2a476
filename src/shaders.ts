// antiquant/shaders: the shaders with their comments. The package's other entries carry them without, which saves a page 11 kB.

import { sources } from './wgsl/sources.js';

const found = import.meta.glob('./**/*.wgsl', { base: '../shaders', query: '?raw&readable', import: 'default', eager: true });

/**
 * The text of every file of shaders/, by its path from there. Importing this entry is enough: from then on layers compile these texts,
 * and `explain(rows).wgsl` shows them. Only comments differ, so that results and measured choices stay as they are.
 * @example
 * import 'antiquant/shaders';
 * console.log(layer.explain(1).wgsl); // with comments
 */
export const shaders: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(found).map(([path, text]) => [path.slice(2), text as string]),
);

Object.assign(sources, shaders);
