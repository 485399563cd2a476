// The texts of the shaders that only gatherRows runs: pages without it do without them.
import { sources } from './sources.js';

const found = import.meta.glob(['./gather-weights.wgsl', './count-outside.wgsl', './lib/one-weight.wgsl'], {
  base: '../../shaders',
  query: '?raw',
  import: 'default',
  eager: true,
});

/** Puts the texts among the others, unless `antiquant/shaders` has. */
export function addRowsText(): void {
  for (const [path, text] of Object.entries(found)) sources[path.slice(2)] ??= text as string;
}
