// Calls every public function with wrong arguments: the result is an error of the library, or an answer. `npm run test:all` makes many more
// calls; test/dawn/doors.test.ts calls the functions that need a GPU.
import { describe, expect, test } from 'vitest';
import * as formats from '../../src/formats.js';
import * as library from '../../src/index.js';
import { FORMATS, OPERATOR } from '../cases/doors-pure.js';
import { whole } from '../cases/slice.js';
import { faultsOf, opens } from '../support/wrong-arguments.js';

/** Those of test/dawn/doors.test.ts. */
const ON_GPU = [
  'ExpertLayers',
  'LinearWeightQuant',
  'Tensor',
  'best',
  'encodeBest',
  'encodeExperts',
  'encodeGatherRows',
  'encodeMany',
  'encodeQuantizeRows',
  'encodeSortPairs',
  'explainMany',
  'forwardExperts',
  'forwardMany',
  'gatherRows',
  'joinExperts',
  'joinGateUp',
  'leaveExpertTwin',
  'leaveTwin',
  'loadExperts',
  'loadLayer',
  'loadLayers',
  'prepareAll',
  'prepareMany',
  'quantizeOnGpu',
  'quantizeRows',
  'readOutOfRange',
  'readPairCounts',
  'readQuantizedRows',
  'recordSteps',
  'replay',
  'sortPairs',
  'weightQuantBatchMatmul',
];

test('the tables hold every function that the package exports', () => {
  const exported = Object.entries({ ...library, ...formats }).flatMap(([name, value]) => (typeof value === 'function' ? [name] : []));
  // Errors are made by the library.
  const doors = exported.filter((name) => !name.endsWith('Error'));
  const listed = [...Object.keys({ ...OPERATOR, ...FORMATS }).filter((name) => !name.includes('.')), ...ON_GPU];
  expect(doors.sort()).toEqual(listed.sort());
});

describe.each([
  ['antiquant', OPERATOR, 5000],
  ['antiquant/formats', FORMATS, 10_000],
] as const)('%s', (_, doors, most) => {
  test.each(Object.entries(doors))('%s takes what it should', async (_, door) => {
    await opens(door);
  });
  test('wrong arguments', { timeout: 600_000 }, async () => {
    const calls = whole ? most : most / 5;
    const faults = await faultsOf(doors, calls);
    expect([...new Set(faults)]).toEqual([]);
  });
});
