// Reads the header of a safetensors file: 8 bytes with the header's length, the header as JSON, the data. Rules: the format's description
// (github.com/huggingface/safetensors, README.md, "Format") and its reference implementation. The header has at most 100 MB and names each
// tensor once. Tensors fill the data from the first byte to the last without holes, in any order.
import { FormatError } from '../errors.js';
import { showShape } from '../problem/view.js';
import { byteSource, checkSignal, readFrom } from './given.js';
import { type Block, byPlace, bytesFor, list, object, shapeFrom, text, whole } from './header-checks.js';
import { type Json, type JsonReader, openJson, record } from './json.js';
import { paced, type Steps } from './pace.js';
import { ELEMENT_BYTES } from './raw-tensor.js';
import { clip, show } from './show.js';
import type { ByteSource, TensorFile, TensorInfo } from './tensor-file.js';

const LONGEST_HEADER = 100_000_000;
/** More tensors than in the largest models. One takes some 300 bytes of memory, and as little as 55 bytes of the header. */
export const MOST_TENSORS = 300_000;
/** Most entries of __metadata__: torchao has one for each tensor. */
const MOST_METADATA = 2 ** 17;
/** Most values in a tensor's entry. */
const MOST_VALUES = 256;

/** Every dtype of the format, also those that cannot be imported. */
const BLOCKS: ReadonlyMap<string, Block & { readonly dtype: string }> = new Map(
  (
    [
      ...Object.entries(ELEMENT_BYTES).map(([dtype, bytes]) => [dtype, { elements: 1, bytes }] as const),
      ...['F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ'].map((dtype) => [dtype, { elements: 1, bytes: 1 }] as const),
      ['C64', { elements: 1, bytes: 8 }],
      ['F4', { elements: 2, bytes: 1 }],
      ['F6_E2M3', { elements: 4, bytes: 3 }],
      ['F6_E3M2', { elements: 4, bytes: 3 }],
    ] as const
  ).map(([dtype, block]) => [dtype, { dtype, ...block }]),
);

/**
 * Opens a safetensors file; reads the header only.
 * @throws FormatError if the header breaks the format's rules
 * @example
 * const file = await openSafetensors(await byteSource('model.safetensors'));
 * for (const { name, dtype, shape } of file.tensors.values()) console.log(name, dtype, shape);
 */
export async function openSafetensors(
  source: ByteSource,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<TensorFile> {
  byteSource(source, 'source');
  const { name: file, size } = source;
  const { signal } = checkSignal(options);
  if (size < 8) throw new FormatError({ file, field: 'header length' }, '8 bytes', `a file of ${size}`);
  const length = new DataView((await readFrom(source, 0, 8, signal)).buffer).getBigUint64(0, true);
  if (length > LONGEST_HEADER) throw new FormatError({ file, field: 'header length' }, `at most ${LONGEST_HEADER}`, String(length));
  const data = 8 + Number(length);
  if (data > size) throw new FormatError({ file, field: 'header length' }, `at most ${size - 8}, what the file has`, String(length));
  const at = { file, field: 'header' };
  const bytes = await readFrom(source, 8, data, signal);
  if (bytes[0] !== 0x7b) throw new FormatError(at, '{ as its first character', bytes.length ? `byte ${bytes[0]}` : 'no bytes');
  return paced(headerFrom(openJson(bytes, { at }), { source, data }), signal);
}

interface Where {
  readonly source: ByteSource;
  /** Start of the data. */
  readonly data: number;
}

/** Reads the header entry by entry, so that memory holds only the results. */
function* headerFrom(reader: JsonReader, where: Where): Steps<TensorFile> {
  const { name: file } = where.source;
  const tensors = new Map<string, TensorInfo>();
  const shapes = shared();
  let metadata: Map<string, string> | undefined;
  const each = (name: string): Steps<void> | undefined => {
    if (name === '__metadata__') return metadataFrom(reader, (metadata = new Map()));
    if (tensors.size === MOST_TENSORS) throw new FormatError({ file, field: 'header' }, `at most ${MOST_TENSORS} tensors`, 'more');
    tensors.set(name, tensorFrom(reader, { ...where, name, shapes }));
    return undefined;
  };
  yield* reader.members(each, (name) => tensors.has(name) || (metadata !== undefined && name === '__metadata__'), true);
  reader.end();
  yield* checkFilled([...tensors.values()], where);
  return { kind: 'safetensors', name: file, metadata: record(metadata ?? []), tensors };
}

/** "A special key __metadata__ is allowed to contain free form text-to-text map." null counts as absent. */
function* metadataFrom(reader: JsonReader, members: Map<string, string>): Steps<void> {
  const { file } = reader.at;
  const at = (field: string) => ({ file, field });
  if (!reader.isObject()) {
    const value = reader.value(MOST_VALUES);
    if (value !== null) object(value, at('__metadata__'));
    return;
  }
  const each = (name: string): undefined => {
    if (members.size === MOST_METADATA) throw new FormatError(at('__metadata__'), `at most ${MOST_METADATA} members`, 'more');
    members.set(name, text(reader.value(MOST_VALUES), at(`__metadata__.${clip(name)}`)));
  };
  yield* reader.members(each, (name) => members.has(name));
}

function tensorFrom(
  reader: JsonReader,
  { name, source, data, shapes }: Where & { readonly name: string; readonly shapes: Shapes },
): TensorInfo {
  const at = (field: string) => ({ file: source.name, tensor: clip(name), field });
  if (!reader.isObject()) object(reader.value(MOST_VALUES), at('header'));
  let [dtype, shape, offsets]: (Json | undefined)[] = [];
  reader.fields((field) => {
    const value = reader.value(MOST_VALUES, name);
    if (field === 'dtype') dtype = value;
    else if (field === 'shape') shape = value;
    else if (field === 'data_offsets') offsets = value;
  }, name);
  const block = BLOCKS.get(text(dtype, at('dtype')));
  if (!block) throw new FormatError(at('dtype'), `one of ${[...BLOCKS.keys()].join(', ')}`, show(dtype));
  const sizes = shapes(shapeFrom(shape, at('shape')));
  const places = list(offsets, at('data_offsets'));
  if (places.length !== 2) throw new FormatError(at('data_offsets'), '[begin, end]', show(places));
  const [begin, end] = places.map((offset, i) => whole(offset, at(`data_offsets[${i}]`))) as [number, number];
  const available = source.size - data;
  if (begin > end || end > available) throw new FormatError(at('data_offsets'), `a part of ${available} bytes of data`, show(places));
  const bytes = bytesFor(sizes, block, at('shape'));
  if (end - begin !== bytes)
    throw new FormatError(at('data_offsets'), `${bytes} bytes for ${block.dtype} ${showShape(sizes)}`, `${end - begin}, ${show(places)}`);
  return { name, dtype: block.dtype, shape: sizes, source, begin: data + begin, end: data + end };
}

type Shapes = (shape: readonly number[]) => readonly number[];

/** Shares one array between tensors of one shape: models have few shapes. */
function shared(): Shapes {
  const known = new Map<string, readonly number[]>();
  return (shape) => {
    const key = shape.join();
    const found = known.get(key);
    if (found) return found;
    if (known.size < MOST_METADATA) known.set(key, shape);
    return shape;
  };
}

/** Checks that each tensor, sorted by position, begins at the end of the one before, and that the last ends with the file. */
function* checkFilled(tensors: readonly TensorInfo[], { source: { name: file, size }, data }: Where): Steps<void> {
  let end = data;
  let before: TensorInfo | undefined;
  const shown = (): string => (before ? show(before.name) : 'the header');
  for (const tensor of yield* byPlace(tensors)) {
    if (tensor.begin !== end)
      throw new FormatError(
        { file, tensor: clip(tensor.name), field: 'data_offsets' },
        `to begin at ${end - data}, where ${shown()} ends, without a hole or an overlap`,
        String(tensor.begin - data),
      );
    end = tensor.end;
    before = tensor;
  }
  if (end !== size) throw new FormatError({ file, field: 'size' }, `${end}, where ${shown()} ends`, String(size));
}
