// The reader of GGUF against files of llama.cpp's writer that a second reader parsed (scripts/goldens/gguf-container.py and .mjs), and
// hostile headers one by one.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { GGML_TYPES } from '../../../src/files/ggml-types.js';
import { openGguf } from '../../../src/files/gguf.js';
import { type GgufArray, isGgufArray, readGgufArray } from '../../../src/files/gguf-values.js';
import { readTensor } from '../../../src/files/open-file.js';
import { expectFormatError, type Wanted } from '../../support/expect-errors.js';
import {
  concat,
  counted,
  counting,
  fromMap,
  type GgufValue,
  ggufHead,
  ggufInfo,
  ggufString,
  makeGguf,
  u32,
  u64,
  utf8,
} from '../../support/files.js';

const fixtures = join(import.meta.dirname, '../../fixtures/gguf');
const fixture = (name: string) => counting(readFileSync(join(fixtures, name)), name);
const files = new Map(readdirSync(fixtures).map((name) => [name, readFileSync(join(fixtures, name))]));
interface Parsed {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tensorInfos: readonly { name: string; shape: string[]; dtype: number; offset: string }[];
  readonly tensorDataOffset: string;
}
const parsed: Record<string, Parsed> = JSON.parse(readFileSync(join(fixtures, 'parse.json'), 'utf8'));
const integer = (text: unknown): unknown => (typeof text === 'string' && /^-?\d+n$/.test(text) ? BigInt(text.slice(0, -1)) : text);
const OWN = ['version', 'tensor_count', 'kv_count'];

describe('a file by llama.cpp’s writer, as @huggingface/gguf reads it', () => {
  test('every key and value', async () => {
    const file = await openGguf(fixture('types.gguf'));
    const entries = Object.entries(parsed['types.gguf']!.metadata).filter(([key]) => !OWN.includes(key));
    expect(entries.length).toBeGreaterThan(15);
    expect(Object.keys(file.metadata)).toEqual(entries.map(([key]) => key));
    for (const [key, value] of entries) {
      const here = file.metadata[key];
      const read = isGgufArray(here) ? await readGgufArray(here) : here;
      const wanted = integer(value);
      expect(typeof wanted === 'bigint' && typeof read === 'number' ? BigInt(read) : read, key).toEqual(wanted);
    }
    expect(file.metadata['a.uint64']).toBe(2n ** 64n - 1n);
    expect(file.metadata['a.uint64.small']).toBe(2 ** 53 - 1);
    expect(file.metadata.bytes).toMatchObject({ of: 'UINT8', length: 1280 });
  });

  test('every tensor: type, shape from the outside in, and place', async () => {
    const source = fixture('types.gguf');
    const file = await openGguf(source);
    const { tensorInfos, tensorDataOffset } = parsed['types.gguf']!;
    const data = Number.parseInt(tensorDataOffset, 10);
    const seen = [...file.tensors.values()].map(({ name, shape, begin, dtype }) => ({ name, shape, begin, dtype }));
    expect(seen).toEqual(
      tensorInfos.map(({ name, shape, dtype, offset }) => ({
        name,
        shape: shape.map(Number.parseFloat).reverse(),
        begin: data + Number.parseInt(offset, 10),
        dtype: GGML_TYPES.get(dtype)!.name,
      })),
    );
    expect(seen.length).toBeGreaterThan(30);
    // What the writer wrote between a tensor and the next is its bytes and less than one alignment of zeros.
    const ends = [...seen.slice(1).map(({ begin }) => begin), source.size];
    for (const [i, { end, name }] of [...file.tensors.values()].entries()) expect(Math.ceil(end / 32) * 32, name).toBe(ends[i]);
  });

  test('the numbers, names and sizes of all its types are here', () => {
    const sizes: Record<string, number[]> = JSON.parse(readFileSync(join(fixtures, 'sizes.json'), 'utf8'));
    expect(Object.keys(sizes).length).toBeGreaterThan(30);
    for (const [name, [id, elements, bytes]] of Object.entries(sizes)) expect(GGML_TYPES.get(id!)).toEqual({ name, elements, bytes });
    const more = [...GGML_TYPES.values()].map(({ name }) => name).filter((name) => !(name in sizes));
    expect(more).toEqual(['Q8_1', 'Q2_0']); // gguf-py gives Q8_1 the bytes of an older struct, and this version does not know Q2_0
  });

  test.each([1, 2, 3])('split into three, opened by file %i', async (i) => {
    const file = await openGguf(fixture(`split-0000${i}-of-00003.gguf`), { resolve: fromMap(files) });
    expect([...file.tensors.keys()]).toEqual(['t0', 't1', 't2', 't3', 't4']);
    expect(file.metadata['general.architecture']).toBe('test');
    const values = [];
    for (const info of file.tensors.values()) values.push([...new Float32Array((await readTensor(info)).bytes.buffer as ArrayBuffer)]);
    expect(values).toEqual([0, 1, 2, 3, 4].map((value) => Array(6).fill(value)));
  });
});

const tensor = (name: string, dtype: string, shape: number[], bytes: number) => ({ name, dtype, shape, bytes: counted(bytes) });

test('version 2, another alignment, scalars and empty tensors', async () => {
  const tensors = [tensor('a', 'Q8_0', [2, 32], 68), tensor('s', 'F32', [], 4), tensor('e', 'F16', [0, 4], 0), tensor('z', 'I8', [3], 3)];
  for (const version of [2, 3]) {
    const file = await openGguf(counting(makeGguf(tensors, { version, alignment: 8 })));
    expect([...file.tensors.values()].map(({ dtype, shape }) => [dtype, shape])).toEqual(tensors.map(({ dtype, shape }) => [dtype, shape]));
    for (const { name, bytes } of tensors) expect((await readTensor(file.tensors.get(name)!)).bytes).toEqual(bytes);
  }
});

test('a vocabulary is walked in few reads, not kept, and read when asked for', async () => {
  const words = Array.from({ length: 12_000 }, (_, i) => `word ${i} ${'ß'.repeat(i % 5)}`);
  const metadata: [string, GgufValue][] = [
    ['__proto__', ['STRING', 'x']],
    ['words', ['ARRAY', ['STRING', words]]],
    ['scores', ['ARRAY', ['FLOAT32', words.map((_, i) => i)]]],
    ['few', ['ARRAY', ['STRING', ['a', 'b']]]],
    [
      'nested',
      [
        'ARRAY',
        [
          'ARRAY',
          [
            ['UINT8', [1, 2]],
            ['STRING', ['x']],
            ['UINT8', []],
          ],
        ],
      ],
    ],
  ];
  const bytes = makeGguf([tensor('t', 'F32', [100_000], 400_000)], { metadata });
  const source = counting(bytes);
  const file = await openGguf(source);
  const header = bytes.length - 400_000;
  expect(source.asked.bytes).toBeLessThan(header + 2 ** 20);
  expect(source.asked.reads).toBeLessThan(8);
  expect(Object.keys(file.metadata)).toEqual(['__proto__', 'words', 'scores', 'few', 'nested']);
  expect(file.metadata.few).toEqual(['a', 'b']);
  expect(file.metadata.words).toMatchObject({ of: 'STRING', length: 12_000 });
  expect(await readGgufArray(file.metadata.words as GgufArray)).toEqual(words);
  expect((await readGgufArray(file.metadata.scores as GgufArray)).slice(-2)).toEqual([11_998, 11_999]);
  expect(await readGgufArray(file.metadata.nested as GgufArray)).toEqual([[1, 2], ['x'], []]);
  expect(Buffer.from(counted(400_000)).equals((await readTensor(file.tensors.get('t')!)).bytes)).toBe(true);
}, 30_000);

const key = (name: string, type: number, value: Uint8Array): Uint8Array => concat([ggufString(name), u32(type), value]);
const withKey = (...keys: Uint8Array[]): Uint8Array => concat([ggufHead(3, 0, keys.length), ...keys]);
test('no more than 2^20 elements of arrays are kept', async () => {
  const array = concat([u32(0), u64(1024), new Uint8Array(1024)]);
  const { metadata: read } = await openGguf(counting(withKey(...Array.from({ length: 1030 }, (_, i) => key(`k${i}`, 9, array)))));
  expect(Object.values(read).filter(Array.isArray).length).toBe(1024);
  expect(Object.values(read).filter(isGgufArray).length).toBe(6);
}, 30_000);

/** A header with these tensors, padding, and data. */
const withInfos = (data: number, ...infos: Uint8Array[]): Uint8Array => {
  const head = concat([ggufHead(3, infos.length, 0), ...infos]);
  return concat([head, new Uint8Array(Math.ceil(head.length / 32) * 32 - head.length + data)]);
};
const nested = (levels: number): Uint8Array => (levels === 0 ? concat([u32(0), u64(0)]) : concat([u32(9), u64(1), nested(levels - 1)]));

const hostile: [string, Uint8Array, Wanted][] = [
  ['an empty file', new Uint8Array(0), { field: 'header', expected: '24 bytes', got: '0 before the end' }],
  ['23 bytes', ggufHead(3, 0, 0).slice(0, 23), { field: 'header', got: '23' }],
  ['another magic', concat([utf8('GGML'), u32(3), u64(0), u64(0)]), { field: 'magic', got: '"GGML"' }],
  ['version 1', ggufHead(1, 0, 0), { field: 'version', expected: '2 or 3', got: '2023' }],
  ['version 4', ggufHead(4, 0, 0), { field: 'version', got: '4' }],
  ['big-endian', ggufHead(0x03000000, 0, 0), { field: 'version', expected: 'little-endian', got: '3, big-endian' }],
  ['2^63 tensors', ggufHead(3, 2n ** 63n, 0), { field: 'tensor_count', got: '9223372036854775808' }],
  ['a million and more tensors', ggufHead(3, 2 ** 20 + 1, 0), { field: 'tensor_count', expected: 'at most 131072' }],
  ['tensors that are not there', ggufHead(3, 7, 0), { field: 'tensor_infos[0].name', expected: '8 bytes', got: '0' }],
  ['2^40 keys', ggufHead(3, 0, 2 ** 40), { field: 'metadata_kv_count', expected: 'at most 65536' }],
  [
    'a key without end',
    concat([ggufHead(3, 0, 1), u64(60_000), utf8('ab')]),
    { field: 'metadata_kv[0].key', expected: '60000 bytes', got: '2' },
  ],
  [
    'a key too long',
    concat([ggufHead(3, 0, 1), u64(65_536), new Uint8Array(65_536)]),
    { field: 'metadata_kv[0].key', expected: 'at most 65535' },
  ],
  ['an empty key', withKey(key('', 0, Uint8Array.of(1))), { field: 'metadata_kv[0].key', got: 'an empty one' }],
  [
    'a key of other bytes',
    concat([ggufHead(3, 0, 1), ggufString(Uint8Array.of(0xff)), u32(0), new Uint8Array(1)]),
    { field: 'metadata_kv[0].key', expected: 'UTF-8' },
  ],
  ['a key twice', withKey(key('k', 0, Uint8Array.of(1)), key('k', 0, Uint8Array.of(1))), { field: 'k', expected: 'each key once' }],
  ['an unknown value type', withKey(key('k', 13, new Uint8Array(8))), { field: 'k', expected: '0 to 12', got: '13' }],
  ['a bool of 2', withKey(key('k', 7, Uint8Array.of(2))), { field: 'k', expected: '0 or 1', got: '2' }],
  ['a string past the end', withKey(key('k', 8, u64(1))), { field: 'k', expected: 'at most 0 bytes', got: '1' }],
  ['a string of 2^60', withKey(key('k', 8, u64(2n ** 60n))), { field: 'k', expected: 'below 2^53', got: '1152921504606846976' }],
  [
    'an array past the end',
    withKey(key('k', 9, concat([u32(4), u64(3), new Uint8Array(11)]))),
    { field: 'k', expected: 'at most 2 UINT32', got: '3' },
  ],
  [
    'an array of 2^52',
    withKey(key('k', 9, concat([u32(0), u64(2n ** 52n)]))),
    { field: 'k', expected: 'at most 0', got: '4503599627370496' },
  ],
  ['an array of unknown type', withKey(key('k', 9, concat([u32(99), u64(0)]))), { field: 'k', got: '99' }],
  ['arrays in nine levels', withKey(key('k', 9, nested(8))), { field: 'k', expected: '8 levels' }],
  [
    'a long array of strings, cut off',
    withKey(key('k', 9, concat([u32(8), u64(2000), ...Array(1999).fill(u64(0)), u64(5), utf8('abcd')]))),
    { field: 'k', expected: 'at most 4 bytes', got: '5' },
  ],
  [
    'alignment 0',
    makeGguf([], { metadata: [['general.alignment', ['UINT32', 0]]] }),
    { field: 'general.alignment', expected: 'a power of two', got: '0' },
  ],
  ['alignment 24', makeGguf([], { metadata: [['general.alignment', ['UINT32', 24]]] }), { field: 'general.alignment', got: '24' }],
  [
    'alignment as text',
    makeGguf([], { metadata: [['general.alignment', ['STRING', '32']]] }),
    { field: 'general.alignment', got: '"32" as STRING' },
  ],
  [
    'alignment as UINT64',
    makeGguf([], { metadata: [['general.alignment', ['UINT64', 32]]] }),
    { field: 'general.alignment', got: 'UINT64' },
  ],
  ['a name twice', withInfos(64, ggufInfo('a', [1], 24, 0), ggufInfo('a', [1], 24, 32)), { tensor: 'a', field: 'name', expected: 'once' }],
  ['five dimensions', withInfos(32, ggufInfo('a', [1, 1, 1, 1, 1], 24, 0)), { tensor: 'a', field: 'n_dimensions', expected: 'at most 4' }],
  [
    'a billion dimensions',
    concat([ggufHead(3, 1, 0), ggufString('a'), u32(1e9)]),
    { tensor: 'a', field: 'n_dimensions', got: '1000000000' },
  ],
  ['a dimension of -1', withInfos(32, ggufInfo('a', [-1], 24, 0)), { field: 'tensor_infos[0].dimensions[0]', got: '18446744073709551615' }],
  [
    'elements that overflow',
    withInfos(32, ggufInfo('a', [2 ** 31, 2 ** 31], 0, 0)),
    { tensor: 'a', field: 'dimensions', expected: '2^53 elements' },
  ],
  [
    'bytes that overflow',
    withInfos(32, ggufInfo('a', [2 ** 26, 2 ** 26], 0, 0)),
    { tensor: 'a', field: 'dimensions', expected: '2^53 bytes' },
  ],
  ['an unknown type', withInfos(32, ggufInfo('a', [1], 43, 0)), { tensor: 'a', field: 'type', got: '43' }],
  [
    'a type that ggml removed',
    withInfos(32, ggufInfo('a', [1], 31, 0)),
    { tensor: 'a', field: 'type', got: 'Q4_0_4_4, which ggml removed' },
  ],
  [
    'rows of half a block',
    withInfos(64, ggufInfo('a', [48, 2], 8, 0)),
    { tensor: 'a', field: 'dimensions[0]', expected: "32, Q8_0's block", got: '48' },
  ],
  [
    'an offset between',
    withInfos(64, ggufInfo('a', [4], 24, 16)),
    { tensor: 'a', field: 'offset', expected: 'a multiple of 32', got: '16' },
  ],
  [
    'an offset past the end',
    withInfos(64, ggufInfo('a', [4], 24, 64)),
    { tensor: 'a', field: 'offset', expected: '4 bytes within the 64', got: '64' },
  ],
  [
    'an offset of 2^53 - 32',
    withInfos(64, ggufInfo('a', [4], 24, 2 ** 53 - 32)),
    { tensor: 'a', field: 'offset', got: '9007199254740960' },
  ],
  ['data cut off', withInfos(63, ggufInfo('a', [64], 24, 0)), { tensor: 'a', field: 'offset', expected: '64 bytes within the 63' }],
  ['no data', concat([ggufHead(3, 1, 0), ggufInfo('a', [64], 24, 0)]), { tensor: 'a', field: 'offset', expected: 'within the 0 of data' }],
  [
    'an overlap',
    withInfos(96, ggufInfo('a', [64], 24, 0), ggufInfo('b', [4], 24, 32)),
    { tensor: 'b', field: 'offset', expected: 'where "a" ends' },
  ],
  [
    'the same bytes',
    withInfos(96, ggufInfo('a', [4], 24, 0), ggufInfo('b', [4], 24, 0)),
    { tensor: 'b', field: 'offset', expected: 'where "a" ends' },
  ],
  [
    'a split that is not named so',
    makeGguf([], { metadata: [['split.count', ['UINT16', 3]]] }),
    { field: 'split.count', expected: '-00001-of-0000N', got: '3' },
  ],
];
test.each(hostile)('refused: %s', async (_, bytes, wanted) => {
  const source = counting(bytes, 'x.gguf');
  await expectFormatError(openGguf(source, { resolve: fromMap(new Map()) }), { file: 'x.gguf', ...wanted });
  expect(source.asked.bytes).toBeLessThanOrEqual(bytes.length);
});

describe('a split that does not fit together', () => {
  const part = (no: number, count: number, names: string[], total = 2): Uint8Array =>
    makeGguf(
      names.map((name) => tensor(name, 'F32', [1], 4)),
      {
        metadata: [
          ['split.no', ['UINT16', no]],
          ['split.count', ['UINT16', count]],
          ['split.tensors.count', ['INT32', total]],
        ],
      },
    );
  const name = (i: number): string => `m-0000${i}-of-00002.gguf`;
  const cases: [string, Uint8Array, Wanted][] = [
    ['another number', part(0, 2, ['b']), { file: name(2), field: 'split.no', expected: '1', got: '0' }],
    ['another count', part(1, 3, ['b']), { file: name(2), field: 'split.count', expected: '2', got: '3' }],
    ['a tensor again', part(1, 2, ['a']), { file: name(2), tensor: 'a', field: 'name' }],
    ['a tensor too few', part(1, 2, []), { file: name(1), field: 'split.tensors.count', expected: '1', got: '2' }],
  ];
  test.each(cases)('refused: %s', async (_, second, wanted) => {
    const resolve = fromMap(new Map([[name(2), second]]));
    await expectFormatError(openGguf(counting(part(0, 2, ['a']), name(1)), { resolve }), wanted);
  });
  test('and one that does', async () => {
    const resolve = fromMap(new Map([[name(2), part(1, 2, ['b'])]]));
    const file = await openGguf(counting(part(0, 2, ['a']), `https://example.org/x/${name(1)}`), { resolve });
    expect([...file.tensors.keys()]).toEqual(['a', 'b']);
  });
});
