// Codes are unsigned inside kernels, and what that adds to a sum is taken off again. This holds how little of y is lost by it: x of one
// sign, codes that use their range, long sums without groups. ERRORS=1 prints the errors.
import { describe, expect, test } from 'vitest';
import { convertWeightToInt4Pack } from '../../src/ascend/int4-pack.js';
import { LinearWeightQuant, requestDevice } from '../../src/index.js';
import { ofNumbers } from '../../src/kernels/index.js';
import type { HostTensor } from '../../src/reference/reference.js';
import { random } from '../cases/data.js';
import { expected, upload } from '../cases/run-case.js';
import { sliced } from '../cases/slice.js';
import { gpu } from '../support/dawn.js';

const [M, K, N] = [3, 4096, 24];
const device = await requestDevice({ gpu });
/** matmul-dot4 rounds x, and matmul-subgroup-matrix takes a float16 x: they have tests of their own. */
const KERNELS = ofNumbers.map(({ name }) => name).filter((name) => name !== 'matmul-dot4' && name !== 'matmul-subgroup-matrix');
const MODES = [
  { mode: 'tensor', group: 0 },
  { mode: 'channel', group: 0 },
  { mode: 'group', group: 32 },
  { mode: 'group', group: 128 },
] as const;

/** The longest slices of k that matmul-decode has. */
const LONG = { ROWS: 4, LANES: 64, SLICES: 4, UNROLL: 2, TRICK: 0 };

interface Setting {
  readonly kernel: string;
  readonly bits: 4 | 8;
  readonly group: number;
  readonly mode: (typeof MODES)[number]['mode'];
  /** Weights of both signs, of one sign by an offset, or all 0. */
  readonly weights: 'both signs' | 'one sign' | 'zero' | 'zero by an offset';
}

const tensor = (data: Float32Array | Int8Array, shape: readonly number[]): HostTensor => ({
  data,
  shape,
  dtype: data instanceof Int8Array ? 'int8' : 'float32',
});

/** y, the exact sums, and Σ |x| |W| for each element. */
async function multiply({ kernel, bits, mode, group, weights }: Setting) {
  const next = random(`${bits} ${mode} ${group}`);
  const half = 2 ** (bits - 1);
  const x = Float32Array.from({ length: M * K }, next);
  const zero = weights.startsWith('zero');
  const offset = weights === 'one sign' ? half : weights === 'zero by an offset' ? half - 1 : 0;
  const codes = Int8Array.from({ length: N * K }, () => (zero ? -offset : Math.floor(2 * half * next()) - half));
  const groups = group > 0 ? K / group : 1;
  const scales = Float32Array.from({ length: mode === 'tensor' ? 1 : N * groups }, () => 0.001 + 0.02 * next());
  const scaleShape = mode === 'tensor' ? [1] : mode === 'channel' ? [N] : [N, groups];
  const bias = Float32Array.from({ length: N }, () => next() - 0.5);
  const tensors = {
    weight:
      bits === 8 ? tensor(codes, [N, K]) : { data: convertWeightToInt4Pack(codes, [N, K]), shape: [N, K / 8], dtype: 'int32' as const },
    antiquantScale: tensor(scales, scaleShape),
    ...(offset !== 0 && {
      antiquantOffset: tensor(
        scales.map(() => offset),
        scaleShape,
      ),
    }),
    bias: tensor(bias, [N]),
  };
  const layer = new LinearWeightQuant(device, {
    inFeatures: K,
    outFeatures: N,
    dtype: 'float32',
    antiquantGroupSize: group,
    antiquantOffset: offset !== 0,
    plan: { caps: { lanes: 1 }, force: { kernel, ...(kernel === 'matmul-decode' && { tile: LONG }) } }, // k in few parts
  });
  layer.load(Object.fromEntries(Object.entries(tensors).map(([name, one]) => [name, upload(device, one)])));
  const y = await layer.forward(upload(device, tensor(x, [M, K]))).read();
  const { accuracy } = layer.explain(M);
  const want = expected({ groupSize: group }, tensor(x, [M, K]), tensors, accuracy);
  layer.destroy();
  const scaleOf = (n: number, k: number): number =>
    scales[mode === 'tensor' ? 0 : mode === 'channel' ? n : n * groups + Math.floor(k / group)]!;
  const sizes = want.exact.map((_, i) => {
    let size = 0;
    for (let k = 0; k < K; k++)
      size += Math.abs(x[Math.floor(i / N) * K + k]!) * Math.abs((codes[(i % N) * K + k]! + offset) * scaleOf(i % N, k));
    return size;
  });
  return { y: y as Float32Array, want, sizes, bias, accuracy };
}

const settings = (weights: Setting['weights']): Setting[] =>
  KERNELS.flatMap((kernel) => ([4, 8] as const).flatMap((bits) => MODES.map((mode) => ({ kernel, bits, ...mode, weights }))));
/** In `npm test` every kernel meets every kind of groups and of weights. */
const pairs = ({ kernel, bits, mode, group, weights }: Setting) => ({
  groups: `${kernel} ${mode} ${group}`,
  weights: `${kernel} ${weights}`,
  bits,
});
const named = (list: readonly Setting[]) => list.map((one) => [Object.values(one).join(' '), one] as const);

describe('a long sum of x of one sign is as exact as a plain float32 loop', () => {
  test.each(named(sliced([...settings('both signs'), ...settings('one sign')], pairs)))('%s', async (name, setting) => {
    const { y, want, sizes, bias, accuracy } = await multiply(setting);
    const errors = want.exact.map((exact, i) => Math.abs(y[i]! - exact) / (sizes[i]! + Math.abs(bias[i % N]!)));
    const worst = Math.max(...errors);
    if (process.env.ERRORS)
      console.log(`${name}: ${worst.toExponential(1)}, interval ${((want.high[0]! - want.low[0]!) / 2 / sizes[0]!).toExponential(1)}`);
    // One sum of all k drifts with their number, as a plain loop's does.
    expect(worst).toBeLessThan(accuracy.sumRun > K && setting.weights === 'one sign' ? 5e-6 : 1e-6);
    expect(y.every((value, i) => value >= want.low[i]! && value <= want.high[i]!)).toBe(true);
  });
});

describe('weights of 0 leave the bias', () => {
  test.each(named(sliced([...settings('zero'), ...settings('zero by an offset')], pairs)))('%s', async (name, setting) => {
    const { y, want, bias } = await multiply(setting);
    const worst = Math.max(...y.map((value, i) => Math.abs(value - bias[i % N]!)));
    if (process.env.ERRORS)
      console.log(`${name}: ${worst.toExponential(1)}, interval ${((want.high[0]! - want.low[0]!) / 2).toExponential(1)}`);
    expect(y.every((value, i) => value >= want.low[i]! && value <= want.high[i]!)).toBe(true);
    expect(worst).toBeLessThan(1e-4);
  });
});
