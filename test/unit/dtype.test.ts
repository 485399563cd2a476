// float16 and bfloat16 against definitions that share nothing with src/dtype.ts: the list of all their numbers, searched for the nearest.
import { describe, expect, test } from 'vitest';
import {
  BYTES,
  decode16,
  encode16,
  firstNotHeld,
  fromBfloat16Bits,
  fromFloat16Bits,
  roundTo,
  toBfloat16Bits,
  toFloat16Bits,
  UNIT_ROUNDOFF,
  wholeWords,
} from '../../src/dtype.js';

const NAN = Number.NaN;
const INF = Number.POSITIVE_INFINITY;
const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!;
const floatOf = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0]!;
/** The float32 numbers next to a finite positive one. */
const neighbours = (value: number): [number, number] => [floatOf(bitsOf(value) - 1), floatOf(bitsOf(value) + 1)];

/** The number of a positive pattern with `mantissa` bits of fraction, by the definition of IEEE 754. */
function defined(bits: number, mantissa: number, bias: number): number {
  const exponent = Math.floor(bits / 2 ** mantissa);
  const fraction = (bits % 2 ** mantissa) / 2 ** mantissa;
  return exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias);
}
const HALVES = Array.from({ length: 0x7c00 }, (_, bits) => defined(bits, 10, 15));
const BFLOATS = Array.from({ length: 0x7f80 }, (_, bits) => defined(bits, 7, 127));

/** The pattern of the nearest number of a list, by distance; of two equally near the even one; beyond the list by half a step, Inf. */
function nearest(value: number, numbers: readonly number[]): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  let [low, high] = [0, numbers.length]; // numbers[low] <= size < numbers[high], the end standing for the next power of two
  const at = (i: number): number => (i < numbers.length ? numbers[i]! : 2 * numbers[i - 1]! - numbers[i - 2]!);
  if (size >= at(high)) return sign | high;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (at(middle) <= size) low = middle;
    else high = middle;
  }
  const [below, above] = [size - at(low), at(high) - size]; // exact: float64 holds them
  return sign | (below < above || (below === above && low % 2 === 0) ? low : high);
}

const kinds = [
  ['float16', toFloat16Bits, fromFloat16Bits, HALVES],
  ['bfloat16', toBfloat16Bits, fromBfloat16Bits, BFLOATS],
] as const;

describe.each(kinds)('%s', (dtype, to, from, numbers) => {
  const inf = numbers.length;

  test('all 65536 patterns: their numbers, and back to the same pattern', () => {
    const wrong: number[] = [];
    for (let bits = 0; bits < 65536; bits++) {
      const magnitude = bits & 0x7fff;
      const sign = bits & 0x8000 ? -1 : 1;
      const value = from(bits);
      if (magnitude > inf) {
        const back = to(value);
        if (!Number.isNaN(value) || (back & 0x7fff) <= inf) wrong.push(bits); // some NaN
        continue;
      }
      const want = magnitude === inf ? sign * INF : sign * numbers[magnitude]!;
      if (!Object.is(value, want) || to(value) !== bits) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  test('midpoints go to the even neighbour, and the float32s beside them to the nearer one', () => {
    const wrong: number[] = [];
    for (let i = 0; i < inf; i++) {
      const next = i + 1 < inf ? numbers[i + 1]! : 2 * numbers[i]! - numbers[i - 1]!;
      const middle = (numbers[i]! + next) / 2;
      if (Math.fround(middle) !== middle) continue; // half of bfloat16's smallest is no float32
      const [before, after] = neighbours(middle);
      const even = i % 2 === 0 ? i : i + 1;
      if (to(middle) !== even || to(before) !== i || to(after) !== i + 1) wrong.push(middle);
      if (to(-middle) !== (0x8000 | even) || to(-before) !== (0x8000 | i) || to(-after) !== (0x8000 | (i + 1))) wrong.push(-middle);
    }
    expect(wrong).toEqual([]);
  });

  test('random float32 patterns of every exponent go to the nearest number', () => {
    const wrong: string[] = [];
    let state = 12345;
    for (let i = 0; i < 200_000; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const bits = (state ^ (i << 23)) >>> 0; // the exponent runs through all its values
      const value = floatOf(bits);
      if (Number.isNaN(value)) continue;
      const want = Number.isFinite(value) ? nearest(value, numbers) : (value < 0 ? 0x8000 : 0) | inf;
      if (to(value) !== want) wrong.push(`${value}: ${to(value).toString(16)}, not ${want.toString(16)}`);
    }
    expect(wrong.slice(0, 5)).toEqual([]);
  });

  test('decode16 gives what all 65536 patterns are one by one', () => {
    const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
    const values = decode16(all, dtype);
    expect(all.filter((bits) => !Object.is(values[bits], from(bits)))).toEqual(new Uint16Array());
  });

  test('encode16, decode16 and roundTo go element by element', () => {
    const values = [1, -1.5, 1 / 3, 1e-7, -0, INF, NAN];
    expect([...encode16(values, dtype)]).toEqual(values.map(to));
    expect([...decode16(Uint16Array.from(values.map(to)), dtype)]).toEqual(values.map((value) => from(to(value))));
    expect(values.map((value) => roundTo(value, dtype))).toEqual(values.map((value) => from(to(value))));
  });
});

test('float16: known numbers', () => {
  expect([1, -2, 65504, 2 ** -24, 2 ** -14, 0, -0, INF, -INF, 1 / 3].map(toFloat16Bits)).toEqual([
    0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x0000, 0x8000, 0x7c00, 0xfc00, 0x3555,
  ]);
});

test('float16: overflow begins at 65520, half a step beyond the largest', () => {
  expect([65519.996, 65520, 1e6, -65519.996, -65520].map(toFloat16Bits)).toEqual([0x7bff, 0x7c00, 0x7c00, 0xfbff, 0xfc00]);
});

test('float16: half the smallest subnormal is a tie, and goes to 0', () => {
  expect([2 ** -25, 2 ** -25 * (1 + 2 ** -23), 1.5 * 2 ** -24, 2 ** -26].map(toFloat16Bits)).toEqual([0, 1, 2, 0]);
});

test('float16: a number is a float32 first', () => {
  // Beyond the midpoint of 1 and the next half by less than a float32 can tell: the second rounding sees a tie.
  expect(toFloat16Bits(1 + 2 ** -11 + 2 ** -40)).toBe(0x3c00);
});

test('bfloat16: known numbers', () => {
  expect([1, -2, 3.3895313892515355e38, 3.4e38, 2 ** -133, 2 ** -126, -0, -INF].map(toBfloat16Bits)).toEqual([
    0x3f80, 0xc000, 0x7f7f, 0x7f80, 0x0001, 0x0080, 0x8000, 0xff80,
  ]);
});

test('NaN keeps its sign bit and becomes quiet', () => {
  expect([toFloat16Bits(NAN), toBfloat16Bits(NAN)]).toEqual([0x7e00, 0x7fc0]);
  expect(fromFloat16Bits(0x7c01)).toBeNaN();
  expect(fromBfloat16Bits(0xff81)).toBeNaN();
});

test('roundTo float32 is one rounding to float32', () => {
  expect(roundTo(0.1, 'float32')).toBe(0.10000000149011612);
  expect(roundTo(1 + 2 ** -24, 'float32')).toBe(1);
});

test('sizes', () => {
  expect(BYTES).toEqual({ float32: 4, float16: 2, bfloat16: 2, int8: 1, int32: 4, int64: 8 });
  expect([0, 1, 4, 5, 8, 9].map(wholeWords)).toEqual([4, 4, 4, 8, 8, 12]);
});

test('UNIT_ROUNDOFF is the largest relative error of a rounding near 1', () => {
  for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
    const u = UNIT_ROUNDOFF[dtype];
    expect(roundTo(1 + u, dtype)).toBe(1); // a tie
    expect(roundTo(1 + 2 * u, dtype)).toBe(1 + 2 * u);
  }
});

test.each(['float32', 'float16', 'bfloat16'] as const)(
  'which numbers %s holds exactly: those that rounding to it does not change',
  (dtype) => {
    const words = new Uint32Array(2 ** 16 * 3);
    for (let i = 0; i < 2 ** 16; i++) words.set([i << 16, (i << 16) | 0x2000, (i << 16) | 1], 3 * i);
    const values = new Float32Array(words.buffer);
    const wrong = [...values].filter((value) => {
      const held = Number.isFinite(value) && roundTo(value, dtype) === value;
      return firstNotHeld(Float32Array.of(1, value), dtype) !== (held ? -1 : 1);
    });
    expect(wrong).toEqual([]);
  },
);
