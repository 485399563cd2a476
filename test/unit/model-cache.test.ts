// The cache of models' files: every byte right whatever the cache does, every chunk fetched once, and what is done without space or network.
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ReadError } from '../../src/errors.js';
import { CHUNK, cachedSource } from '../../src/files/cached-source.js';
import { cachedModels, evictModel, modelCache } from '../../src/files/model-cache.js';
import type { StoredFolder } from '../../src/files/opfs.js';
import { type FakeFolder, type FakeOptions, fakeOpfs } from '../support/fake-opfs.js';

const SIZE = 2.5 * CHUNK + 123;
const bytes = Uint8Array.from({ length: SIZE }, (_, i) => (i * 31 + (i >> 12)) & 255);
const URL_ = new URL('https://models.test/org/model.gguf');

/** A server of this file, which counts. */
function server(files: ReadonlyMap<string, Uint8Array<ArrayBuffer>> = new Map([[URL_.pathname, bytes]])) {
  const log: string[] = [];
  const state = { etag: '"1"', down: false, hold: undefined as Promise<void> | undefined };
  const fetch = (async (url: string, init: RequestInit) => {
    if (state.down) throw new TypeError('no network');
    await state.hold;
    init.signal?.throwIfAborted();
    const { pathname } = new URL(url);
    const [, begin, last] = /^bytes=(\d+)-(\d+)$/.exec((init.headers as Record<string, string>).Range ?? '') ?? [];
    log.push(`${begin}-${last}`);
    const file = files.get(pathname);
    if (!file) return new Response(null, { status: 404 });
    const end = Math.min(Number(last) + 1, file.length);
    const headers = { ETag: state.etag, 'Content-Range': `bytes ${begin}-${end - 1}/${file.length}` };
    return new Response(file.slice(Number(begin), end), { status: 206, headers });
  }) as typeof globalThis.fetch;
  return { log, state, fetch };
}

let root: FakeFolder;
const install = (options: FakeOptions = {}): void => {
  const made = fakeOpfs(options);
  root = made.root;
  vi.stubGlobal('navigator', { storage: made.storage });
};
beforeEach(() => install());
afterEach(() => vi.unstubAllGlobals());

/** The one file of the one model. */
const fileFolder = (): FakeFolder => {
  const own = root.entries.get('antiquant') as FakeFolder;
  const [model] = [...own.entries.values()] as FakeFolder[];
  return [...model!.entries.values()].find((entry): entry is FakeFolder => 'entries' in entry)!;
};
const equal = (got: Uint8Array, begin: number, end: number): void => expect(Buffer.compare(got, bytes.subarray(begin, end))).toBe(0);
const opened = async (fetch: typeof globalThis.fetch) => {
  const cache = await modelCache(URL_, { fetch });
  return { cache, source: await cache.open(URL_) };
};

test('a chunk is fetched once, and read from the cache from then on', async () => {
  const { log, fetch } = server();
  const { cache, source } = await opened(fetch);
  expect([source.size, source.name]).toEqual([SIZE, 'https://models.test/org/model.gguf']);
  equal(await source.read(100, 200), 100, 200);
  for (const [begin, end] of [
    [CHUNK - 5, CHUNK + 5],
    [0, SIZE],
    [SIZE - 1, SIZE],
  ] as const)
    equal(await source.read(begin, end), begin, end);
  await cache.settled();
  expect(log).toEqual(['0-65535', `0-${CHUNK - 1}`, `${CHUNK}-${2 * CHUNK - 1}`, `${2 * CHUNK}-${SIZE - 1}`]);
  expect(cache.stats).toMatchObject({ fetched: SIZE, stored: SIZE });

  const again = await opened(fetch);
  equal(await again.source.read(3, SIZE - 3), 3, SIZE - 3);
  expect(log.slice(4)).toEqual(['0-65535']); // which asks for the version
  expect(again.cache.stats).toEqual({ cached: SIZE - 6, fetched: 0, stored: 0 });
});

test('readers that wait for the writes of chunks ask for the next one once', async () => {
  let write = (): void => {};
  const written = new Promise<void>((resolve) => (write = resolve));
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const folder = {
    getFileHandle: async (name: string) => ({
      getFile: async () => new Blob([files.get(name)!]),
      createWritable: async () => ({
        write: async (part: Uint8Array<ArrayBuffer>) => written.then(() => void files.set(name, part)),
        ...{ close: async () => {}, abort: async () => {} },
      }),
    }),
  } as unknown as StoredFolder;
  const log: number[] = [];
  const size = 5 * CHUNK;
  const source = {
    ...{ name: 'a file', size },
    async read(begin: number, end: number) {
      log.push(begin / CHUNK);
      return new Uint8Array(end - begin).fill(begin / CHUNK);
    },
  };
  const stats = { cached: 0, fetched: 0, stored: 0 };
  const { read, settled } = cachedSource({ source, chunks: { folder, have: new Set() }, stats, off: () => {} });
  await read(0, 4 * CHUNK);
  const all = Promise.all([0, 1, 2].map((i) => read(4 * CHUNK + i, 4 * CHUNK + i + 1)));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(log).toEqual([0]);
  write();
  expect((await all).map(([byte]) => byte)).toEqual([4, 4, 4]);
  await settled();
  expect(log).toEqual([0, 4]);
  expect(stats).toMatchObject({ fetched: size, stored: size });
});

test('chunks that are missing come by requests of several', async () => {
  const { log, fetch } = server();
  const { source } = await opened(fetch);
  equal(await source.read(1, SIZE), 1, SIZE);
  expect(log).toEqual(['0-65535', `0-${SIZE - 1}`]);
});

test('a load that ended early goes on', async () => {
  const { log, fetch } = server();
  const first = await opened(fetch);
  await first.source.read(CHUNK, CHUNK + 1);
  await first.cache.settled();
  const { cache, source } = await opened(fetch);
  equal(await source.read(0, SIZE), 0, SIZE);
  expect(log.slice(3)).toEqual([`0-${CHUNK - 1}`, `${2 * CHUNK}-${SIZE - 1}`]);
  expect(cache.stats.cached).toBe(CHUNK);
});

test('another version drops the old one', async () => {
  const { log, state, fetch } = server();
  const first = await opened(fetch);
  await first.source.read(0, SIZE);
  await first.cache.settled();
  expect([...fileFolder().entries.keys()].sort()).toEqual(['0', '1', '2', 'file.json']);
  state.etag = '"2"';
  const { cache, source } = await opened(fetch);
  expect([...fileFolder().entries.keys()]).toEqual(['file.json']);
  await source.read(0, 10);
  await cache.settled();
  expect([...fileFolder().entries.keys()].sort()).toEqual(['0', 'file.json']);
  expect(log.length).toBe(4);
});

test('chunks that the browser has cleared, or that are of another size, come again', async () => {
  const { log, fetch } = server();
  const first = await opened(fetch);
  await first.source.read(0, SIZE);
  await first.cache.settled();
  const { cache, source } = await opened(fetch);
  fileFolder().entries.delete('1');
  (fileFolder().entries.get('2') as { bytes: Uint8Array }).bytes = new Uint8Array(7);
  equal(await source.read(0, SIZE), 0, SIZE);
  await cache.settled();
  expect(log.slice(3)).toEqual([`${CHUNK}-${2 * CHUNK - 1}`, `${2 * CHUNK}-${SIZE - 1}`]);
  expect((fileFolder().entries.get('2') as { bytes: Uint8Array }).bytes.length).toBe(SIZE - 2 * CHUNK);
});

test('a chunk that was left empty or short is none: it is not listed, not served without a network, and comes again', async () => {
  const { log, state, fetch } = server();
  const first = await opened(fetch);
  await first.source.read(0, SIZE);
  await first.cache.settled();
  const chunk = (name: string) => fileFolder().entries.get(name) as { bytes: Uint8Array };
  chunk('0').bytes = new Uint8Array(0);
  chunk('2').bytes = chunk('2').bytes.slice(0, 9);
  expect(await cachedModels()).toMatchObject([{ bytes: CHUNK, total: SIZE }]);
  state.down = true;
  await expect(opened(fetch)).rejects.toThrow(ReadError);
  state.down = false;
  log.length = 0;
  equal(await (await opened(fetch)).source.read(0, SIZE), 0, SIZE);
  expect(log).toEqual([`0-65535`, `0-${CHUNK - 1}`, `${2 * CHUNK}-${SIZE - 1}`]);
});

describe('a cache that cannot be written is turned off, and every byte comes', () => {
  test.each<[string, () => void, RegExp]>([
    ['no space', () => install({ quota: CHUNK + 1000 }), /^there is no more space: the quota/],
    ['no space at all', () => install({ quota: 10 }), /^there is no more space/],
    ['no writing here', () => install({ writes: 'not' }), /cannot be written here/],
    ['no file system', () => vi.stubGlobal('navigator', { storage: {} }), /there is no origin-private file system here/],
    ['no navigator', () => vi.stubGlobal('navigator', undefined), /there is no origin-private file system here/],
  ])('%s', async (_, given, why) => {
    given();
    const { fetch } = server();
    const { cache, source } = await opened(fetch);
    for (const [begin, end] of [
      [10, 20],
      [CHUNK - 3, 2 * CHUNK + 3],
      [0, SIZE],
      [SIZE - 9, SIZE],
    ] as const)
      equal(await source.read(begin, end), begin, end);
    await cache.settled();
    expect(cache.stats.off).toMatch(why);
    equal(await source.read(5, SIZE - 5), 5, SIZE - 5);
  });

  test('what was written before stays', async () => {
    install({ quota: CHUNK + 1000 });
    const { fetch } = server();
    const first = await opened(fetch);
    await first.source.read(0, SIZE);
    await first.cache.settled();
    const { cache, source } = await opened(fetch);
    equal(await source.read(0, SIZE), 0, SIZE);
    expect(cache.stats.cached).toBe(CHUNK);
  });
});

test('files are written where there are access handles alone', async () => {
  install({ writes: 'sync' });
  const { fetch } = server();
  const { cache, source } = await opened(fetch);
  await source.read(0, SIZE);
  await cache.settled();
  expect(cache.stats).toEqual({ cached: 0, fetched: SIZE, stored: SIZE });
});

test('readers at once share a request, and one that is aborted leaves the other alone', async () => {
  const { log, state, fetch } = server();
  const { source } = await opened(fetch);
  let go = (): void => {};
  state.hold = new Promise((resolve) => (go = resolve));
  const abort = new AbortController();
  const one = source.read(CHUNK, CHUNK + 10, abort.signal);
  const other = source.read(CHUNK + 5, CHUNK + 20);
  const third = source.read(CHUNK + 6, CHUNK + 7);
  abort.abort(new Error('enough'));
  go();
  await expect(one).rejects.toThrow('enough');
  equal(await other, CHUNK + 5, CHUNK + 20);
  equal(await third, CHUNK + 6, CHUNK + 7);
  expect(log.length).toBe(2);
});

describe('without a network', () => {
  test('a file that is whole is served', async () => {
    const { state, fetch } = server();
    const first = await opened(fetch);
    await first.source.read(0, SIZE);
    await first.cache.settled();
    state.down = true;
    const { source } = await opened(fetch);
    equal(await source.read(7, SIZE), 7, SIZE);
  });

  test('others are not, and what the model did not have is missing', async () => {
    const { state, fetch } = server();
    const first = await opened(fetch);
    await first.source.read(0, CHUNK + 1);
    await first.cache.settled();
    state.down = true;
    const cache = await modelCache(URL_, { fetch });
    const failed = (await cache.open(URL_).catch((error: unknown) => error)) as ReadError;
    expect([failed.name, failed.missing]).toEqual(['ReadError', false]);
    const other = (await cache.open(new URL('https://models.test/org/other.json')).catch((error: unknown) => error)) as ReadError;
    expect([other.name, other.missing]).toEqual(['ReadError', true]);
    const fresh = await modelCache(new URL('https://models.test/fresh'), { fetch });
    const unknown = (await fresh.open(new URL('https://models.test/fresh')).catch((error: unknown) => error)) as ReadError;
    expect(unknown.missing).toBe(false);
  });
});

test('models are listed by their URL without credentials, and removed', async () => {
  const files = new Map([
    ['/m/config.json', Uint8Array.of(1, 2, 3)],
    ['/m/model.safetensors', bytes],
  ]);
  const { fetch } = server(files);
  expect(await cachedModels()).toEqual([]);
  expect(await evictModel(URL_)).toBe(false);
  const folder = new URL('https://name:secret@models.test/m/');
  const cache = await modelCache(folder, { fetch });
  await (await cache.open(new URL('config.json', folder))).read(0, 3);
  await (await cache.open(new URL('model.safetensors', folder))).read(0, CHUNK + 1);
  await expect(cache.open(new URL('no.json', folder))).rejects.toThrow(ReadError);
  await cache.settled();
  const listed = { url: 'https://models.test/m/', bytes: 2 * CHUNK + 3, total: SIZE + 3, files: 2 };
  expect(await cachedModels()).toEqual([listed]);
  const single = await modelCache(new URL('https://models.test/m/model.safetensors'), { fetch });
  await single.open(new URL('https://models.test/m/model.safetensors'));
  expect(await cachedModels()).toEqual([listed, { url: 'https://models.test/m/model.safetensors', bytes: 0, total: SIZE, files: 1 }]);
  expect(await evictModel(folder)).toBe(true);
  expect((await cachedModels()).map(({ url }) => url)).toEqual(['https://models.test/m/model.safetensors']);
  expect(await evictModel(folder)).toBe(false);
});

test('whatever is read, in whatever order, bytes are those of the file, and none is fetched twice', async () => {
  const part = fc
    .tuple(fc.integer({ min: 0, max: SIZE }), fc.integer({ min: 0, max: SIZE }))
    .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  await fc.assert(
    fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 6 }), fc.boolean(), async (parts, atOnce) => {
      install();
      const { fetch } = server();
      const { cache, source } = await opened(fetch);
      const check = async ([begin, end]: readonly [number, number]): Promise<void> => equal(await source.read(begin, end), begin, end);
      if (atOnce) await Promise.all(parts.map(check));
      else for (const one of parts) await check(one);
      await cache.settled();
      expect(cache.stats.fetched).toBeLessThanOrEqual(SIZE);
      expect(cache.stats.stored).toBe(cache.stats.fetched);
    }),
    { numRuns: 25 },
  );
});
