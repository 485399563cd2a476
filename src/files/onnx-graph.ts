// Reads ONNX's GraphProto, NodeProto, AttributeProto and FunctionProto as they are stored; onnx-scopes.ts says what their names mean.
// Rule: github.com/onnx/onnx, onnx/onnx.proto, which has the numbers of fields below.
import { FormatError } from '../errors.js';
import { type Head, headOf, numbersOf } from './onnx-tensor.js';
import { type Field, fieldsOf, type Message, type Range, textOf } from './protobuf.js';

/** An attribute of a node, without text and sparse tensors. */
export interface Attribute {
  name: string;
  int: number | undefined;
  readonly ints: number[];
  /** Where its numbers lie: `f`, `i`, `floats` or `ints`. */
  readonly numbers: Range[];
  tensor: Range | undefined;
  readonly graphs: Graph[];
  /** In a function: the attribute of the call that it stands for. */
  ref: string;
}
export interface Node {
  name: string;
  op: string;
  domain: string;
  overload: string;
  readonly inputs: string[];
  readonly outputs: string[];
  readonly attributes: Attribute[];
}
export interface Graph {
  readonly nodes: Node[];
  readonly initializers: Head[];
  readonly inputs: string[];
}
/** A function of the model. Nodes call it by its name as their operator. */
export interface OnnxFunction extends Graph {
  name: string;
  domain: string;
  overload: string;
  readonly outputs: string[];
  /** Attributes that a call may leave out. */
  readonly defaults: Attribute[];
}

const MOST = { nodes: 2 ** 18, calls: 2 ** 14, constants: 300_000, names: 2 ** 20, numbers: 2 ** 20 };
/** Graphs in nodes of graphs. Protobuf's own readers end at 100 messages, which are 33 graphs. */
const DEEPEST = 32;

export type Count = (what: keyof typeof MOST, more?: number) => void;

/** Counts what a file has; limits what little text can ask for. */
export function counter(file: string): Count {
  const counts = { nodes: 0, calls: 0, constants: 0, names: 0, numbers: 0 };
  return (what, more = 1) => {
    counts[what] += more;
    if (counts[what] > MOST[what]) throw new FormatError({ file, field: 'graph' }, `at most ${MOST[what]} ${what}`, 'more');
  };
}

/** Where a graph stands: how to read it, and how deep it is in others. */
export interface Reading {
  readonly message: Message;
  readonly count: Count;
  readonly depth: number;
}

/** AttributeProto.type */
const INT = 2;

/** @throws FormatError */
async function attributeOf({ message, count, depth }: Reading, range: Range): Promise<Attribute> {
  const named = { ...message, what: 'attribute' };
  const attribute: Attribute = { name: '', int: undefined, ints: [], numbers: [], tensor: undefined, graphs: [], ref: '' };
  let type = 0;
  for await (const field of fieldsOf(named, range)) {
    const { number, value } = field;
    if (number === 1) attribute.name = await textOf(named, field);
    else if (number === 3) attribute.int = value;
    else if (number === 5) attribute.tensor = field;
    else if (number === 6 || number === 11) attribute.graphs.push(await graphOf({ message, count, depth: depth + 1 }, field));
    else if (number === 8) {
      count('numbers', field.wire === 2 ? field.end - field.begin : 1);
      attribute.ints.push(...(await numbersOf(named, field)));
    } else if (number === 20) type = value;
    else if (number === 21) attribute.ref = await textOf(named, field);
    if ([2, 3, 7, 8].includes(number)) {
      count('numbers');
      attribute.numbers.push({ begin: field.begin, end: field.end });
    }
  }
  // Writers of proto3 leave out zeros.
  if (type === INT && !attribute.ref) attribute.int ??= 0;
  return attribute;
}

/** @throws FormatError */
async function nodeOf(reading: Reading, range: Range): Promise<Node> {
  const message = { ...reading.message, what: 'node' };
  const node: Node = { name: '', op: '', domain: '', overload: '', inputs: [], outputs: [], attributes: [] };
  for await (const field of fieldsOf(message, range)) {
    const { number } = field;
    if (number <= 2) reading.count('names');
    if (number === 1) node.inputs.push(await textOf(message, field));
    else if (number === 2) node.outputs.push(await textOf(message, field));
    else if (number === 3) node.name = await textOf(message, field);
    else if (number === 4) node.op = await textOf(message, field);
    else if (number === 5) {
      reading.count('names');
      node.attributes.push(await attributeOf(reading, field));
    } else if (number === 7) node.domain = await textOf(message, field);
    else if (number === 8) node.overload = await textOf(message, field);
  }
  return node;
}

/** The name of a ValueInfoProto. @throws FormatError */
async function valueName({ message, count }: Reading, range: Range): Promise<string> {
  count('names');
  for await (const field of fieldsOf({ ...message, what: 'input' }, range)) if (field.number === 1) return textOf(message, field);
  return '';
}

/** @throws FormatError */
export async function graphOf(reading: Reading, range: Range): Promise<Graph> {
  const { message, count, depth } = reading;
  if (depth > DEEPEST) throw new FormatError({ file: message.file, field: 'graph' }, `at most ${DEEPEST} graphs in each other`, 'more');
  const graph: Graph = { nodes: [], initializers: [], inputs: [] };
  for await (const field of fieldsOf({ ...message, what: 'graph' }, range))
    if (field.number === 1) {
      count('nodes');
      graph.nodes.push(await nodeOf(reading, field));
    } else if (field.number === 5) {
      count('constants');
      graph.initializers.push(await headOf(message, field));
    } else if (field.number === 11) graph.inputs.push(await valueName(reading, field));
  return graph;
}

/** @throws FormatError */
export async function functionOf(reading: Reading, range: Range): Promise<OnnxFunction> {
  const message = { ...reading.message, what: 'function' };
  const own: OnnxFunction = { name: '', domain: '', overload: '', inputs: [], outputs: [], nodes: [], initializers: [], defaults: [] };
  const texts: Readonly<Record<number, (text: string) => void>> = {
    1: (text) => {
      own.name = text;
    },
    4: (text) => own.inputs.push(text),
    5: (text) => own.outputs.push(text),
    10: (text) => {
      own.domain = text;
    },
    13: (text) => {
      own.overload = text;
    },
  };
  const read = async (field: Field): Promise<void> => {
    if (texts[field.number]) {
      reading.count('names');
      texts[field.number]!(await textOf(message, field));
    } else if (field.number === 7) {
      reading.count('nodes');
      own.nodes.push(await nodeOf(reading, field));
    } else if (field.number === 11) own.defaults.push(await attributeOf(reading, field));
  };
  for await (const field of fieldsOf(message, range)) await read(field);
  return own;
}
