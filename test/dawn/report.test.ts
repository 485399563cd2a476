// formatReport names the device, failed self-tests and measured choices.
import { afterAll, expect, test } from 'vitest';
import { disable } from '../../src/gpu/device-findings.js';
import { capsOf, formatReport, LinearWeightQuant, requestDevice, Tensor, tuning } from '../../src/index.js';
import { VERSION } from '../../src/version.js';
import { gpu } from '../support/dawn.js';

const device = await requestDevice({ gpu });
afterAll(() => device.destroy());
const lines = (): string[] => formatReport(device).split('\n');

test('a fresh device: version, adapter, features, caps, every limit', () => {
  const text = lines();
  expect(text[0]).toBe(`antiquant ${VERSION}`);
  expect(text).toContain(`  description: ${device.adapterInfo.description}`);
  expect(text).toContain(`adapter: ${capsOf(device).software ? 'software, runs on the CPU' : 'GPU'}`);
  expect(text).toContain(`features: ${[...device.features].sort().join(' ')}`);
  expect(text).toContain(`  lanes ${capsOf(device).lanes}`);
  const limits = text.slice(
    text.indexOf('limits:') + 1,
    text.findIndex((line) => line.startsWith('self-test')),
  );
  expect(limits).toContain(`  maxStorageBufferBindingSize ${device.limits.maxStorageBufferBindingSize}`);
  expect(limits.length).toBeGreaterThan(25);
  expect(text).toContain('self-test: 0 variants tested, 0 failed');
  expect(text).toContain('measured choices: none');
  expect(formatReport(device)).not.toMatch(/undefined|null|NaN|\[object/);
});

test('after work: variants that were tested, those that failed, choices', async () => {
  const layer = new LinearWeightQuant(device, { inFeatures: 64, outFeatures: 8, bias: false, dtype: 'float32' });
  layer.load({
    weight: Tensor.from(device, new Int8Array(512).fill(1), { shape: [8, 64], dtype: 'int8' }),
    antiquantScale: Tensor.from(device, new Float32Array([1]), { shape: [1], dtype: 'float32' }),
  });
  await layer.prepare([1], { tune: true, budgetMs: 20, store: null });
  const tested = Number(/^self-test: (\d+) variants tested, 0 failed$/m.exec(formatReport(device))![1]);
  expect(tested).toBeGreaterThanOrEqual(1);
  const [problem, { kernel, candidates }] = Object.entries(tuning(device).export().choices)[0]!;
  expect(lines().find((line) => line.includes(problem))).toMatch(
    new RegExp(`: ${kernel}\\[.*\\], [\\d.]+ of .* among ${candidates}, \\d{4}-`),
  );

  disable(device, { variant: 'matmul-rows[BITS=4]', where: 'y[1, 2]', expected: '3', got: '4\nand more' });
  expect(formatReport(device)).toContain(
    `self-test: ${tested} variants tested, 1 failed\n  matmul-rows[BITS=4]: y[1, 2]: expected 3, got 4\n    and more\n`,
  );
});

test('a lost device still has its report', async () => {
  const before = formatReport(device);
  device.destroy();
  await device.lost;
  expect(formatReport(device)).toBe(before);
});
