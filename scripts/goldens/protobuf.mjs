// Writes an ONNX model of one node with weights as initializers. Field numbers: onnx.proto.
const text = new TextEncoder();

function varint(value) {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 128);
  }
}

/** A number (wire type 0), or bytes, text or a message (wire type 2). */
function field(number, value) {
  if (typeof value === 'number') return Buffer.from([...varint(number * 8), ...varint(value)]);
  const bytes = typeof value === 'string' ? text.encode(value) : value;
  return Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes]);
}
const message = (...fields) => Buffer.concat(fields);

/** TensorProto.DataType. */
export const ELEMENT = { float32: 1, uint8: 2, int32: 6, float16: 10 };

const INT = 2; // AttributeProto.type
const attribute = ([name, value]) => message(field(1, name), field(3, value), field(20, INT));
const tensor = (name, { type, dims, bytes }) =>
  message(...dims.map((size) => field(1, size)), field(2, ELEMENT[type]), field(8, name), field(9, bytes));
const dim = (size) => field(1, typeof size === 'number' ? field(1, size) : field(2, size));
const valueInfo = (name, { type, dims }) =>
  message(field(1, name), field(2, field(1, message(field(1, ELEMENT[type]), field(2, message(...dims.map(dim)))))));

/**
 * A model of one com.microsoft node: `x` → `y`.
 * `inputs`: the node's inputs after x, in order, each `{ name, type, dims, bytes }`, or undefined for an absent one.
 */
export function oneNode({ op, attributes, inputs, x, y }) {
  const given = inputs.filter(Boolean);
  const last = inputs.findLastIndex(Boolean);
  const node = message(
    field(1, 'x'),
    ...inputs.slice(0, last + 1).map((input) => field(1, input?.name ?? '')),
    field(2, 'y'),
    field(3, 'product'),
    field(4, op),
    ...Object.entries(attributes).map((entry) => field(5, attribute(entry))),
    field(7, 'com.microsoft'),
  );
  const graph = message(
    field(1, node),
    field(2, 'golden'),
    ...given.map((input) => field(5, tensor(input.name, input))),
    field(11, valueInfo('x', x)),
    field(12, valueInfo('y', y)),
  );
  const opset = (domain, version) => field(8, message(field(1, domain), field(2, version)));
  return message(field(1, 9), field(7, graph), opset('', 19), opset('com.microsoft', 1));
}
