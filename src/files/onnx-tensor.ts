// Reads ONNX's TensorProto: dtype and shape, and where its numbers lie: as raw bytes, in typed lists, or in a file beside the model.
// Rule: github.com/onnx/onnx, onnx/onnx.proto (TensorProto), which has the numbers of fields below; docs/ExternalData.md.
import { FormatError } from '../errors.js';
import { showShape } from '../problem/view.js';
import { opened as openedBy, readFrom } from './given.js';
import { type Field, fieldsOf, type Message, type Range, textOf, unpackVarints, varints } from './protobuf.js';
import { elementsIn } from './raw-tensor.js';
import type { ShardOptions } from './safetensors-index.js';
import { checkShardName } from './shards.js';
import { clip } from './show.js';
import type { ByteSource, TensorInfo } from './tensor-file.js';

/** Lists of numbers of a TensorProto, and how their numbers are stored. */
const LISTS = {
  float_data: { number: 4, varints: false },
  int32_data: { number: 5, varints: true },
  int64_data: { number: 7, varints: true },
  double_data: { number: 10, varints: false },
  uint64_data: { number: 11, varints: true },
} as const;
type List = keyof typeof LISTS;
const listOf = (number: number): List | undefined => (Object.keys(LISTS) as List[]).find((name) => LISTS[name].number === number);

interface Type {
  /** safetensors' name. */
  readonly dtype: string;
  /** Bits of an element. Those below 8 share a byte, the first in the lowest bits. */
  readonly bits: number;
  readonly list: List;
}
const type = (dtype: string, bits: number, list: List): Type => ({ dtype, bits, list });

/** TensorProto.DataType. Text and the floats of 6 bits are missing: no layer has them. */
const TYPES: Readonly<Record<number, Type>> = {
  1: type('F32', 32, 'float_data'),
  2: type('U8', 8, 'int32_data'),
  3: type('I8', 8, 'int32_data'),
  4: type('U16', 16, 'int32_data'),
  5: type('I16', 16, 'int32_data'),
  6: type('I32', 32, 'int32_data'),
  7: type('I64', 64, 'int64_data'),
  9: type('BOOL', 8, 'int32_data'),
  10: type('F16', 16, 'int32_data'),
  11: type('F64', 64, 'double_data'),
  12: type('U32', 32, 'uint64_data'),
  13: type('U64', 64, 'uint64_data'),
  14: type('C64', 64, 'float_data'),
  15: type('C128', 128, 'double_data'),
  16: type('BF16', 16, 'int32_data'),
  17: type('F8_E4M3', 8, 'int32_data'),
  18: type('F8_E4M3FNUZ', 8, 'int32_data'),
  19: type('F8_E5M2', 8, 'int32_data'),
  20: type('F8_E5M2FNUZ', 8, 'int32_data'),
  21: type('U4', 4, 'int32_data'),
  22: type('I4', 4, 'int32_data'),
  23: type('F4', 4, 'int32_data'),
  24: type('F8_E8M0', 8, 'int32_data'),
  25: type('U2', 2, 'int32_data'),
  26: type('I2', 2, 'int32_data'),
};

const MOST = { dimensions: 8, ranges: 2 ** 20, entries: 64 };

/** A TensorProto as it is stored. */
export interface Head {
  name: string;
  /** TensorProto.DataType */
  type: number;
  readonly shape: number[];
  raw: Range | undefined;
  /** Where the numbers of its lists lie, by the list's name. */
  readonly lists: Map<List, Range[]>;
  outside: boolean;
  /** external_data's keys and values. */
  readonly external: Map<string, string>;
}

export const emptyHead = (name: string): Head => ({
  name,
  type: 0,
  shape: [],
  raw: undefined,
  lists: new Map(),
  outside: false,
  external: new Map(),
});

/** The numbers of a repeated field, packed or not. @throws FormatError */
export const numbersOf = async (message: Message, { wire, value, begin, end }: Field): Promise<number[]> =>
  wire === 2 ? varints(await message.read(begin, end), message) : [value];

/** @throws FormatError */
export async function headOf(from: Message, range: Range): Promise<Head> {
  const message = { ...from, what: 'TensorProto' };
  const { file } = from;
  const head = emptyHead('');
  const most = (count: number, limit: number, what: string): void => {
    if (count > limit)
      throw new FormatError({ file, tensor: head.name ? clip(head.name) : undefined, field: what }, `at most ${limit}`, 'more');
  };
  for await (const field of fieldsOf(message, range)) {
    const { number } = field;
    const list = listOf(number);
    if (number === 1) {
      most(field.end - field.begin, 10 * MOST.dimensions, 'dims');
      head.shape.push(...(await numbersOf(message, field)));
      most(head.shape.length, MOST.dimensions, 'dims');
    } else if (number === 2) head.type = field.value;
    else if (number === 3) throw new FormatError({ file, field: 'segment' }, 'whole tensors', 'a part of one');
    else if (number === 8) head.name = await textOf(message, field);
    else if (number === 9) head.raw = field;
    else if (list) {
      const ranges = head.lists.get(list) ?? [];
      ranges.push({ begin: field.begin, end: field.end });
      most(ranges.length, MOST.ranges, list);
      head.lists.set(list, ranges);
    } else if (number === 13) {
      let [key, value] = ['', ''];
      for await (const part of fieldsOf({ ...message, what: 'external_data' }, field))
        if (part.number === 1) key = await textOf(message, part);
        else if (part.number === 2) value = await textOf(message, part);
      head.external.set(key, value);
      most(head.external.size, MOST.entries, 'external_data');
    } else if (number === 14) head.outside = field.value === 1;
  }
  return head;
}

/** The file of a graph, and those beside it. */
export interface Place extends Partial<Record<'resolve', ShardOptions['resolve'] | undefined>> {
  readonly source: ByteSource;
  /** Files of external data, each opened once. */
  readonly opened: Map<string, Promise<ByteSource>>;
}

/** A source of bytes that are made when they are first asked for. */
function madeSource(name: string, size: number, make: (signal: AbortSignal | undefined) => Promise<Uint8Array>): ByteSource {
  let made: Uint8Array | undefined;
  return {
    name,
    size,
    async read(begin, end, signal) {
      made ??= await make(signal);
      return made.slice(begin, end) as Uint8Array<ArrayBuffer>;
    },
  };
}

const sizeOf = (ranges: readonly Range[]): number => ranges.reduce((sum, { begin, end }) => sum + end - begin, 0);

async function joined(source: ByteSource, ranges: readonly Range[], signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer>> {
  const out = new Uint8Array(sizeOf(ranges));
  let at = 0;
  for (const { begin, end } of ranges) {
    out.set(await readFrom(source, begin, end, signal), at);
    at += end - begin;
  }
  return out;
}

/** Where the bytes of a tensor lie, as they are in raw_data. */
type Bytes = Pick<TensorInfo, 'source' | 'begin' | 'end'>;

/** Numbers of a typed list. Varints are read when the tensor is: until then their bytes bound how many they can be. @throws FormatError */
function listed(head: Head, { bits, list }: Type, { size, count, source }: { size: number; count: number; source: ByteSource }): Bytes {
  const ranges = head.lists.get(list) ?? [];
  const bytes = sizeOf(ranges);
  const at = { file: source.name, tensor: clip(head.name), field: list };
  if (!LISTS[list].varints) {
    if (bytes !== size) throw new FormatError(at, `${size} bytes`, String(bytes));
    const [first] = ranges;
    if (first && ranges.length === 1) return { source, ...first };
    return { source: madeSource(source.name, size, (signal) => joined(source, ranges, signal)), begin: 0, end: size };
  }
  const width = Math.max(1, bits / 8) as 1 | 2 | 4 | 8;
  const numbers = Math.min(size, count); // elements of less than a byte share one
  if (bytes < numbers || bytes > 10 * numbers) throw new FormatError(at, `${numbers} numbers`, `${bytes} bytes`);
  const make = async (signal: AbortSignal | undefined): Promise<Uint8Array> =>
    unpackVarints(
      await joined(source, ranges, signal),
      { count: numbers, width },
      { file: source.name, what: `${list} of ${clip(head.name)}` },
    );
  return { source: madeSource(source.name, size, make), begin: 0, end: size };
}

const whole = (text: string): number => (/^\d{1,16}$/.test(text) ? Number(text) : Number.NaN);

async function outside({ name, external }: Head, size: number, { source: { name: file }, resolve, opened }: Place): Promise<Bytes> {
  const at = (field: string) => ({ file, tensor: clip(name), field });
  const location = checkShardName(external.get('location'), at('external_data.location'));
  if (!resolve) throw new FormatError(at('external_data'), 'a way to open it: option files or resolve', location);
  let open = opened.get(location);
  if (!open) opened.set(location, (open = openedBy(resolve, location)));
  const source = await open;
  const begin = whole(external.get('offset') ?? '0');
  const length = whole(external.get('length') ?? String(size));
  if (!Number.isSafeInteger(begin) || length !== size || begin + size > source.size) {
    const said = `${clip(external.get('length') ?? 'all')} from ${clip(external.get('offset') ?? '0')}`;
    throw new FormatError(at('external_data'), `${size} bytes within the ${source.size} of ${location}`, said);
  }
  return { source, begin, end: begin + size };
}

/** A constant: dtype, shape, and where its bytes lie; undefined for dtypes that no layer has. @throws FormatError, ReadError */
export async function infoOf(head: Head, place: Place): Promise<TensorInfo | undefined> {
  const { source } = place;
  const { name, shape } = head;
  const found = TYPES[head.type];
  if (!found) return undefined;
  const { dtype, bits } = found;
  const at = (field: string) => ({ file: source.name, tensor: clip(name), field });
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    throw new FormatError(at('dims'), 'whole numbers of at least 0', showShape(shape));
  const count = elementsIn(shape);
  const size = Math.ceil((count * bits) / 8);
  if (!Number.isSafeInteger(count) || !Number.isSafeInteger(count * bits))
    throw new FormatError(at('dims'), 'fewer than 2^53 bits', showShape(shape));
  const info = (bytes: Bytes): TensorInfo => ({ name, dtype, shape, ...bytes });
  if (head.outside) return info(await outside(head, size, place));
  const raw = head.raw ?? { begin: 0, end: 0 };
  if (raw.begin === raw.end && head.lists.has(found.list)) return info(listed(head, found, { size, count, source }));
  if (raw.end - raw.begin !== size)
    throw new FormatError(at('raw_data'), `${size} bytes for ${dtype} ${showShape(shape)}`, String(raw.end - raw.begin));
  return info({ source, begin: raw.begin, end: raw.end });
}
