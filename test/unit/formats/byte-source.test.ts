// Each kind of source: parts are right, a failure is a FormatError or ReadError with the file's name, and aborting ends a read.
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { UnsupportedError } from '../../../src/errors.js';
import { byteSource } from '../../../src/files/byte-source.js';
import { among, siblings } from '../../../src/files/shards.js';
import { expectFormatError, expectReadError } from '../../support/expect-errors.js';
import { counted } from '../../support/files.js';
import { type AnswerName, type Server, serve } from '../../support/server.js';

const SIZE = 200_000;
const bytes = counted(SIZE);
const folder = mkdtempSync(join(tmpdir(), 'antiquant-'));
const path = join(folder, 'a file.bin');
writeFileSync(path, bytes);
afterAll(() => rmSync(folder, { recursive: true }));

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});
async function server(answer: AnswerName = 'ranges', files = new Map([['a file.bin', bytes]])): Promise<Server> {
  const started = await serve(files, answer);
  servers.push(started);
  return started;
}

const shifted = new Uint8Array(SIZE + 6);
shifted.set(bytes, 3);
const KINDS = {
  ArrayBuffer: async () => bytes.buffer,
  'Uint8Array in a buffer': async () => shifted.subarray(3, SIZE + 3),
  Blob: async () => new Blob([bytes]),
  File: async () => new File([bytes], 'a file.bin'),
  path: async () => path,
  'file: URL': async () => pathToFileURL(path),
  'http URL': async () => (await server()).url('a%20file.bin?key=secret'),
  'URL without ranges': async () => new URL((await server('whole')).url('a%20file.bin')),
  'URL without ranges or length': async () => (await server('wholeInChunks')).url('a%20file.bin'),
  'URL whose Content-Range has no size': async () => (await server('unsized')).url('a%20file.bin'),
  'URL whose Content-Range is hidden': async () => (await server('hidden')).url('a%20file.bin'),
};

describe.each(Object.entries(KINDS))('%s', (_, make) => {
  test.each([
    [0, 8],
    [0, SIZE],
    [65_530, 65_540],
    [100_001, 100_002],
    [SIZE - 7, SIZE],
    [5, 5],
    [SIZE, SIZE],
  ])('bytes %i to %i', async (begin, end) => {
    const source = await byteSource(await make());
    expect(source.size).toBe(SIZE);
    const part = await source.read(begin, end);
    expect(Buffer.compare(part, bytes.subarray(begin, end))).toBe(0);
    part.fill(0); // the caller's own memory: nobody else sees this
    expect(Buffer.compare(await source.read(begin, end), bytes.subarray(begin, end))).toBe(0);
  });

  test.each([
    [0, SIZE + 1],
    [-1, 4],
    [4, 3],
    [0.5, 4],
    [0, Number.NaN],
    [2 ** 53, 2 ** 53 + 2],
  ])('refused: bytes %d to %d', async (begin, end) => {
    const source = await byteSource(await make());
    await expectFormatError(source.read(begin, end), { file: source.name, field: 'bytes', expected: `${SIZE}`, got: `${begin} to ${end}` });
  });

  test('aborted before', async () => {
    const source = await byteSource(await make());
    const why = new Error('enough');
    await expect(source.read(0, SIZE, AbortSignal.abort(why))).rejects.toBe(why);
    await expect(byteSource(await make(), { signal: AbortSignal.abort(why) })).rejects.toBe(why);
  });

  test('aborted within', async () => {
    const source = await byteSource(await make());
    const controller = new AbortController();
    const reading = source.read(0, SIZE, controller.signal);
    const why = new Error('enough');
    controller.abort(why);
    await reading.then(
      (part) => expect(part.length).toBe(SIZE), // memory is read at once
      (error) => expect(error).toBe(why),
    );
  });
});

test('names: of a File, a path, a URL without its query, and one that is given', async () => {
  const url = (await server()).url('a%20file.bin?key=secret');
  expect((await byteSource(new File([], 'x.gguf'))).name).toBe('x.gguf');
  expect((await byteSource(new Uint8Array(0))).name).toBe('memory');
  expect((await byteSource(path)).name).toBe(path);
  expect((await byteSource(url)).name).toBe(`${new URL(url).origin}/a file.bin`);
  expect((await byteSource(path, { name: 'weights' })).name).toBe('weights');
});

describe('a file on disk', () => {
  test('that shrinks', async () => {
    const shrinking = join(folder, 'shrinking');
    writeFileSync(shrinking, bytes);
    const source = await byteSource(shrinking);
    truncateSync(shrinking, 1000);
    await expectFormatError(source.read(0, 500), { file: shrinking, field: 'size', expected: `${SIZE}`, got: '1000' });
    rmSync(shrinking);
    await expectReadError(source.read(0, 500), { file: shrinking, reason: 'ENOENT', missing: true });
  });
  test('that is not there, or a folder', async () => {
    await expectReadError(byteSource(join(folder, 'none')), { file: 'none', reason: 'ENOENT', missing: true });
    await expectReadError(byteSource(folder), { file: folder, reason: 'folder', missing: false });
  });
});

test('a Blob that gives fewer bytes', async () => {
  const blob = new Blob([bytes]);
  blob.slice = () => new Blob([bytes.subarray(0, 3)]);
  await expectFormatError((await byteSource(blob)).read(10, 20), { file: 'Blob', field: 'bytes 10 to 20', expected: '10 bytes', got: '3' });
});

describe('a server', () => {
  test('is asked for the first bytes once, and for parts after that', async () => {
    const { url, log } = await server();
    const source = await byteSource(url('a%20file.bin'));
    await source.read(0, 8);
    await source.read(8, 60_000);
    await source.read(60_000, 70_000);
    expect(log).toEqual(['GET a file.bin 0-65535', 'GET a file.bin 60000-69999']);
  });
  test('with an empty file', async () => {
    const { url } = await server('ranges', new Map([['empty', new Uint8Array(0)]]));
    const source = await byteSource(url('empty'));
    expect([source.size, (await source.read(0, 0)).length]).toEqual([0, 0]);
  });
  test('behind another fetch', async () => {
    const seen: unknown[] = [];
    const mine: typeof fetch = (url, init) => {
      seen.push(new Headers(init?.headers).get('Range'));
      return fetch(url, { ...init, headers: { ...init?.headers, Authorization: 'x' } });
    };
    await (await byteSource((await server()).url('a%20file.bin'), { fetch: mine })).read(70_000, 70_001);
    expect(seen).toEqual(['bytes=0-65535', 'bytes=70000-70000']);
  });

  const opening: [AnswerName, { field: string; got: string }][] = [
    ['blind', { field: 'size', got: 'null' }],
    ['nonsense', { field: 'Content-Range', got: 'bytes x-y/z' }],
  ];
  test.each(opening)('%s', async (answer, wanted) => {
    await expectFormatError(byteSource((await server(answer)).url('a%20file.bin')), { file: '/a file.bin', ...wanted });
  });
  const reading: [AnswerName, { field: string; expected?: string; got: string }][] = [
    ['changesItsMind', { field: 'HTTP status', expected: '206', got: '200 OK' }],
    ['otherPart', { field: 'Content-Range', expected: 'bytes 70000-70099/200000', got: 'bytes 69999-70098/200000' }],
    ['shrinks', { field: 'Content-Range', expected: '/200000', got: '/199999' }],
    ['short', { field: 'bytes 70000 to 70100', expected: '100 bytes', got: '99' }],
    ['long', { field: 'bytes 70000 to 70100', expected: '100 bytes', got: 'more' }],
  ];
  test.each(reading)('%s', async (answer, wanted) => {
    const source = await byteSource((await server(answer)).url('a%20file.bin'));
    await expectFormatError(source.read(70_000, 70_100), { file: '/a file.bin', ...wanted });
  });
  test.each(['whole', 'wholeInChunks'] as const)('%s: not past wholeUpTo', async (answer) => {
    const opened = byteSource((await server(answer)).url('a%20file.bin'), { wholeUpTo: SIZE - 1 });
    await expect(opened).rejects.toBeInstanceOf(UnsupportedError);
    await expect(opened).rejects.toThrow(/200 instead of 206.*199999 bytes/);
  });
  test('without the file, or that breaks off', async () => {
    const missing = byteSource((await server('missing')).url('a%20file.bin'));
    await expectReadError(missing, { file: '/a file.bin', reason: 'HTTP status 404 Not Found', status: 404, missing: true });
    const source = await byteSource((await server('breaksOff')).url('a%20file.bin'));
    await expectReadError(source.read(70_000, 70_100), { file: '/a file.bin', reason: 'breaks off after 10 bytes: terminated' });
  });
  test('that is not there', async () => {
    const { url, close } = await server();
    await close();
    await expectReadError(byteSource(url('x')), { file: '/x', reason: 'request: fetch failed: connect ECONNREFUSED', missing: false });
  });
  test('that stalls is left when aborted', async () => {
    const source = await byteSource((await server('stalls')).url('a%20file.bin'));
    const controller = new AbortController();
    const reading = source.read(70_000, 80_000, controller.signal);
    setTimeout(() => controller.abort(new Error('enough')), 50);
    await expect(reading).rejects.toThrow('enough');
  });
});

describe('files beside one', () => {
  test('by path, by URL, and among those of a page', async () => {
    const { url, log } = await server('ranges', new Map([['m/x/b ß.bin', bytes]]));
    const other = join(folder, 'b ß.bin');
    writeFileSync(other, bytes);
    const inFolder = Object.defineProperty(new File([bytes], 'b ß.bin'), 'webkitRelativePath', { value: 'picked/x/b ß.bin' });
    const found = [
      await siblings(path)!('b ß.bin'),
      await siblings(pathToFileURL(path))!('b ß.bin'),
      await siblings(url('m/index.json?key=1'))!('x/b ß.bin'),
      await among([new File([], 'a'), inFolder])('x/b ß.bin'),
      await among(new Map([['b ß.bin', new Blob([bytes])]]))('b ß.bin'),
    ];
    expect(found.map(({ size }) => size)).toEqual(Array(5).fill(SIZE));
    expect(found[3]!.name).toBe('x/b ß.bin');
    expect(log).toEqual(['GET m/x/b ß.bin 0-65535']);
  });
  test('none beside memory', () => expect([siblings(bytes), siblings(new Blob([]))]).toEqual([undefined, undefined]));
  test('none of that name', async () => {
    await expectReadError((async () => among([new File([], 'a')])('b'))(), {
      file: 'b',
      reason: 'one of the 1 files given',
      missing: true,
    });
  });
});
