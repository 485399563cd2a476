// Makes ONNX files in memory by pbf, for tests of readers.
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
  readonly inputs: readonly string[];
  readonly outputs?: readonly string[];
  readonly ints?: Readonly<Record<string, number>>;
}

/** Field numbers are those of onnx/onnx.proto. */
export function onnx(nodes: readonly OnnxNode[], tensors: readonly OnnxTensor[]): Uint8Array {
  const model = new PbfWriter();
  const text = (pbf: PbfWriter, field: number, value: string): void => {
    pbf.writeTag(field, 2);
    pbf.writeString(value);
  };
  const number = (pbf: PbfWriter, field: number, value: number): void => {
    pbf.writeTag(field, 0);
    pbf.writeVarint(value);
  };
  number(model, 1, 10);
  text(model, 2, 'a test');
  model.writeMessage(
    7,
    (_, graph) => {
      for (const { op, name, inputs, outputs = [], ints } of nodes)
        graph.writeMessage(
          1,
          (_, node) => {
            for (const input of inputs) text(node, 1, input);
            for (const output of outputs) text(node, 2, output);
            text(node, 3, name);
            text(node, 4, op);
            for (const [key, value] of Object.entries(ints ?? {}))
              node.writeMessage(
                5,
                (_, attribute) => {
                  text(attribute, 1, key);
                  number(attribute, 3, value);
                  number(attribute, 20, 2);
                },
                undefined,
              );
            text(node, 7, 'com.microsoft');
          },
          undefined,
        );
      for (const { name, type, dims, raw, external, float } of tensors)
        graph.writeMessage(
          5,
          (_, tensor) => {
            for (const size of dims) number(tensor, 1, size);
            number(tensor, 2, type);
            text(tensor, 8, name);
            if (raw) {
              tensor.writeTag(9, 2);
              tensor.writeBytes(raw);
            }
            if (float)
              tensor.writeMessage(
                4,
                (values, packed) => {
                  for (const value of values) packed.writeFloat(value);
                },
                float,
              );
            for (const [key, value] of Object.entries(external ?? {}))
              tensor.writeMessage(
                13,
                (_, entry) => {
                  text(entry, 1, key);
                  text(entry, 2, value);
                },
                undefined,
              );
          },
          undefined,
        );
    },
    undefined,
  );
  return model.finish();
}
