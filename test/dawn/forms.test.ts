// Formats of weights in every kernel that takes them: the kernel's trial is exact, and holds a subnormal unit of scales. `npm test`: every width,
// form of scales and shift in kernels that are meant for this device, all formats in matmul-plain, and of other kernels, which compile slowly
// here, one format of each way to read codes. `npm run test:all`: all formats in every kernel.
import { expect, test } from 'vitest';
import { capsOf } from '../../src/gpu/device.js';
import { findingsOf } from '../../src/gpu/device-findings.js';
import { selfTest } from '../../src/gpu/self-test.js';
import { requestDevice } from '../../src/index.js';
import { kernels, operandsOf } from '../../src/kernels/index.js';
import { makeTrial } from '../../src/trial/trial.js';
import type { Params } from '../../src/wgsl/preprocess.js';
import { cover, whole, wordsOf } from '../cases/slice.js';
import { gpu } from '../support/dawn.js';

/** Q3_K, Q5_K, Q2_K; 6 bits with zero points of a byte; codebooks. */
const isTypical = ({ BITS, SCALE, OFFSET, CODEBOOK, TRICK = 0 }: Params): boolean =>
  TRICK === 0 &&
  ((SCALE! > 2 && (BITS! < 4 || BITS === 5)) || (BITS === 6 && SCALE === 1 && OFFSET === 4) || (CODEBOOK! > 0 && SCALE === 5));

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
    const meant = kernel.tiles.some((tile) => kernel.suits?.(tile, caps));
    const few = meant ? cover(found, ({ params }) => wordsOf(params, 1)) : found.filter(({ params }) => isTypical(params));
    const picked = whole || name === 'matmul-plain' ? found : few;
    await selfTest(device, picked);
    const faults = findingsOf(device).reports.map(({ variant, where, expected, got }) => `${variant}: ${where} ${expected}, got ${got}`);
    expect(faults).toEqual([]);
    if (caps.subgroupMatrix.length > 0 || name !== 'matmul-subgroup-matrix') expect(picked.length).toBeGreaterThan(0);
    device.destroy();
  },
  600_000,
);
