// Bits a weight here, which the panel "Bring a model" says of layers that it has not loaded: a few rows tell what all of them do.
import { describe, expect, test } from 'vitest';
import { heldBitsOf } from '../../../demo/panels/model/jobs/held.js';
import { readFirst } from '../../../demo/panels/model/jobs/read-first.js';
import { openModel } from '../../../src/files/open-file.js';
import { findLayers, readMatrix } from '../../../src/formats.js';
import type { Caps } from '../../../src/index.js';
import { GPU } from '../../support/devices.js';
import { EVERY_FORMAT } from '../../support/every-format.js';
import { makeGguf, zeros } from '../../support/files.js';

const { signal } = new AbortController();
const caps = (wideCodes: boolean): Caps => ({ ...GPU, wideCodes });

describe.each([false, true])('codes held wide: %s', (wide) => {
  test('the first rows of a layer of every format say what the whole layer does', async () => {
    let count = 0;
    for (const { file, options } of EVERY_FORMAT) {
      const { layers } = await findLayers(file, options);
      for (const layer of layers) {
        const [first, whole] = [await readFirst(layer, signal), await readMatrix(layer)];
        expect(heldBitsOf(first, layer, caps(wide)), layer.format).toBe(heldBitsOf(whole, layer, caps(wide)));
        count++;
      }
    }
    expect(count).toBeGreaterThan(20);
  });

  // docs/format.md: Q4_K has 4-bit codes, a scale and a minimum of a byte in 32, and two float16 in 256; Q6_K a byte in 16, and a float16 in 256.
  test.each([
    ['Q4_K', 144, 4 + 16 / 32 + 32 / 256],
    ['Q6_K', 210, (wide ? 8 : 6) + 8 / 16 + 16 / 256],
  ] as const)('%s', async (type, block, bits) => {
    const file = await openModel(makeGguf([zeros('blk.0.attn_q.weight', type, [8, 512], 8 * 2 * block)]));
    const [layer] = (await findLayers(file)).layers;
    expect(heldBitsOf(await readFirst(layer!, signal), layer!, caps(wide))).toBe(bits);
  });
});
