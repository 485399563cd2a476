// antiquant verify with a GPU: quantize's output passes, and one wrong code on the way to the GPU is found.
import { expect, test } from 'vitest';
import { findDevice } from '../../cli/gpu.js';
import { verifyLayer } from '../../cli/verify-layer.js';
import { findLayers, openModel } from '../../src/formats.js';
import { requestDevice } from '../../src/gpu/device.js';
import { call, folder, putModel } from '../support/call-cli.js';
import { gpu } from '../support/dawn.js';

const at = folder();

test('the optional package is found', async () => {
  expect(await findDevice()).toHaveProperty('adapter');
});

test.each([
  ['compressed-tensors', '4', 'float32', 'minmax'],
  ['torch_npu', '4', 'float16', 'hqq'],
  ['torch_npu', '8', 'bfloat16', 'minmax'],
])('quantize → verify: %s, %s bits, x of %s', async (scheme, bits, dtype, method) => {
  const device = await requestDevice({ gpu });
  const out = at(`${scheme}-${bits}.safetensors`);
  const argv = ['quantize', putModel(at('in.safetensors')), out, '--scheme', scheme, '--bits', bits, '--method', method, '--group', '64'];
  expect((await call(argv)).code).toBe(0);
  const { code, json, err } = await call(['verify', out, '--dtype', dtype, '--rows', '3', '--json'], {
    findDevice: async () => ({ device, adapter: 'the test’s' }),
  });
  expect(code, err).toBe(0);
  expect(json().gpu).toBe('the test’s');
  expect(json().layers).toHaveLength(4);
  for (const { gpu: product, n } of json().layers) {
    expect(product.outside).toBe(0);
    expect(product.elements).toBe(3 * n);
    expect(product.worst).toBeGreaterThan(0); // something was compared
    expect(product.worst).toBeLessThanOrEqual(1);
  }

  // A file that is not the same for the GPU as for the reference.
  const { layers } = await findLayers(await openModel(out), { config: { group_size: 64 } });
  let made = 0;
  const source: (typeof layers)[0] = {
    ...layers[0]!,
    make(tensors, size) {
      const matrix = layers[0]!.make(tensors, size);
      if (made++ > 0) matrix.codes[5]! ^= 1 << 6; // the reference was made first
      return matrix;
    },
  };
  const options = { rows: 3, seed: 1, dtype: 'float32', device, signal: new AbortController().signal } as const;
  expect(await verifyLayer(source, options)).toMatchObject({ ok: false, gpu: { outside: 3, at: { output: expect.any(Number) } } });
  device.destroy();
});
