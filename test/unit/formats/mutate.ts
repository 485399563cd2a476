// Ways in which bytes become wrong: anywhere, in numbers, and in JSON that stays JSON as often as not.
import fc from 'fast-check';
import { concat, rawSafetensors, utf8 } from './files.js';

export type Mutation = (bytes: Uint8Array) => Uint8Array;
/** A part of the way through. */
export const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
/** More often near the beginning, where headers are. */
const at = fc.oneof(
  place,
  place.map((x) => x * x * x),
);
const ODD = [
  0n,
  1n,
  2n,
  3n,
  7n,
  8n,
  9n,
  12n,
  13n,
  255n,
  65_536n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 52n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];

const flip: fc.Arbitrary<Mutation> = fc
  .array(fc.tuple(at, fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 })
  .map((flips) => (bytes) => {
    const out = bytes.slice();
    for (const [x, mask] of flips) if (out.length) out[Math.floor(x * out.length)]! ^= mask;
    return out;
  });
const cut: fc.Arbitrary<Mutation> = at.map((x) => (bytes) => bytes.slice(0, Math.floor(x * bytes.length)));
const splice: fc.Arbitrary<Mutation> = fc.tuple(at, at, fc.uint8Array({ maxLength: 12 })).map(
  ([x, y, more]) =>
    (bytes) =>
      concat([bytes.subarray(0, x * bytes.length), more, bytes.subarray(Math.max(x, y) * bytes.length)]),
);
const again: fc.Arbitrary<Mutation> = fc.tuple(at, at).map(
  ([x, y]) =>
    (bytes) =>
      concat([bytes.subarray(0, y * bytes.length), bytes.subarray(x * bytes.length)]),
);
const odd: fc.Arbitrary<Mutation> = fc.tuple(at, fc.constantFrom(4, 8), fc.constantFrom(...ODD)).map(([x, width, number]) => (bytes) => {
  const out = bytes.slice();
  const begin = Math.floor(x * Math.max(0, out.length - width));
  for (let i = 0; i < width && begin + i < out.length; i++) out[begin + i] = Number((number >> BigInt(8 * i)) & 255n);
  return out;
});

const JSON_VALUES = [
  '-1',
  '0',
  '1',
  '0.5',
  '-0',
  '1e3',
  '1e999',
  'NaN',
  '9007199254740991',
  '9007199254740992',
  '99999999999999999999',
  'null',
  'true',
  '[]',
  '{}',
  '[1,2]',
  '"x"',
  '"../x"',
  '"F16"',
  '"\\ud800"',
  '""',
  '[[[[',
  '}',
];
const TOKEN = /-?\d+(?:\.\d+)?|"(?:[^"\\]|\\.)*"|[[\]{}:,]/g;
/** Of the tokens of a text, some are replaced, swapped or doubled. */
const tokens: fc.Arbitrary<(text: string) => string> = fc
  .array(fc.tuple(place, place, fc.oneof(fc.constantFrom(...JSON_VALUES), fc.constantFrom('swap', 'copy', 'double', 'drop'))), {
    minLength: 1,
    maxLength: 3,
  })
  .map((changes) => (text) => {
    const list = text.match(TOKEN) ?? [];
    for (const [x, y, what] of changes) {
      if (list.length === 0) break;
      const [i, j] = [x, y].map((z) => Math.floor(z * list.length)) as [number, number];
      // Of its own kind, so that most texts stay JSON.
      const other = list.findIndex((token, k) => k >= j && token[0] === list[i]?.[0]);
      const partner = other < 0 ? i : other;
      if (what === 'swap') [list[i], list[partner]] = [list[partner]!, list[i]!];
      else if (what === 'copy') list[i] = list[partner]!;
      else if (what === 'double') list.splice(i, 0, ...list.slice(i, Math.max(i, partner) + 1));
      else if (what === 'drop') list.splice(i, 1);
      else {
        const numbers = list.flatMap((token, k) => (/^["\d-]/.test(token) ? [k] : []));
        if (numbers.length) list[numbers[Math.floor(x * numbers.length)]!] = what;
      }
    }
    return list.join('');
  });
/** A safetensors file's header, with its length put right, or an index. */
const json: fc.Arbitrary<Mutation> = tokens.map((change) => (bytes) => {
  const decode = (part: Uint8Array): string => new TextDecoder().decode(part);
  if (bytes[0] === 0x7b) return utf8(change(decode(bytes)));
  const end = bytes.length < 8 ? 0 : 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  return end === 0 || end > bytes.length || decode(bytes.subarray(0, 4)) === 'GGUF'
    ? bytes
    : rawSafetensors(change(decode(bytes.subarray(8, end))), bytes.slice(end));
});

export const MUTATIONS: Record<string, fc.Arbitrary<Mutation>> = {
  'bits flipped': flip,
  'cut off': cut,
  spliced: fc.oneof(splice, again),
  'odd numbers': odd,
  'JSON spliced': json,
  'several of these': fc
    .array(fc.oneof(flip, cut, splice, again, odd, json), { minLength: 1, maxLength: 3 })
    .map((list) => (bytes) => list.reduce((before, mutate) => mutate(before), bytes)),
};
