// Tint takes every selected variant of every shader.
import { expect, test } from 'vitest';
import { capsOf } from '../../src/gpu/device.js';
import { variantText } from '../../src/gpu/pipeline.js';
import { requestDevice } from '../../src/index.js';
import { shaders } from '../../src/kernels/index.js';
import { variantId } from '../../src/kernels/kernel.js';
import { shownVariants } from '../cases/variants.js';
import { gpu } from '../support/dawn.js';

const shown = shownVariants();

test.each([...shaders.keys()])('%s', async (name) => {
  const device = await requestDevice({ gpu });
  const variants = shown.filter(({ shader }) => shader.name === name);
  expect(variants.length).toBeGreaterThan(0);
  const refused: string[] = [];
  // Subgroup matrices are a feature of few adapters; without it no text that enables them is taken. The suite `static` has it elsewhere.
  const { subgroupMatrix } = capsOf(device);
  if (subgroupMatrix.length === 0 && variants.every(({ params }) => params.M_SIZE !== undefined)) return;
  for (const { params } of variants) {
    const module = device.createShaderModule({ code: variantText({ shader: name, params }).code });
    const { messages } = await module.getCompilationInfo();
    for (const { lineNum, message } of messages) refused.push(`${variantId(name, params)}:${lineNum} ${message}`);
  }
  expect(refused).toEqual([]);
  device.destroy();
});
