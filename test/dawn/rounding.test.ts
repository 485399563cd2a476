// Rounding of y over many exact sums: to nearest even, ±Inf beyond the largest, subnormals and NaN unchanged.
import { beforeAll, expect, test } from 'vitest';
import { encode16, toBfloat16Bits, toFloat16Bits } from '../../src/dtype.js';
import { LinearWeightQuant, requestDevice, Tensor } from '../../src/index.js';
import { random } from '../cases/data.js';
import { gpu } from '../support/dawn.js';

let device: GPUDevice;
beforeAll(async () => {
  device = await requestDevice({ gpu });
});

const N = 1 << 14;
const next = random('rounding');
const integer = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));

/** The 16-bit patterns of y. */
async function bitsOf(y: Tensor): Promise<Uint16Array> {
  const words = (await Tensor.wrap(device, y.buffer, { shape: [N / 2], dtype: 'int32' }).read()) as Int32Array;
  return new Uint16Array(words.buffer);
}

function compare(got: Uint16Array, want: (i: number) => number, sum: (i: number) => number): void {
  const wrong = [];
  for (let i = 0; i < N; i++) {
    if (got[i] !== want(i)) wrong.push(`${sum(i)}: got ${got[i]!.toString(16)}, want ${want(i).toString(16)}`);
  }
  expect(wrong.slice(0, 5)).toEqual([]);
}

// With shader-f16 and without: x is read another way, y is rounded the same.
test.each([true, false])('float16, shader-f16 %s', async (f16) => {
  // One product x · q · s: 11 + 8 bits and a power of two, exact in float32, from below the smallest half to above the largest.
  const x = 1 + integer(0, 1023) / 1024;
  const codes = Int8Array.from({ length: N }, () => integer(-128, 127));
  const scales = Float32Array.from({ length: N }, () => 2 ** integer(-24, 15));
  const layer = new LinearWeightQuant(device, { inFeatures: 1, outFeatures: N, bias: false, plan: { caps: f16 ? {} : { f16 } } });
  layer.load({
    weight: Tensor.from(device, codes, { shape: [N, 1], dtype: 'int8' }),
    antiquantScale: Tensor.from(device, scales, { shape: [N], dtype: 'float16' }),
  });
  const y = layer.forward(Tensor.from(device, new Float32Array([x]), { shape: [1, 1], dtype: 'float16' }));
  // The code's zero point makes the sum of a zero weight +0, whatever the formula's sign.
  const sum = (i: number): number => x * codes[i]! * scales[i]! + 0;
  compare(await bitsOf(y), (i) => toFloat16Bits(sum(i)), sum);
});

test('bfloat16', async () => {
  // A float32 bias beside zero weights: any bit pattern but a subnormal, which a device may flush.
  const bits = Uint32Array.from({ length: N }, (_, i) => {
    const pattern = (Math.floor(next() * 2 ** 32) & ~(i % 3 === 0 ? 0x7fff : 0)) >>> 0; // every third a tie, or exact
    return (pattern & 0x7f800000) === 0 ? pattern | 0x00800000 : pattern;
  });
  bits.set([0x7f800000, 0xff800000, 0x7f7fffff, 0x3f808000, 0x3f818000, 0x7f7f8000]);
  const bias = new Float32Array(bits.buffer);
  const layer = new LinearWeightQuant(device, { inFeatures: 1, outFeatures: N, dtype: 'bfloat16' });
  layer.load({
    weight: Tensor.from(device, new Int8Array(N), { shape: [N, 1], dtype: 'int8' }),
    antiquantScale: Tensor.from(device, encode16([1], 'bfloat16'), { shape: [1], dtype: 'bfloat16' }),
    bias: Tensor.from(device, bias, { shape: [N], dtype: 'float32' }),
  });
  const y = layer.forward(Tensor.from(device, encode16([1], 'bfloat16'), { shape: [1, 1], dtype: 'bfloat16' }));
  const isNaN16 = (value: number): boolean => (value & 0x7f80) === 0x7f80 && (value & 0x7f) !== 0;
  const got = await bitsOf(y);
  compare(
    got,
    (i) => (Number.isNaN(bias[i]!) && isNaN16(got[i]!) ? got[i]! : toBfloat16Bits(bias[i]!)),
    (i) => bias[i]!,
  );
});
