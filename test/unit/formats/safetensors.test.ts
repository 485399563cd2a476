// The reader of safetensors against files of the reference implementation (by scripts/goldens/safetensors-container.py, with the
// reference's verdict on each header), and hostile headers one by one.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/errors.js';
import { readTensor } from '../../../src/files/open-file.js';
import { openSafetensors } from '../../../src/files/safetensors.js';
import { openSafetensorsIndex } from '../../../src/files/safetensors-index.js';
import { expectFormatError, type Wanted } from '../../support/expect-errors.js';
import { counted, counting, fromMap, makeSafetensors, makeShards, rawSafetensors, utf8 } from '../../support/files.js';

const fixtures = join(import.meta.dirname, '../../fixtures/safetensors');
const json = (name: string) => JSON.parse(readFileSync(join(fixtures, name), 'utf8'));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('the reference implementation', () => {
  test('wrote a file, which is read as it was meant', async () => {
    const file = await openSafetensors(counting(readFileSync(join(fixtures, 'reference.safetensors'))));
    const wanted: Record<string, { shape: number[]; bytes: string }> = json('reference.json');
    expect(new Set(file.tensors.keys())).toEqual(new Set(Object.keys(wanted)));
    for (const [name, { shape, bytes }] of Object.entries(wanted)) {
      const read = await readTensor(file.tensors.get(name)!);
      expect({ name, shape: read.shape, bytes: hex(read.bytes) }).toEqual({ name, shape, bytes });
    }
    expect({ ...file.metadata }).toEqual({ note: 'ß' });
  });

  /** The reference takes these, the description of the format does not: "Duplicate keys are disallowed", the header begins with `{`. */
  const stricter = ['duplicate names', 'spaces before'];
  /** 4.0 is 4 here. */
  const looser = ['dimension with a point'];
  const verdicts: { what: string; file: string; accepted: boolean }[] = json('verdicts.json');
  test.each(verdicts)('$what: accepted by it, $accepted', async ({ what, file, accepted }) => {
    const here = await openSafetensors(counting(Buffer.from(file, 'hex'))).then(
      () => true,
      (error: unknown) => {
        expect(error).toBeInstanceOf(FormatError);
        return false;
      },
    );
    expect(here).toBe(stricter.includes(what) ? false : looser.includes(what) ? true : accepted);
  });
  test('the table of its verdicts has both kinds', () => {
    expect(verdicts.filter(({ accepted }) => accepted).length).toBeGreaterThan(15);
    expect(verdicts.filter(({ accepted }) => !accepted).length).toBeGreaterThan(30);
    expect(verdicts.map(({ what }) => what)).toEqual(expect.arrayContaining([...stricter, ...looser]));
  });
});

test('tensors are in the order of the header, whatever they are called, and nothing but the header is read', async () => {
  const tensors = ['b', '10', '9', '__proto__', 'constructor', 'a'].map((name, i) => ({
    name,
    dtype: 'U8',
    shape: [1000],
    bytes: counted(1000, i),
  }));
  const bytes = makeSafetensors(tensors, { ['__proto__']: 'x', toString: 'y' });
  const source = counting(bytes);
  const file = await openSafetensors(source);
  expect([...file.tensors.keys()]).toEqual(tensors.map(({ name }) => name));
  expect(source.asked.bytes).toBe(bytes.length - 6000);
  expect(file.metadata.toString).toBe('y');
  expect(file.metadata.hasOwnProperty).toBeUndefined();
  expect((await readTensor(file.tensors.get('__proto__')!)).bytes).toEqual(counted(1000, 3));
});

const u8 = (offsets: string, more = '"shape":[4]', dtype = '"U8"'): string => `{"dtype":${dtype},${more},"data_offsets":${offsets}}`;
const one = (entry: string): string => `{"a.b":${entry}}`;
const four = new Uint8Array(4);
const hostile: [string, Uint8Array, Wanted][] = [
  ['an empty file', new Uint8Array(0), { field: 'header length', expected: '8 bytes', got: '0' }],
  ['seven bytes', new Uint8Array(7), { field: 'header length', expected: '8 bytes', got: '7' }],
  ['a header longer than the file', rawSafetensors('{}', four, 7n), { field: 'header length', expected: 'at most 6', got: '7' }],
  [
    'a header of 2^64 - 1 bytes',
    rawSafetensors('{}', four, 2n ** 64n - 1n),
    { field: 'header length', expected: '100000000', got: '18446744073709551615' },
  ],
  ['a header of 100 MB and one', rawSafetensors('{}', four, 100_000_001n), { field: 'header length', got: '100000001' }],
  ['a header of nothing', rawSafetensors('', four), { field: 'header', expected: '{', got: 'no bytes' }],
  ['other bytes than UTF-8', rawSafetensors('{"a":1}').fill(0xff, 10, 11), { field: 'header', expected: 'UTF-8' }],
  ['a byte order mark', rawSafetensors('\ufeff{}'), { field: 'header', got: 'byte 239' }],
  ['no JSON', rawSafetensors('{"a":}'), { field: 'header', expected: 'a value at byte 5', got: '"}"' }],
  ['half of it', rawSafetensors('{"a":{"dtype":"U8"'), { field: 'header', got: 'its end' }],
  ['levels without end', rawSafetensors(`{"a":${'['.repeat(1e6)}`), { field: 'header', expected: '32 levels' }],
  [
    'a name twice',
    rawSafetensors(`{"a.b":${u8('[0,4]')},"a.b":${u8('[0,4]')}}`, four),
    { tensor: 'a.b', field: 'header', got: '"a.b" twice' },
  ],
  ['a member twice', rawSafetensors('{"a.b":{"dtype":"U8","dtype":"I8"}}', four), { tensor: 'a.b', field: 'header', got: '"dtype" twice' }],
  ['an array for a tensor', rawSafetensors(one('[1]')), { tensor: 'a.b', field: 'header', expected: 'an object', got: '[1]' }],
  [
    'an unknown dtype',
    rawSafetensors(one(u8('[0,4]', '"shape":[4]', '"constructor"')), four),
    { tensor: 'a.b', field: 'dtype', got: '"constructor"' },
  ],
  ['no dtype', rawSafetensors(one('{}'), four), { tensor: 'a.b', field: 'dtype', expected: 'a string', got: 'nothing' }],
  ['a negative dimension', rawSafetensors(one(u8('[0,4]', '"shape":[2,-2]')), four), { tensor: 'a.b', field: 'shape[1]', got: '-2' }],
  ['half a dimension', rawSafetensors(one(u8('[0,4]', '"shape":[0.5]')), four), { tensor: 'a.b', field: 'shape[0]', got: '0.5' }],
  [
    'a dimension of 2^53',
    rawSafetensors(one(u8('[0,4]', '"shape":[9007199254740992]')), four),
    { tensor: 'a.b', field: 'shape[0]', got: '9007199254740992' },
  ],
  [
    'a dimension past all numbers',
    rawSafetensors(one(u8('[0,4]', '"shape":[1e999]')), four),
    { tensor: 'a.b', field: 'shape[0]', got: 'Infinity' },
  ],
  [
    'elements that overflow',
    rawSafetensors(one(u8('[0,4]', '"shape":[4294967296,4294967296]')), four),
    { tensor: 'a.b', field: 'shape', expected: 'fewer than 2^53' },
  ],
  [
    'bytes that overflow',
    rawSafetensors(one(u8('[0,4]', '"shape":[4503599627370496]', '"F64"')), four),
    { tensor: 'a.b', field: 'shape', expected: '2^53 bytes' },
  ],
  [
    'a shape for more bytes',
    rawSafetensors(one(u8('[0,4]', '"shape":[2]', '"F32"')), four),
    { tensor: 'a.b', field: 'data_offsets', expected: '8 bytes for F32 (2,)', got: '4' },
  ],
  [
    'offsets out of the file',
    rawSafetensors(one(u8('[1,5]')), four),
    { tensor: 'a.b', field: 'data_offsets', expected: 'a part of 4', got: '[1, 5]' },
  ],
  ['offsets backwards', rawSafetensors(one(u8('[4,0]')), four), { tensor: 'a.b', field: 'data_offsets', got: '[4, 0]' }],
  ['a negative offset', rawSafetensors(one(u8('[-4,0]')), four), { tensor: 'a.b', field: 'data_offsets[0]', got: '-4' }],
  [
    'an overlap',
    rawSafetensors(`{"x":${u8('[0,4]')},"a.b":${u8('[2,6]')}}`, new Uint8Array(6)),
    { tensor: 'a.b', field: 'data_offsets', expected: 'at 4, where "x" ends', got: '2' },
  ],
  [
    'a hole',
    rawSafetensors(`{"x":${u8('[0,4]')},"a.b":${u8('[5,9]')}}`, new Uint8Array(9)),
    { tensor: 'a.b', field: 'data_offsets', expected: 'at 4, where "x" ends', got: '5' },
  ],
  ['bytes behind', rawSafetensors(one(u8('[0,4]')), new Uint8Array(5)), { field: 'size', expected: '"a.b" ends' }],
  ['data cut off', rawSafetensors(one(u8('[0,4]')), new Uint8Array(3)), { tensor: 'a.b', field: 'data_offsets', expected: 'a part of 3' }],
  ['metadata of numbers', rawSafetensors('{"__metadata__":{"x":1}}'), { field: '__metadata__.x', expected: 'a string', got: '1' }],
  ['metadata as an array', rawSafetensors('{"__metadata__":[]}'), { field: '__metadata__', expected: 'an object' }],
  [
    'a name of a megabyte',
    rawSafetensors(`{"${'n'.repeat(1e6)}":1}`),
    { tensor: `${'n'.repeat(80)}…`, field: 'header', expected: 'an object' },
  ],
];

test.each(hostile)('refused: %s', async (_, bytes, wanted) => {
  const source = counting(bytes, 'x.safetensors');
  await expectFormatError(openSafetensors(source), { file: 'x.safetensors', ...wanted });
  expect(source.asked.bytes).toBeLessThanOrEqual(bytes.length);
});

describe('in several files', () => {
  const tensor = (name: string, from: number) => ({ name, dtype: 'F16', shape: [2, 3], bytes: counted(12, from) });
  const files = makeShards([[tensor('c', 0), tensor('a', 1)], [tensor('b', 2)], [tensor('__proto__', 3)]]);
  const index = 'model.safetensors.index.json';
  const open = (entries: ReadonlyMap<string, Uint8Array>) =>
    openSafetensorsIndex(counting(entries.get(index)!, index), { resolve: fromMap(entries) });
  const shard = (i: number): string => `model-0000${i}-of-00003.safetensors`;
  const withIndex = (text: string): Map<string, Uint8Array> => new Map<string, Uint8Array>(files).set(index, utf8(text));

  test('the tensors of all, in the order of the index', async () => {
    const file = await open(files);
    expect([...file.tensors.keys()]).toEqual(['c', 'a', 'b', '__proto__']);
    expect({ ...file.metadata }).toEqual({ total_size: 48 });
    for (const [i, info] of [...file.tensors.values()].entries()) {
      expect(info.source.name).toBe(shard([1, 1, 2, 3][i]!));
      expect((await readTensor(info)).bytes).toEqual(counted(12, i));
    }
  });

  test('a tensor that the index does not name is left out', async () => {
    expect([...(await open(withIndex(`{"weight_map":{"a":"${shard(1)}"}}`))).tensors.keys()]).toEqual(['a']);
  });

  const bad: [string, string, Wanted][] = [
    ['out of the folder', '{"weight_map":{"a":"../x.safetensors"}}', { tensor: 'a', field: 'weight_map', got: '"../x.safetensors"' }],
    ['out of a folder within', '{"weight_map":{"a":"b/../../x"}}', { tensor: 'a', field: 'weight_map' }],
    ['from the root', '{"weight_map":{"a":"/etc/passwd"}}', { tensor: 'a', field: 'weight_map' }],
    ['of another drive', '{"weight_map":{"a":"C:x"}}', { tensor: 'a', field: 'weight_map' }],
    ['with a backslash', '{"weight_map":{"a":"..\\\\x"}}', { tensor: 'a', field: 'weight_map' }],
    ['of another host', '{"weight_map":{"a":"https://example.org/x"}}', { tensor: 'a', field: 'weight_map' }],
    ['with a null', '{"weight_map":{"a":"x\\u0000"}}', { tensor: 'a', field: 'weight_map' }],
    ['of nothing', '{"weight_map":{"a":""}}', { tensor: 'a', field: 'weight_map' }],
    ['as a number', '{"weight_map":{"a":1}}', { tensor: 'a', field: 'weight_map', got: '1' }],
    ['twice', `{"weight_map":{"a":"${shard(1)}","a":"${shard(2)}"}}`, { tensor: 'a', field: 'index', got: '"a" twice' }],
  ];
  test.each(bad)('refused: a shard %s', async (_, text, wanted) => {
    await expectFormatError(open(withIndex(text)), { file: index, ...wanted });
  });
  test('refused: more shards than any model has', async () => {
    const map = Object.fromEntries(Array.from({ length: 20_001 }, (_, i) => [`t${i}`, `s${i}`]));
    await expectFormatError(open(withIndex(JSON.stringify({ weight_map: map }))), { field: 'weight_map', expected: '20000', got: '20001' });
  });
  test.each(['[]', '{}', '{"weight_map":[]}', '{"metadata":1,"weight_map":{}}', 'null', ''])('refused: an index %j', async (text) => {
    await expect(open(withIndex(text))).rejects.toBeInstanceOf(FormatError);
  });
  test('a shard that is wrong is named', async () => {
    const cut = new Map<string, Uint8Array>(files).set(shard(2), files.get(shard(2))!.slice(0, -1));
    await expectFormatError(open(cut), { file: shard(2), tensor: 'b', field: 'data_offsets' });
  });
});
