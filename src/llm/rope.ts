// Cosines and sines of rotary embeddings (RoPE; Su et al., 2021) as two small tables instead of one for every position. With position =
// 256·a + b the rotation is the complex product of one by 256·a and one by b, so that P positions take P/256 + 256 rows. Both tables are
// float64 rounded once to float32. An angle computed in float32 would be off by 1e-3 at position 30,000.
import { ArgumentError, FormatError } from '../errors.js';
import type { Config } from './config.js';
import { slowed } from './yarn.js';

/** Positions that one row of `coarse` stands for. */
export const FINE = 256;

/** Rows of w/2 pairs (cos, sin). */
export interface RopeTables {
  /** w/2: pairs in a row. */
  readonly pairs: number;
  /** Row a is the rotation by 256·a positions. */
  readonly coarse: Float32Array<ArrayBuffer>;
  /** Row b is the rotation by b positions; 256 rows. */
  readonly fine: Float32Array<ArrayBuffer>;
}

/**
 * Radians a position for each of w/2 pairs: base^(-2i/w), divided by the factor of linear scaling and by the file's divisors, or slowed by YaRN.
 * @param divisors (w/2), the file's `ropeDivisors`, `ropeShort` or `ropeLong`; to be given if the rope has divisors, and only then
 * @throws ArgumentError for another number of divisors, FormatError for one that is not above 0
 */
export function frequencies(rope: Config['rope'], divisors?: ArrayLike<number>): Float64Array<ArrayBuffer> {
  const { base, width, factor, yarn } = rope;
  const [expected, got] = [rope.divisors || rope.original !== undefined ? width / 2 : 0, divisors?.length ?? 0];
  if (got !== expected) throw new ArgumentError('divisors', `${expected} numbers`, String(got));
  for (let i = 0; i < got; i++) {
    const one = divisors![i]!;
    if (!(one > 0 && Number.isFinite(one)))
      throw new FormatError(
        { field: `${rope.original === undefined ? 'ropeDivisors' : 'LongRoPE divisors'}[${i}]` },
        'a number above 0',
        String(one),
      );
  }
  return Float64Array.from(
    { length: width / 2 },
    (_, i) => ((yarn ? slowed(yarn, i) : 1) * base ** ((-2 * i) / width)) / factor / (divisors?.[i] ?? 1),
  );
}

/** Tables for positions below `positions`, rounded up to 256. @param magnitude what the rotated numbers are multiplied by */
export function ropeTables(perPosition: Float64Array, positions: number, magnitude = 1): RopeTables {
  const pairs = perPosition.length;
  const table = (rows: number, step: number, size = 1): Float32Array<ArrayBuffer> => {
    const out = new Float32Array(rows * pairs * 2);
    for (let row = 0; row < rows; row++)
      for (let i = 0; i < pairs; i++) {
        const angle = row * step * perPosition[i]!;
        out[2 * (row * pairs + i)] = size * Math.cos(angle);
        out[2 * (row * pairs + i) + 1] = size * Math.sin(angle);
      }
    return out;
  };
  return { pairs, coarse: table(Math.ceil(positions / FINE), FINE, magnitude), fine: table(FINE, 1) };
}

/**
 * The row of (cos, sin) of a position, w/2 pairs, in float32 as a shader makes it. Each number is within 2e-7 of the exact one: 2^-25 for an
 * entry of a table, times |cos| + |sin| ≤ √2 of the other, twice: 8.5e-8. Products: 2^-24·(|cos·cos| + |sin·sin|) ≤ 6e-8. The sum: 3e-8.
 * A fused product rounds once less.
 * @throws ArgumentError for a position that the tables do not have
 */
export function angles({ pairs, coarse, fine }: RopeTables, position: number): Float32Array<ArrayBuffer> {
  const end = (FINE * coarse.length) / (2 * pairs);
  if (!(Number.isInteger(position) && position >= 0 && position < end))
    throw new ArgumentError('position', `a whole number below ${end}`, String(position));
  const out = new Float32Array(2 * pairs);
  const a = 2 * pairs * Math.floor(position / FINE);
  const b = 2 * pairs * (position % FINE);
  for (let i = 0; i < 2 * pairs; i += 2) {
    const [cosA, sinA, cosB, sinB] = [coarse[a + i]!, coarse[a + i + 1]!, fine[b + i]!, fine[b + i + 1]!];
    out[i] = Math.fround(cosA * cosB) - Math.fround(sinA * sinB);
    out[i + 1] = Math.fround(sinA * cosB) + Math.fround(cosA * sinB);
  }
  return out;
}
