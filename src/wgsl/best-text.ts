// The text of the shader that only best runs: pages without it do without.
import { sources } from './sources.js';

const found = import.meta.glob('./best-rows.wgsl', { base: '../../shaders', query: '?raw', import: 'default', eager: true });

/** Puts the text among the others, unless `antiquant/shaders` has. */
export function addBestText(): void {
  for (const [path, text] of Object.entries(found)) sources[path.slice(2)] ??= text as string;
}
