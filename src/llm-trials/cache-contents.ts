// What a cache of keys and values holds in a trial, in the layout of a cache. Pure.
import { encode16, roundTo } from '../dtype.js';
import { cacheBytes, type Heads, paddedWidth } from '../llm-kernels/attention.js';
import { type Buffer, poison, untouched, type Wanted } from './trial.js';

/** Where element i of a head is in its padded form. Keys whose halves turn have both halves of pairs in whole quads. */
export function paddedPlace({ width, rope }: Heads, what: 'k' | 'v', i: number): number {
  const half = width / 2;
  return what === 'v' || rope === 'pairs' || i < half ? i : i + 4 * Math.ceil(half / 4) - half;
}

/**
 * Keys and values by position and head of the cache, (P, V·e), in the layout of a cache; 0 is what pads.
 * @param rows as many as the positions that it holds; NaN: those are not to be there
 */
function laidOut(heads: Heads, what: 'k' | 'v', rows: Float64Array): Float64Array {
  const { kvHeads, width, capacity } = heads;
  const { padded } = paddedWidth(heads);
  const out = untouched(kvHeads * padded * capacity);
  const pitch = kvHeads * width;
  for (let position = 0; position < rows.length / pitch; position++)
    for (let head = 0; head < kvHeads; head++) {
      const row = rows.subarray(position * pitch + head * width, position * pitch + (head + 1) * width);
      if (Number.isNaN(row[0])) continue;
      const place = (i: number): number =>
        what === 'k' ? 4 * (((head * padded) / 4 + (i >> 2)) * capacity + position) + (i & 3) : (head * capacity + position) * padded + i;
      for (let i = 0; i < padded; i++) out[place(i)] = 0;
      for (let i = 0; i < width; i++) out[place(paddedPlace(heads, what, i))] = row[i]!;
    }
  return out;
}

/** The factor of a head of a position, as a cache of int8 has it. */
const factorOf = (row: Float64Array): number => Math.fround(Math.max(...row.map(Math.abs)) / 127);
/** Rows as a cache holds them. */
export function held({ kv, width }: Heads, rows: Float64Array): Float64Array {
  if (kv === 'f16') return rows.map((value) => roundTo(value, 'float16'));
  if (kv === 'f32') return rows;
  return rows.map((value, at) => {
    const begin = at - (at % width);
    const factor = factorOf(rows.subarray(begin, begin + width));
    return Math.round(value / factor) * factor;
  });
}
/** Codes of rows, laid out, and their factors behind them. */
function codesOf(heads: Heads, what: 'k' | 'v', rows: Float64Array): { readonly codes: number; readonly values: Float64Array } {
  const { kvHeads, width, capacity } = heads;
  const factors = untouched(kvHeads * capacity);
  const codes = rows.map((value, at) => {
    const begin = at - (at % width);
    const factor = factorOf(rows.subarray(begin, begin + width));
    const [position, head] = [Math.floor(begin / (kvHeads * width)), (begin / width) % kvHeads];
    factors[head * capacity + position] = factor;
    return Math.round(value / factor);
  });
  const laid = laidOut(heads, what, codes);
  return { codes: laid.length, values: Float64Array.from([...laid, ...factors]) };
}
/** What rows are to make of a cache. */
export function wantedOf(heads: Heads, what: 'k' | 'v', rows: Float64Array): Wanted {
  return heads.kv === 'q8' ? { of: 'q8', ...codesOf(heads, what, rows) } : { of: heads.kv, values: laidOut(heads, what, rows) };
}

/** A cache with those rows, and poison elsewhere. */
export function cacheOf(heads: Heads, what: 'k' | 'v', rows: Float64Array): Buffer {
  const out = poison(cacheBytes(heads));
  if (heads.kv === 'q8') {
    const { codes, values } = codesOf(heads, what, rows);
    const [bytes, factors] = [new Int8Array(out.buffer, 0, codes), new Float32Array(out.buffer, codes)];
    values.forEach((value, i) => {
      if (Number.isNaN(value)) return;
      if (i < codes) bytes[i] = value;
      else factors[i - codes] = value;
    });
    return out;
  }
  const values = laidOut(heads, what, rows);
  const halves = new Uint16Array(out.buffer);
  const floats = new Float32Array(out.buffer);
  const bits = encode16(Float32Array.from(values), 'float16');
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    if (heads.kv === 'f16') halves[i] = bits[i]!;
    else floats[i] = values[i]!;
  }
  return out;
}
