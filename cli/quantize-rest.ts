// Writes the files beside the shards of a quantized model: the index, and config.json with its quantization_config.
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { compressedTensorsConfig } from '../src/formats.js';
import type { Opened } from './open.js';
import { writeText } from './output.js';
import type { Item, Shard } from './quantize-plan.js';
import type { Settings } from './quantize-settings.js';

export const INDEX = 'model.safetensors.index.json';

/** Names of linear layers that stay floats; the configuration must list them. */
function ignored(items: readonly Item[]): string[] {
  const floats = items.flatMap((item) =>
    item.kind === 'copy' && item.why !== undefined && item.info.shape.length > 1 ? [item.name.replace(/\.weight$/, '')] : [],
  );
  const hasHead = floats.includes('lm_head') || items.some((item) => item.kind === 'layer' && item.name === 'lm_head');
  return hasHead ? floats : [...floats, 'lm_head']; // a head that is tied to the embeddings has no tensor
}

/** quantization_config; null for torch_npu, which has none. Pure. */
export function configOf({ bits, group, symmetric, scheme }: Settings, items: readonly Item[]): Readonly<Record<string, unknown>> | null {
  if (scheme === 'torch_npu') return null;
  const mode = group === 0 ? 'channel' : 'group';
  return compressedTensorsConfig({ bits, symmetric, mode, groupSize: group === 0 ? undefined : group }, { ignore: ignored(items) });
}

export async function writeRest(
  folder: string,
  {
    shards,
    config,
    quantization,
  }: { readonly shards: readonly Shard[]; readonly config: Opened['config']; readonly quantization: ReturnType<typeof configOf> },
): Promise<void> {
  if (shards.length === 1)
    await rm(join(folder, INDEX), { force: true }); // the index of an earlier run
  else {
    const map = shards.flatMap(({ name, items }) => items.flatMap(({ outlines }) => outlines.map((outline) => [outline.name, name])));
    const total = shards.reduce((sum, { bytes }) => sum + bytes, 0);
    const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(map) };
    await writeText(join(folder, INDEX), `${JSON.stringify(index, null, 2)}\n`);
  }
  const own = config && basename(config.name) === 'config.json' && typeof config.value === 'object' ? config.value : undefined;
  if (own || quantization) {
    const whole = { ...own, ...(quantization && { quantization_config: quantization }) };
    await writeText(join(folder, 'config.json'), `${JSON.stringify(whole, null, 2)}\n`);
  }
}
