// Each of the 254 finite codes of E4M3 is its number in every kernel that takes them: x has a 1 at one k of each row, so that y is a weight.
import { afterAll, expect, test } from 'vitest';
import { capsOf, LinearWeightQuant, requestDevice, Tensor } from '../../src/index.js';
import { kernels } from '../../src/kernels/index.js';
import { codebooksOf } from '../../src/kernels/operands.js';
import { packCodes, type QuantizedMatrix } from '../../src/problem/matrix.js';
import { gpu } from '../support/dawn.js';

const device = await requestDevice({ gpu });
afterAll(() => device.destroy());

const codes = Array.from({ length: 256 }, (_, code) => code).filter((code) => code % 128 !== 127);
/** OCP 8-bit Floating Point: 2^(exponent - 7) · 1.fraction, and 2^-6 · 0.fraction where the exponent is 0. */
function decode(code: number): number {
  const [sign, exponent, fraction] = [code > 127 ? -1 : 1, Math.floor(code / 8) % 16, code % 8];
  return sign * (exponent > 0 ? 2 ** (exponent - 7) * (1 + fraction / 8) : 2 ** -6 * (fraction / 8));
}

// Column n has the code n + k at each k, so that each code lies at each place of a word.
const [n, k, m] = [254, 32, 32];
const codeAt = (column: number, j: number): number => codes[(column + j) % codes.length]!;
const matrix: QuantizedMatrix = {
  ...{ n, k, bits: 8, codeForm: 'e4m3', groupSize: k, scale: new Float32Array(n).fill(-0.5), scaleDtype: 'float32' },
  codes: packCodes(
    Array.from({ length: n * k }, (_, i) => codeAt(Math.floor(i / k), i % k)),
    n,
    k,
    8,
  ),
};
const want = Float32Array.from({ length: m * n }, (_, i) => -0.5 * decode(codeAt(i % n, Math.floor(i / n))));

const taking = kernels.filter((kernel) => codebooksOf(kernel).includes('e4m3'));
test('the kernels are all that are made for numbers, but for integer products and matrices', () => {
  expect(taking.map(({ name }) => name).sort()).toEqual([
    'matmul-decode',
    'matmul-plain',
    'matmul-prefill',
    'matmul-rows',
    'matmul-subgroup',
    'matmul-tiled',
  ]);
});
test.each(taking.map((kernel) => [kernel.name, kernel] as const))('%s', async (_, { name, tiles }) => {
  const { subgroups } = capsOf(device);
  const x = Tensor.from(
    device,
    new Float32Array(m * k).map((_, i) => (Math.floor(i / k) === i % k ? 1 : 0)),
    { shape: [m, k], dtype: 'float32' },
  );
  let tried = 0;
  for (const tile of name === 'matmul-subgroup'
    ? tiles.filter(({ WIDTH, HALF, ROWS }) => HALF === 0 && (WIDTH === 4 || ROWS! < 4))
    : [tiles[0]!]) {
    if (name === 'matmul-subgroup' && !subgroups) continue;
    const plan = { force: { kernel: name, tile } };
    const layer = new LinearWeightQuant(device, { inFeatures: k, outFeatures: n, bias: false, dtype: 'float32', plan }).loadMatrix(matrix);
    const y = (await layer.forward(x).read()) as Float32Array;
    const bad = y.findIndex((value, i) => value !== want[i]);
    expect(bad < 0 ? 'none' : `code ${codeAt(bad % n, Math.floor(bad / n))} → ${y[bad]}, not ${want[bad]}`).toBe('none');
    layer.destroy();
    tried++;
  }
  if (subgroups || name !== 'matmul-subgroup') expect(tried).toBeGreaterThan(0);
});
