// Writes examples/relu.onnx, h = relu(x) of 64 columns: `node scripts/goldens/relu-onnx.mjs`.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FLOAT, model, node, value } from './onnx-fields.mjs';

const [x, h] = ['x', 'h'].map((name) => value(name, FLOAT, ['M', 64]));
const bytes = model({ name: 'relu', nodes: [node('Relu', ['x'], 'h')], inputs: [x], outputs: [h] });
writeFileSync(join(import.meta.dirname, '../../examples/relu.onnx'), bytes);
