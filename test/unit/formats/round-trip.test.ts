// quantize → write → open → import by the library gives the same matrix.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { byteSource } from '../../../src/files/byte-source.js';
import type { RawTensor } from '../../../src/files/raw-tensor.js';
import { openSafetensors } from '../../../src/files/safetensors.js';
import type { TensorFile } from '../../../src/files/tensor-file.js';
import { type TensorToWrite, writeSafetensors } from '../../../src/files/write-safetensors.js';
import { importCompressedTensors } from '../../../src/formats/compressed-tensors.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { readMatrix } from '../../../src/formats/read-layer.js';
import { importTorchNpu } from '../../../src/formats/torch-npu.js';
import { compressedTensorsConfig, compressedTensorsTensors } from '../../../src/formats/write-compressed-tensors.js';
import { torchNpuTensors } from '../../../src/formats/write-torch-npu.js';
import { type QuantizedMatrix, simplify } from '../../../src/problem/matrix.js';
import { quantize } from '../../../src/quantize/quantize.js';
import { drawnForms } from '../../support/drawn-forms.js';
import { normals } from '../../support/normal-weights.js';

async function written(tensors: Iterable<TensorToWrite>): Promise<TensorFile> {
  const pieces: Uint8Array[] = [];
  await writeSafetensors({ write: (bytes) => pieces.push(bytes.slice()) }, tensors, { metadata: { format: 'pt' } });
  const file = await openSafetensors(await byteSource(await new Blob(pieces as BlobPart[]).arrayBuffer()));
  expect(file.metadata).toEqual({ format: 'pt' });
  return file;
}

async function throughAFile(tensors: Iterable<TensorToWrite>): Promise<never> {
  const file = await written(tensors);
  const read = [...file.tensors.values()].map(
    async ({ name, dtype, shape, source, begin, end }): Promise<[string, RawTensor]> => [
      name.slice('a.b.'.length),
      { name, dtype, shape, bytes: await source.read(begin, end) },
    ],
  );
  return Object.fromEntries(await Promise.all(read)) as never;
}

/** torch_npu's offsets are floats: that zero points are whole is not in the file. */
const asOffsets = ({ zeroPointDtype: _, ...rest }: QuantizedMatrix): QuantizedMatrix => rest;

test('the same codes, scales, zero points', async () => {
  const cases = drawnForms({ n: { min: 2, max: 19 }, words: { min: 1, max: 12 } });
  await fc.assert(
    fc.asyncProperty(cases, async ({ n, words, bits, mode, symmetric, method, scaleDtype }) => {
      const k = words * 32 + (mode === 'group' ? 32 : 0);
      const groupSize = mode === 'group' ? 32 : undefined;
      const weights = normals(`${n} ${k}`, n * k).map((value) => value + 0.3);
      const options = { n, k, bits, mode, groupSize, method, scaleDtype, symmetric: symmetric && method !== 'hqq' };
      const layer = quantize(weights, options);
      const wanted = simplify(layer.matrix);
      expect(simplify(importTorchNpu(await throughAFile(torchNpuTensors('a.b', layer))))).toEqual(asOffsets(wanted));
      if (method !== 'hqq')
        expect(simplify(importCompressedTensors(await throughAFile(compressedTensorsTensors('a.b', layer))))).toEqual(wanted);
    }),
    { numRuns: 100 },
  );
});

test('findLayers finds them by their names, and by the configuration that was written', async () => {
  const layers = ['model.layers.0.up_proj', 'model.layers.0.down_proj'];
  for (const symmetric of [false, true])
    for (const groupSize of [32, undefined]) {
      const options = { n: 16, k: 96, bits: 4, symmetric, ...(groupSize && { groupSize }) } as const;
      const made = layers.map((name) => ({ name, layer: quantize(normals(name, 16 * 96), options) }));
      const config = { quantization_config: compressedTensorsConfig({ ...options, mode: made[0]!.layer.mode }) };
      const files = [
        { tensors: made.flatMap(({ name, layer }) => torchNpuTensors(name, layer)), options: {}, keeps: asOffsets },
        { tensors: made.flatMap(({ name, layer }) => compressedTensorsTensors(name, layer)), options: { config }, keeps: simplify },
      ];
      for (const { tensors, options, keeps } of files) {
        const found = await findLayers(await written(tensors), options);
        expect(found.layers.map(({ name }) => name)).toEqual(layers);
        for (const [i, source] of found.layers.entries())
          expect(simplify(await readMatrix(source))).toEqual(keeps(simplify(made[i]!.layer.matrix)));
      }
    }
});
