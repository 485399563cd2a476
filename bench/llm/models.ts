// The language models that the bench measures: random weights in the shapes of Qwen2.5-0.5B, with fewer layers and words, so that a software
// adapter and its peers end in time. What they say is nonsense; what it costs is not.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type ModelOptions, modelFile } from '../../test/support/model-file.js';

const qwen = (layers: number): ModelOptions => ({
  architecture: 'qwen2',
  tied: true,
  vocabulary: 4096,
  sizes: { layers, width: 896, heads: 14, kvHeads: 2, headWidth: 64, feedForward: 4864, contextLength: 8192 },
  rope: { base: 1e6 },
  type: 'Q4_0',
});

export const MODELS = {
  /** Decode, prompts and load, ours and the peers'. */
  'qwen-4': qwen(4),
  /** The memory of a load: all layers of Qwen2.5-0.5B. */
  'qwen-24': qwen(24),
  /** Positions up to 4,096. */
  'qwen-2': qwen(2),
  /** The host's work: as many dispatches as Qwen2.5-0.5B, each of little work. */
  'layers-24': {
    architecture: 'qwen2',
    tied: true,
    sizes: { layers: 24, width: 64, heads: 2, kvHeads: 1, headWidth: 32, feedForward: 64 },
  },
} as const satisfies Readonly<Record<string, ModelOptions>>;

export type ModelName = keyof typeof MODELS;

/** The path of a model's file, which is written if it is not there. */
export function modelPath(folder: string, name: ModelName): string {
  const path = join(folder, `${name}.gguf`);
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, modelFile(MODELS[name]));
  }
  return path;
}
