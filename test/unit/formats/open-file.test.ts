// openModel recognizes every container from every source by its first bytes; tensors are read at once or by rows.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ArgumentError, FormatError } from '../../../src/errors.js';
import { openModel, readTensor, tensorParts } from '../../../src/files/open-file.js';
import type { TensorFile } from '../../../src/files/tensor-file.js';
import { expectFormatError } from '../../support/expect-errors.js';
import {
  concat,
  counted,
  counting,
  fromMap,
  type GgufValue,
  makeGguf,
  makeMlc,
  makeSafetensors,
  makeShards,
  utf8,
} from '../../support/files.js';
import { serve } from '../../support/server.js';

const tensor = (name: string, dtype: string, shape: number[], size: number, from = 0) => ({
  name,
  dtype,
  shape,
  bytes: counted(size, from),
});
const a = tensor('a', 'F16', [50, 700], 70_000, 1);
const b = tensor('b', 'F32', [1000, 25], 100_000, 2);
const tensors = [a, b];
const split = (no: number): [string, GgufValue][] => [
  ['split.no', ['UINT16', no]],
  ['split.count', ['UINT16', 2]],
];

/** Each container, as files of which the first is opened. */
const MODELS: Record<string, ReadonlyMap<string, Uint8Array<ArrayBuffer>>> = {
  safetensors: new Map([['weights', makeSafetensors(tensors)]]),
  'safetensors in shards': makeShards([[a], [b]]),
  gguf: new Map([['weights', makeGguf(tensors)]]),
  'gguf in parts': new Map([
    ['w-00001-of-00002.gguf', makeGguf([a], { metadata: split(0) })],
    ['w-00002-of-00002.gguf', makeGguf([b], { metadata: split(1) })],
  ]),
  mlc: makeMlc([[a], [b]]),
};

const folder = mkdtempSync(join(tmpdir(), 'antiquant-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function check(file: TensorFile): Promise<void> {
  expect([...file.tensors.keys()]).toEqual(['a', 'b']);
  for (const { name, dtype, shape, bytes } of tensors) {
    const read = await readTensor(file.tensors.get(name)!);
    expect(read).toMatchObject({ name, dtype, shape, file: file.tensors.get(name)!.source.name });
    expect(Buffer.compare(read.bytes, bytes)).toBe(0);
  }
}

describe.each(Object.entries(MODELS))('%s', (what, files) => {
  const [first, bytes] = [...files][0]!;
  test('from a URL with ranges', async () => {
    const { url, log, close } = await serve(files);
    const file = await openModel(url(first));
    expect(file.kind).toBe(what.split(' ')[0]);
    expect(log.length).toBe(files.size); // of each its first bytes, and no more
    await check(file);
    await close();
  });
  test('from disk', async () => {
    for (const [name, content] of files) writeFileSync(join(folder, name), content);
    await check(await openModel(join(folder, first)));
  });
  test('from Files of a page', async () => {
    const picked = [...files].map(([name, content]) => new File([content], name));
    await check(await openModel(picked[0]!, { files: picked }));
  });
  test('from memory, with a resolver', async () => {
    await check(await openModel(bytes, { resolve: fromMap(files), name: first }));
    await check(await openModel(counting(bytes, first), { resolve: fromMap(files) }));
  });
  test('aborted between two reads', async () => {
    const controller = new AbortController();
    const source = counting(bytes, first);
    const once = {
      ...source,
      read: (begin: number, end: number, signal?: AbortSignal) => source.read(begin, end, signal).finally(() => controller.abort()),
    };
    await expect(openModel(once, { resolve: fromMap(files), signal: controller.signal })).rejects.toThrow('aborted');
    expect(source.asked.reads).toBe(1);
  });
});

test.each(['safetensors in shards', 'mlc'])('%s without a way to its shards', async (what) => {
  await expectFormatError(openModel([...MODELS[what]!.values()][0]!), { field: 'shards', expected: 'files or resolve' });
});
test('gguf in parts without a way to the others', async () => {
  await expectFormatError(openModel([...MODELS['gguf in parts']!.values()][0]!), { field: 'split.count', got: '2' });
});

const mistakes: [string, Uint8Array, string, string][] = [
  ['a zip', concat([utf8('PK\u0003\u0004'), new Uint8Array(99).fill(1)]), 'first bytes', 'zip'],
  ['a pickle', Uint8Array.of(0x80, 2, 0x8a, 10, 0x6c, 1, 2, 3, 4), 'first bytes', 'pickle'],
  ['a pointer of LFS', utf8('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'), 'first bytes', 'Git LFS'],
  ['a page', utf8('\n<!DOCTYPE html><html>'), 'first bytes', 'HTML'],
  ['old GGML', concat([utf8('tjgg'), Uint8Array.of(3, 0, 0, 0), new Uint8Array(9)]), 'first bytes', 'GGML'],
  ['gzip', Uint8Array.of(0x1f, 0x8b, 8, 0, 1, 1, 1, 1, 1), 'first bytes', 'gzip'],
  ['other JSON', utf8('{"model_type":"llama"}'), 'index', 'neither'],
  ['nothing', new Uint8Array(0), 'header length', 'a file of 0'],
  ['text', utf8('hello, world'), 'header length', '8583909746840200552'],
];
test.each(mistakes)('refused: %s', async (_, bytes, field, got) => {
  await expectFormatError(openModel(bytes), { field, got });
});
test('a header of 640 bytes begins as a pickle does, and is none', async () => {
  const bytes = makeSafetensors([tensor('n'.repeat(640 - 54), 'U8', [4], 4)]);
  expect([...bytes.subarray(0, 8)]).toEqual([0x80, 2, 0, 0, 0, 0, 0, 0]);
  expect((await openModel(bytes)).tensors.size).toBe(1);
});

describe('parts of a tensor', async () => {
  const source = counting(makeSafetensors(tensors));
  const info = (await openModel(source)).tensors.get('b')!;
  test('rows', async () => {
    const rows = await readTensor(info, { begin: 300, end: 1000 });
    expect(rows.shape).toEqual([7, 25]);
    expect(rows.bytes).toEqual(b.bytes.subarray(300, 1000));
  });
  test.each([
    [1, 100],
    [0, 50],
    [-100, 100],
    [200, 100],
    [0, 100_100],
    [0, Number.NaN],
  ])('not rows: %d to %d', async (begin, end) => {
    await expect(readTensor(info, { begin, end })).rejects.toBeInstanceOf(ArgumentError);
  });
  test('one after another, each within its bytes', async () => {
    source.asked.largest = 0;
    const seen: number[] = [];
    const chunks: Uint8Array[] = [];
    for await (const { tensor: part, done, total } of tensorParts(info, { bytes: 30_099 })) {
      expect(part.shape).toEqual([part.bytes.length / 100, 25]);
      expect(total).toBe(100_000);
      chunks.push(part.bytes);
      seen.push(done);
    }
    expect(seen).toEqual([30_000, 60_000, 90_000, 100_000]);
    expect(source.asked.largest).toBe(30_000);
    expect(Buffer.compare(concat(chunks), b.bytes)).toBe(0);
  });
  test('a row is the least; a scalar and nothing are read at once', async () => {
    const file = await openModel(
      makeSafetensors([tensor('s', 'F32', [], 4), tensor('e', 'F32', [0, 3], 0), tensor('r', 'U8', [2, 9], 18)]),
    );
    for (const [name, parts] of [
      ['s', 1],
      ['e', 1],
      ['r', 2],
    ] as const) {
      let count = 0;
      for await (const { done, total } of tensorParts(file.tensors.get(name)!, { bytes: 1 })) expect(done).toBe((++count * total) / parts);
      expect(count).toBe(parts);
    }
  });
  test('a file that ends before', async () => {
    const short = { ...info, source: counting(new Uint8Array(10), 'short') };
    await expect(readTensor(short)).rejects.toBeInstanceOf(FormatError);
  });
});
