// Models of URLs in the browser's origin-private file system: chunks are fetched once, a load that was aborted goes on, a changed file is fetched
// again. The server counts requests.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from '@playwright/test';
import { modelFile } from '../test/support/model-file.js';
import { test } from './opened.js';
import type { TestPage } from './page.js';

type Held = typeof globalThis & { antiquant: TestPage };
const CHUNK = 4 * 2 ** 20;
/** Float weights, so that it has several chunks. */
const modelOf = (seed: number) => modelFile({ architecture: 'llama', type: 'F32', seed, sizes: { layers: 2, feedForward: 768 } });

/** A server of one file on another origin than the page. */
async function serve() {
  const state = { bytes: modelOf(51), etag: '"1"', log: [] as string[] };
  const headers = {
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Headers': '*',
    'Access-Control-Expose-Headers': 'Content-Range, ETag',
  };
  const server = createServer((request, response) => {
    const { bytes, etag, log } = state;
    if (request.method === 'OPTIONS') return void response.writeHead(204, headers).end();
    const [, begin, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    log.push(`${begin}-${last}`);
    const end = Math.min(Number(last) + 1, bytes.length);
    const range = `bytes ${begin}-${end - 1}/${bytes.length}`;
    response.writeHead(206, { ...headers, ETag: etag, 'Content-Range': range }).end(bytes.subarray(Number(begin), end));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): Promise<unknown> => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/tiny.gguf`;
  return { state, url, close };
}

test('a model is fetched once, from where it was left, and again when it has changed', async ({ opened }) => {
  test.setTimeout(240_000);
  const { page } = opened;
  const { state, url, close } = await serve();
  try {
    const size = state.bytes.length;
    expect(size).toBeGreaterThan(CHUNK);
    expect(size).toBeLessThan(2 * CHUNK);
    const load = (how: { abortAfter?: number } = {}) =>
      page.evaluate(([from, given]) => (globalThis as Held).antiquant.loadCached(from, given), [url, how] as const);
    const cached = () => page.evaluate(() => (globalThis as Held).antiquant.cachedModels());

    expect((await load({ abortAfter: 1000 })).error).toBe('Error: enough');
    await expect.poll(cached).toEqual([{ url, bytes: CHUNK, total: size, files: 1 }]);
    expect(state.log).toEqual(['0-65535', `0-${CHUNK - 1}`]);

    const first = await load();
    expect(first.error).toBe('');
    expect(first.cache).toMatchObject({ fetched: size - CHUNK, stored: size - CHUNK });
    expect(state.log.slice(2)).toEqual(['0-65535', `${CHUNK}-${size - 1}`]);
    expect(await cached()).toEqual([{ url, bytes: size, total: size, files: 1 }]);

    const again = await load();
    expect(again.cache).toMatchObject({ fetched: 0, stored: 0 });
    expect(again.ids).toEqual(first.ids);
    expect(state.log.slice(4)).toEqual(['0-65535']);

    state.bytes = modelOf(52);
    state.etag = '"2"';
    const other = await load();
    expect(other.cache).toMatchObject({ fetched: size, stored: size });
    expect(other.ids).not.toEqual(first.ids);
    expect(await cached()).toEqual([{ url, bytes: size, total: size, files: 1 }]);

    expect(await page.evaluate((from) => (globalThis as Held).antiquant.evictModel(from), url)).toBe(true);
    expect(await cached()).toEqual([]);
  } finally {
    await close();
  }
});
