// Writes examples/relu.onnx, h = relu(x) of 64 columns: `node scripts/goldens/relu-onnx.mjs`. Field numbers: onnx.proto.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PbfWriter } from 'pbf';

const [FLOAT, IR_VERSION, OPSET] = [1, 9, 19];

/** A message of fields [number, value]: a number, a text, or another message's fields. */
function write(fields, pbf) {
  for (const [number, value] of fields) {
    if (typeof value === 'number') pbf.writeVarintField(number, value);
    else if (typeof value === 'string') pbf.writeStringField(number, value);
    else pbf.writeMessage(number, write, value);
  }
}

const rows = [1, [[2, 'M']]];
const columns = [1, [[1, 64]]];
const tensorType = [
  [1, FLOAT],
  [2, [rows, columns]],
];
const value = (name) => [
  [1, name],
  [2, [[1, tensorType]]],
];
const node = [
  [1, 'x'],
  [2, 'h'],
  [4, 'Relu'],
];
const graph = [
  [1, node],
  [2, 'relu'],
  [11, value('x')],
  [12, value('h')],
];
const pbf = new PbfWriter();
write(
  [
    [1, IR_VERSION],
    [7, graph],
    [8, [[2, OPSET]]],
  ],
  pbf,
);
writeFileSync(join(import.meta.dirname, '../../examples/relu.onnx'), pbf.finish());
