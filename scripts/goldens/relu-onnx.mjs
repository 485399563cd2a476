// Writes examples/relu.onnx, h = relu(x) of 64 columns: `node scripts/goldens/relu-onnx.mjs`.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from '../variant/asked.mjs';

const { oneNode } = await load('/test/support/onnx-model.ts');
const x = { type: 'float32', dims: ['M', 64] };
writeFileSync(join(import.meta.dirname, '../../examples/relu.onnx'), oneNode({ op: 'Relu', x, y: { name: 'h', ...x } }));
