// Forms of quantizing on the GPU, and the report that is made of the GPU's sums.
import { expect, test } from 'vitest';
import { settingsFor } from '../../../src/quantize/gpu-form.js';
import { checkForm } from '../../../src/quantize/options.js';
import { quantize } from '../../../src/quantize/quantize.js';
import { addGroups, reportOf } from '../../../src/quantize/report.js';
import { normals } from '../../support/normal-weights.js';

const size = { n: 6, k: 72 };

test('a name is a form in groups of 32; options are as those of quantize', () => {
  const of = (options: object) => checkForm({ ...size, method: 'minmax', ...options } as never);
  expect(settingsFor('int8', size)).toEqual(of({ bits: 8, groupSize: 32, symmetric: true }));
  expect(settingsFor('int4', size)).toEqual(of({ bits: 4, groupSize: 32, symmetric: false }));
  expect(settingsFor({ bits: 4 }, size)).toEqual(of({ bits: 4, mode: 'channel' }));
  const every = { bits: 8, mode: 'group', groupSize: 64, symmetric: true, scaleDtype: 'bfloat16' } as const;
  expect(settingsFor(every, size)).toEqual(of(every));
});

test('a name has one group where K is below 32', () => {
  expect(settingsFor('int8', { n: 2, k: 20 })).toMatchObject({ mode: 'group', groupSize: 20 });
  expect(settingsFor('int4', { n: 2, k: 7 })).toMatchObject({ mode: 'group', groupSize: 7 });
});

test.each([
  [undefined, /quantize: expected int8, int4 or options of quantizeOnGpu, got undefined/],
  ['q4', /quantize: expected int8, int4 or options of quantizeOnGpu, got "q4"/],
  ['toString', /quantize: expected int8/],
  [4, /quantize: expected int8.*got 4/],
  [{}, /bits: expected 4 or 8/],
  [{ bits: 3 }, /bits: expected 4 or 8, got 3/],
  [{ bits: 4, mode: 'tensor' }, /mode: expected channel or group, got tensor/],
  [{ bits: 8, groupSize: 6 }, /groupSize: expected a multiple of 4/],
])('%s is no form', (form, message) => {
  expect(() => settingsFor(form, size)).toThrow(message);
});

test('sums of groups make the report of the weights', () => {
  const { n, k } = size;
  const w = normals('sums', n * k);
  const form = { n, k, bits: 4, groupSize: 32, symmetric: true } as const;
  const { matrix, report } = quantize(w, form);
  const { scale, codes } = matrix;
  const perRow = k / 8;
  const ofGroups = new Float32Array(3 * scale.length);
  for (let i = 0; i < n * k; i++) {
    const [row, column] = [Math.floor(i / k), i % k];
    const group = 3 * row + Math.floor(column / 32);
    const code = (codes[row * perRow + Math.floor(column / 8)]! >>> (4 * (column % 8))) & 15;
    const error = w[i]! - scale[group]! * (code - 8);
    ofGroups[3 * group]! += (w[i]! / scale[group]!) ** 2;
    ofGroups[3 * group + 1]! += (error / scale[group]!) ** 2;
    ofGroups[3 * group + 2] = Math.max(ofGroups[3 * group + 2]!, Math.abs(error));
  }
  const sums = { squares: 0, errors: 0, largest: 0 };
  // In two pieces, as they come from the GPU.
  addGroups(sums, scale.subarray(0, 6), ofGroups.subarray(0, 18));
  addGroups(sums, scale.subarray(6), ofGroups.subarray(18));
  const made = reportOf(sums, checkForm(form));
  expect(made.sqnr).toBeCloseTo(report.sqnr, 4);
  expect(made.rmse / report.rmse).toBeCloseTo(1, 6);
  expect(made.maxError / report.maxError).toBeCloseTo(1, 6);
  expect([made.bytes, made.bytesBefore, made.bitsPerWeight]).toEqual([report.bytes, report.bytesBefore, report.bitsPerWeight]);
});
