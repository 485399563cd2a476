// Records of what the library does by itself: docs/log.md lists their codes, a logger disturbs nothing, and loads tell of their files.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { byteSource } from '../../src/files/byte-source.js';
import { modelCache } from '../../src/files/model-cache.js';
import { attach, LEVELS, type LogRecord, log, loggedFetch } from '../../src/log.js';
import { fakeOpfs } from '../support/fake-opfs.js';

afterEach(() => vi.unstubAllGlobals());

const heard = () => {
  const records: LogRecord[] = [];
  return { records, logger: (record: LogRecord) => records.push(record) };
};

test('docs/log.md has every code with its level', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/log.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(([, code, level]) => [code, level]);
  expect(Object.fromEntries(rows)).toEqual(LEVELS);
  expect(rows.length).toBe(Object.keys(LEVELS).length);
});

test('a record goes to the logger of its object alone, at once', () => {
  const [one, two, none] = [{}, {}, {}];
  const [first, second] = [heard(), heard()];
  expect(attach(one, first.logger)).toBe(one);
  attach(two, second.logger);
  attach(two, undefined); // changes nothing
  log(one, 'compiled', 'a', { variant: 'v' });
  log(two, 'retried', 'b');
  log(none, 'retried', 'c');
  expect(first.records).toEqual([{ level: 'debug', code: 'compiled', message: 'a', variant: 'v' }]);
  expect(second.records).toEqual([{ level: 'warn', code: 'retried', message: 'b' }]);
});

test('what a logger throws or rejects with is dropped', async () => {
  const unhandled = vi.fn();
  process.on('unhandledRejection', unhandled);
  const calls = vi.fn();
  for (const logger of [
    () => {
      calls();
      throw new Error('of the logger');
    },
    async () => {
      calls();
      throw new Error('of the logger, later');
    },
  ])
    expect(log(attach({}, logger), 'device', 'x')).toBeUndefined();
  await new Promise((done) => setTimeout(done, 20));
  process.off('unhandledRejection', unhandled);
  expect(calls).toHaveBeenCalledTimes(2);
  expect(unhandled).not.toHaveBeenCalled();
});

test('a request that is asked again is told, without secrets of its URL', async () => {
  const { records, logger } = heard();
  let count = 0;
  const server = createServer((_, response) => {
    const late = count++ < 2;
    response.writeHead(late ? 503 : 206, late ? { 'Retry-After': '0' } : { 'Content-Range': 'bytes 0-3/4' });
    response.end(late ? '' : 'four');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  try {
    const { port } = server.address() as AddressInfo;
    const url = `http://me:secret@127.0.0.1:${port}/model.gguf?key=hidden`;
    await (await byteSource(url, { fetch: loggedFetch(undefined, logger)! })).read(0, 4);
    const file = `http://127.0.0.1:${port}/model.gguf`;
    const record = { level: 'warn', code: 'retried', message: `${file}: status 503, asked again in 0 ms`, file, status: 503, ms: 0 };
    expect(records).toEqual([
      { ...record, tries: 1 },
      { ...record, tries: 2 },
    ]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test('a cache that cannot be written is told, once', async () => {
  const { records, logger } = heard();
  vi.stubGlobal('navigator', { storage: fakeOpfs({ quota: 10 }).storage });
  const bytes = new Uint8Array(100);
  const fetch = (async () =>
    new Response(bytes, { status: 206, headers: { ETag: '"1"', 'Content-Range': 'bytes 0-99/100' } })) as typeof globalThis.fetch;
  const cache = await modelCache(new URL('https://models.test/m.gguf'), { fetch: loggedFetch(fetch, logger) });
  const source = await cache.open(new URL('https://models.test/m.gguf'));
  expect((await source.read(0, 100)).length).toBe(100);
  await cache.settled();
  const why = 'there is no more space: the quota has been exceeded';
  expect(records).toEqual([{ level: 'warn', code: 'uncached', message: `the cache is written no more: ${why}`, why }]);
  expect(cache.stats.off).toBe(why);
});

test('without a logger the given fetch is used as it is', () => {
  expect(loggedFetch(undefined, undefined)).toBeUndefined();
  expect(loggedFetch(fetch, undefined)).toBe(fetch);
});
