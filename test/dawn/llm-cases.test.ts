// The table of whole language models on Dawn.
import { expect, test } from 'vitest';
import { casesOf } from '../cases/engines.js';
import { runLlmCase } from '../cases/run-llm.js';
import { gpu } from '../support/dawn.js';
import { llmDevice } from '../support/llm-kernels.js';

const device = await llmDevice();

test.each(casesOf('dawn').models.map((c) => [c.name, c] as const))('%s', async (_, c) => {
  const report = await runLlmCase(device, c, gpu);
  expect(report.failures).toEqual([]);
  expect(report.error).toBeGreaterThan(0); // something was compared
});
