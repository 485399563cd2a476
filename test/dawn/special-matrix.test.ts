// Infinities and NaN in x give the formula's results with imported weights, in every kernel; a layer with a permutation refuses codes of x.
import { expect, test } from 'vitest';
import { ArgumentError, capsOf, LinearWeightQuant, quantizeRows, requestDevice, Tensor } from '../../src/index.js';
import { kernels } from '../../src/kernels/index.js';
import { codebooksOf } from '../../src/kernels/operands.js';
import { packCodes, type QuantizedMatrix } from '../../src/problem/matrix.js';
import { codebookOf, E2M1_VALUES, E4M3_VALUES } from '../../src/problem/weight-format.js';
import { gpu } from '../support/dawn.js';

const device = await requestDevice({ gpu });
const [n, k, groupSize] = [12, 72, 32];
const rows = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 3];

const codeAt = (c: number, j: number): number => (5 * c + 3 * j) % 16;
const groups = Math.ceil(k / groupSize);
const scaleAt = (c: number, g: number): number => [1, -2, 0.5][(c + g) % 3]!;
const base = {
  n,
  k,
  bits: 4 as const,
  codes: packCodes(
    Array.from({ length: n * k }, (_, i) => codeAt(Math.floor(i / k), i % k)),
    n,
    k,
    4,
  ),
  groupSize,
  scale: Float32Array.from({ length: n * groups }, (_, i) => scaleAt(Math.floor(i / groups), i % groups)),
  scaleDtype: 'float32' as const,
};
const minimumAt = (c: number, g: number): number => [-4, 0, 13][(c + 2 * g) % 3]!; // one turns signs round that a scaled one would not
/** 0 and exact numbers of either sign from 2^-9 to 30. */
const floats = Array.from(
  { length: n * k },
  (_, i) => [0, 0x01, 0x38, 0xb8, 0x40, 0xc4, 0x5f, 0x80][codeAt(Math.floor(i / k), i % k) % 8]!,
);
const valueAt = (code: number): number => code - 6; // one of them is 0
const cases: readonly { readonly name: string; readonly matrix: QuantizedMatrix; readonly weight: (c: number, j: number) => number }[] = [
  {
    name: 'a minimum',
    matrix: { ...base, minimum: Float32Array.from({ length: n * groups }, (_, i) => minimumAt(Math.floor(i / groups), i % groups)) },
    weight: (c, j) => scaleAt(c, Math.floor(j / groupSize)) * codeAt(c, j) + minimumAt(c, Math.floor(j / groupSize)),
  },
  {
    name: 'a codebook',
    matrix: { ...base, codebook: Float32Array.from({ length: 16 }, (_, i) => valueAt(i)) },
    weight: (c, j) => scaleAt(c, Math.floor(j / groupSize)) * valueAt(codeAt(c, j)),
  },
  {
    name: 'E2M1',
    matrix: { ...base, codebook: E2M1_VALUES },
    weight: (c, j) => scaleAt(c, Math.floor(j / groupSize)) * E2M1_VALUES[codeAt(c, j)]!,
  },
  {
    name: 'E4M3',
    matrix: { ...base, bits: 8, codes: packCodes(floats, n, k, 8), codeForm: 'e4m3' },
    weight: (c, j) => scaleAt(c, Math.floor(j / groupSize)) * E4M3_VALUES[floats[c * k + j]!]!,
  },
];
const xs = new Float32Array(rows.length * k).map((_, i) => (i % k === 40 ? rows[Math.floor(i / k)]! : (i % 5) - 2));

for (const { name, matrix, weight } of cases) {
  const meaning = matrix.codeForm ?? codebookOf(matrix.codebook);
  const taking = kernels.filter(
    (kernel) =>
      codebooksOf(kernel).includes(meaning) &&
      kernel.tiles[0]!.M_SIZE === undefined &&
      (kernel.name !== 'matmul-subgroup' || capsOf(device).subgroups),
  );
  test.each(taking.map((kernel) => kernel.name))(`${name}, %s`, async (kernel) => {
    const plan = { force: { kernel } };
    const options = { inFeatures: k, outFeatures: n, bias: false, dtype: 'float32', innerPrecise: 1, plan } as const;
    const layer = new LinearWeightQuant(device, options).loadMatrix(matrix);
    const y = (await layer.forward(Tensor.from(device, xs, { shape: [rows.length, k], dtype: 'float32' })).read()) as Float32Array;
    const want = Float32Array.from({ length: rows.length * n }, (_, i) => {
      const [m, c] = [Math.floor(i / n), i % n];
      let sum = 0;
      for (let j = 0; j < k; j++) sum += xs[m * k + j]! * weight(c, j);
      return sum;
    });
    // The last row is finite, and no kernel but one that rounds x may differ; of the others every kind is there.
    expect(want.subarray(3 * n).every(Number.isFinite)).toBe(true);
    expect(new Set(Array.from(want.subarray(0, 2 * n)))).toEqual(new Set([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]));
    if (kernel === 'matmul-dot4') expect(Array.from(y.subarray(0, 3 * n))).toEqual(Array.from(want.subarray(0, 3 * n)));
    else expect(Array.from(y)).toEqual(Array.from(want));
  });
}

test('x as codes is refused where inputs are permuted', () => {
  const matrix = { ...base, permutation: Uint32Array.from({ length: k }, (_, i) => k - 1 - i) };
  const layer = new LinearWeightQuant(device, { inFeatures: k, outFeatures: n, bias: false, dtype: 'float32' }).loadMatrix(matrix);
  const x = Tensor.from(device, new Float32Array(k), { shape: [1, k], dtype: 'float32' });
  const refused = () => layer.forward(quantizeRows(x, layer));
  expect(refused).toThrow(ArgumentError);
  expect(refused).toThrow(/^x: expected a Tensor for a layer whose inputs are permuted, got codes of x in its own order/);
});
