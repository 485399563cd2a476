// Writes the files beside the shards of a quantized model: the index, and config.json with its quantization_config.
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { compressedTensorsConfig } from '../src/formats.js';
import type { Opened } from './open.js';
import { writeText } from './output.js';
import type { Item, Shard } from './quantize-plan.js';
import { groupOf, type Settings } from './quantize-settings.js';

export const INDEX = 'model.safetensors.index.json';

/** Names of linear layers that stay floats; the configuration must list them. */
function ignored(items: readonly Item[]): string[] {
  const floats = items.flatMap((item) =>
    item.kind === 'copy' && item.why !== undefined && item.info.shape.length > 1 ? [item.name.replace(/\.weight$/, '')] : [],
  );
  const hasHead = floats.includes('lm_head') || items.some((item) => item.kind === 'layer' && item.name === 'lm_head');
  return hasHead ? floats : [...floats, 'lm_head']; // a head that is tied to the embeddings has no tensor
}

/** Names of layers by the size of their groups; 0: a scale for each output. */
function byGroup(settings: Settings, items: readonly Item[]): Map<number, string[]> {
  const groups = new Map<number, string[]>();
  for (const item of items) {
    if (item.kind !== 'layer') continue;
    const size = groupOf(settings, item.k) ?? 0;
    groups.set(size, [...(groups.get(size) ?? []), item.name]);
  }
  return groups;
}

/**
 * quantization_config; null for torch_npu, which has none. Where groups have several sizes, each size has a group of layers by their names.
 * Pure.
 */
export function configOf(settings: Settings, items: readonly Item[]): Readonly<Record<string, unknown>> | null {
  const { bits, symmetric, scheme } = settings;
  if (scheme === 'torch_npu') return null;
  const groups = [...byGroup(settings, items)].sort(([a], [b]) => b - a);
  const configs = groups.map(([size]) =>
    compressedTensorsConfig(
      { bits, symmetric, mode: size === 0 ? 'channel' : 'group', groupSize: size === 0 ? undefined : size },
      { ignore: ignored(items) },
    ),
  );
  const [first] = configs;
  if (configs.length <= 1) return first ?? null;
  const parts = configs.map((config, i) => {
    const { group_0 } = config.config_groups as { readonly group_0: object };
    return [`group_${i}`, { ...group_0, targets: groups[i]![1] }] as const;
  });
  return { ...first, config_groups: Object.fromEntries(parts) };
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
