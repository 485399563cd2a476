// The parts of an .onnx file that matter here: nodes with their whole-number attributes, and where the bytes of constants lie. Fields are
// walked in place by pbf's varints; what is long (raw_data) is stepped over.
import { PbfReader } from 'pbf';
import { ELEMENT_BYTES, elementsIn } from '../../../../src/files/raw-tensor.js';
import { checkShardName } from '../../../../src/files/shards.js';
import { type ByteSource, byteSource, FormatError, type Resolver, type TensorInfo } from '../../../../src/formats.js';

export interface OnnxNode {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly ints: ReadonlyMap<string, number>;
}

/** TensorProto.DataType, by safetensors' names. */
const DTYPES: Readonly<Record<number, string>> = {
  1: 'F32',
  2: 'U8',
  3: 'I8',
  4: 'U16',
  5: 'I16',
  6: 'I32',
  7: 'I64',
  9: 'BOOL',
  10: 'F16',
  11: 'F64',
  12: 'U32',
  13: 'U64',
  16: 'BF16',
};
const WINDOW = 2 ** 18;
/** Nodes and names are never longer: a Constant with its tensor may be, and is no layer. */
const LONGEST = 2 ** 22;

interface Field {
  readonly number: number;
  /** Of the value: where it lies, or the number itself. */
  readonly begin: number;
  readonly end: number;
  readonly value: number;
}

/** Small reads from a window that is read ahead. */
function windowed(source: ByteSource, signal: AbortSignal): (begin: number, end: number) => Promise<Uint8Array> {
  let [base, bytes] = [0, new Uint8Array(0)];
  return async (begin, end) => {
    if (end - begin > WINDOW) return source.read(begin, end, signal);
    if (begin < base || end > base + bytes.length) {
      bytes = await source.read(begin, Math.min(source.size, Math.max(end, begin + WINDOW)), signal);
      base = begin;
    }
    return bytes.subarray(begin - base, end - base);
  };
}
type Read = ReturnType<typeof windowed>;

interface Place {
  readonly read: Read;
  readonly file: string;
  readonly message: string;
}

/** The fields of a message that lies at [begin, end). @throws FormatError */
async function* fieldsOf({ read, file, message }: Place, begin: number, end: number): AsyncGenerator<Field> {
  const wrong = (expected: string, got: string): FormatError => new FormatError({ file, field: message }, expected, got);
  for (let at = begin; at < end; ) {
    const head = new PbfReader(await read(at, Math.min(end, at + 20)));
    let [key, value] = [0, 0];
    try {
      key = head.readVarint();
      if ((key & 7) === 0) value = head.readVarint(true);
      else if ((key & 7) === 2) value = head.readVarint();
    } catch {
      throw wrong('a protobuf field', `bytes that are none, at ${at}`);
    }
    const size = ({ 0: 0, 1: 8, 2: value, 5: 4 } as Record<number, number>)[key & 7];
    const first = at + head.pos;
    if (size === undefined || key >>> 3 === 0 || head.pos > head.length) throw wrong('a protobuf field', `bytes that are none, at ${at}`);
    if (!(size >= 0) || first + size > end)
      throw wrong(`at most ${end - first} bytes at ${first}`, `${size}: the file is cut off, or is not ONNX`);
    at = first + size;
    yield { number: key >>> 3, begin: first, end: at, value };
  }
}

async function textOf({ read, file, message }: Place, { begin, end }: Field): Promise<string> {
  if (end - begin > 4096) throw new FormatError({ file, field: message }, 'a name of at most 4096 bytes', String(end - begin));
  return new TextDecoder().decode(await read(begin, end));
}

async function nodeOf(place: Place, { begin, end }: Field): Promise<OnnxNode | undefined> {
  if (end - begin > LONGEST) return undefined;
  const inputs: string[] = [];
  const ints = new Map<string, number>();
  let [name, op] = ['', ''];
  for await (const field of fieldsOf({ ...place, message: 'graph.node' }, begin, end)) {
    if (field.number === 1) inputs.push(await textOf(place, field));
    else if (field.number === 3) name = await textOf(place, field);
    else if (field.number === 4) op = await textOf(place, field);
    else if (field.number === 5) {
      let [key, value] = ['', undefined as number | undefined];
      for await (const part of fieldsOf({ ...place, message: 'graph.node.attribute' }, field.begin, field.end))
        if (part.number === 1) key = await textOf(place, part);
        else if (part.number === 3) value = part.value;
      if (value !== undefined) ints.set(key, value);
    }
  }
  return { name, op, inputs, ints };
}

interface Head {
  name: string;
  type: number;
  readonly shape: number[];
  /** raw_data, or float_data packed: the same bytes. */
  data: Field | undefined;
  /** int32_data, packed: numbers of 8, 16 or 32 bits. */
  ints: Field | undefined;
  readonly external: Map<string, string>;
}

async function headOf(place: Place, { begin, end }: Field): Promise<Head> {
  const head: Head = { name: '', type: 0, shape: [], data: undefined, ints: undefined, external: new Map() };
  for await (const field of fieldsOf({ ...place, message: 'graph.initializer' }, begin, end)) {
    const { number } = field;
    if (number === 1) {
      if (field.begin === field.end) head.shape.push(field.value);
      else if (field.end - field.begin <= 80) head.shape.push(...packedVarints(await place.read(field.begin, field.end)));
    } else if (number === 2) head.type = field.value;
    else if (number === 8) head.name = await textOf(place, field);
    else if (number === 9 || (number === 4 && field.end > field.begin)) head.data = field;
    else if (number === 5) head.ints = field;
    else if (number === 13) {
      let [key, value] = ['', ''];
      for await (const part of fieldsOf({ ...place, message: 'external_data' }, field.begin, field.end))
        if (part.number === 1) key = await textOf(place, part);
        else if (part.number === 2) value = await textOf(place, part);
      head.external.set(key, value);
    }
  }
  return head;
}

function packedVarints(bytes: Uint8Array): number[] {
  const reader = new PbfReader(bytes);
  const values: number[] = [];
  while (reader.pos < bytes.length) values.push(reader.readVarint(true));
  return values;
}

/** Where a constant lies; undefined for dtypes that no layer has (text, 4-bit types, float8). @throws FormatError */
async function infoOf(place: Place, head: Head, source: ByteSource, resolve: Resolver): Promise<TensorInfo | undefined> {
  const { name, shape, external } = head;
  const dtype = DTYPES[head.type];
  const at = (field: string) => ({ file: place.file, tensor: name, field });
  if (!dtype) return undefined;
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0) || shape.length > 8)
    throw new FormatError(at('dims'), 'up to 8 whole numbers of at least 0', shape.join(', '));
  const size = elementsIn(shape) * ELEMENT_BYTES[dtype]!;
  if (!Number.isSafeInteger(size)) throw new FormatError(at('dims'), 'fewer than 2^53 bytes', shape.join(' × '));
  const location = external.get('location');
  if (location !== undefined) {
    const data = await resolve(checkShardName(location.replace(/^\.\//, ''), at('external_data.location')));
    const begin = Number(external.get('offset') ?? 0);
    const length = Number(external.get('length') ?? size);
    if (!Number.isSafeInteger(begin) || begin < 0 || length !== size || begin + size > data.size)
      throw new FormatError(at('external_data'), `${size} bytes within the ${data.size} of ${location}`, `${length} from ${begin}`);
    return { name, dtype, shape, source: data, begin, end: begin + size };
  }
  if (head.ints && !head.data) {
    if (head.ints.end - head.ints.begin > LONGEST)
      throw new FormatError(at('int32_data'), `at most ${LONGEST} bytes; raw_data otherwise`, 'more');
    const values = packedVarints(await place.read(head.ints.begin, head.ints.end));
    const width = ELEMENT_BYTES[dtype]!;
    const bytes = new Uint8Array(size);
    if (width > 4 || values.length * width !== size)
      throw new FormatError(at('int32_data'), `${size / width} numbers`, String(values.length));
    const view = new DataView(bytes.buffer);
    for (const [i, value] of values.entries())
      if (width === 1) view.setUint8(i, value);
      else if (width === 2) view.setUint16(2 * i, value, true);
      else view.setInt32(4 * i, value, true);
    return { name, dtype, shape, source: await byteSource(bytes, { name: place.file }), begin: 0, end: size };
  }
  const { begin, end } = head.data ?? { begin: 0, end: 0 };
  if (end - begin !== size) throw new FormatError(at('raw_data'), `${size} bytes for ${dtype} (${shape.join(', ')})`, String(end - begin));
  return { name, dtype, shape, source, begin, end };
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** @throws FormatError */
export async function readGraph(source: ByteSource, resolve: Resolver, signal: AbortSignal): Promise<OnnxGraph> {
  const place: Place = { read: windowed(source, signal), file: source.name, message: 'model' };
  const nodes: OnnxNode[] = [];
  const tensors = new Map<string, TensorInfo>();
  const metadata: Record<string, unknown> = {};
  let graph: Field | undefined;
  for await (const field of fieldsOf(place, 0, source.size)) {
    if (field.number === 1) metadata.ir_version = field.value;
    else if (field.number === 2) metadata.producer_name = await textOf(place, field);
    else if (field.number === 3) metadata.producer_version = await textOf(place, field);
    else if (field.number === 7) graph = field;
  }
  if (!graph || graph.begin === graph.end) throw new FormatError({ file: source.name, field: 'graph' }, 'a graph', 'none');
  for await (const field of fieldsOf({ ...place, message: 'graph' }, graph.begin, graph.end)) {
    if (field.number === 1) {
      const node = await nodeOf(place, field);
      if (node) nodes.push(node);
    } else if (field.number === 5) {
      const head = await headOf(place, field);
      if (tensors.has(head.name))
        throw new FormatError({ file: source.name, tensor: head.name, field: 'name' }, 'each name once', 'it again');
      const info = await infoOf(place, head, source, resolve);
      if (info) tensors.set(head.name, info);
    }
  }
  return { nodes, tensors, metadata };
}
