// Opens ONNX models: reads the graph's nodes with their whole-number attributes, and the positions of constants in the file or in files
// beside it. formats/ decodes the nodes' constants. Rule: github.com/onnx/onnx, onnx/onnx.proto, which has the numbers of fields below.
import { FormatError } from '../errors.js';
import { showShape } from '../problem/view.js';
import { byteSource } from './byte-source.js';
import { checkFound, byteSource as checkSource, opened as openedBy } from './given.js';
import { type Field, fieldsOf, type Message, openMessage, textOf, varints } from './protobuf.js';
import { ELEMENT_BYTES, elementsIn } from './raw-tensor.js';
import type { ShardOptions } from './safetensors-index.js';
import { checkShardName } from './shards.js';
import { clip } from './show.js';
import type { ByteSource, GraphNode, TensorFile, TensorInfo } from './tensor-file.js';

/** TensorProto.DataType → safetensors' names. A byte holds two of U4 or I4, the first in the low nibble. */
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
  17: 'F8_E4M3',
  19: 'F8_E5M2',
  21: 'U4',
  22: 'I4',
};
/** Longest node or list of numbers that is read. A Constant with its tensor may be longer; it is not a layer. */
const LONGEST = 2 ** 22;
const MOST = { nodes: 2 ** 18, tensors: 300_000, dimensions: 8 };

async function nodeOf(message: Message, { begin, end }: Field): Promise<GraphNode | undefined> {
  if (end - begin > LONGEST) return undefined;
  const [inputs, outputs]: string[][] = [[], []];
  const ints = new Map<string, number>();
  let [name, op] = ['', ''];
  for await (const field of fieldsOf({ ...message, what: 'graph.node' }, begin, end)) {
    if (field.number === 1) inputs!.push(await textOf(message, field));
    else if (field.number === 2) outputs!.push(await textOf(message, field));
    else if (field.number === 3) name = await textOf(message, field);
    else if (field.number === 4) op = await textOf(message, field);
    else if (field.number === 5) {
      let [key, value] = ['', undefined as number | undefined];
      for await (const part of fieldsOf({ ...message, what: 'graph.node.attribute' }, field.begin, field.end))
        if (part.number === 1) key = await textOf(message, part);
        else if (part.number === 3) value = part.value;
      if (value !== undefined) ints.set(key, value);
    }
  }
  return { name, op, inputs: inputs!, outputs: outputs!, ints };
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

async function headOf(message: Message, { begin, end }: Field): Promise<Head> {
  const head: Head = { name: '', type: 0, shape: [], data: undefined, ints: undefined, external: new Map() };
  for await (const field of fieldsOf({ ...message, what: 'graph.initializer' }, begin, end)) {
    const { number } = field;
    if (number === 1) {
      if (field.begin === field.end) head.shape.push(field.value);
      else if (field.end - field.begin <= 80) head.shape.push(...varints(await message.read(field.begin, field.end), message));
      if (head.shape.length > MOST.dimensions)
        throw new FormatError({ file: message.file, field: 'graph.initializer' }, `up to ${MOST.dimensions} dims`, 'more');
    } else if (number === 2) head.type = field.value;
    else if (number === 8) head.name = await textOf(message, field);
    else if (number === 9 || (number === 4 && field.end > field.begin)) head.data = field;
    else if (number === 5) head.ints = field;
    else if (number === 13) {
      let [key, value] = ['', ''];
      for await (const part of fieldsOf({ ...message, what: 'external_data' }, field.begin, field.end))
        if (part.number === 1) key = await textOf(message, part);
        else if (part.number === 2) value = await textOf(message, part);
      head.external.set(key, value);
    }
  }
  return head;
}

interface Place extends Partial<Record<'resolve', ShardOptions['resolve'] | undefined>> {
  readonly message: Message;
  readonly source: ByteSource;
  /** Files of external data, each opened once. */
  readonly opened: Map<string, Promise<ByteSource>>;
}

/** The position of a constant; undefined for dtypes that no layer has (text, complex numbers). @throws FormatError, ReadError */
async function infoOf(head: Head, place: Place): Promise<TensorInfo | undefined> {
  const { message, source } = place;
  const { name, shape, external } = head;
  const dtype = DTYPES[head.type];
  const at = (field: string) => ({ file: message.file, tensor: clip(name), field });
  if (!dtype) return undefined;
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    throw new FormatError(at('dims'), 'whole numbers of at least 0', showShape(shape));
  const width = ELEMENT_BYTES[dtype] ?? 0.5;
  const size = Math.ceil(elementsIn(shape) * width);
  if (!Number.isSafeInteger(size)) throw new FormatError(at('dims'), 'fewer than 2^53 bytes', showShape(shape));
  if (external.has('location')) return externalOf(name, { ...place, dtype, shape, size, external });
  if (head.ints && !head.data) {
    if (head.ints.end - head.ints.begin > LONGEST)
      throw new FormatError(at('int32_data'), `at most ${LONGEST} bytes; raw_data otherwise`, 'more');
    const values = varints(await message.read(head.ints.begin, head.ints.end), message);
    if (width > 4 || width < 1 || values.length * width !== size)
      throw new FormatError(at('int32_data'), `${size / width} numbers`, String(values.length));
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    for (const [i, value] of values.entries())
      if (width === 1) view.setUint8(i, value);
      else if (width === 2) view.setUint16(2 * i, value, true);
      else view.setInt32(4 * i, value, true);
    return { name, dtype, shape, source: await byteSource(bytes, { name: message.file }), begin: 0, end: size };
  }
  const { begin, end } = head.data ?? { begin: 0, end: 0 };
  if (end - begin !== size) throw new FormatError(at('raw_data'), `${size} bytes for ${dtype} ${showShape(shape)}`, String(end - begin));
  return { name, dtype, shape, source, begin, end };
}

interface External extends Place {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly size: number;
  readonly external: ReadonlyMap<string, string>;
}

async function externalOf(
  name: string,
  { message: { file }, resolve, opened, dtype, shape, size, external }: External,
): Promise<TensorInfo> {
  const at = (field: string) => ({ file, tensor: clip(name), field });
  const location = checkShardName(external.get('location'), at('external_data.location'));
  if (!resolve) throw new FormatError(at('external_data'), 'a way to open it: option files or resolve', location);
  let open = opened.get(location);
  if (!open) opened.set(location, (open = openedBy(resolve, location)));
  const source = await open;
  const begin = Number(external.get('offset') ?? 0);
  const length = Number(external.get('length') ?? size);
  if (!Number.isSafeInteger(begin) || begin < 0 || length !== size || begin + size > source.size)
    throw new FormatError(at('external_data'), `${size} bytes within the ${source.size} of ${location}`, `${length} from ${begin}`);
  return { name, dtype, shape, source, begin, end: begin + size };
}

/**
 * Opens an ONNX model: its constants as tensors, and its nodes. `resolve` opens files of external data.
 * @throws FormatError if it is not an ONNX model or contradicts the format; ReadError if a file of external data is missing
 * @example const file = await openOnnx(await byteSource('model.onnx'), { resolve: siblings('model.onnx') });
 */
export async function openOnnx(
  source: ByteSource,
  options: { readonly [Key in keyof ShardOptions]?: ShardOptions[Key] | undefined } = {},
): Promise<TensorFile> {
  checkSource(source, 'source');
  const { resolve, signal } = checkFound(options);
  const { name: file } = source;
  const message = openMessage(source, 'model', signal);
  const metadata: Record<string, unknown> = {};
  let graph: Field | undefined;
  for await (const field of fieldsOf(message, 0, source.size)) {
    if (field.number === 1) metadata.ir_version = field.value;
    else if (field.number === 2) metadata.producer_name = await textOf(message, field);
    else if (field.number === 3) metadata.producer_version = await textOf(message, field);
    else if (field.number === 7) graph = field;
  }
  if (!graph || graph.begin === graph.end) throw new FormatError({ file, field: 'graph' }, 'a graph', 'none');
  const nodes: GraphNode[] = [];
  const tensors = new Map<string, TensorInfo>();
  const place: Place = { message, source, resolve, opened: new Map() };
  for await (const field of fieldsOf({ ...message, what: 'graph' }, graph.begin, graph.end)) {
    if (field.number === 1) {
      const node = await nodeOf(message, field);
      if (node) nodes.push(node);
    } else if (field.number === 5) {
      const head = await headOf(message, field);
      if (tensors.has(head.name)) throw new FormatError({ file, tensor: clip(head.name), field: 'name' }, 'each name once', 'it again');
      const info = await infoOf(head, place);
      if (info) tensors.set(head.name, info);
    }
    if (nodes.length > MOST.nodes || tensors.size > MOST.tensors)
      throw new FormatError({ file, field: 'graph' }, `at most ${MOST.nodes} nodes and ${MOST.tensors} initializers`, 'more');
  }
  return { kind: 'onnx', name: file, metadata, tensors, nodes };
}
