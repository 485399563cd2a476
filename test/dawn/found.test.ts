// A small file of every format that find-layers.ts knows, from its bytes to y on Dawn. Each layer is loaded in the smallest pieces.
import { expect, test } from 'vitest';
import { BNB4_CODES, bitsAndBytes4Layer } from '../../src/formats/bitsandbytes4.js';
import { findLayers } from '../../src/formats/find-layers.js';
import type { LayerSource } from '../../src/formats/layer-source.js';
import { readBias, readMatrix } from '../../src/formats/read-layer.js';
import { referenceMatrix, requestDevice, Tensor } from '../../src/index.js';
import { loadLayer } from '../../src/layer/load-file.js';
import { random } from '../cases/data.js';
import { gpu } from '../support/dawn.js';
import { all, FORMATS, fileOf } from '../support/every-format.js';
import { infosOf, raw } from '../support/tensors.js';

const device = await requestDevice({ gpu });
const { layers } = await findLayers(fileOf(all));

/** y of three rows of x lies where the reference says it may. */
async function expectProduct(source: LayerSource): Promise<void> {
  const { n, k, name } = source;
  const next = random(name);
  const host = { data: Float32Array.from({ length: 3 * k }, () => next() * 2 - 1), shape: [3, k], dtype: 'float32' } as const;
  const layer = await loadLayer(device, source, { dtype: 'float32', chunkBytes: 1 });
  const x = Tensor.from(device, host.data, host);
  const bias = await readBias(source);
  const { low, high } = referenceMatrix(host, await readMatrix(source), {
    ...(bias && { bias: { data: bias, shape: [n], dtype: 'float32' } }),
    accuracy: layer.explain(3).accuracy,
  });
  const y = (await layer.forward(x).read()) as Float32Array;
  expect(y.length).toBe(3 * n);
  expect(Array.from(y).filter((value, i) => !(value >= low[i]! && value <= high[i]!))).toEqual([]);
  layer.destroy();
  x.destroy();
}

test('all of them are there', () => expect(layers.map(({ name }) => name).sort()).toEqual(Object.keys(FORMATS).sort()));
test.each(layers.map((layer) => [layer.format, layer] as const))('%s', (_, layer) => expectProduct(layer));

test('NF4 with one block over rows of five', async () => {
  const tensors = {
    weight: raw('weight', 'U8', [5, 1], [0x01, 0x23, 0x45, 0x67, 0x89]),
    absmax: raw('absmax', 'F32', [1], [0.5]),
    quant_map: raw('quant_map', 'F32', [16], [...BNB4_CODES.nf4]),
  };
  await expectProduct(bitsAndBytes4Layer(infosOf(tensors), { name: 'five', state: { quant_type: 'nf4', blocksize: 64, shape: [2, 5] } }));
});
