// The self-test of every variant passes and takes little time; a broken variant is found and reported, and the next kernel is used.
import { describe, expect, test } from 'vitest';
import { capsOf } from '../../src/gpu/device.js';
import { findingsOf } from '../../src/gpu/device-findings.js';
import { selfTest } from '../../src/gpu/self-test.js';
import { DeviceLostError, LinearWeightQuant, ShaderError, selfTestReports, Tensor } from '../../src/index.js';
import { kernels, operandsOf } from '../../src/kernels/index.js';
import type { MatmulVariant } from '../../src/trial/trial.js';
import { makeTrial } from '../../src/trial/trial.js';
import { sources } from '../../src/wgsl/sources.js';
import { cover, whole, wordsOf } from '../cases/slice.js';
import { deviceForEach } from '../support/fresh-device.js';
import { codesOf, numbersOf, xOf, yOf } from '../support/small-product.js';

let device: GPUDevice;
deviceForEach((fresh) => {
  device = fresh;
});

/**
 * Of each tile that is meant for this device (in `npm test` of a kernel's first) one variant, with other operands each time; of
 * matmul-plain, which compiles fast, as many as have every two values of two params (else of three).
 */
const meant = (): MatmulVariant[] => {
  const caps = capsOf(device);
  return kernels.flatMap((kernel, i) => {
    const operands =
      kernel.name === 'matmul-plain' ? cover(operandsOf(kernel), (params) => wordsOf(params, whole ? 3 : 2)) : operandsOf(kernel);
    return kernel.tiles
      .filter((tile) => kernel.name === 'matmul-plain' || (kernel.suits?.(tile, caps) ?? true))
      .slice(0, whole ? undefined : 1)
      .flatMap((tile, j) => {
        const all = operands
          .map((params) => ({ kernel: kernel.name, params: { ...params, ...tile } }))
          .filter((variant) => makeTrial(variant, caps));
        return kernel.name === 'matmul-plain' || all.length === 0 ? all : [all[(7 * j + 3 * i) % all.length]!];
      });
  });
};
const K = 96;
const N = 40;
const PRODUCT = { n: N, k: K, scale: () => 0.5 };
const codes = codesOf(PRODUCT);
const loaded = (options: object = {}): LinearWeightQuant =>
  new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, bias: false, dtype: 'float32', antiquantGroupSize: 32, ...options }).load({
    weight: Tensor.from(device, codes, { shape: [N, K], dtype: 'int8' }),
    antiquantScale: Tensor.from(device, new Float32Array(N * 3).fill(0.5), { shape: [N, 3], dtype: 'float32' }),
  });
const x = (rows: number): Tensor => xOf(device, rows, K);
const wanted = (rows: number): number[] => yOf(rows, PRODUCT);

/** Runs `work` with another text for a kernel: matmul-plain's, which covers other rows and columns than it is asked for; or worse. */
async function withFault(kernel: string, work: () => Promise<void>, add = ''): Promise<void> {
  const texts = sources as Record<string, string>;
  const before = texts[`${kernel}.wgsl`]!;
  const { tiles } = kernels.find(({ name }) => name === kernel)!;
  const values = (name: string) => [...new Set(tiles.map((tile) => tile[name]))].join(' ');
  const names = Object.keys(tiles[0]!).filter((name) => name !== 'READ'); // which plain's operands declare, too
  const params = names.map((name) => `#param ${name} ${values(name)}`);
  const own = new RegExp(`\\b(${names.join('|')})\\b`, 'g'); // what plain calls by the same names
  texts[`${kernel}.wgsl`] = `${params.join('\n')}\n${texts['matmul-plain.wgsl']!.replace(own, 'PLAIN_$1')}\n${add}`;
  try {
    await work();
  } finally {
    texts[`${kernel}.wgsl`] = before;
  }
}

test('every tile that is meant for this device passes', { timeout: 300_000 /* it compiles them */ }, async () => {
  const some = meant();
  await selfTest(device, some);
  expect(selfTestReports(device)).toEqual([]);
  expect(findingsOf(device).tests.size).toBe(some.length);
});

test('costs less than 30 ms besides compiling, for all variants of a model', async () => {
  const layer = loaded();
  const variants = [1, 2, 4, 8, 16, 128].map((rows) => layer.explain(rows)).map(({ kernel, params }) => ({ kernel, params }));
  const { tests } = findingsOf(device);
  const times: number[] = [];
  for (let i = 0; i < 4; i++) {
    tests.clear();
    const begin = performance.now();
    await selfTest(device, variants);
    times.push(performance.now() - begin);
  }
  const [first, ...warm] = times.map((time) => time.toFixed(1));
  console.log(`self-test of ${tests.size} variants: ${warm.join(', ')} ms; ${first} ms with compiling`);
  expect(tests.size).toBeGreaterThanOrEqual(3);
  expect(Math.min(...times)).toBeLessThan(30);
});

describe('a variant that gives wrong numbers', () => {
  test('makes way for the next when it is prepared, with a report', async () => {
    const layer = loaded();
    const first = layer.explain(4).kernel;
    await withFault(first, async () => {
      await layer.prepare([4], { store: null });
      const second = layer.explain(4);
      expect(second.kernel).not.toBe(first);
      expect(second.why.join('\n')).toMatch(new RegExp(`not ${first}: failed its self-test on this device: y\\[.*: expected .*, got `));
      expect(await numbersOf(layer.forward(x(4)))).toEqual(wanted(4));
      const [report, ...more] = selfTestReports(device);
      expect(more).toEqual([]);
      expect(report!.variant).toContain(`${first}[`);
      expect(report!.where).toMatch(/^y\[\d+, \d+\] of \(\d+, \d+\) from K = \d+$/);
      expect(report!.expected).not.toBe(report!.got);
      expect(report!.adapter.length).toBeGreaterThan(0);
    });
  });
  test('not prepared, is found beside the first call: reading rejects, and the next call uses another', async () => {
    const layer = loaded();
    const first = layer.explain(4).kernel;
    await withFault(first, async () => {
      const input = x(4);
      const y = layer.forward(input);
      const wrong = y.read();
      await expect(wrong).rejects.toBeInstanceOf(ShaderError);
      await expect(wrong).rejects.toThrow(
        new RegExp(`^${first}\\[.*: self-test on .*: y\\[.*: expected .*, got .*; later calls use another kernel`),
      );
      y.destroy(); // its buffer is used again; the recorded call must not be
      expect(await numbersOf(layer.forward(input))).toEqual(wanted(4));
      expect(layer.explain(4).kernel).not.toBe(first);
      // Other layers of the device know it, too.
      expect(await numbersOf(loaded().forward(input))).toEqual(wanted(4));
      expect(selfTestReports(device)).toHaveLength(1);
    });
  });
  test('is used all the same where nobody wants a self-test, or it is asked for by name', async () => {
    const first = loaded().explain(4).kernel;
    await withFault(first, async () => {
      const untested = loaded({ plan: { selfTest: false } });
      await untested.prepare([4], { store: null });
      expect(await numbersOf(untested.forward(x(4)))).not.toEqual(wanted(4));
      const forced = loaded({ plan: { force: { kernel: first } } });
      await forced.prepare([4]);
      expect(await numbersOf(forced.forward(x(4)))).not.toEqual(wanted(4));
      expect(findingsOf(device).tests.size).toBe(0);
      const both = loaded({ plan: { force: { kernel: first }, selfTest: true } });
      await expect(both.prepare([4])).rejects.toThrow(new RegExp(`${first}: failed its self-test on this device`));
    });
  });
});

test('a variant that does not compile makes way, too', async () => {
  const layer = loaded();
  const first = layer.explain(4).kernel;
  await withFault(
    first,
    async () => {
      await layer.prepare([4], { store: null });
      expect(layer.explain(4).kernel).not.toBe(first);
      expect(await numbersOf(layer.forward(x(4)))).toEqual(wanted(4));
      expect(selfTestReports(device)[0]).toMatchObject({ expected: 'to compile', got: expect.stringMatching(/shaders\/.*wgsl:\d+/) });
    },
    'const broken: u32 = 1.5;',
  );
});

test('the good ones among several are not blamed for a bad one', async () => {
  const layer = loaded();
  const [a, b] = [layer.explain(1), layer.explain(4)];
  const plain = loaded({ plan: { force: { kernel: 'matmul-plain' } } }).explain(4);
  await withFault(a.kernel, async () => {
    await selfTest(device, [a, plain, b, a]);
    const blamed = selfTestReports(device).map(({ variant }) => variant);
    expect(blamed.length).toBeGreaterThan(0);
    for (const variant of blamed) expect(variant).toContain(`${a.kernel}[`);
  });
});

test('a lost device is not the variant’s fault', async () => {
  const { kernel, params } = loaded().explain(4);
  const pending = selfTest(device, [{ kernel, params }]);
  device.destroy();
  await expect(pending).rejects.toBeInstanceOf(DeviceLostError);
  expect(selfTestReports(device)).toEqual([]);
});
