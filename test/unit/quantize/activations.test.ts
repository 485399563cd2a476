// Activations improve the outputs; error feedback equals GPTQ's.
import { describe, expect, test } from 'vitest';
import { dequantize } from '../../../src/problem/matrix.js';
import { factorOf, hessianOf } from '../../../src/quantize/hessian.js';
import type { QuantizeOptions } from '../../../src/quantize/options.js';
import { quantize } from '../../../src/quantize/quantize.js';
import { correlated, normals, outputLoss, secondMoments } from '../../support/normal-weights.js';

function drain<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

const [n, k, m] = [24, 96, 400];
const w = normals('weights', n * k).map((value) => 0.05 * value);
const x = correlated('inputs', m, k);
const moments = secondMoments(x, k);
const options: QuantizeOptions = { n, k, bits: 4, groupSize: 32, method: 'mse' };
const lossOf = (more: Partial<QuantizeOptions>): number =>
  outputLoss(w, dequantize(quantize(w, { ...options, ...more }).matrix), moments, k);

describe('the Hessian', () => {
  test('is xᵀ·x / M', () => {
    const hessian = drain(hessianOf(x, k));
    for (let i = 0; i < k * k; i++) expect(Math.abs(hessian[i]! - moments[i]!)).toBeLessThanOrEqual(1e-6 * Math.abs(moments[i]!) + 1e-9);
  });

  test('is U·D·Uᵀ, damped; an input that is always 0 stands alone', () => {
    const hessian = Float32Array.from(moments);
    for (let i = 0; i < k; i++) hessian[7 * k + i] = hessian[i * k + 7] = 0;
    const { feedback, cost } = drain(factorOf(hessian, k, 0.02));
    let mean = 0;
    for (let i = 0; i < k; i++) mean += hessian[i * k + i]! / k;
    const u = (j: number, column: number): number => (j === column ? 1 : j < column ? feedback[column * k + j]! : 0);
    for (let i = 0; i < k; i++)
      for (let j = 0; j <= i; j++) {
        let sum = 0;
        for (let column = 0; column < k; column++) sum += u(i, column) * cost[column]! * u(j, column);
        const wanted = i === 7 && j === 7 ? 1 : hessian[i * k + j]! + (i === j ? 0.02 * mean : 0);
        expect(Math.abs(sum - wanted), `${i}, ${j}`).toBeLessThanOrEqual(
          1e-5 * Math.sqrt(hessian[i * k + i]! * hessian[j * k + j]!) + 1e-6,
        );
      }
    for (let i = 0; i < k; i++) if (i !== 7) expect(u(Math.min(i, 7), Math.max(i, 7))).toBe(0);
  });
});

describe('error feedback', () => {
  /** GPTQ as its paper has it: the inverse of H, its upper Cholesky factor, and errors handed on to all columns after. For one grid a row. */
  function gptq(row: Float32Array, h: Float64Array, scale: number): number[] {
    const size = row.length;
    const a = Array.from({ length: size }, (_, i) => [
      ...h.slice(i * size, (i + 1) * size),
      ...Array.from({ length: size }, (_, j) => +(i === j)),
    ]);
    for (let i = 0; i < size; i++) {
      const pivot = a[i]![i]!;
      a[i] = a[i]!.map((value) => value / pivot);
      for (let j = 0; j < size; j++) if (j !== i) a[j] = a[j]!.map((value, c) => value - a[j]![i]! * a[i]![c]!);
    }
    const inverse = a.map((values) => values.slice(size));
    const u = inverse.map(() => new Array<number>(size).fill(0)); // inverse = uᵀ·u
    for (let i = 0; i < size; i++)
      for (let j = i; j < size; j++) {
        let sum = inverse[i]![j]!;
        for (let t = 0; t < i; t++) sum -= u[t]![i]! * u[t]![j]!;
        u[i]![j] = i === j ? Math.sqrt(sum) : sum / u[i]![i]!;
      }
    const current = Array.from(row);
    return current.map((_, i) => {
      const code = Math.max(-8, Math.min(7, Math.round(current[i]! / scale)));
      const error = (current[i]! - scale * code) / u[i]![i]!;
      for (let j = i; j < size; j++) current[j]! -= error * u[i]![j]!;
      return code * scale + 0; // no -0
    });
  }

  test('rounds as the paper does', () => {
    const small = 24;
    const inputs = correlated('small', 200, small);
    const hessian = secondMoments(inputs, small);
    const weights = normals('small weights', 6 * small);
    const { matrix } = quantize(weights, {
      n: 6,
      k: small,
      bits: 4,
      symmetric: true,
      activations: { hessian: Float32Array.from(hessian), damp: 0 },
    });
    const back = dequantize(matrix);
    for (let row = 0; row < 6; row++) {
      const wanted = gptq(weights.slice(row * small, (row + 1) * small), hessian, matrix.scale[row]!);
      expect(Array.from(back.slice(row * small, (row + 1) * small))).toEqual(wanted.map(Math.fround));
    }
    const plain = dequantize(quantize(weights, { n: 6, k: small, bits: 4, symmetric: true }).matrix);
    expect(back).not.toEqual(plain);
  });

  test('without correlation it changes nothing', () => {
    const hessian = new Float32Array(k * k);
    for (let i = 0; i < k; i++) hessian[i * k + i] = 1;
    for (const more of [{ method: 'minmax' }, { method: 'mse' }, { method: 'mse', mode: 'tensor', groupSize: undefined }] as const)
      expect(quantize(w, { ...options, ...more, activations: { hessian } })).toEqual(quantize(w, { ...options, ...more }));
  });

  test('makes the squared error of the outputs at least three times smaller here, in every mode', () => {
    for (const more of [
      { method: 'minmax' },
      { method: 'mse' },
      { method: 'hqq' },
      { symmetric: true },
      { mode: 'channel', groupSize: undefined },
      { mode: 'tensor', groupSize: undefined },
    ] as const) {
      const loss = lossOf({ ...more, activations: { x } });
      expect(loss, JSON.stringify(more)).toBeLessThan(lossOf(more) / 3);
      expect(lossOf({ ...more, activations: { hessian: Float32Array.from(moments) } })).toBeCloseTo(loss, 3);
    }
  });
});

test('means weight the errors: the outputs are better, and the squared error weighted by them is never larger', () => {
  const meanSquare = Float32Array.from({ length: k }, (_, i) => moments[i * k + i]!);
  const weighted = (more: Partial<QuantizeOptions>): number => {
    const back = dequantize(quantize(w, { ...options, ...more }).matrix);
    return w.reduce((sum, value, i) => sum + meanSquare[i % k]! * (value - back[i]!) ** 2, 0);
  };
  for (const more of [{}, { symmetric: true }, { mode: 'channel', groupSize: undefined }] as const) {
    expect(weighted({ ...more, activations: { meanSquare } })).toBeLessThan(weighted(more));
    expect(lossOf({ ...more, activations: { meanSquare } })).toBeLessThan(lossOf(more));
  }
  const meanAbs = meanSquare.map(Math.sqrt);
  expect(lossOf({ activations: { meanAbs } })).toBeCloseTo(lossOf({ activations: { meanSquare } }), 6);
});
