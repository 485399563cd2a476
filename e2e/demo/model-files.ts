// Files in memory for the tests of the panel "Bring a model": safetensors by the library's writers. ONNX: test/support/onnx-file.ts.
import { type TensorToWrite, writeSafetensors } from '../../src/files/write-safetensors.js';

export interface GivenFile {
  readonly name: string;
  readonly mimeType: string;
  readonly buffer: Buffer;
}
export const given = (name: string, bytes: Uint8Array | string): GivenFile => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(bytes as Uint8Array),
});

export async function safetensors(name: string, tensors: readonly TensorToWrite[]): Promise<GivenFile> {
  const pieces: Uint8Array[] = [];
  await writeSafetensors({ write: (bytes) => pieces.push(bytes.slice()) }, tensors);
  return given(name, Buffer.concat(pieces));
}

/** Numbers of [-1, 1) from a seed, as sums of sines: no two rows alike. */
export const someWeights = (count: number, seed: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, (_, i) => Math.fround(Math.sin(seed + i * 0.7391) * Math.cos(i * i * 1e-3 + seed)));

export const floats = (name: string, shape: readonly number[], values: Float32Array): TensorToWrite => ({
  name,
  dtype: 'F32',
  shape,
  bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
});
