// The text of the shader that quantizes float weights, for layer/quantize-weights.ts to load: pages with quantized layers alone do without it.
import { sources } from './sources.js';

const found = import.meta.glob('./quantize-weights.wgsl', { base: '../../shaders', query: '?raw', import: 'default', eager: true });

/** Puts the text among the others, unless `antiquant/shaders` has. */
export function addQuantizeText(): void {
  sources['quantize-weights.wgsl'] ??= Object.values(found)[0] as string;
}
