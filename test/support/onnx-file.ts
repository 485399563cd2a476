// Makes ONNX files in memory by pbf, for tests of readers and for the bench's peer.
import { PbfWriter } from 'pbf';

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
  /** An empty name is an input that is not given. */
  readonly inputs: readonly string[];
  readonly outputs?: readonly string[];
  readonly ints?: Readonly<Record<string, number>>;
  readonly floats?: Readonly<Record<string, number>>;
  /** Default: com.microsoft. */
  readonly domain?: string;
}
/** An input or output of the graph; a name stands for a size that is not known. */
export interface OnnxValue {
  readonly name: string;
  readonly type: number;
  readonly dims: readonly (number | string)[];
}
/** What a file that is run has beside nodes and tensors. */
export interface OnnxDoors {
  readonly inputs?: readonly OnnxValue[];
  readonly outputs?: readonly OnnxValue[];
  /** Versions of the domains of operators. */
  readonly opsets?: Readonly<Record<string, number>>;
}

/** AttributeProto.type */
const [FLOAT, INT] = [1, 2];

const text = (pbf: PbfWriter, field: number, value: string): void => {
  pbf.writeTag(field, 2);
  pbf.writeString(value);
};
const number = (pbf: PbfWriter, field: number, value: number): void => {
  pbf.writeTag(field, 0);
  pbf.writeVarint(value);
};
const message = (pbf: PbfWriter, field: number, write: (pbf: PbfWriter) => void): void =>
  pbf.writeMessage(field, (_, inner) => write(inner), undefined);

function writeNode(pbf: PbfWriter, { op, name, inputs, outputs = [], ints = {}, floats = {}, domain = 'com.microsoft' }: OnnxNode): void {
  for (const input of inputs) text(pbf, 1, input);
  for (const output of outputs) text(pbf, 2, output);
  text(pbf, 3, name);
  text(pbf, 4, op);
  for (const [key, value] of Object.entries(ints))
    message(pbf, 5, (attribute) => {
      text(attribute, 1, key);
      number(attribute, 3, value);
      number(attribute, 20, INT);
    });
  for (const [key, value] of Object.entries(floats))
    message(pbf, 5, (attribute) => {
      text(attribute, 1, key);
      attribute.writeTag(2, 5);
      attribute.writeFloat(value);
      number(attribute, 20, FLOAT);
    });
  text(pbf, 7, domain);
}

function writeTensor(pbf: PbfWriter, { name, type, dims, raw, external, float }: OnnxTensor): void {
  for (const size of dims) number(pbf, 1, size);
  number(pbf, 2, type);
  text(pbf, 8, name);
  if (raw) {
    pbf.writeTag(9, 2);
    pbf.writeBytes(raw);
  }
  if (float)
    message(pbf, 4, (values) => {
      for (const value of float) values.writeFloat(value);
    });
  for (const [key, value] of Object.entries(external ?? {}))
    message(pbf, 13, (entry) => {
      text(entry, 1, key);
      text(entry, 2, value);
    });
}

const writeValue = (pbf: PbfWriter, { name, type, dims }: OnnxValue): void => {
  text(pbf, 1, name);
  message(pbf, 2, (kind) =>
    message(kind, 1, (tensor) => {
      number(tensor, 1, type);
      message(tensor, 2, (shape) => {
        for (const size of dims) message(shape, 1, (dim) => (typeof size === 'number' ? number(dim, 1, size) : text(dim, 2, size)));
      });
    }),
  );
};

/** Field numbers are those of onnx/onnx.proto. */
export function onnx(
  nodes: readonly OnnxNode[],
  tensors: readonly OnnxTensor[],
  { inputs = [], outputs = [], opsets = {} }: OnnxDoors = {},
): Uint8Array {
  const model = new PbfWriter();
  number(model, 1, 10);
  text(model, 2, 'a test');
  message(model, 7, (graph) => {
    for (const node of nodes) message(graph, 1, (pbf) => writeNode(pbf, node));
    text(graph, 2, 'graph');
    for (const tensor of tensors) message(graph, 5, (pbf) => writeTensor(pbf, tensor));
    for (const value of inputs) message(graph, 11, (pbf) => writeValue(pbf, value));
    for (const value of outputs) message(graph, 12, (pbf) => writeValue(pbf, value));
  });
  for (const [domain, version] of Object.entries(opsets))
    message(model, 8, (opset) => {
      text(opset, 1, domain);
      number(opset, 2, version);
    });
  return model.finish();
}
