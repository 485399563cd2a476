// antiquant inspect FILE: lists a model's tensors, and what this library does with each.

import { importerOf } from '../src/formats/layer-formats.js';
import { type FoundLayers, findLayers, type LayerSource, layerBytes, type TensorInfo } from '../src/formats.js';
import type { Command } from './command.js';
import { kindOf, memoryText, type Probed, probe, type Verdict, verdictOf } from './describe.js';
import type { InspectedExperts, InspectedLayer, InspectedTensor, Inspection } from './documents.js';
import { EXIT } from './exit.js';
import { factsOf } from './floats.js';
import { HEADER, headersOf } from './headers.js';
import { inspectText, tensorsText } from './inspect-text.js';
import { type Opened, open, sourcesOf } from './open.js';
import { jsonText } from './print.js';

const bytesOf = ({ begin, end }: TensorInfo): number => end - begin;

/** What a kind of layers is in the file and in memory; of several experts, all together. */
function described(layer: LayerSource, probed: ReadonlyMap<string, Probed>, experts?: readonly LayerSource[]) {
  const { format, n, k, bits, groupSize, cut } = layer;
  const made = probed.get(kindOf(layer))!;
  const ok = 'memory' in made;
  const all = experts ?? [layer];
  const bytes = all.reduce((sum, one) => sum + layerBytes(one), 0);
  return {
    format,
    n,
    k,
    bits,
    groupSize,
    bytes,
    bitsInFile: (8 * bytes) / (all.length * n * k),
    bitsInMemory: ok ? made.bitsOf(experts?.length) : null,
    importer: importerOf(format),
    cut: cut?.axis ?? null,
    inMemory: ok ? made.memory : null,
    why: ok ? null : made.error.message,
    what: ok ? memoryText(layer, made.memory) : `refused: ${made.error.message}`,
  };
}

/** The document of the found layers and tensors. Pure. */
export function inspection(
  { file, from, config }: Opened,
  found: FoundLayers,
  { probed, tensors }: { readonly probed: ReadonlyMap<string, Probed>; readonly tensors: boolean },
): Inspection {
  const layers = found.layers.map(
    (layer): InspectedLayer => ({ name: layer.name, ...described(layer, probed), bias: layer.bias !== undefined }),
  );
  const numbered = new Set(found.layers);
  const experts = found.experts.map(
    ({ name, experts: all }): InspectedExperts => ({
      name,
      ...described(all[0]!, probed, all),
      experts: all.length,
      numbered: numbered.has(all[0]!),
    }),
  );
  const lost = new Set(found.refused.map(({ name }) => name));
  const ofRefused = (info: TensorInfo): string | undefined => {
    const role = found.roles.get(info.name) ?? '';
    const owner = / of (.*)$/.exec(role)?.[1];
    return role.includes(', refused: ') && owner !== undefined && lost.has(owner) ? owner : undefined;
  };
  const ofNoLayer = new Set(found.rest);
  const facts = factsOf(file, config?.value, found);
  const unread = new Map(found.notYet.flatMap(({ why, tensors: own }) => own.map((info) => [info, why] as const)));
  const verdict = (info: TensorInfo) => verdictOf(info, facts, unread.get(info));
  const lists: Record<Verdict, InspectedTensor[]> = { float: [], unsupported: [], other: [] };
  const lostBytes = new Map<string, number>();
  for (const info of found.rest) {
    const owner = ofRefused(info);
    if (owner !== undefined) {
      lostBytes.set(owner, (lostBytes.get(owner) ?? 0) + bytesOf(info));
      continue;
    }
    const { verdict: which, text } = verdict(info);
    lists[which].push({ name: info.name, dtype: info.dtype, shape: info.shape, bytes: bytesOf(info), what: text });
  }
  const files = sourcesOf(file);
  const sums = new Map<string, { count: number; bytes: number }>();
  const add = (format: string, bytes: number): void => {
    const sum = sums.get(format) ?? { count: 0, bytes: 0 };
    sums.set(format, { count: sum.count + 1, bytes: sum.bytes + bytes });
  };
  for (const { format, bytes } of [...layers, ...experts.filter((one) => !one.numbered)]) add(format, bytes);
  for (const { name, format } of found.refused) add(`${format}, refused`, lostBytes.get(name) ?? 0);
  for (const { dtype, bytes } of Object.values(lists).flat()) add(dtype, bytes);
  return {
    command: 'inspect',
    file: from,
    kind: file.kind,
    files,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    config: config?.name ?? null,
    layers,
    experts,
    refused: found.refused.map(({ name, format, error }) => ({ name, format, bytes: lostBytes.get(name) ?? 0, why: error.message })),
    notYet: found.notYet.map(({ name, format, why, tensors: own }) => ({
      name,
      format,
      bytes: own.reduce((sum, info) => sum + bytesOf(info), 0),
      why,
    })),
    notes: file.notes ?? [],
    ...lists,
    totals: [...sums].map(([format, sum]) => ({ format, ...sum })),
    ...(tensors && {
      tensors: [...file.tensors.values()].map((info) => ({
        name: info.name,
        dtype: info.dtype,
        shape: info.shape,
        bytes: bytesOf(info),
        what: ofRefused(info) === undefined && ofNoLayer.has(info) ? verdict(info).text : (found.roles.get(info.name) ?? ''),
      })),
    }),
  };
}

export const inspect: Command = {
  name: 'inspect',
  summary: 'Lists a model’s tensors, and what this library does with each.',
  takes: ['FILE'],
  options: {
    ...HEADER,
    tensors: { type: 'boolean', help: 'lists every tensor with its dtype and shape' },
    layers: { type: 'boolean', help: 'prints a line for every layer; by default layers whose names differ only in numbers share one' },
    config: {
      type: 'string',
      value: 'FILE',
      help: 'configuration of the quantization; default: config.json, quantize_config.json or mlc-chat-config.json beside FILE',
    },
  },
  notes: [
    'FILE is a path, a URL, or the folder of a model: safetensors, model.safetensors.index.json, GGUF, ndarray-cache.json. Reads headers, settings of a few bytes, and one piece of one layer of each kind.',
    'Ends with 0 even if layers are refused; `antiquant verify` then ends with 1.',
  ],
  async run({ paths, given }, { out, err, columns, signal }) {
    const opened = await open(paths[0]!, { config: given.config as string | undefined, headers: headersOf(given), signal });
    const found = await findLayers(opened.file, { config: opened.config?.value, signal });
    const probed = await probe([...found.layers, ...found.experts.map(({ experts }) => experts[0]!)], signal);
    const document = inspection(opened, found, { probed, tensors: given.tensors === true });
    for (const note of document.notes) err(`antiquant: ${note}\n`);
    if (given.json) out(jsonText(document));
    else out(given.tensors ? tensorsText(document, columns) : inspectText(document, { width: columns, each: given.layers === true }));
    return EXIT.fine;
  },
};
