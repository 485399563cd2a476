// Every format from bytes to numbers on Dawn.
import { expect, test } from 'vitest';
import { requestDevice } from '../../src/index.js';
import { formatCases, nodeCases } from '../cases/format-cases.js';
import { runFormatCase, runNodeCase } from '../cases/run-format.js';
import { gpu } from '../support/dawn.js';

const device = await requestDevice({ gpu });

test.each(formatCases.map((c) => [c.name, c] as const))('%s', async (_, c) => {
  const { failures } = await runFormatCase(device, c);
  expect(failures).toEqual([]);
});
test.each(nodeCases.map((c) => [c.name, c] as const))('%s', async (_, c) => {
  const { failures } = await runNodeCase(device, c);
  expect(failures).toEqual([]);
});
