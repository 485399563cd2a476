// Every legal format of weights in every kernel that takes it: the kernel's trial is exact.
import { expect, test } from 'vitest';
import { capsOf } from '../../src/gpu/device.js';
import { findingsOf } from '../../src/gpu/device-findings.js';
import { selfTest } from '../../src/gpu/self-test.js';
import { requestDevice } from '../../src/index.js';
import { kernels, operandsOf } from '../../src/kernels/index.js';
import { makeTrial } from '../../src/plan/trial.js';
import { gpu } from '../support/dawn.js';

test.each(kernels.map(({ name }) => name))(
  '%s',
  async (name) => {
    const device = await requestDevice({ gpu });
    const caps = capsOf(device);
    const kernel = kernels.find((one) => one.name === name)!;
    const variants = kernel.tiles
      .flatMap((tile) => operandsOf(kernel).map((params) => ({ kernel: name, params: { ...params, ...tile } })))
      .filter(({ params }) => params.X === 0 && params.Y === 0 && !kernel.excludes?.(params));
    const picked = new Map<string, (typeof variants)[number]>();
    for (const variant of variants) {
      const { BITS, SCALE, OFFSET, CODEBOOK, HALF = 0, WIDTH = 0, TRICK = 0, READ = 4 } = variant.params;
      const key = [BITS, SCALE, OFFSET, CODEBOOK, HALF, WIDTH, TRICK, READ].join();
      if (picked.has(key)) continue;
      if (makeTrial(variant, caps)) picked.set(key, variant);
    }
    await selfTest(device, [...picked.values()]);
    const reports = findingsOf(device).reports.map(({ variant, expected, got }) => `${variant}: ${expected}, got ${got}`);
    console.log(name, picked.size, reports.length);
    expect(reports).toEqual([]);
    device.destroy();
  },
  600_000,
);
