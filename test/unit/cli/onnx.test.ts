// The commands on ONNX files: quantized nodes are inspected and verified, and float constants that MatMul takes are quantized along K.
import { writeFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { byteSource, dequantize, findLayers, openSafetensors, readMatrix } from '../../../src/formats.js';
import { quantize } from '../../../src/quantize/quantize.js';
import { call, folder } from '../../support/call-cli.js';
import { normals } from '../../support/normal-weights.js';
import { onnx } from '../../support/onnx-file.js';
import { readFixture } from '../../support/onnx-fixture.js';

const at = folder();
vi.setConfig({ testTimeout: 60_000 });

test('MatMulNBits: inspect and verify', async () => {
  const { attributes, tensors } = readFixture('nbits-4-block16-zeros-ragged.json');
  const node = { op: 'MatMulNBits', name: '/q_proj', inputs: ['x', 'B', 'scales', 'zero_points'], ints: attributes as never };
  const parts = (['B', 'scales', 'zero_points'] as const).map((name) => {
    const { dtype, shape, bytes } = tensors[name]!;
    return { name, type: dtype === 'U8' ? 2 : dtype === 'F16' ? 10 : 1, dims: shape, raw: bytes };
  });
  writeFileSync(at('m.onnx'), onnx([node], parts));
  const { code, out } = await call(['inspect', at('m.onnx')]);
  expect([code, out]).toEqual([0, expect.stringMatching(/MatMulNBits: 1 layer.*\n {2}importMatMulNBits → 4-bit codes, groups of 16/)]);
  const verified = await call(['verify', at('m.onnx'), '--json']);
  expect([verified.code, verified.json().layers[0].name]).toEqual([0, '/q_proj']);
  expect((await call(['quantize', at('m.onnx'), at('never')])).code).toBe(4);
});

test('float constants: those of MatMul lie as (K, N), embeddings are gathered and stay', async () => {
  const [n, k] = [24, 64];
  const weights = normals('onnx', n * k);
  const turned = Float32Array.from({ length: n * k }, (_, i) => weights[(i % n) * k + Math.floor(i / n)]!);
  const matrix = (name: string, dims: readonly number[], values: Float32Array) => ({
    name,
    type: 1,
    dims,
    raw: new Uint8Array(values.buffer),
  });
  const nodes = [
    { op: 'MatMul', name: 'a', inputs: ['x', 'onnx::MatMul_1'] },
    { op: 'Gemm', name: 'b', inputs: ['x', 'b.weight'], ints: { transB: 1 } },
    { op: 'Gather', name: 'c', inputs: ['table', 'ids'] },
  ];
  writeFileSync(
    at('f.onnx'),
    onnx(nodes, [matrix('onnx::MatMul_1', [k, n], turned), matrix('b.weight', [n, k], weights), matrix('table', [n, k], weights)]),
  );
  const { code, json, err } = await call(['quantize', at('f.onnx'), at('f.safetensors'), '--group', '32', '--json']);
  expect(code, err).toBe(0);
  expect(json().copied).toMatchObject([{ name: 'table', why: 'no MatMul or Gemm takes it' }]);
  const { layers } = await findLayers(await openSafetensors(await byteSource(at('f.safetensors'))));
  expect(layers.map(({ name }) => name)).toEqual(['onnx::MatMul_1', 'b']);
  const wanted = dequantize(quantize(weights, { n, k, bits: 4, groupSize: 32 }).matrix);
  for (const layer of layers) expect(dequantize(await readMatrix(layer))).toEqual(wanted);
});
