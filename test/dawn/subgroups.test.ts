// Subgroups that span several slices of a workgroup. matmul-dot4 takes the slices of a subgroup one by one, for any lanes that a device
// puts into it. Its tiles have slices of 32 lanes and more, which contain most subgroups; this test adds a tile with slices of four lanes.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { capsOf } from '../../src/gpu/device.js';
import { kernels } from '../../src/kernels/index.js';
import { BITS } from '../../src/problem/code-width.js';
import type { Params } from '../../src/wgsl/preprocess.js';
import { sources } from '../../src/wgsl/sources.js';
import { makeCase, ROUNDING } from '../cases/cases.js';
import { runCase } from '../cases/run-case.js';
import { deviceForEach } from '../support/fresh-device.js';

const TILE = { ROWS: 2, LANES: 4, SLICES: 8, SUBGROUPS: 1, DIGITS: 1, HALF: 0 };
const FILE = `${ROUNDING}.wgsl`;
const texts = sources as Record<string, string>;
const tiles = kernels.find(({ name }) => name === ROUNDING)!.tiles as Params[];
const text = texts[FILE]!;

function replaced(from: string, to: string): void {
  expect(texts[FILE]!.split(from)).toHaveLength(2); // or the test has lost its object
  texts[FILE] = texts[FILE]!.replace(from, to);
}

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});
beforeEach(() => {
  tiles.push(TILE);
  replaced('#param LANES 32 64', '#param LANES 4 32 64');
});
afterEach(() => {
  tiles.pop();
  texts[FILE] = text;
});

const failuresOf = async (bits: (typeof BITS)[number]): Promise<readonly string[]> => {
  const force = { kernel: ROUNDING, tile: TILE };
  const c = makeCase({ bits, force, m: 11, k: 600, n: 84, mode: 'group', groupSize: 96, offset: true, bias: true, data: 'exact' });
  return (await runCase(device, c)).failures;
};

test('the device has subgroups of more than four lanes', () => {
  expect(capsOf(device)).toMatchObject({ subgroups: true });
  expect(capsOf(device).minSubgroupSize).toBeGreaterThan(TILE.LANES);
});

test.each(BITS)('each lane adds up its own slice of k: int%i', async (bits) => {
  expect(await failuresOf(bits)).toEqual([]);
});

test('which would be seen: a slice for a whole subgroup gives other sums', async () => {
  replaced('if (slice == lane.y) {', 'if (true) {');
  expect(await failuresOf(4)).not.toEqual([]);
});
