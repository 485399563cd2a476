// ONNX files in memory from a few words, for tests of readers.
import { encode, int, ints, type Message } from './onnx-model.js';

export interface OnnxTensor {
  readonly name: string;
  /** TensorProto.DataType */
  readonly type: number;
  readonly dims: readonly number[];
  readonly raw?: Uint8Array;
  /** External data: a file, and where in it. */
  readonly external?: Readonly<Record<string, string>>;
  /** float_data in place of raw_data. */
  readonly float?: readonly number[];
}
export interface OnnxNode {
  readonly op: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs?: readonly string[];
  readonly ints?: Readonly<Record<string, number | readonly number[]>>;
  readonly domain?: string;
  /** Attributes of other types. */
  readonly attributes?: readonly Message[];
}

export const tensorProto = ({ name, type, dims, raw, external, float }: OnnxTensor): Message => ({
  dims,
  data_type: type,
  name,
  raw_data: raw,
  float_data: float,
  external_data: external && Object.entries(external).map(([key, value]) => ({ key, value })),
  data_location: external && 1,
});

export const nodeProto = ({ op, name, inputs, outputs = [], ints: own = {}, domain, attributes = [] }: OnnxNode): Message => ({
  input: inputs,
  output: outputs,
  name,
  op_type: op,
  attribute: [
    ...Object.entries(own).map(([key, value]) => (typeof value === 'number' ? int(key, value) : ints(key, value))),
    ...attributes,
  ],
  domain,
});

export const graphProto = (nodes: readonly OnnxNode[], tensors: readonly OnnxTensor[]): Message => ({
  node: nodes.map(nodeProto),
  initializer: tensors.map(tensorProto),
});

/** A model. `more`: further fields of it, as functions. */
export const onnx = (nodes: readonly OnnxNode[], tensors: readonly OnnxTensor[], more: Message = {}): Uint8Array<ArrayBuffer> =>
  encode('Model', { ir_version: 10, producer_name: 'a test', graph: graphProto(nodes, tensors), ...more });
