// One safetensors file: 8 bytes with the header's length, the header as JSON, the data. Only the header is read.
// The rules are those of the format's description (github.com/huggingface/safetensors, README.md, "Format") and of its reference
// implementation: a header of at most 100 MB, names once, and tensors that lie one after another from the first byte of data to the last,
// "no holes", in whatever order the header lists them.

import { FormatError } from '../errors.js';
import { showShape } from '../problem/view.js';
import { byteSource, checkSignal, readFrom } from './given.js';
import { type Block, byPlace, bytesFor, list, object, shapeFrom, text, whole } from './header-checks.js';
import { type Json, parseJson, record } from './json.js';
import { ELEMENT_BYTES } from './raw-tensor.js';
import { clip, show } from './show.js';
import type { ByteSource, TensorFile, TensorInfo } from './tensor-file.js';

const LONGEST_HEADER = 100_000_000;

/** Every dtype of the format: those that can be imported, and those that are only told about. */
const BLOCKS: ReadonlyMap<string, Block> = new Map([
  ...Object.entries(ELEMENT_BYTES).map(([dtype, bytes]) => [dtype, { elements: 1, bytes }] as const),
  ...['F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ'].map((dtype) => [dtype, { elements: 1, bytes: 1 }] as const),
  ['C64', { elements: 1, bytes: 8 }],
  ['F4', { elements: 2, bytes: 1 }],
  ['F6_E2M3', { elements: 4, bytes: 3 }],
  ['F6_E3M2', { elements: 4, bytes: 3 }],
]);

/**
 * The tensors of a safetensors file, by its header alone.
 * @throws FormatError if the header is not what the format's rules say
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
  const header = object(parseJson(bytes, { at, tensorOf: ([name]) => name }), at);

  const tensors = new Map<string, TensorInfo>();
  for (const [name, entry] of header) if (name !== '__metadata__') tensors.set(name, tensorFrom(entry, { name, source, data }));
  checkFilled(tensors.values(), { file, data, size });
  return { kind: 'safetensors', name: file, metadata: metadataFrom(header.get('__metadata__'), file), tensors };
}

/** "A special key __metadata__ is allowed to contain free form text-to-text map." */
function metadataFrom(value: Json | undefined, file: string): Readonly<Record<string, unknown>> {
  const at = (field: string) => ({ file, field });
  if (value === undefined) return record([]);
  const members = object(value, at('__metadata__'));
  return record([...members].map(([name, member]) => [name, text(member, at(`__metadata__.${clip(name)}`))]));
}

interface Place {
  readonly name: string;
  readonly source: ByteSource;
  /** Where data begin. */
  readonly data: number;
}

function tensorFrom(entry: Json, { name, source, data }: Place): TensorInfo {
  const at = (field: string) => ({ file: source.name, tensor: clip(name), field });
  const members = object(entry, at('header'));
  const dtype = text(members.get('dtype'), at('dtype'));
  const block = BLOCKS.get(dtype);
  if (!block) throw new FormatError(at('dtype'), `one of ${[...BLOCKS.keys()].join(', ')}`, show(dtype));
  const shape = shapeFrom(members.get('shape'), at('shape'));
  const offsets = list(members.get('data_offsets'), at('data_offsets'));
  if (offsets.length !== 2) throw new FormatError(at('data_offsets'), '[begin, end]', show(offsets));
  const [begin, end] = offsets.map((offset, i) => whole(offset, at(`data_offsets[${i}]`))) as [number, number];
  const available = source.size - data;
  if (begin > end || end > available) throw new FormatError(at('data_offsets'), `a part of ${available} bytes of data`, show(offsets));
  const bytes = bytesFor(shape, block, at('shape'));
  if (end - begin !== bytes)
    throw new FormatError(at('data_offsets'), `${bytes} bytes for ${dtype} ${showShape(shape)}`, `${end - begin}, ${show(offsets)}`);
  return { name, dtype, shape, source, begin: data + begin, end: data + end };
}

/** Sorted by their place, each begins where the one before ends, and the last ends with the file. */
function checkFilled(tensors: Iterable<TensorInfo>, { file, data, size }: { file: string; data: number; size: number }): void {
  let end = data;
  let before = 'the header';
  for (const tensor of byPlace(tensors)) {
    if (tensor.begin !== end)
      throw new FormatError(
        { file, tensor: clip(tensor.name), field: 'data_offsets' },
        `to begin at ${end - data}, where ${before} ends, without a hole or an overlap`,
        String(tensor.begin - data),
      );
    end = tensor.end;
    before = show(tensor.name);
  }
  if (end !== size) throw new FormatError({ file, field: 'size' }, `${end}, where ${before} ends`, String(size));
}
