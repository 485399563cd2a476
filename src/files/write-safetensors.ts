// Writes safetensors: first the header from names, dtypes and shapes, then each tensor in turn, so that memory never holds the complete
// file. Rule: github.com/huggingface/safetensors, README.md, "Format".

import {
  anything,
  bytes as bytesCheck,
  callback,
  dictionary,
  fields,
  list,
  object,
  optional,
  property,
  reading,
  refuse,
  text,
  withMethods,
} from '../arguments/check.js';
import { arrayKind } from '../arguments/show-value.js';
import { ArgumentError } from '../errors.js';
import { showShape } from '../problem/view.js';
import type { Progress } from '../progress.js';
import { numbers, watched } from './given.js';
import { ELEMENT_BYTES, elementsIn, type RawTensor } from './raw-tensor.js';

/** A tensor's entry in the header. */
export type TensorOutline = Pick<RawTensor, 'name' | 'dtype' | 'shape'>;

/** Little-endian, row-major; in one piece or several. */
export type Bytes = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** A tensor's entry in the header, with its bytes or a function that makes them. */
export interface TensorToWrite extends TensorOutline {
  /** A function is called once, when the tensor is written. */
  readonly bytes: Uint8Array | (() => Bytes | Promise<Bytes>);
}

/** Takes bytes in order: a file, a stream's writer, a list. */
export interface Sink {
  write(bytes: Uint8Array): unknown;
}

/** The file's metadata, and progress and abort of writing. */
export interface WriteOptions {
  /** `__metadata__`, from text to text. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** Checked before each piece. */
  readonly signal?: AbortSignal | undefined;
  /** After each piece, in bytes of the file. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** Readers of the format refuse longer headers. */
const LONGEST_HEADER = 100_000_000;

const OUTLINE = fields({ name: text, dtype: text, shape: numbers, bytes: anything });
const WRITE = fields({ ...watched, metadata: anything });

/** What a caller gave to be walked, walked once. @throws ArgumentError */
const iterated = (given: unknown, argument: string): readonly TensorOutline[] =>
  reading(argument, () => [...(object(given, argument) as Iterable<TensorOutline>)]);

/** The pieces of a tensor's bytes. @throws ArgumentError */
function pieces(given: unknown, name: string): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (arrayKind(given) === 'Uint8Array') return [given as Uint8Array];
  const walks = (of: object) =>
    [Symbol.iterator, Symbol.asyncIterator].some((walk) => typeof property(of, walk, `${name}.bytes`) === 'function');
  // Other typed arrays walk, too, as numbers.
  const isOther = reading(`${name}.bytes`, () => ArrayBuffer.isView(given) || given instanceof Uint8Array);
  if (isOther || typeof given !== 'object' || given === null || !walks(given))
    return refuse(`${name}.bytes`, 'a Uint8Array, or several', given);
  return given as Iterable<Uint8Array>;
}

const bytesOf = (tensor: TensorOutline): number => {
  const { name, dtype, shape } = OUTLINE(tensor, 'tensor');
  if (!Object.hasOwn(ELEMENT_BYTES, dtype)) throw new ArgumentError(`${name}.dtype`, Object.keys(ELEMENT_BYTES).join(' or '), dtype);
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    throw new ArgumentError(`${name}.shape`, 'whole numbers of at least 0', showShape(shape));
  return elementsIn(shape) * ELEMENT_BYTES[dtype]!;
};

/**
 * The first bytes of a safetensors file: 8 bytes with the header's length, the header as JSON, spaces up to a multiple of 8. Data follow in
 * the order of `tensors`, without gaps.
 * @throws ArgumentError for an unknown dtype, a name twice, or a header of more than 100 MB
 * @example await file.write(safetensorsHeader([{ name: 'x', dtype: 'F32', shape: [2] }])); await file.write(new Uint8Array(8));
 */
export function safetensorsHeader(tensors: Iterable<TensorOutline>, metadata?: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  const said = optional(dictionary(text))(metadata, 'metadata');
  const entries: (readonly [string, unknown])[] = said ? [['__metadata__', said]] : [];
  const names = new Set(['__metadata__']);
  let begin = 0;
  for (const tensor of iterated(tensors, 'tensors')) {
    const { name, dtype, shape } = OUTLINE(tensor, 'tensor');
    if (names.has(name)) throw new ArgumentError('tensors', 'each name once, and none named __metadata__', `${name} again`);
    names.add(name);
    const end = begin + bytesOf(tensor);
    entries.push([name, { dtype, shape, data_offsets: [begin, end] }]);
    begin = end;
  }
  // An object would sort keys that are whole numbers, and could not have the key __proto__.
  const json = new TextEncoder().encode(
    `{${entries.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join(',')}}`,
  );
  const length = Math.ceil(json.length / 8) * 8;
  if (length > LONGEST_HEADER) throw new ArgumentError('tensors', `a header of at most ${LONGEST_HEADER} bytes`, String(length));
  const out = new Uint8Array(8 + length).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(length), true);
  out.set(json, 8);
  return out;
}

/**
 * Writes a file to `sink` and waits for each write. Returns the file's size in bytes.
 * @throws ArgumentError as safetensorsHeader, or if a tensor's bytes do not fit its shape; the reason of `signal`; errors of the sink or of
 *   a tensor. The file is then incomplete.
 * @example
 * const file = await open('model.safetensors', 'w'); // node:fs/promises
 * await writeSafetensors(file, torchNpuTensors('lm_head', quantized), { metadata: { format: 'pt' } });
 */
export async function writeSafetensors(sink: Sink, tensors: Iterable<TensorToWrite>, options: WriteOptions = {}): Promise<number> {
  withMethods('a sink, with write', 'write')(sink, 'sink');
  const { metadata, signal, onProgress } = WRITE(options, 'options') as WriteOptions;
  const list = iterated(tensors, 'tensors') as readonly TensorToWrite[];
  const header = safetensorsHeader(list, metadata);
  const total = list.reduce((sum, tensor) => sum + bytesOf(tensor), header.length);
  let done = 0;
  const put = async (piece: Uint8Array): Promise<void> => {
    signal?.throwIfAborted();
    await sink.write(piece);
    done += piece.byteLength;
    onProgress?.({ phase: 'write', done, total });
  };
  await put(header);
  for (const tensor of list) {
    const expected = bytesOf(tensor);
    signal?.throwIfAborted();
    const bytes = typeof tensor.bytes === 'function' ? await tensor.bytes() : tensor.bytes;
    let given = 0;
    for await (const piece of pieces(bytes, tensor.name)) {
      bytesCheck(piece, `${tensor.name}.bytes`);
      given += piece.byteLength;
      // Checked before writing: the following tensors would be in the wrong place.
      if (given > expected) break;
      await put(piece);
    }
    if (given !== expected)
      throw new ArgumentError(tensor.name, `${expected} bytes for ${tensor.dtype} ${showShape(tensor.shape)}`, `${given} or more`);
  }
  return done;
}

/**
 * Tensors of one layer that are made together: `make` runs when the first of them is written, and its result is dropped after the last.
 * @param make returns the tensors in the order of `outlines`
 * @example madeTogether(torchNpuOutlines(name, form), async () => torchNpuTensors(name, await quantizeInWorker(await load(), options)))
 */
export function madeTogether(
  outlines: readonly TensorOutline[],
  make: () => readonly RawTensor[] | Promise<readonly RawTensor[]>,
): TensorToWrite[] {
  let made: Promise<readonly RawTensor[]> | undefined;
  callback(make, 'make');
  return list(OUTLINE)(outlines, 'outlines').map((outline, i) => ({
    ...outline,
    bytes: async () => {
      made ??= Promise.resolve(make());
      const tensor = list(OUTLINE)(await made, 'made')[i] as RawTensor | undefined;
      if (i === outlines.length - 1) made = undefined;
      if (tensor?.name !== outline.name) throw new ArgumentError('made', outline.name, tensor?.name ?? 'none');
      return tensor.bytes;
    },
  }));
}
