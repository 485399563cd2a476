// antiquant verify FILE: imports every quantized layer of a model, and multiplies it with random x if there is a GPU.
import { FormatError, findLayers, type LayerSource, layerBytes, UnsupportedError } from '../src/formats.js';
import { type Command, choice, pattern, whole } from './command.js';
import { didYouMean, meantBy } from './did-you-mean.js';
import type { VerifiedLayer, VerifyDocument } from './documents.js';
import { EXIT } from './exit.js';
import { HEADER, headersOf } from './headers.js';
import { open } from './open.js';
import { jsonText } from './print.js';
import { progress } from './progress.js';
import { verifyLayer } from './verify-layer.js';
import { verifyText } from './verify-text.js';

const noneMatches = (only: RegExp, all: readonly LayerSource[]): string =>
  `none of its ${all.length} quantized layers match --layers${didYouMean(
    meantBy(
      only,
      all.map(({ name }) => name),
    ),
  )}`;

export const verify: Command = {
  name: 'verify',
  summary: 'Imports each layer, and compares its product with random x on the GPU with that of the reference.',
  takes: ['FILE'],
  options: {
    layers: { type: 'string', value: 'REGEX', help: 'verifies the layers whose names match; default: all' },
    rows: { type: 'string', value: 'N', help: 'of x; 4' },
    dtype: { type: 'string', value: 'NAME', help: 'dtype of x and y: float32 (default, the strictest), float16 or bfloat16' },
    seed: { type: 'string', value: 'N', help: 'of x; 1' },
    gpu: { type: 'boolean', help: 'ends with 4 if there is no GPU' },
    config: { type: 'string', value: 'FILE', help: 'configuration of the quantization; default: the file beside FILE' },
    ...HEADER,
  },
  notes: [
    'Checks of each layer: every weight is finite; written and read again, it has the same codes, scales and zero points (if a writer takes it); and with a GPU (by the package webgpu, if installed), every element of y lies in the interval of correct float32 results (docs/numerics.md).',
    'Experts of a tensor with three dimensions are layers, with their numbers behind its name: NAME.0, NAME.1, ….',
    'Ends with 1 if a layer is wrong or refused. Memory holds one layer at a time, twice.',
  ],
  async run({ paths, given }, io) {
    const { signal } = io;
    const only = pattern(given, 'layers');
    const rows = whole(given, 'rows', { least: 1, otherwise: 4 });
    const seed = whole(given, 'seed', { least: 0, otherwise: 1 });
    const dtype = choice(given, 'dtype', ['float32', 'float16', 'bfloat16'], 'float32');
    const { file, from, config } = await open(paths[0]!, { config: given.config as string | undefined, headers: headersOf(given), signal });
    const found = await findLayers(file, { config: config?.value, signal });
    const all = [...new Set([...found.layers, ...found.experts.flatMap(({ experts }) => experts)])]; // numbered experts are layers too
    const chosen = all.filter(({ name }) => only?.test(name) ?? true);
    const refused = found.refused
      .filter(({ name }) => only?.test(name) ?? true)
      .map(({ name, format, error }) => ({ name, format, why: error.message }));
    if (chosen.length + refused.length === 0)
      throw new UnsupportedError(from, [
        only ? noneMatches(only, all) : 'it has no quantized layers',
        ...new Set(found.notYet.map(({ why }) => why)),
      ]);
    for (const note of file.notes ?? []) io.err(`antiquant: ${note}\n`);
    const gpu = await io.findDevice();
    const device = 'device' in gpu ? gpu.device : undefined;
    const noGpu = 'why' in gpu ? gpu.why : null;
    if (given.gpu && noGpu !== null) throw new UnsupportedError('--gpu', [noGpu]);
    const bar = progress(
      chosen.reduce((sum, layer) => sum + layerBytes(layer), 0),
      io,
    );
    const layers: VerifiedLayer[] = [];
    try {
      for (const layer of chosen) {
        signal.throwIfAborted();
        try {
          layers.push(await verifyLayer(layer, { rows, seed, dtype, device, signal }));
        } catch (error) {
          // An error without a tensor concerns the file, which was changed or cut off, not the layer.
          if (!(error instanceof FormatError) || error.tensor === undefined) throw error;
          refused.push({ name: layer.name, format: layer.format, why: error.message });
        }
        bar.add(layerBytes(layer), layer.name);
      }
    } finally {
      bar.end();
    }
    const ok = refused.length === 0 && layers.every((layer) => layer.ok);
    const adapter = 'adapter' in gpu ? gpu.adapter : null;
    const document: VerifyDocument = {
      command: 'verify',
      file: from,
      gpu: adapter,
      noGpu,
      notes: file.notes ?? [],
      rows,
      seed,
      dtype,
      layers,
      refused,
      ok,
    };
    io.out(given.json ? jsonText(document) : verifyText(document, io.columns));
    return ok ? EXIT.fine : EXIT.finding;
  },
};
