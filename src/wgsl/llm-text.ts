// The texts of the shaders that only language models run: pages without them do without.
import { sources } from './sources.js';

const found = import.meta.glob('./llm/*.wgsl', { base: '../../shaders', query: '?raw', import: 'default', eager: true });

/** Puts the texts among the others, unless `antiquant/shaders` has. */
export function addLlmText(): void {
  for (const [path, text] of Object.entries(found)) sources[path.slice(2)] ??= text as string;
}
