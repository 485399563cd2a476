// The tensors of an .onnx file, and of its MatMulNBits and MatMulBnb4 nodes the layers. The file is protobuf: fields are walked where they
// lie, and nothing but nodes and the heads of tensors is read, so that gigabytes stay in the file. What the codes mean is src/formats' matter.
//
// Rule: github.com/onnx/onnx, onnx/onnx.proto; numbers of fields below are its.

import { elementsIn } from '../../../../src/files/raw-tensor.js';
import { flatGroups } from '../../../../src/formats/flat-groups.js';
import type { ByteSource, RawTensor, Resolver, TensorInfo } from '../../../../src/formats.js';
import { FormatError, type FoundLayers, importMatMulBnb4, importMatMulNBits, type LayerSource } from '../../../../src/formats.js';
import { type OnnxNode, readGraph } from './onnx-graph.js';

export interface OnnxFile {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly found: FoundLayers;
  /** Names of float matrices that lie as (K, N): second inputs of MatMul, and of Gemm without transB. */
  readonly transposed: ReadonlySet<string>;
}

const bad = (file: string, node: OnnxNode, field: string, expected: string, got: unknown): FormatError =>
  new FormatError({ file, tensor: node.name || node.op, field }, expected, String(got));

/** @throws FormatError */
function attribute(file: string, node: OnnxNode, name: string, fallback?: number): number {
  const value = node.ints.get(name) ?? fallback;
  if (value === undefined || !Number.isSafeInteger(value) || value < 0) throw bad(file, node, name, 'a whole number', value ?? 'none');
  return value;
}

type Inputs = Readonly<Record<string, TensorInfo>>;
/** The constant inputs by the operator's names. @throws FormatError if one of the first `required` is none */
function inputsOf(
  file: string,
  node: OnnxNode,
  tensors: ReadonlyMap<string, TensorInfo>,
  names: readonly string[],
  required: number,
): Inputs {
  const found = names.flatMap((name, i) => {
    const info = tensors.get(node.inputs[i + 1] ?? '');
    if (!info && (i < required || node.inputs[i + 1])) throw bad(file, node, name, 'a constant of the file', node.inputs[i + 1] || 'none');
    return info ? [[name, info] as const] : [];
  });
  return Object.fromEntries(found);
}

/** A row for each of n, if its elements are so many. */
const inRows = (info: TensorInfo, n: number): TensorInfo | undefined => {
  const count = elementsIn(info.shape);
  return info.shape[0] === n ? info : count % n === 0 && info.shape.length === 1 ? { ...info, shape: [n, count / n] } : undefined;
};

/** @throws FormatError */
function nBits(file: string, node: OnnxNode, tensors: ReadonlyMap<string, TensorInfo>): LayerSource {
  const { bias, ...own } = inputsOf(file, node, tensors, ['B', 'scales', 'zero_points', 'g_idx', 'bias'], 2);
  const [n, k, block] = (['N', 'K', 'block_size'] as const).map((name) => attribute(file, node, name)) as [number, number, number];
  const bits = attribute(file, node, 'bits', 4);
  if (![2, 4, 8].includes(bits)) throw bad(file, node, 'bits', '2, 4 or 8', bits);
  const shape = [n, Math.ceil(k / block), (block * bits) / 8];
  if (String(own.B!.shape) !== String(shape)) throw bad(file, node, 'B.shape', `(${shape.join(', ')})`, `(${own.B!.shape.join(', ')})`);
  const rows = Object.entries(own).map(([name, info]) => [name, inRows(info, n)] as const);
  const cuts = !own.g_idx && rows.every(([, info]) => info);
  return {
    name: node.name || own.B!.name,
    format: 'MatMulNBits',
    n,
    k,
    bits: bits === 8 ? 8 : 4,
    groupSize: Math.min(block, k),
    tensors: cuts ? (Object.fromEntries(rows) as Inputs) : own,
    cut: cuts ? { axis: 'n', unit: 4, perRow: Object.fromEntries(rows.map(([name]) => [name, 1])) } : undefined,
    bias,
    make: (part, size) =>
      importMatMulNBits(part as unknown as Parameters<typeof importMatMulNBits>[0], {
        N: size.n,
        K: k,
        bits: bits as 2 | 4 | 8,
        block_size: block,
      }),
  };
}

/** @throws FormatError */
function bnb4(file: string, node: OnnxNode, tensors: ReadonlyMap<string, TensorInfo>): LayerSource {
  const own = inputsOf(file, node, tensors, ['B', 'absmax'], 2);
  const attributes = ['N', 'K', 'block_size', 'quant_type'].map((name) => [name, attribute(file, node, name)] as const);
  const { N: n, K: k, block_size: block, quant_type } = Object.fromEntries(attributes) as Record<string, number>;
  const head: RawTensor = { ...own.B!, file, bytes: new Uint8Array() };
  const { groupSize } = flatGroups(head, { n: n!, k: k!, bits: 4, block: block! });
  return {
    name: node.name || own.B!.name,
    format: `MatMulBnb4 ${quant_type === 1 ? 'NF4' : 'FP4'}`,
    n: n!,
    k: k!,
    bits: 4,
    groupSize,
    tensors: own,
    cut: undefined,
    bias: undefined,
    make: (part) =>
      importMatMulBnb4(part as { B: RawTensor; absmax: RawTensor }, { N: n!, K: k!, quant_type: quant_type!, block_size: block! }),
  };
}

const MAKERS: Readonly<Record<string, typeof nBits>> = { MatMulNBits: nBits, MatMulBnb4: bnb4 };
const FLOATS = ['F16', 'BF16', 'F32'];

/** @throws FormatError if it is no ONNX model, or a file of external data is not among those given */
export async function openOnnx(source: ByteSource, resolve: Resolver, signal: AbortSignal): Promise<OnnxFile> {
  const { nodes, tensors, metadata } = await readGraph(source, resolve, signal);
  const layers: LayerSource[] = [];
  const refused: FoundLayers['refused'][number][] = [];
  const roles = new Map<string, string>();
  const transposed = new Set<string>();
  const taken = new Set<string>();
  for (const node of nodes) {
    const weight = node.inputs[1] ?? '';
    if (node.op === 'MatMul' || (node.op === 'Gemm' && node.ints.get('transB') !== 1)) transposed.add(weight);
    const maker = Object.hasOwn(MAKERS, node.op) ? MAKERS[node.op] : undefined;
    if (!maker) continue;
    const name = node.name || weight;
    const own = node.inputs.slice(1).filter((input) => tensors.has(input));
    const said = (text: string): void => {
      // Constants may be shared: what is part of one layer stays so.
      for (const input of own) if (!roles.has(input)) roles.set(input, `${text} of ${name}`);
    };
    try {
      const layer = maker(source.name, node, tensors);
      layers.push(layer);
      for (const [part, info] of [...Object.entries(layer.tensors), ...(layer.bias ? [['bias', layer.bias] as const] : [])])
        roles.set(info.name, `${layer.format}: ${part} of ${name}`);
      for (const input of own) taken.add(input);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      refused.push({ name, format: node.op, error });
      said(`${node.op}, refused: input`);
    }
  }
  const all = [...tensors.values()];
  const isFloat = ({ dtype, shape, name }: TensorInfo): boolean => FLOATS.includes(dtype) && shape.length === 2 && !roles.has(name);
  for (const info of all)
    if (!roles.has(info.name))
      roles.set(info.name, `${info.dtype} (${info.shape.join(', ')}): ${isFloat(info) ? 'not quantized' : 'no layer'}`);
  const isPlain = ({ dtype, shape, name }: TensorInfo): boolean =>
    FLOATS.includes(dtype) && shape.length === 2 && roles.get(name)!.endsWith('not quantized');
  return {
    tensors,
    metadata,
    transposed,
    found: { layers, refused, notYet: [], roles, floats: all.filter(isPlain), rest: all.filter(({ name }) => !taken.has(name)) },
  };
}
