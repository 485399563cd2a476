// antiquant/shaders: the shaders with comments, and what makes WGSL of them. The other entries carry them without comments, which saves a page
// 11 kB.

import { dictionary, text, wholeNumber } from './arguments/check.js';
import { type Params, preprocess } from './wgsl/preprocess.js';
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

/** In places of errors: `shaders/kernel.wgsl:3`. */
const OWN = 'kernel.wgsl';

/**
 * The WGSL of a text of your own that includes files of shaders/ (shaders/README.md has the directives): a kernel that reads a layer's packed
 * weights (docs/format.md has one).
 * @param params a value for each `#param` of what is included
 * @throws ArgumentError; Error whose message names the line, as `shaders/kernel.wgsl:3`, or that of an included file
 * @example expandWgsl('#include "lib/one-weight.wgsl"\n' + own, { ...layer.packed.params, READ: 1, ROUND: 0 });
 */
export function expandWgsl(kernel: string, params: Params): string {
  const given = dictionary(wholeNumber(0))(params, 'params');
  return preprocess({ ...shaders, [OWN]: text(kernel, 'kernel') }, OWN, given).code;
}
