// Lays ONNX's graphs in graphs out as one list of nodes: bodies of If, Loop and Scan behind their node, functions in place of their calls.
// Names of a body mean other values elsewhere: each value gets a name of its own. Rule: github.com/onnx/onnx, docs/IR.md (Names Within a
// Graph; Functions).
import { FormatError } from '../errors.js';
import type { Attribute, Count, Graph, Node, OnnxFunction } from './onnx-graph.js';
import { emptyHead, type Head, headOf } from './onnx-tensor.js';
import type { Message } from './protobuf.js';
import { clip } from './show.js';
import type { GraphNode } from './tensor-file.js';

/** A model's nodes and constants, under names that are each one value's. */
export interface Laid {
  readonly nodes: GraphNode[];
  readonly constants: Head[];
}

interface Scope {
  /** In front of names of functions, and of names that are taken elsewhere. */
  readonly prefix: string;
  /** The file's names → those that are one value's. */
  readonly names: Map<string, string>;
  readonly outer: Scope | undefined;
  readonly call: Call | undefined;
}
/** What a function is called with. */
interface Call {
  readonly attributes: ReadonlyMap<string, Attribute>;
  /** Its outputs, which have their names before a node gives them. */
  readonly results: Set<string>;
}

/** The operators' own domain, of which '' is another name. */
const ONNX = ['', 'ai.onnx'];
/** Domains whose operators formats know by name. */
const KNOWN = [...ONNX, 'com.microsoft'];

const callKey = ({ domain, overload }: Pick<Node, 'domain' | 'overload'>, name: string): string =>
  JSON.stringify([ONNX.includes(domain) ? '' : domain, name, overload]);

const FLOAT = 1;
const INT64 = 7;
/** Calls in calls. */
const DEEPEST = 64;

/** The tensor of a Constant node. @throws FormatError */
async function constantOf(message: Message, name: string, [value]: readonly Attribute[]): Promise<Head | undefined> {
  if (value?.tensor) return Object.assign(await headOf(message, value.tensor), { name });
  const single = value?.name === 'value_int' || value?.name === 'value_float';
  const whole = value?.name === 'value_int' || value?.name === 'value_ints';
  if (!value || !(single || whole || value.name === 'value_floats')) return undefined;
  const head = emptyHead(name);
  head.type = whole ? INT64 : FLOAT;
  head.lists.set(whole ? 'int64_data' : 'float_data', value.numbers);
  const bytes = value.numbers.reduce((sum, { begin, end }) => sum + end - begin, 0);
  if (!single) head.shape.push(whole ? value.ints.length : Math.floor(bytes / 4));
  return head;
}

/** @throws FormatError for functions that call themselves, names that are given twice, and more than a file may have */
export async function layOut(
  graph: Graph,
  { message, functions, count }: { readonly message: Message; readonly functions: readonly OnnxFunction[]; readonly count: Count },
): Promise<Laid> {
  const { file } = message;
  const laid: Laid = { nodes: [], constants: [] };
  const called = new Map(functions.map((own) => [callKey(own, own.name), own]));
  /** Names of values and of nodes, with the number of the next that would have the same. */
  const [values, labels] = [new Map<string, number>(), new Map<string, number>()];

  /** A name that nothing else has. */
  const fresh = (name: string, { prefix, call }: Scope, taken: Map<string, number>): string => {
    const longer = prefix ? `${prefix}/${name}` : name;
    let own = call || taken.has(name) ? longer : name;
    let next = taken.get(own) ?? 2;
    const first = own;
    while (taken.has(own)) own = `${longer}#${next++}`;
    taken.set(first, next);
    taken.set(own, taken.get(own) ?? 2);
    return own;
  };
  const declare = (name: string, scope: Scope): void => {
    if (name === '' || scope.call?.results.delete(name)) return;
    if (scope.names.has(name)) throw new FormatError({ file, tensor: clip(name), field: 'name' }, 'each name once', 'it again');
    scope.names.set(name, fresh(name, scope, values));
  };
  const nameOf = (name: string, { names, outer, prefix }: Scope): string =>
    name === '' ? '' : (names.get(name) ?? (outer ? nameOf(name, outer) : prefix ? `${prefix}/${name}` : name));
  const label = (name: string, scope: Scope): string => (name === '' ? '' : fresh(name, scope, labels));
  const below = ({ prefix }: Scope, name: string): string => (prefix ? `${prefix}/${name}` : name);

  /** A node's attributes, those of the call in place of references. */
  function attributesOf({ attributes }: Node, scope: Scope): Attribute[] {
    let own: Scope | undefined = scope;
    while (own && !own.call) own = own.outer;
    return attributes.flatMap((attribute) => {
      if (!attribute.ref) return [attribute];
      const given = own?.call?.attributes.get(attribute.ref);
      return given ? [{ ...given, name: attribute.name }] : [];
    });
  }

  async function layBody({ nodes, initializers, inputs }: Graph, scope: Scope, calls: readonly OnnxFunction[]): Promise<void> {
    const constants = new Set(initializers.map(({ name }) => name));
    for (const { name } of initializers) declare(name, scope);
    // Before version 4 of the representation, initializers are inputs too.
    for (const name of inputs) if (!constants.has(name)) declare(name, scope);
    for (const { outputs } of nodes) for (const name of outputs) declare(name, scope);
    for (const head of initializers) laid.constants.push({ ...head, name: nameOf(head.name, scope) });
    for (const node of nodes) await lay(node, scope, calls);
  }

  async function layCall(node: Node, scope: Scope, { own, calls }: { own: OnnxFunction; calls: readonly OnnxFunction[] }): Promise<void> {
    if (calls.includes(own) || calls.length === DEEPEST)
      throw new FormatError({ file, field: 'functions' }, `calls that end after ${DEEPEST}`, `more, of ${clip(own.name)}`);
    const names = new Map(own.inputs.map((name, i) => [name, nameOf(node.inputs[i] ?? '', scope)]));
    const results = new Set<string>();
    for (const [i, name] of own.outputs.entries()) {
      const outer = nameOf(node.outputs[i] ?? '', scope);
      const through = names.get(name);
      if (through !== undefined) laid.nodes.push({ name: '', op: 'Identity', inputs: [through], outputs: [outer], ints: new Map() });
      else if (outer) results.add(name);
      if (through === undefined && outer) names.set(name, outer);
    }
    const attributes = new Map([...own.defaults, ...attributesOf(node, scope)].map((attribute) => [attribute.name, attribute]));
    const prefix = below(scope, node.name || own.name);
    await layBody({ ...own, inputs: [] }, { prefix, names, outer: undefined, call: { attributes, results } }, [...calls, own]);
  }

  async function lay(node: Node, scope: Scope, calls: readonly OnnxFunction[]): Promise<void> {
    await message.breathe();
    const own = called.get(callKey(node, node.op));
    // All nodes have been counted where they stand; calls have them once more.
    if (own) count('calls');
    else if (calls.length > 0) count('nodes');
    if (own) return layCall(node, scope, { own, calls });
    const attributes = attributesOf(node, scope);
    const outputs = node.outputs.map((name) => nameOf(name, scope));
    if (node.op === 'Constant' && ONNX.includes(node.domain)) {
      count('constants');
      const head = outputs[0] ? await constantOf(message, outputs[0], attributes) : undefined;
      if (head) laid.constants.push(head);
      return;
    }
    laid.nodes.push({
      name: label(node.name, scope),
      op: KNOWN.includes(node.domain) ? node.op : `${node.domain}.${node.op}`,
      inputs: node.inputs.map((name) => nameOf(name, scope)),
      outputs,
      ints: new Map(attributes.flatMap(({ name, int }) => (int === undefined ? [] : [[name, int] as const]))),
      lists: new Map(attributes.flatMap(({ name, ints }) => (ints.length === 0 ? [] : [[name, ints] as const]))),
    });
    for (const { name, graphs } of attributes)
      for (const inner of graphs) {
        const prefix = below(scope, `${node.name || node.op}.${name}`);
        await layBody(inner, { prefix, names: new Map(), outer: scope, call: undefined }, calls);
      }
  }

  await layBody(graph, { prefix: '', names: new Map(), outer: undefined, call: undefined }, []);
  return laid;
}
