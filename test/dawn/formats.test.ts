// The table of formats on Dawn.
import { expect, test } from 'vitest';
import { requestDevice } from '../../src/index.js';
import { casesOf } from '../cases/engines.js';
import { runFormatCase, runNodeCase } from '../cases/run-format.js';
import { gpu } from '../support/dawn.js';

const device = await requestDevice({ gpu });
const { formats, nodes } = casesOf('dawn');

test.each(formats.map((c) => [c.name, c] as const))('%s', async (_, c) => {
  const { failures } = await runFormatCase(device, c);
  expect(failures).toEqual([]);
});
test.each(nodes.map((c) => [c.name, c] as const))('%s', async (_, c) => {
  const { failures } = await runNodeCase(device, c);
  expect(failures).toEqual([]);
});
