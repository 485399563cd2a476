// The messages of a small ONNX model as lists of fields. Field numbers: onnx.proto.
import { PbfWriter } from 'pbf';

/** TensorProto.DataType. */
export const [FLOAT, INT64] = [1, 7];
const [IR_VERSION, OPSET] = [9, 19];

/** A message of fields [number, value]: a number, a text, bytes, or another message's fields. */
function write(fields, pbf) {
  for (const [number, value] of fields) {
    if (typeof value === 'number') pbf.writeVarintField(number, value);
    else if (typeof value === 'string') pbf.writeStringField(number, value);
    else if (value instanceof Uint8Array) pbf.writeBytesField(number, value);
    else pbf.writeMessage(number, write, value);
  }
}

const dim = (size) => [1, [typeof size === 'number' ? [1, size] : [2, size]]];
const typeOf = (type, dims) => [
  [1, type],
  [2, dims.map(dim)],
];
/** A ValueInfoProto: an input or an output. A dimension is a number, or a name. */
export const value = (name, type, dims) => [
  [1, name],
  [2, [[1, typeOf(type, dims)]]],
];
/** A NodeProto. */
export const node = (operation, inputs, output) => [...inputs.map((name) => [1, name]), [2, output], [4, operation]];
/** A TensorProto of float32. */
export const floats = (name, dims, data) => [...dims.map((size) => [1, size]), [2, FLOAT], [8, name], [9, new Uint8Array(data.buffer)]];

/** The bytes of a model. */
export function model({ name, nodes, tensors = [], inputs, outputs }) {
  const graph = [
    ...nodes.map((one) => [1, one]),
    [2, name],
    ...tensors.map((one) => [5, one]),
    ...inputs.map((one) => [11, one]),
    ...outputs.map((one) => [12, one]),
  ];
  const pbf = new PbfWriter();
  const opset = [[2, OPSET]];
  write(
    [
      [1, IR_VERSION],
      [7, graph],
      [8, opset],
    ],
    pbf,
  );
  return pbf.finish();
}
