// Writes test/fixtures/onnx/*.json: results of ONNX Runtime's MatMulNBits and MatMulBnb4 on packed weights.
//
//   mkdir -p node_modules/.cache/goldens
//   npm install --prefix node_modules/.cache/goldens --ignore-scripts --no-save onnxruntime-node@1.30.0
//   node scripts/goldens/onnx.mjs
//
// Each model is one node, run by the CPU provider. With x = the identity, y is the dequantized matrix, transposed. In every fixture: `op`
// and `attributes` are the node's; `tensors` its inputs after x by the operator's names, each { type, dims, base64 } (little-endian);
// `weights` the dequantized (N, K) as { type, base64 }, row-major; `x` (3, K) and `y` (3, N) a product. MatMulNBits (nbits-*.json): B,
// scales, zero_points, g_idx; attributes K, N, bits, block_size, accuracy_level. The CPU provider has no float zero points for 8 bits.
// MatMulBnb4 (bnb4-*.json): B, uint8 (ceil(N·K / 2)), the even flat index of (N, K) in the high nibble; absmax, float32 (ceil(N·K /
// block_size)), a scale for each run of the flat matrix; attributes K, N, block_size, quant_type (0: FP4, 1: NF4).
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { load } from '../variant/asked.mjs';

const root = join(import.meta.dirname, '../..');
const { oneNode } = await load('/test/support/onnx-model.ts');
const { InferenceSession, Tensor } = createRequire(join(root, 'node_modules/.cache/goldens/'))('onnxruntime-node');
const out = join(root, 'test/fixtures/onnx');
mkdirSync(out, { recursive: true });

/** The same numbers each time: a 32-bit xorshift. */
function random(seed) {
  let state = (seed * 2654435761) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

const floats = (count, next) => Float32Array.from({ length: count }, next);
const bytesOf = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);
const filled = (count, next) => Uint8Array.from({ length: count }, () => Math.floor(next() * 256));

/** A float16 of a positive normal number that has at most 11 significant bits. */
function halfBits(value) {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0];
  return value === 0 ? 0 : ((bits >>> 16) & 0x8000) | (((bits & 0x7fffffff) - 0x38000000) >>> 13);
}
const halves = (values) => Uint16Array.from(values, halfBits);
/** Rounded down to 11 significant bits. */
const short = (value) => new Float32Array(Uint32Array.of(new Uint32Array(Float32Array.of(value).buffer)[0] & ~0x1fff).buffer)[0];
const encoded = { float32: (values) => bytesOf(values), float16: (values) => bytesOf(halves(values)) };
const runtimeType = (type) => (type === 'float32' ? Float32Array : Uint16Array);

async function golden(name, { op, attributes, inputs, type, next }) {
  const { K, N } = attributes;
  const model = oneNode({ op, domain: 'com.microsoft', attributes, inputs, x: { type, dims: ['M', K] }, y: { type, dims: ['M', N] } });
  const session = await InferenceSession.create(model, { executionProviders: ['cpu'], logSeverityLevel: 3 });
  const run = async (values, m) => {
    const bytes = encoded[type](values);
    const data = new (runtimeType(type))(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    const { y } = await session.run({ x: new Tensor(type, data, [m, K]) });
    return y.data instanceof Float32Array ? y.data : new Uint16Array(y.data.buffer, y.data.byteOffset, y.data.length);
  };
  const identity = Float32Array.from({ length: K * K }, (_, i) => (i % (K + 1) === 0 ? 1 : 0));
  const transposed = await run(identity, K);
  const weights = new transposed.constructor(N * K);
  for (let n = 0; n < N; n++) for (let k = 0; k < K; k++) weights[n * K + k] = transposed[k * N + n];
  const x = floats(3 * K, () => short(next() * 2 - 1));
  const y = await run(x, 3);
  const base64 = (bytes) => bytes.toString('base64');
  const tensors = Object.fromEntries(
    inputs.filter(Boolean).map((input) => [input.name, { type: input.type, dims: input.dims, base64: base64(Buffer.from(input.bytes)) }]),
  );
  const fixture = {
    op,
    attributes,
    tensors,
    weights: { type, base64: base64(bytesOf(weights)) },
    x: { type, base64: base64(encoded[type](x)) },
    y: { type, base64: base64(bytesOf(y)) },
  };
  const lines = JSON.stringify(fixture, null, 2).replace(/\[\s+([^\]]*?)\s+\]/g, (_, list) => `[${list.replace(/\s+/g, ' ')}]`);
  writeFileSync(join(out, `${name}.json`), `${lines}\n`);
  console.log(`${name}: ${op} of ${N}×${K}, ${JSON.stringify(fixture).length} bytes`);
}

/** MatMulNBits. `zeros`: undefined, 'packed' or 'float'. */
function nbits({ n, k, bits, block, type = 'float32', zeros, groupIndex = false, seed }) {
  const next = random(seed);
  const blocks = Math.ceil(k / block);
  const count = n * blocks;
  // With float zero points or g_idx the provider adds -scale · zero to scale · code: of 11 bits, all of that is exact in float32.
  const scales = floats(count, () =>
    type === 'float16' || zeros === 'float' || groupIndex ? short(0.01 + next() * 0.1) : 0.01 + next() * 0.1,
  );
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  const zeroPoints = {
    packed: () => ({ type: 'uint8', dims: [n, zeroBytes], bytes: filled(n * zeroBytes, next) }),
    float: () => ({ type, dims: [n, blocks], bytes: encoded[type](floats(count, () => Math.floor(next() * 8 * 2 ** bits) / 8)) }),
  };
  // The CPU provider takes no packed zero points beside g_idx, and reads g_idx of a block's first eight k for every eight of it: runs of
  // eight groups, repeated in a block, are what it and the operator's description agree on.
  const runs = Int32Array.from({ length: blocks * 8 }, (_, i) => i % blocks);
  for (let i = runs.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [runs[i], runs[j]] = [runs[j], runs[i]];
  }
  const order = Int32Array.from({ length: blocks * block }, (_, i) => runs[Math.floor(i / block) * 8 + (i % 8)]);
  const inputs = [
    { name: 'B', type: 'uint8', dims: [n, blocks, (block * bits) / 8], bytes: filled((count * block * bits) / 8, next) },
    { name: 'scales', type, dims: [n, blocks], bytes: encoded[type](scales) },
    zeros && { name: 'zero_points', ...zeroPoints[zeros]() },
    groupIndex && { name: 'g_idx', type: 'int32', dims: [order.length], bytes: bytesOf(order) },
  ];
  return { op: 'MatMulNBits', attributes: { K: k, N: n, bits, block_size: block, accuracy_level: 0 }, inputs, type, next };
}

/** MatMulBnb4. */
function bnb4({ n, k, block, quantType, seed }) {
  const next = random(seed);
  const runs = Math.ceil((n * k) / block);
  const inputs = [
    { name: 'B', type: 'uint8', dims: [Math.ceil((n * k) / 2)], bytes: filled(Math.ceil((n * k) / 2), next) },
    { name: 'absmax', type: 'float32', dims: [runs], bytes: bytesOf(floats(runs, () => 0.01 + next() * 2)) },
  ];
  const attributes = { K: k, N: n, block_size: block, quant_type: quantType };
  return { op: 'MatMulBnb4', attributes, inputs, type: 'float32', next };
}

const wanted = {
  'nbits-4-block16': nbits({ n: 5, k: 32, bits: 4, block: 16, seed: 1 }),
  'nbits-4-block32-zeros-ragged': nbits({ n: 6, k: 75, bits: 4, block: 32, zeros: 'packed', seed: 2 }),
  'nbits-4-block16-zeros-ragged': nbits({ n: 3, k: 41, bits: 4, block: 16, zeros: 'packed', seed: 3 }),
  'nbits-4-block128-ragged': nbits({ n: 4, k: 133, bits: 4, block: 128, seed: 4 }),
  'nbits-4-block32-float-zeros': nbits({ n: 4, k: 64, bits: 4, block: 32, zeros: 'float', seed: 5 }),
  'nbits-4-float16': nbits({ n: 4, k: 64, bits: 4, block: 32, type: 'float16', zeros: 'packed', seed: 6 }),
  'nbits-4-float16-float-zeros': nbits({ n: 4, k: 64, bits: 4, block: 32, type: 'float16', zeros: 'float', seed: 7 }),
  'nbits-4-g_idx': nbits({ n: 4, k: 96, bits: 4, block: 32, groupIndex: true, seed: 8 }),
  'nbits-8-block16-zeros': nbits({ n: 4, k: 48, bits: 8, block: 16, zeros: 'packed', seed: 9 }),
  'nbits-8-block32-ragged': nbits({ n: 5, k: 45, bits: 8, block: 32, seed: 10 }),
  'nbits-8-block128-zeros-ragged': nbits({ n: 3, k: 130, bits: 8, block: 128, zeros: 'packed', seed: 11 }),
  'nbits-2-block32': nbits({ n: 4, k: 64, bits: 2, block: 32, seed: 13 }),
  'nbits-2-block16-zeros-ragged': nbits({ n: 4, k: 75, bits: 2, block: 16, zeros: 'packed', seed: 14 }),
  'bnb4-fp4-block16': bnb4({ n: 4, k: 32, block: 16, quantType: 0, seed: 21 }),
  'bnb4-fp4-block64': bnb4({ n: 4, k: 64, block: 64, quantType: 0, seed: 22 }),
  'bnb4-fp4-block64-ragged': bnb4({ n: 5, k: 72, block: 64, quantType: 0, seed: 23 }),
  'bnb4-nf4-block16': bnb4({ n: 4, k: 32, block: 16, quantType: 1, seed: 24 }),
  'bnb4-nf4-block32-ragged': bnb4({ n: 3, k: 40, block: 32, quantType: 1, seed: 25 }),
  'bnb4-nf4-block64': bnb4({ n: 4, k: 128, block: 64, quantType: 1, seed: 26 }),
  'bnb4-nf4-block64-odd': bnb4({ n: 3, k: 75, block: 64, quantType: 1, seed: 27 }),
};
for (const [name, model] of Object.entries(wanted)) await golden(name, model);
