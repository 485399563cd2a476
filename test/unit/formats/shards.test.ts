// Models in several files as they occur: shards without an index, an index of another version of the model, names and metadata of other
// programs. Existing tensors are read, missing files are named, and faults are noted.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/files/json.js';
import { openModel } from '../../../src/files/open-file.js';
import { expectFormatError, expectReadError } from '../../support/expect-errors.js';
import {
  concat,
  counted,
  fromMap,
  type MadeTensor,
  makeMlc,
  makeSafetensors,
  makeShards,
  rawSafetensors,
  utf8,
} from '../../support/files.js';
import { serve } from '../../support/server.js';

const tensor = (name: string): MadeTensor => ({ name, dtype: 'F16', shape: [2, 3], bytes: counted(12) });
const INDEX = 'model.safetensors.index.json';
const shard = (i: number, of = 3): string => `model-0000${i}-of-0000${of}.safetensors`;
const files = makeShards([[tensor('a')], [tensor('b')], [tensor('c')]]);
const folder = mkdtempSync(join(tmpdir(), 'antiquant-'));
afterAll(() => rmSync(folder, { recursive: true }));

function put(name: string, entries: Iterable<readonly [string, Uint8Array]>): (file: string) => string {
  mkdirSync(join(folder, name));
  for (const [file, bytes] of entries) writeFileSync(join(folder, name, file), bytes);
  return (file) => join(folder, name, file);
}
const without = (...names: string[]): Map<string, Uint8Array> => new Map([...files].filter(([name]) => !names.includes(name)));

describe('numbered files without an index', () => {
  const all = without(INDEX);
  test('any of them opens all: by path, by URL, among Files, by a resolver', async () => {
    const at = put('all', all);
    for (const i of [1, 2, 3]) expect([...(await openModel(at(shard(i)))).tensors.keys()]).toEqual(['a', 'b', 'c']);
    const { url, close } = await serve(all);
    expect((await openModel(url(shard(2)))).tensors.size).toBe(3);
    await close();
    const picked = [...all].map(([name, bytes]) => new File([bytes as Uint8Array<ArrayBuffer>], name));
    expect((await openModel(picked[1]!, { files: picked })).tensors.size).toBe(3);
    expect((await openModel(all.get(shard(3))!, { name: shard(3), resolve: fromMap(all) })).tensors.size).toBe(3);
  });
  test('refused: one that is missing, no way to the others, a tensor in two', async () => {
    const at = put('one-missing', without(INDEX, shard(2)));
    await expectReadError(openModel(at(shard(1))), { file: at(shard(2)), reason: 'ENOENT', missing: true });
    await expectFormatError(openModel(new File([all.get(shard(1))! as Uint8Array<ArrayBuffer>], shard(1))), {
      field: 'shards',
      expected: 'the other 2',
    });
    const twice = new Map(all).set(shard(2), makeSafetensors([tensor('a')]));
    await expectFormatError(openModel(put('twice', twice)(shard(1))), { file: shard(2), tensor: 'a', field: 'name' });
  });
  test('one of one is itself', async () => {
    expect((await openModel(makeSafetensors([tensor('a')]), { name: shard(1, 1) })).tensors.size).toBe(1);
  });
});

describe('an index', () => {
  const withIndex = (value: unknown, more: Iterable<readonly [string, Uint8Array]> = []): Map<string, Uint8Array> =>
    new Map([...files, ...more]).set(INDEX, typeof value === 'string' ? utf8(value) : utf8(JSON.stringify(value)));
  const open = (entries: ReadonlyMap<string, Uint8Array>) => openModel(entries.get(INDEX)!, { name: INDEX, resolve: fromMap(entries) });
  const map = { a: shard(1), b: shard(2), c: shard(3) };

  test.each([
    ['metadata null', { metadata: null, weight_map: map }],
    ['names with ./', { metadata: {}, weight_map: { a: `./${shard(1)}`, b: `././${shard(2)}`, c: shard(3) } }],
    ['a byte order mark', `\ufeff${JSON.stringify({ weight_map: map })}`],
    ['members that nobody asks for', { other: [{ x: [[]] }, 'y'], weight_map: map, more: { a: {} } }],
  ])('%s', async (_, value) => {
    const { tensors, notes } = await open(withIndex(value));
    expect([[...tensors.keys()], notes]).toEqual([['a', 'b', 'c'], undefined]);
  });

  test('one name too many: the others are read, and it is told', async () => {
    const { tensors, notes } = await open(withIndex({ weight_map: { ...map, rotary: shard(2) } }));
    expect([...tensors.keys()]).toEqual(['a', 'b', 'c']);
    expect(notes).toEqual([expect.stringContaining('names "rotary", which is not in its files')]);
  });

  test('copied from the unquantized repository, its files are not there: the file beside it is the model', async () => {
    const at = put('stale', [
      [INDEX, files.get(INDEX)!],
      ['model.safetensors', makeSafetensors([tensor('a.qweight')])],
    ]);
    const { tensors, notes } = await openModel(at(INDEX));
    expect([...tensors.keys()]).toEqual(['a.qweight']);
    expect(notes).toEqual([expect.stringContaining('model.safetensors is read')]);
    const { url, close } = await serve(
      new Map([
        [INDEX, files.get(INDEX)!],
        ['model.safetensors', makeSafetensors([tensor('x')])],
      ]),
    );
    expect([...(await openModel(url(INDEX))).tensors.keys()]).toEqual(['x']);
    await close();
  });

  test('copied from the unquantized repository, its files hold other tensors: theirs are read', async () => {
    const { tensors, notes } = await open(withIndex({ weight_map: map }, [[shard(2), makeSafetensors([tensor('b.qweight')])]]));
    expect([...tensors.keys()]).toEqual(['a', 'b.qweight', 'c']);
    expect(notes).toEqual([expect.stringContaining('another version of the model')]);
  });

  test('refused: a file that is missing among others, or none and nothing beside', async () => {
    const one = put('index-one', without(shard(2)));
    await expectReadError(openModel(one(INDEX)), { file: one(shard(2)), reason: 'ENOENT' });
    const none = put('index-none', [[INDEX, files.get(INDEX)!]]);
    await expectReadError(openModel(none(INDEX)), { file: none(shard(1)), reason: 'ENOENT' });
  });

  test('MLC with metadata null', async () => {
    const mlc = makeMlc([[{ name: 'a', dtype: 'F32', shape: [1], bytes: counted(4) }]]);
    const text = new TextDecoder().decode(mlc.get('ndarray-cache.json')).replace(/"metadata":\{.*?\}/, '"metadata":null');
    expect((await openModel(utf8(text), { resolve: fromMap(mlc) })).tensors.size).toBe(1);
  });
});

test('__metadata__ null', async () => {
  expect((await openModel(rawSafetensors('{"__metadata__":null}'))).tensors.size).toBe(0);
});

test("a configuration as Python's json writes and reads it", () => {
  const config = parseConfig(concat([utf8('\ufeff'), utf8('{"a":Infinity,"b":[-Infinity,NaN,1e3],"c":1,"c":{"__proto__":2}}')])) as Record<
    string,
    unknown
  >;
  expect(config).toMatchObject({ a: Number.POSITIVE_INFINITY, b: [Number.NEGATIVE_INFINITY, Number.NaN, 1000] });
  expect(Object.entries(config.c as object)).toEqual([['__proto__', 2]]);
  for (const wrong of ['{', '{"a":}', '[1,]', 'Inf', '+1', '01', '"\ud800', '{"a":1}x', ''])
    expect(() => parseConfig(wrong, { name: 'config.json' }), wrong).toThrow(/^config\.json: JSON: expected JSON, /);
});
