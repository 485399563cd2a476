// Reads the fixtures of scripts/goldens/onnx.mjs: a node's tensors, and ONNX Runtime's results.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode16 } from '../../src/dtype.js';
import type { RawTensor } from '../../src/files/raw-tensor.js';
import type { MatMulNBitsAttributes, MatMulNBitsTensors } from '../../src/formats/matmul-nbits.js';

const folder = join(import.meta.dirname, '../fixtures/onnx');

interface Encoded {
  readonly type: 'float32' | 'float16' | 'uint8' | 'int32';
  readonly base64: string;
}
interface Fixture {
  readonly attributes: MatMulNBitsAttributes;
  readonly tensors: Readonly<Record<string, Encoded & { readonly dims: readonly number[] }>>;
  readonly weights: Encoded;
  readonly x: Encoded;
  readonly y: Encoded;
}

const DTYPES = { float32: 'F32', float16: 'F16', uint8: 'U8', int32: 'I32' } as const;
const bytesOf = ({ base64 }: Encoded): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(base64, 'base64'));
const numbersOf = (encoded: Encoded): Float32Array =>
  encoded.type === 'float16' ? decode16(new Uint16Array(bytesOf(encoded).buffer), 'float16') : new Float32Array(bytesOf(encoded).buffer);

export const matMulNBitsFixtures = readdirSync(folder).filter((name) => name.startsWith('nbits-'));

export function readFixture(name: string) {
  const { attributes, tensors, weights, x, y }: Fixture = JSON.parse(readFileSync(join(folder, name), 'utf8'));
  const raw = Object.entries(tensors).map(([key, tensor]): [string, RawTensor] => [
    key,
    { name: key, dtype: DTYPES[tensor.type], shape: tensor.dims, bytes: bytesOf(tensor) },
  ]);
  return {
    attributes,
    tensors: Object.fromEntries(raw) as unknown as MatMulNBitsTensors,
    /** Of x, y and the weights. */
    dtype: weights.type as 'float32' | 'float16',
    weights: numbersOf(weights),
    x: numbersOf(x),
    y: numbersOf(y),
  };
}
