// Writes ONNX models by pbf: the one writer, for tests of readers, for scripts/goldens and for the bench. A model is plain data with the
// schema's names: encode('Model', { graph: { node: [{ op_type: 'Relu', … }] } }). Rule: github.com/onnx/onnx, onnx/onnx.proto.
import { PbfWriter } from 'pbf';

type Kind = 'int' | 'float' | 'text' | 'bytes' | 'ints' | 'floats' | 'doubles';
type Messages = Readonly<Record<string, Readonly<Record<string, readonly [number: number, kind: Kind | `:${string}`]>>>>;

/** Fields by name: number, and kind; `:Name` is a message. `ints`, `floats` and `doubles` are packed, a list of any other kind is not. */
const MESSAGES = {
  Model: {
    ir_version: [1, 'int'],
    producer_name: [2, 'text'],
    producer_version: [3, 'text'],
    graph: [7, ':Graph'],
    opset_import: [8, ':OperatorSetId'],
    functions: [25, ':Function'],
  },
  OperatorSetId: { domain: [1, 'text'], version: [2, 'int'] },
  Graph: {
    node: [1, ':Node'],
    name: [2, 'text'],
    initializer: [5, ':Tensor'],
    input: [11, ':ValueInfo'],
    output: [12, ':ValueInfo'],
  },
  Node: {
    input: [1, 'text'],
    output: [2, 'text'],
    name: [3, 'text'],
    op_type: [4, 'text'],
    attribute: [5, ':Attribute'],
    domain: [7, 'text'],
    overload: [8, 'text'],
  },
  Attribute: {
    name: [1, 'text'],
    f: [2, 'float'],
    i: [3, 'int'],
    s: [4, 'text'],
    t: [5, ':Tensor'],
    g: [6, ':Graph'],
    floats: [7, 'float'],
    ints: [8, 'int'],
    graphs: [11, ':Graph'],
    type: [20, 'int'],
    ref_attr_name: [21, 'text'],
  },
  Tensor: {
    dims: [1, 'int'],
    data_type: [2, 'int'],
    segment: [3, ':Segment'],
    float_data: [4, 'floats'],
    int32_data: [5, 'ints'],
    int64_data: [7, 'ints'],
    name: [8, 'text'],
    raw_data: [9, 'bytes'],
    double_data: [10, 'doubles'],
    uint64_data: [11, 'ints'],
    external_data: [13, ':StringStringEntry'],
    data_location: [14, 'int'],
  },
  Segment: { begin: [1, 'int'], end: [2, 'int'] },
  StringStringEntry: { key: [1, 'text'], value: [2, 'text'] },
  ValueInfo: { name: [1, 'text'], type: [2, ':Type'] },
  Type: { tensor_type: [1, ':TensorType'] },
  TensorType: { elem_type: [1, 'int'], shape: [2, ':TensorShape'] },
  TensorShape: { dim: [1, ':Dimension'] },
  Dimension: { dim_value: [1, 'int'], dim_param: [2, 'text'] },
  Function: {
    name: [1, 'text'],
    input: [4, 'text'],
    output: [5, 'text'],
    attribute: [6, 'text'],
    node: [7, ':Node'],
    opset_import: [9, ':OperatorSetId'],
    domain: [10, 'text'],
    attribute_proto: [11, ':Attribute'],
    overload: [13, 'text'],
  },
} as const satisfies Messages;

/** A message: values by the names of its fields, in lists where the field is repeated. */
export interface Message {
  readonly [field: string]: Value | readonly Value[] | undefined;
}
type Value = number | string | Uint8Array | Message;

const WRITE: Readonly<Record<Kind, (pbf: PbfWriter, number: number, value: never) => void>> = {
  // Proto2: a zero and an empty text that are given are written.
  int: (pbf, number, value: number) => {
    pbf.writeTag(number, 0);
    pbf.writeVarint(value);
  },
  float: (pbf, number, value: number) => {
    pbf.writeTag(number, 5);
    pbf.writeFloat(value);
  },
  text: (pbf, number, value: string) => {
    pbf.writeTag(number, 2);
    pbf.writeString(value);
  },
  bytes: (pbf, number, value: Uint8Array) => {
    pbf.writeTag(number, 2);
    pbf.writeBytes(value);
  },
  ints: packed((pbf, value) => pbf.writeVarint(value)),
  floats: packed((pbf, value) => pbf.writeFloat(value)),
  doubles: packed((pbf, value) => pbf.writeDouble(value)),
};
function packed(write: (pbf: PbfWriter, value: number) => void) {
  return (pbf: PbfWriter, number: number, values: readonly number[]): void =>
    pbf.writeMessage(
      number,
      (list, inner) => {
        for (const value of list) write(inner, value);
      },
      values,
    );
}
const PACKED: readonly string[] = ['ints', 'floats', 'doubles'];

function write(pbf: PbfWriter, name: string, message: Message): void {
  const fields = (MESSAGES as Messages)[name]!;
  for (const [key, given] of Object.entries(message)) {
    if (given === undefined) continue;
    const [number, kind] = fields[key] ?? [];
    if (number === undefined || kind === undefined) throw new Error(`${name} has no field ${key}`);
    for (const value of Array.isArray(given) && !PACKED.includes(kind) ? given : [given])
      if (kind.startsWith(':')) pbf.writeMessage(number, (inner: Message, own) => write(own, kind.slice(1), inner), value as Message);
      else WRITE[kind as Kind](pbf, number, value as never);
  }
}

/** The bytes of a message, its fields in the order in which they are given. @throws Error for fields that the schema does not have */
export function encode(name: keyof typeof MESSAGES, message: Message): Uint8Array<ArrayBuffer> {
  const pbf = new PbfWriter();
  write(pbf, name, message);
  return pbf.finish() as Uint8Array<ArrayBuffer>;
}

/** TensorProto.DataType */
export const ELEMENT = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  bfloat16: 16,
  uint4: 21,
  int4: 22,
  uint2: 25,
} as const;
export type Element = keyof typeof ELEMENT;
/** AttributeProto.type */
const [FLOAT, INT, TENSOR, GRAPH, INTS] = [1, 2, 4, 5, 7];

export const float = (name: string, f: number): Message => ({ name, f, type: FLOAT });
export const int = (name: string, i: number): Message => ({ name, i, type: INT });
export const ints = (name: string, values: readonly number[]): Message => ({ name, ints: values, type: INTS });
export const tensorAttribute = (name: string, t: Message): Message => ({ name, t, type: TENSOR });
export const graphAttribute = (name: string, g: Message): Message => ({ name, g, type: GRAPH });

/** x or y of a graph; a dimension with a name is free. */
export const valueInfo = (name: string, type: Element, dims: readonly (number | string)[]): Message => ({
  name,
  type: {
    tensor_type: {
      elem_type: ELEMENT[type],
      shape: { dim: dims.map((size) => (typeof size === 'number' ? { dim_value: size } : { dim_param: size })) },
    },
  },
});

interface OneNode {
  readonly op: string;
  /** '' without it. */
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, number>>;
  /** The node's inputs after x, in order; undefined for an absent one. */
  readonly inputs?: readonly ({ name: string; type: Element; dims: readonly number[]; bytes: Uint8Array } | undefined)[];
  readonly x: { readonly type: Element; readonly dims: readonly (number | string)[] };
  readonly y: { readonly name?: string; readonly type: Element; readonly dims: readonly (number | string)[] };
}

/** A model of one node, x → y, that ONNX Runtime runs. */
export function oneNode({ op, domain, attributes = {}, inputs = [], x, y }: OneNode): Uint8Array<ArrayBuffer> {
  const { name = 'y' } = y;
  const last = inputs.findLastIndex(Boolean);
  const node = {
    input: ['x', ...inputs.slice(0, last + 1).map((input) => input?.name ?? '')],
    output: [name],
    name: 'product',
    op_type: op,
    attribute: Object.entries(attributes).map(([key, value]) => int(key, value)),
    domain,
  };
  const initializer = inputs.flatMap((input) =>
    input ? [{ dims: input.dims, data_type: ELEMENT[input.type], name: input.name, raw_data: input.bytes }] : [],
  );
  const graph = {
    node: [node],
    name: 'one node',
    initializer,
    input: [valueInfo('x', x.type, x.dims)],
    output: [valueInfo(name, y.type, y.dims)],
  };
  const opset_import = [{ domain: '', version: 19 }, ...(domain ? [{ domain, version: 1 }] : [])];
  return encode('Model', { ir_version: 9, graph, opset_import });
}
