// What the values of an ONNX graph are: constants, through nodes that only copy or turn them; and weights, by the node that multiplies
// with them. Nodes stand in the order of computing, so that one way through the list sees what each is made of, and circles nothing.
// Rule: github.com/onnx/onnx, docs/Operators.md (Identity, Reshape, Transpose, Cast, MatMul, Gemm).
import { elementsIn } from '../files/raw-tensor.js';
import type { GraphNode, TensorFile, TensorInfo } from '../files/tensor-file.js';
import { asWholeNumbers } from './layer-parts.js';

/** The constant that a value is. */
export interface Constant {
  readonly info: TensorInfo;
  /** The value is the matrix with its axes exchanged. */
  readonly turned: boolean;
}

/** Axes of a weight: KN for MatMul and Gemm, NK for Gemm with transB. */
export type Use = 'KN' | 'NK';

/** Exchanges two axes; undefined: it is not known to. Without `perm` all axes are reversed. */
function turns({ lists }: GraphNode): boolean | undefined {
  const perm = String(lists?.get('perm') ?? [1, 0]);
  return perm === '1,0' ? true : perm === '0,1' ? false : undefined;
}

const LONGEST_SHAPE = 8;

/** The shape that a Reshape gives; undefined if its sizes do not fit. */
function reshaped(shape: readonly number[], wanted: readonly number[], allowZero: boolean): number[] | undefined {
  const sizes = wanted.map((size, i) => (size === 0 && !allowZero ? (shape[i] ?? -2) : size));
  const rest = elementsIn(shape) / elementsIn(sizes.filter((size) => size !== -1));
  const all = sizes.map((size) => (size === -1 ? rest : size));
  const fits = sizes.filter((size) => size === -1).length <= 1 && all.every((size) => Number.isInteger(size) && size >= 0);
  return fits && elementsIn(all) === elementsIn(shape) ? all : undefined;
}

/** All constants by the names of values. It reads the shapes of Reshapes. @throws FormatError, ReadError, the reason of `signal` */
export async function constantsOf(
  { nodes = [], tensors }: TensorFile,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Constant>> {
  const constants = new Map([...tensors].map(([name, info]): [string, Constant] => [name, { info, turned: false }]));
  const shapeOf = async (name: string | undefined): Promise<number[] | undefined> => {
    const info = constants.get(name ?? '')?.info;
    if (info?.dtype !== 'I64' || info.shape.length !== 1 || info.shape[0]! > LONGEST_SHAPE) return undefined;
    const { name: own, dtype, shape, source, begin, end } = info;
    return asWholeNumbers({ name: own, file: source.name, dtype, shape, bytes: await source.read(begin, end, signal) });
  };
  for (const node of nodes) {
    const [from, to] = [constants.get(node.inputs[0] ?? ''), node.outputs[0]];
    if (!from || !to || constants.has(to)) continue;
    if (node.op === 'Identity') constants.set(to, from);
    else if (node.op === 'Transpose' && from.info.shape.length === 2) {
      const turned = turns(node);
      if (turned !== undefined) constants.set(to, { ...from, turned: from.turned !== turned });
    } else if (node.op === 'Reshape' && !from.turned) {
      const wanted = await shapeOf(node.inputs[1]);
      const shape = wanted && reshaped(from.info.shape, wanted, node.ints.get('allowzero') === 1);
      if (shape) constants.set(to, { ...from, info: { ...from.info, shape } });
    }
  }
  return constants;
}

/** TensorProto.DataType of floats. */
const FLOATS = [1, 10, 16];

/** How values are used as weights, those too that reach their MatMul through nodes that copy, turn or cast. */
export function usesOf(nodes: readonly GraphNode[], constants: ReadonlyMap<string, Constant>): ReadonlyMap<string, Use> {
  const uses = new Map<string, Use>();
  const shapeOf = (name: string): string | undefined => constants.get(name)?.info.shape.join();
  for (const node of [...nodes].reverse()) {
    const { op, inputs, outputs, ints } = node;
    if (op === 'MatMul' && inputs[1]) uses.set(inputs[1], 'KN');
    else if (op === 'Gemm' && inputs[1]) uses.set(inputs[1], ints.get('transB') === 1 ? 'NK' : 'KN');
    const [from, use] = [inputs[0], uses.get(outputs[0] ?? '')];
    if (!from || !use || uses.has(from)) continue;
    const same =
      op === 'Identity' ||
      (op === 'Cast' && FLOATS.includes(ints.get('to') ?? 0)) ||
      (op === 'Reshape' && shapeOf(from) !== undefined && shapeOf(from) === shapeOf(outputs[0]!));
    const turned = op === 'Transpose' ? turns(node) : same ? false : undefined;
    if (turned !== undefined) uses.set(from, turned === (use === 'KN') ? 'NK' : 'KN');
  }
  return uses;
}

/** Who gives a value, and who takes it. */
export interface Neighbours {
  maker(name: string): GraphNode | undefined;
  takers(name: string): readonly GraphNode[];
}

export function neighboursOf(nodes: readonly GraphNode[]): Neighbours {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const takers = new Map<string, GraphNode[]>();
  for (const node of nodes)
    for (const input of new Set(node.inputs)) {
      const found = takers.get(input);
      if (found) found.push(node);
      else takers.set(input, [node]);
    }
  return { maker: (name) => makers.get(name), takers: (name) => takers.get(name) ?? [] };
}
