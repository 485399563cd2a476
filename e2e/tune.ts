// The test page's part of tune.spec.ts: prepares a layer; returns the measured choices and the time of the self-test.
import { findingsOf } from '../src/gpu/device-findings.js';
import { selfTest } from '../src/gpu/self-test.js';
import { LinearWeightQuant, type PrepareOptions, requestDevice, selfTestReports, Tensor, tuning } from '../src/index.js';

const [K, N] = [256, 512];

export interface TuneReport {
  /** Did this call measure? */
  readonly measured: boolean;
  readonly ms: number;
  readonly why: readonly string[];
  readonly choices: Readonly<Record<string, unknown>>;
  /** Wrong elements of y. */
  readonly wrong: number;
  readonly failed: number;
  /** Milliseconds of a second self-test of the variants for 1 to 4 rows, when all have compiled. */
  readonly selfTestMs: number;
}

export async function prepareAndReport(options: PrepareOptions): Promise<TuneReport> {
  const device = await requestDevice();
  const codes = Int8Array.from({ length: N * K }, (_, i) => ((i * 37) % 17) - 8);
  const layer = new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, bias: false, dtype: 'float32', antiquantGroupSize: 32 });
  layer.load({
    weight: Tensor.from(device, codes, { shape: [N, K], dtype: 'int8' }),
    antiquantScale: Tensor.from(device, new Float32Array((N * K) / 32).fill(0.5), { shape: [N, K / 32], dtype: 'float32' }),
  });
  let measured = false;
  const { createBuffer } = device;
  device.createBuffer = function (this: GPUDevice, descriptor: GPUBufferDescriptor) {
    measured ||= descriptor.label === 'antiquant tuning x';
    return createBuffer.call(this, descriptor);
  };
  const begin = performance.now();
  await layer.prepare([1], options);
  const ms = performance.now() - begin;
  const x = Float32Array.from({ length: K }, (_, i) => (i % 7) - 3);
  const y = (await layer.forward(Tensor.from(device, x, { shape: [1, K], dtype: 'float32' })).read()) as Float32Array;
  const wrong = y.filter((value, n) => value !== 0.5 * x.reduce((sum, one, k) => sum + one * codes[n * K + k]!, 0)).length;
  const variants = (options.tune ? [1, 2, 4] : [1]).map((rows) => layer.explain(rows)).map(({ kernel, params }) => ({ kernel, params }));
  await selfTest(device, variants);
  findingsOf(device).tests.clear();
  const again = performance.now();
  await selfTest(device, variants);
  const selfTestMs = performance.now() - again;
  const { why } = layer.explain(1);
  const report = { measured, ms, why, choices: tuning(device).export().choices, wrong, failed: selfTestReports(device).length, selfTestMs };
  device.destroy();
  return report;
}

/** Empties the store. */
export async function forget(): Promise<void> {
  const device = await requestDevice();
  await tuning(device).clear();
  device.destroy();
}
