// Trials: every variant has one, its numbers equal the reference's, and every kind of fault is found.
import { describe, expect, test } from 'vitest';
import { encode16 } from '../../src/dtype.js';
import { extentOf } from '../../src/kernels/fits.js';
import { allVariants, kernels } from '../../src/kernels/index.js';
import { variantId } from '../../src/kernels/kernel.js';
import { tileOf } from '../../src/plan/findings.js';
import { PRECISE } from '../../src/problem/accuracy.js';
import type { Caps } from '../../src/problem/caps.js';
import { BITS, type Bits } from '../../src/problem/code-width.js';
import { E4M3_VALUES } from '../../src/problem/weight-format.js';
import { exactSums, judge, referenceOf } from '../../src/trial/judge.js';
import { makeTrial, type Trial } from '../../src/trial/trial.js';
import type { Params } from '../../src/wgsl/preprocess.js';
import { whole } from '../cases/slice.js';
import { shownVariants } from '../cases/variants.js';
import { GPU, problemOf } from '../support/problems.js';
import { checkBindings } from '../support/simulate.js';

const trialOf = (kernel: string, params: object): Trial => makeTrial({ kernel, params: params as Record<string, number> }, GPU)!;
const plain = (change: object = {}): Trial =>
  trialOf('matmul-plain', { BITS: 4, X: 0, SCALE: 0, READ: 4, ROUND: 0, OFFSET: 1, CODEBOOK: 0, EXPERTS: 0, ENDING: 0, Y: 0, ...change });

describe.each(kernels.map((kernel) => [kernel.name, kernel] as const))('%s', (_, kernel) => {
  /** A device with every kind of subgroup matrix that the kernel's tiles name. */
  const ALL: Caps = {
    ...GPU,
    subgroupMatrix: kernel.tiles.map(({ M_SIZE: M = 0, N_SIZE: N = 0, K_SIZE: K = 0 }) => ({
      componentType: 'f16',
      resultComponentType: 'f32',
      M,
      N,
      K,
    })),
  };
  /** Would the kernel take an ordinary problem with these params? */
  const takes = (params: Params): boolean => {
    const dtype = (['float32', 'float16', 'float16', 'bfloat16'] as const)[params.X!]!;
    const { problem } = problemOf({
      m: 64,
      n: 256,
      k: 512,
      bits: params.BITS as Bits,
      dtype,
      group: 64,
      codebook: (['none', 'table', 'e2m1', 'e4m3'] as const)[params.CODEBOOK!]!,
    });
    const caps = params.X === 2 ? { ...ALL, f16: false } : ALL;
    return typeof extentOf(kernel, { problem: { ...problem, innerPrecise: 1 }, caps, tile: tileOf(kernel, params)! }) !== 'string';
  };
  test('every variant has a trial of more than one tile and several groups, within its buffers', () => {
    const list = VARIANTS.filter(({ shader }) => shader.name === kernel.name);
    expect(list.length).toBeGreaterThan(0);
    for (const { params } of list) {
      const id = variantId(kernel.name, params);
      const trial = makeTrial({ kernel: kernel.name, params }, ALL);
      if (!trial) {
        expect(takes(params), id).toBe(false);
        continue;
      }
      expect(trial.variant).toBe(id);
      expect(params).toMatchObject(tileOf(kernel, params)!);
      const sizes = Object.fromEntries([...trial.contents].map(([role, bytes]) => [role, bytes.length]));
      for (const step of trial.dispatches) checkBindings(step, ALL, sizes);
      expect(trial.problem.weights.groups, id).toBeGreaterThan(1);
      const main = trial.dispatches.find(({ shader }) => shader === kernel.name)!;
      expect(main.workgroups[0] * main.workgroups[1], id).toBeGreaterThan(1);
    }
  });
});

/** The largest Σ |x| |W| of a float32 trial with codes that are E4M3, in steps of 2^-11, which such codes have with its scales. */
const VARIANTS = whole ? allVariants() : shownVariants();

function largestSum({ problem: { m, weights }, contents }: Trial): number {
  const { n, k, groupSize } = weights;
  const pitch = 4 * Math.ceil(n / 4);
  const [x, scale] = ['x', 'scale0'].map((role) => new Float32Array(contents.get(role)!.buffer)) as [Float32Array, Float32Array];
  const code = (i: number, j: number): number => contents.get('w0')![4 * (Math.floor(j / 4) * pitch + i) + (j % 4)]!;
  let most = 0;
  for (let r = 0; r < m; r++)
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < k; j++) sum += Math.abs(x[r * k + j]! * E4M3_VALUES[code(i, j)]! * scale[Math.floor(j / groupSize) * pitch + i]!);
      most = Math.max(most, sum);
    }
  return most * 2 ** 11;
}

test('the sums are the reference’s, exactly, and small enough to be exact in float32 in any order', () => {
  const numbers = BITS.flatMap((BITS) => [0, 1, 2].map((OFFSET) => ({ BITS, OFFSET, CODEBOOK: 0 })));
  for (const meaning of [
    ...numbers,
    { BITS: 4, OFFSET: 0, CODEBOOK: 1 },
    { BITS: 4, OFFSET: 0, CODEBOOK: 2 },
    { BITS: 8, OFFSET: 0, CODEBOOK: 3 },
  ])
    for (const trial of [
      plain(meaning),
      trialOf('matmul-tiled', { ...meaning, X: 0, SCALE: 0, READ: 4, ROUND: 0, EXPERTS: 0, ENDING: 0, Y: 0, ROWS: 4 }),
    ]) {
      const { problem } = trial;
      const { exact } = referenceOf(problem, PRECISE);
      expect(exactSums(problem)).toEqual(exact);
      expect(Math.max(...exact.map(Math.abs))).toBeLessThan(65504);
      // Σ |x| · (code + |offset - zero|), with what an exponent trick adds to a code, in steps of a quarter. The values of a codebook are
      // halves of numbers below 9.
      const { k } = problem.weights;
      const longest = k * 0.125 * 127 + k * 3;
      expect(longest * (255 + 131 + 1024)).toBeLessThan(2 ** 24);
      if (problem.weights.codebook === 'e4m3') expect(largestSum(trial)).toBeLessThan(2 ** 24);
    }
});

describe('a fault', () => {
  const right = (trial: Trial): Uint8Array<ArrayBuffer> => {
    const bytes = trial.contents.get('y')!.slice();
    const { yDtype } = trial.problem;
    const sums = Float32Array.from(exactSums(trial.problem));
    if (yDtype === 'int8') throw new Error('not here');
    bytes.set(new Uint8Array((yDtype === 'float32' ? sums : encode16(sums, yDtype)).buffer), 4 * (yDtype === 'float32' ? 4 : 2));
    return bytes;
  };
  test('none where y is right', () => {
    for (const change of [{}, { X: 1, SCALE: 1, Y: 1 }, { X: 3, SCALE: 2, Y: 2 }])
      expect(judge(plain(change), right(plain(change)))).toBeUndefined();
  });
  test('in a number, before y, behind it, and where nothing was written', () => {
    const trial = plain();
    const { m, weights } = trial.problem;
    const { n, k } = weights;
    const bytes = right(trial);
    const change = (at: number) => {
      const changed = bytes.slice();
      changed[at]! ^= 1;
      return judge(trial, changed);
    };
    expect(change(16 + 4 * (n + 2) + 2)).toMatchObject({ where: `y[1, 2] of (${m}, ${n}) from K = ${k}` });
    expect(change(15)).toMatchObject({ where: 'byte -1 of y, outside it', expected: 'untouched' });
    expect(change(16 + 4 * m * n)).toMatchObject({ where: `byte ${4 * m * n} of y, outside it` });
    expect(judge(trial, trial.contents.get('y')!)).toEqual({ where: 'y', expected: 'to be written', got: 'untouched' });
  });
  test('of a kernel that may round: beyond its interval only', () => {
    const trial = { ...plain(), accuracy: { ...PRECISE, xStep: 1 / 254, xRun: 32 } };
    const bytes = right(trial);
    const y = new Float32Array(bytes.buffer, 16, 4);
    const before = y[0]!;
    y[0] = before + 1;
    expect(judge(trial, bytes)).toBeUndefined();
    expect(judge(plain(), bytes)).toMatchObject({ expected: `${before}`, got: `${before + 1}` });
    y[0] = before + 1e5;
    expect(judge(trial, bytes)?.expected).toMatch(/^-?[\d.]+, from -?[\d.]+ to -?[\d.]+$/);
  });
  test('a name that is no matmul kernel’s has no trial', () => {
    expect(makeTrial({ kernel: 'repack', params: { BITS: 4, NZ: 0 } }, GPU)).toBeUndefined();
    expect(
      makeTrial(
        {
          kernel: 'matmul-tiled',
          params: { BITS: 4, X: 0, SCALE: 0, READ: 4, ROUND: 0, OFFSET: 0, CODEBOOK: 0, EXPERTS: 0, ENDING: 0, Y: 0, ROWS: 3 },
        },
        GPU,
      ),
    ).toBeUndefined();
    expect(
      makeTrial(
        {
          kernel: 'matmul-plain',
          params: { BITS: 4, X: 9, SCALE: 0, READ: 4, ROUND: 0, OFFSET: 0, CODEBOOK: 0, EXPERTS: 0, ENDING: 0, Y: 0 },
        },
        GPU,
      ),
    ).toBeUndefined();
  });
});
