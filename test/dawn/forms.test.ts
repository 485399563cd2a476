// Formats of weights in every kernel that takes them: the kernel's trial is exact, and holds a subnormal unit of scales. `npm test`: every width,
// form of scales and shift in each kernel, all formats in matmul-plain. `npm run test:all`: all formats in every kernel.
import { expect, test } from 'vitest';
import { capsOf } from '../../src/gpu/device.js';
import { findingsOf } from '../../src/gpu/device-findings.js';
import { selfTest } from '../../src/gpu/self-test.js';
import { requestDevice } from '../../src/index.js';
import { kernels, operandsOf } from '../../src/kernels/index.js';
import { makeTrial } from '../../src/plan/trial.js';
import { cover, whole, wordsOf } from '../cases/slice.js';
import { gpu } from '../support/dawn.js';

test.each(kernels.map(({ name }) => name))(
  '%s',
  async (name) => {
    const device = await requestDevice({ gpu });
    const caps = capsOf(device);
    const kernel = kernels.find((one) => one.name === name)!;
    const formats = new Map<string, (typeof all)[number]>();
    const all = operandsOf(kernel)
      .filter(({ X, Y, ROUND }) => X === 0 && Y === 0 && ROUND === 0)
      .flatMap((operands) => kernel.tiles.map((tile) => ({ kernel: name, params: { ...operands, ...tile } })))
      .filter(({ params }) => !kernel.excludes?.(params));
    for (const variant of all) {
      // Not every size and number of lanes, but every way to read codes.
      const { BITS, SCALE, OFFSET, CODEBOOK, HALF = 0, WIDTH = 0, TRICK = 0 } = variant.params;
      const key = [BITS, SCALE, OFFSET, CODEBOOK, HALF, WIDTH, TRICK].join();
      if (!formats.has(key) && makeTrial(variant, caps)) formats.set(key, variant);
    }
    const found = [...formats.values()];
    const picked = whole || name === 'matmul-plain' ? found : cover(found, ({ params }) => wordsOf(params, 1));
    await selfTest(device, picked);
    const faults = findingsOf(device).reports.map(({ variant, where, expected, got }) => `${variant}: ${where} ${expected}, got ${got}`);
    expect(faults).toEqual([]);
    if (caps.subgroupMatrix.length > 0 || name !== 'matmul-subgroup-matrix') expect(picked.length).toBeGreaterThan(3);
    device.destroy();
  },
  600_000,
);
