// Layers of small cases, loaded on a device. Holds no test.
import type { LinearWeightQuant } from '../../src/index.js';
import { type Case, makeCase } from '../cases/cases.js';
import { makeData } from '../cases/data.js';
import { layerOf, upload } from '../cases/run-case.js';

const BASE = { m: 3, k: 96, data: 'exact', mode: 'group', groupSize: 32, offset: true } as const;

/** A layer for each n. */
export function smallLayers(device: GPUDevice, ns: readonly number[], change: Partial<Case> = {}): LinearWeightQuant[] {
  return ns.map((n) => {
    const c = makeCase({ ...BASE, n, ...change });
    const tensors = Object.entries(makeData(c).tensors).map(([name, tensor]) => [name, upload(device, tensor)]);
    return layerOf(device, c).load(Object.fromEntries(tensors));
  });
}

/** x of 3 rows for them. */
export const smallX = (device: GPUDevice) => upload(device, makeData(makeCase({ ...BASE, n: 4 })).x);
