// antiquant quantize IN OUT: float weights → safetensors of codes, piece by piece, file by file.
import { mkdir, realpath, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { ELEMENT_BYTES } from '../src/files/raw-tensor.js';
import {
  type FoundLayers,
  findLayers,
  quantizationOf,
  type TensorFile,
  type TensorToWrite,
  tensorParts,
  UnsupportedError,
  writeSafetensors,
} from '../src/formats.js';
import { activationsOf, openActivations } from './activations.js';
import { type Command, type Io, whole } from './command.js';
import type { LayerReport, QuantizeDocument } from './documents.js';
import { EXIT, UsageError } from './exit.js';
import { factsOf } from './floats.js';
import { headersOf } from './headers.js';
import { type Opened, open, sourcesOf } from './open.js';
import { earlier, identityOf, partOf, type RecordedShard, type RunRecord, writeText, writeWhole } from './output.js';
import { openPool, type Pool } from './pool.js';
import { jsonText } from './print.js';
import { type Bar, progress } from './progress.js';
import { layerToWrite } from './quantize-layer.js';
import { type CopyItem, type Item, inputBytes, itemsOf, type LayerItem, type Shard, shardsOf } from './quantize-plan.js';
import { configOf, INDEX, writeRest } from './quantize-rest.js';
import { OPTIONS, type Settings, settingsJson, settingsOf } from './quantize-settings.js';
import { quantizeText } from './quantize-text.js';

/** Each thread takes some 40 MB; more threads would wait for the file. */
const MOST_THREADS = 8;

const isFile = (out: string): boolean => /\.safetensors$/i.test(out);

interface Places {
  readonly folder: string;
  /** The name of the only file, if OUT names one. */
  readonly oneFile: string | undefined;
  readonly record: string;
}
const placesOf = (out: string): Places =>
  isFile(out)
    ? { folder: dirname(out), oneFile: basename(out), record: `${out}.antiquant.json` }
    : { folder: out, oneFile: undefined, record: join(out, 'antiquant-quantize.json') };

/** @throws UnsupportedError for a quantized model, or for tensors whose dtype safetensors lacks */
async function checkInput({ file, config }: Opened, signal: AbortSignal): Promise<FoundLayers> {
  const { method, mlc, bits } = quantizationOf(config?.value);
  const said = method ?? mlc ?? (bits && `${bits} bits`);
  if (said)
    throw new UnsupportedError(file.name, [
      `${basename(config!.name)} says that it is quantized already (${said}); quantize takes float weights`,
    ]);
  const found = await findLayers(file, { signal });
  const [first] = [...found.layers, ...found.experts, ...found.refused, ...found.notYet];
  if (first) throw new UnsupportedError(file.name, [`${first.name} is quantized already (${first.format}); quantize takes float weights`]);
  for (const { name, dtype } of file.tensors.values())
    if (!Object.hasOwn(ELEMENT_BYTES, dtype))
      throw new UnsupportedError(file.name, [`${name} is ${dtype}, which can be neither quantized nor copied`]);
  return found;
}

/** Checks that no output file is a file of the input. @throws UsageError */
async function checkOutput(file: TensorFile, paths: readonly string[]): Promise<void> {
  const real = (path: string): Promise<string> => realpath(path).catch(() => path);
  const inputs = new Set(await Promise.all([file.name, ...sourcesOf(file).map(({ name }) => name)].map(real)));
  for (const path of paths) if (inputs.has(await real(path))) throw new UsageError(`${path}: is a file of IN; expected another OUT`);
}

const copied = (
  { info, outlines }: CopyItem,
  { signal, onRead }: { readonly signal: AbortSignal; readonly onRead: (bytes: number) => void },
): TensorToWrite =>
  ({
    ...outlines[0]!,
    async *bytes() {
      for await (const { tensor } of tensorParts(info, { signal })) {
        yield tensor.bytes;
        onRead(tensor.bytes.byteLength);
      }
    },
  }) as TensorToWrite;

const isLayer = (item: Item): item is LayerItem => item.kind === 'layer';

/** The reasons for copying matrices, each once with its first matrix. */
function whyNone(items: readonly Item[]): string[] {
  const reasons = new Map<string, string>();
  for (const item of items)
    if (!isLayer(item) && item.why && item.info.shape.length > 1 && !reasons.has(item.why)) reasons.set(item.why, item.name);
  return [...reasons].slice(0, 8).map(([why, name]) => `${name}: ${why}`);
}

interface ShardWork {
  readonly settings: Settings;
  readonly activations: TensorFile | undefined;
  readonly pool: Pool;
  readonly bar: Bar;
  readonly signal: AbortSignal;
}

/** Writes one file under a temporary name and renames it. */
async function writeShard(
  path: string,
  part: string,
  { items }: Shard,
  { settings, activations, pool, bar, signal }: ShardWork,
): Promise<RecordedShard> {
  const layers: LayerReport[] = [];
  const tensors: TensorToWrite[] = [];
  for (const item of items) {
    const onRead = (bytes: number): void => bar.add(bytes, item.name);
    if (!isLayer(item)) tensors.push(copied(item, { signal, onRead }));
    else
      tensors.push(
        ...(await layerToWriteLater(item, activations, { settings, pool, signal, onRead, onReport: (report) => layers.push(report) })),
      );
  }
  const bytes = await writeWhole(path, part, (sink) => writeSafetensors(sink, tensors, { metadata: { format: 'pt' }, signal }));
  return { bytes, layers };
}

/** Reads a layer's activations just before it is quantized: those of all layers may be large. */
async function layerToWriteLater(
  item: LayerItem,
  activations: TensorFile | undefined,
  work: Omit<Parameters<typeof layerToWrite>[1], 'activations'>,
): Promise<TensorToWrite[]> {
  let made: TensorToWrite[] | undefined;
  const make = async (): Promise<TensorToWrite[]> =>
    (made ??= layerToWrite(item, { ...work, activations: await activationsOf(activations, item, work.signal) }));
  return item.outlines.map((outline, i) => ({
    ...outline,
    bytes: async () => {
      const { bytes } = (await make())[i]!;
      if (i === item.outlines.length - 1) made = undefined;
      return typeof bytes === 'function' ? bytes() : bytes;
    },
  }));
}

async function work(
  input: string,
  output: string,
  settings: Settings,
  {
    io,
    headers,
    force,
    threads,
  }: { readonly io: Io; readonly headers: Headers | undefined; readonly force: boolean; readonly threads: number },
): Promise<QuantizeDocument> {
  const { signal } = io;
  const began = performance.now();
  const opened = await open(input, { headers, signal });
  const found = await checkInput(opened, signal);
  for (const note of opened.file.notes ?? []) io.err(`antiquant: ${note}\n`);
  const items = itemsOf(opened.file, settings, factsOf(opened.file, opened.config?.value, found));
  if (!items.some(isLayer)) throw new UnsupportedError(opened.from, ['no layer to quantize', ...whyNone(items)]);
  const { folder, oneFile, record } = placesOf(output);
  const shards = shardsOf(items, settings.shardBytes, oneFile);
  const paths = new Map(shards.map(({ name }) => [name, join(folder, name)]));
  const beside = oneFile === undefined ? ['config.json', INDEX].map((name) => join(folder, name)) : [];
  await mkdir(folder, { recursive: true });
  await checkOutput(opened.file, [...paths.values(), ...beside]);
  const activations = settings.activations === undefined ? undefined : await openActivations(settings.activations, signal);
  const wanted: Omit<RunRecord, 'shards' | 'part'> = {
    version: 1,
    settings: settingsJson(settings),
    input: [...(await identityOf(opened.file)), ...(activations ? await identityOf(activations) : [])],
  };
  const done = { ...(await earlier(record, { wanted, paths, others: beside, force })) };
  const resumed = new Set(Object.keys(done));
  const todo = shards.filter(({ name }) => !resumed.has(name));
  if (resumed.size > 0) io.err(`${resumed.size} of ${shards.length} files are complete from an earlier run\n`);
  const pool = openPool(threads);
  const bar = progress(
    todo.flatMap(({ items }) => items).reduce((sum, item) => sum + inputBytes(item), 0),
    io,
  );
  try {
    for (const shard of todo) {
      signal.throwIfAborted();
      const path = paths.get(shard.name)!;
      const part = partOf(path);
      await writeText(record, `${JSON.stringify({ ...wanted, shards: done, part: basename(part) }, null, 2)}\n`);
      done[shard.name] = await writeShard(path, part, shard, { settings, activations, pool, bar, signal });
      await writeText(record, `${JSON.stringify({ ...wanted, shards: done }, null, 2)}\n`);
    }
  } catch (error) {
    // The part was removed; without any complete file the record goes too.
    if (Object.keys(done).length === 0) await rm(record, { force: true });
    else await writeText(record, `${JSON.stringify({ ...wanted, shards: done }, null, 2)}\n`);
    throw error;
  } finally {
    bar.end();
    await pool.close();
  }
  const quantization = configOf(settings, items);
  if (oneFile === undefined) await writeRest(folder, { shards, config: opened.config, quantization });
  const copies = items.filter((item): item is CopyItem => item.kind === 'copy');
  return {
    command: 'quantize',
    input: opened.from,
    output,
    settings: settingsJson(settings),
    notes: opened.file.notes ?? [],
    shards: shards.map(({ name }) => ({ name, bytes: done[name]!.bytes, resumed: resumed.has(name) })),
    layers: shards.flatMap(({ name }) => done[name]!.layers),
    copied: copies.flatMap(({ name, info, why }) => (why === undefined ? [] : [{ name, shape: info.shape, why }])),
    otherTensors: copies.filter(({ why }) => why === undefined).length,
    bytesBefore: sourcesOf(opened.file).reduce((sum, { bytes }) => sum + bytes, 0),
    bytes: shards.reduce((sum, { name }) => sum + done[name]!.bytes, 0),
    quantizationConfig: quantization,
    seconds: (performance.now() - began) / 1000,
  };
}

export const quantize: Command = {
  name: 'quantize',
  summary: 'Quantizes the linear layers of a float model, and writes it as safetensors.',
  takes: ['IN', 'OUT'],
  resumes: true,
  options: OPTIONS,
  notes: [
    'IN: safetensors, also in shards, or GGUF, of F16, BF16 or F32; a path, a URL, or a folder. OUT: a folder, or one file that ends in .safetensors. IN is never changed.',
    'It quantizes matrices named *.weight, except embeddings, the head (lm_head, output), norms and routers of experts, whose quantization loses much and saves little. --include REGEX quantizes exactly the matrices that match. Matrices whose K is not a multiple of the group are copied, like all other tensors.',
    'The same command continues a stopped run at the first incomplete file, if IN and the options are the same. config.json is copied; with compressed-tensors it gets a quantization_config. Tokenizers and other files are not copied.',
    '--activations: safetensors with tensors LAYER.mean_abs (K) or LAYER.mean_square (K), which weight the errors, or LAYER.hessian (K, K) or LAYER.x (rows, K), with which each weight compensates errors before it (GPTQ). Layers that are missing in the file are quantized without activations.',
  ],
  async run({ paths, given }, io) {
    const [input, output] = paths as [string, string];
    const settings = settingsOf(given, { oneFile: isFile(output) });
    const threads = whole(given, 'threads', { least: 1, otherwise: Math.min(MOST_THREADS, availableParallelism()) });
    const document = await work(input, output, settings, { io, headers: headersOf(given), force: given.force === true, threads });
    io.out(given.json ? jsonText(document) : quantizeText(document, io.columns));
    return EXIT.fine;
  },
};
