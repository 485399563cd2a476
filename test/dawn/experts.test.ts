// Experts against a loop of layers of the same matrices: equal in every bit.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packCodes, type QuantizedMatrix } from '../../src/formats.js';
import { ExpertLayers, forwardExperts, LinearWeightQuant, readPairCounts, requestDevice, sortPairs, Tensor } from '../../src/index.js';
import { random } from '../cases/data.js';
import { gpu } from '../support/dawn.js';

let device: GPUDevice;
beforeAll(async () => {
  device = await requestDevice({ gpu });
});
afterAll(() => device.destroy());

test('first', async () => {
  const [E, N, K, M, T] = [8, 64, 128, 5, 2];
  const next = random('experts');
  const matrices = Array.from(
    { length: E },
    (): QuantizedMatrix => ({
      n: N,
      k: K,
      bits: 4,
      groupSize: 32,
      scaleDtype: 'float32',
      codes: packCodes(
        Array.from({ length: N * K }, () => Math.floor(next() * 16)),
        N,
        K,
        4,
      ),
      scale: Float32Array.from({ length: (N * K) / 32 }, () => 2 ** -Math.floor(next() * 4)),
    }),
  );
  const experts = new ExpertLayers(device, { experts: E, inFeatures: K, outFeatures: N, bias: false, dtype: 'float32' });
  experts.loadMatrices(matrices);
  const x = Float32Array.from({ length: M * K }, () => Math.floor(next() * 9) - 4);
  const xs = Tensor.from(device, x, { shape: [M, K], dtype: 'float32' });
  const list = Int32Array.from({ length: M * T }, () => Math.floor(next() * (E + 2)) - 1);
  const ids = Tensor.from(device, list, { shape: [M, T], dtype: 'int32' });
  const y = (await forwardExperts(experts, xs, { ids }).read()) as Float32Array;
  console.log(experts.explain(M, T).why, [...list]);
  const sorted = sortPairs(ids, E);
  console.log([...((await sorted.sorted.read()) as Int32Array)]);
  {
    const zero = Array.from({ length: M * T }, (_, p) => y.subarray(p * N, p * N + N).every((v) => v === 0));
    console.log(zero.map(Number));
  }
  console.log(await readPairCounts(sorted));
  const y2 = (await forwardExperts(experts, xs, { sorted }).read()) as Float32Array;
  expect(y2).toEqual(y);
  for (let e = 0; e < E; e++) {
    const layer = new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, bias: false, dtype: 'float32' });
    layer.loadMatrix(matrices[e]!);
    const all = (await layer.forward(xs).read()) as Float32Array;
    for (let p = 0; p < M * T; p++)
      if (list[p] === e) expect(y.subarray(p * N, p * N + N)).toEqual(all.subarray(Math.floor(p / T) * N, Math.floor(p / T) * N + N));
  }
  for (let p = 0; p < M * T; p++) if (list[p]! < 0 || list[p]! >= E) expect(y.subarray(p * N, p * N + N)).toEqual(new Float32Array(N));
});
