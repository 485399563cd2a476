// The text of the shader that only experts run: pages with layers alone do without it.
import { sources } from './sources.js';

const found = import.meta.glob('./sort-pairs.wgsl', { base: '../../shaders', query: '?raw', import: 'default', eager: true });

/** Puts the text among the others, unless `antiquant/shaders` has. */
export function addSortText(): void {
  sources['sort-pairs.wgsl'] ??= Object.values(found)[0] as string;
}
