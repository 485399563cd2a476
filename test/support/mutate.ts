// Mutations of bytes: anywhere, in numbers, and in JSON, which often stays valid.
import fc from 'fast-check';
import { concat, rawSafetensors, utf8 } from './files.js';

export type Mutation = (bytes: Uint8Array) => Uint8Array;
/** A part of the way through, each as likely: doubles would nearly all be next to 0. */
export const place = fc.nat(2 ** 20 - 1).map((x) => x / 2 ** 20);
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

const NUMBERS = '-1 0 1 2 0.5 -0 1e3 1e999 NaN 9007199254740991 9007199254740992 99999999999999999999'.split(' ');
const VALUES = [...NUMBERS, 'null', 'true', '[]', '{}', '[1,2]', '"x"', '"../x"', '"F16"', '"\\ud800"', '""', '[[[[', '}'];
const TOKEN = /-?\d+(?:\.\d+)?|"(?:[^"\\]|\\.)*"|[[\]{}:,]/g;
/** A shape, or offsets. */
const GROUP = /\[[^[\]]*\]/g;

/** The parts of a text that match; one of them, and another at or after a second place, are given to `change`, which puts others there. */
function among(text: string, pattern: RegExp, [x, y]: readonly number[], change: (list: string[], i: number, j: number) => void): string {
  const parts = text.match(pattern) ?? [];
  if (parts.length === 0) return text;
  const between = text.split(pattern);
  change(parts, Math.floor(x! * parts.length), Math.floor(y! * parts.length));
  return between.map((gap, i) => gap + (parts[i] ?? '')).join('') + parts.slice(between.length).join('');
}
type Change = (text: string) => string;
const two = fc.tuple(place, place);
const changes: fc.Arbitrary<Change> = fc.oneof(
  // A number becomes another, of the text or not; a shape or offsets become another's.
  fc.tuple(two, fc.constantFrom(...NUMBERS)).map(
    ([at, to]) =>
      (text: string) =>
        among(text, /-?\d+(?:\.\d+)?/g, at, (list, i) => (list[i] = to)),
  ),
  two.map((at) => (text: string) => among(text, /-?\d+(?:\.\d+)?/g, at, (list, i, j) => (list[i] = list[j]!))),
  two.map((at) => (text: string) => among(text, GROUP, at, (list, i, j) => (list[i] = list[j]!))),
  two.map((at) => (text: string) => among(text, GROUP, at, (list, i, j) => ([list[i], list[j]] = [list[j]!, list[i]!]))),
  // Any token becomes another, is swapped, doubled with what follows, or goes.
  fc.tuple(two, fc.constantFrom(...VALUES)).map(
    ([at, to]) =>
      (text: string) =>
        among(text, TOKEN, at, (list, i) => (list[i] = to)),
  ),
  two.map((at) => (text: string) => among(text, TOKEN, at, (list, i, j) => ([list[i], list[j]] = [list[j]!, list[i]!]))),
  two.map((at) => (text: string) => among(text, /"(?:[^"\\]|\\.)*"/g, at, (list, i, j) => (list[i] = list[j]!))),
  two.map((at) => (text: string) => among(text, TOKEN, at, (list, i, j) => list.splice(i, 0, ...list.slice(i, j)))),
  two.map((at) => (text: string) => among(text, TOKEN, at, (list, i) => list.splice(i, 1))),
);
const tokens: fc.Arbitrary<Change> = fc
  .array(changes, { minLength: 1, maxLength: 3 })
  .map((list) => (text) => list.reduce((before, change) => change(before), text));

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
