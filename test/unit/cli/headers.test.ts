// --header: what the requests for a model carry, and where they carry it to.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { fetchWith } from '../../../cli/headers.js';
import { call, folder, matrix, putModel } from '../../support/call-cli.js';
import { makeSafetensors } from '../../support/files.js';

const at = folder();

/** A server of one file that wants a token; it logs what it was given. */
async function guarded(bytes: Uint8Array) {
  const log: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    const token = request.headers['x-token'] as string | undefined;
    log.push(token);
    if (token !== 'abc') return response.writeHead(401).end();
    if (!request.url!.endsWith('/m.safetensors')) return response.writeHead(404).end();
    const [, begin, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const end = Math.min(Number(last) + 1, bytes.length);
    response.writeHead(206, { 'Content-Range': `bytes ${begin}-${end - 1}/${bytes.length}` }).end(bytes.subarray(Number(begin), end));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/m.safetensors`, log, close: () => server.close() };
}

test('inspect and quantize send them with every request', async () => {
  const { url, log, close } = await guarded(makeSafetensors([matrix('a.up_proj.weight', [8, 64])]));
  try {
    const without = await call(['inspect', url]);
    expect([without.code, without.err]).toEqual([4, expect.stringMatching(/401/)]);
    log.length = 0;
    const { code, err } = await call(['inspect', url, '--header', 'X-Token: abc', '--header', 'X-Other: 1']);
    expect([code, err]).toEqual([0, '']);
    const out = at('out');
    expect((await call(['quantize', url, out, '--group', '32', '--header', 'X-Token: abc'])).code).toBe(0);
    expect(log.length).toBeGreaterThan(4);
    expect(new Set(log)).toEqual(new Set(['abc']));
  } finally {
    close();
  }
});

test('a value is not shown, and a path has no requests', async () => {
  const { code, err } = await call(['inspect', putModel(at('m.safetensors')), '--header', 'Authorization: Bearer secret']);
  expect([code, err]).toEqual([2, 'antiquant: --header: expected a URL, got a path\n']);
});

test('they go to the origin alone, and give way to a request’s own', async () => {
  const asked: [string, Record<string, string>][] = [];
  const fake = (async (url: string | URL, init: RequestInit = {}) => {
    asked.push([String(url), Object.fromEntries(new Headers(init.headers))]);
    return new Response();
  }) as typeof globalThis.fetch;
  const fetch = fetchWith(new Headers({ 'X-Token': 'abc', Accept: 'a' }), new URL('https://a.example/x/m.gguf'), fake);
  await fetch('https://a.example/y', { headers: { accept: 'b', Range: 'bytes=0-1' } });
  await fetch('https://b.example/y', { headers: { Range: 'bytes=0-1' } });
  await fetch(new URL('http://a.example/y'));
  expect(asked).toEqual([
    ['https://a.example/y', { 'x-token': 'abc', accept: 'b', range: 'bytes=0-1' }],
    ['https://b.example/y', { range: 'bytes=0-1' }],
    ['http://a.example/y', {}],
  ]);
});
