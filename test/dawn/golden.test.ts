// torch_npu's goldens round every dequantized weight to x's dtype before the product; this library does not, and is closer to the formula.
// docs/numerics.md derives the largest difference, element by element and in the norm.
import { beforeAll, describe, expect, test } from 'vitest';
import { encode16, roundTo, UNIT_ROUNDOFF } from '../../src/dtype.js';
import { LinearWeightQuant, requestDevice, Tensor } from '../../src/index.js';
import { random } from '../cases/data.js';
import { gpu } from '../support/dawn.js';

let device: GPUDevice;
beforeAll(async () => {
  device = await requestDevice({ gpu });
});

/** Roundings of a dequantized weight, and the largest ‖y - golden‖ / ‖golden‖. */
const goldens = [
  { dtype: 'float16', from: 'numpy golden and kernel', inner: true, relative: 1e-3 },
  { dtype: 'bfloat16', from: 'kernel: one rounding of a weight', inner: false, relative: 3e-3 },
  // Four roundings of bfloat16 (w + offset, · scale, golden, y), each of at most u / √3 in the root mean square.
  { dtype: 'bfloat16', from: 'numpy golden: two roundings of a weight', inner: true, relative: Math.sqrt(4 / 3) * 2 ** -8 },
] as const;

describe.each(goldens)('$dtype, $from', ({ dtype, inner, relative }) => {
  test.each([
    { m: 16, k: 11264, n: 64, group: 0 },
    { m: 4, k: 768, n: 960, group: 64 },
  ])('$m·$k·$n group $group', async ({ m, k, n, group }) => {
    const next = random(`${dtype} ${m} ${k} ${n}`);
    const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    const round = (value: number): number => roundTo(value, dtype);
    const numbers = (length: number): Float32Array => Float32Array.from({ length }, () => round(normal()));
    const groups = group ? Math.ceil(k / group) : 1;
    const [x, scale, offset] = [numbers(m * k), numbers(n * groups), numbers(n * groups)];
    const codes = Int8Array.from({ length: n * k }, () => Math.trunc(normal()));

    const layer = new LinearWeightQuant(device, {
      inFeatures: k,
      outFeatures: n,
      bias: false,
      dtype,
      antiquantOffset: true,
      antiquantGroupSize: group,
    });
    const shape = group ? [n, groups] : [n];
    layer.load({
      weight: Tensor.from(device, codes, { shape: [n, k], dtype: 'int8' }),
      antiquantScale: Tensor.from(device, encode16(scale, dtype), { shape, dtype }),
      antiquantOffset: Tensor.from(device, encode16(offset, dtype), { shape, dtype }),
    });
    const y = (await layer.forward(Tensor.from(device, x, { shape: [m, k], dtype })).read()) as Float32Array;

    let difference = 0;
    let size = 0;
    for (let c = 0; c < n; c++) {
      const golden = new Float64Array(k);
      const exact = new Float64Array(k);
      for (let j = 0; j < k; j++) {
        const g = group ? Math.floor(j / group) : 0;
        const [s, o, w] = [scale[c * groups + g]!, offset[c * groups + g]!, codes[c * k + j]!];
        golden[j] = round((inner ? round(w + o) : w + o) * s);
        exact[j] = (w + o) * s;
      }
      for (let i = 0; i < m; i++) {
        let sum = 0;
        let magnitude = 0;
        for (let j = 0; j < k; j++) {
          sum += x[i * k + j]! * golden[j]!;
          magnitude += Math.abs(x[i * k + j]! * exact[j]!);
        }
        const g = round(sum);
        const got = y[i * n + c]!;
        const u = UNIT_ROUNDOFF[dtype];
        const bound = 2.01 * u * magnitude + u * (Math.abs(g) + Math.abs(got)) + k * 2 ** -24 * magnitude;
        expect(Math.abs(got - g), `y[${i}, ${c}]: got ${got}, golden ${g}`).toBeLessThanOrEqual(bound);
        difference += (got - g) ** 2;
        size += g ** 2;
      }
    }
    expect(Math.sqrt(difference / size)).toBeLessThanOrEqual(relative);
  });
});
