// Hostile files: headers that would take many times their size in memory or block the thread against an abort; impossible sizes; files that
// change while they are read; URLs with secrets.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ReadError, UnsupportedError } from '../../../src/errors.js';
import { byteSource } from '../../../src/files/byte-source.js';
import { openModel } from '../../../src/files/open-file.js';
import { findLayers } from '../../../src/formats/find-layers.js';
import { expectFormatError, expectReadError } from '../../support/expect-errors.js';
import { concat, counted, counting, ggufHead, ggufInfo, makeSafetensors, rawSafetensors, u32, u64, utf8 } from '../../support/files.js';

const MB = 2 ** 20;
/** `unit` as often as it fits in `bytes`. */
const many = (unit: string, bytes: number): string => unit.repeat(Math.floor(bytes / unit.length));
const names = (count: number, entry: (i: number) => string): string => Array.from({ length: count }, (_, i) => entry(i)).join(',');

const emptyTensors = (count: number): string => names(count, (i) => `"${i.toString(36)}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`);

/** Files of about `bytes`; each is refused or read. */
const HEADERS: Readonly<Record<string, (bytes: number) => Uint8Array>> = {
  'objects in an array': (bytes) => rawSafetensors(`{"a":[${many('{},', bytes)}{}]}`),
  'objects that nobody asks for': (bytes) =>
    rawSafetensors(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":[${many('[],', bytes)}[]]}}`),
  'a shape of ones': (bytes) =>
    rawSafetensors(`{"a":{"dtype":"U8","shape":[${many('1,', bytes)}1],"data_offsets":[0,1]}}`, new Uint8Array(1)),
  metadata: (bytes) => rawSafetensors(`{"__metadata__":{${names(Math.floor(bytes / 12), (i) => `"${i.toString(36)}":""`)}}}`),
  'as many tensors as may be': () => rawSafetensors(`{${emptyTensors(300_000)}}`),
  'empty tensors': (bytes) => rawSafetensors(`{${emptyTensors(Math.floor(bytes / 54))}}`),
  'tensors in no order': (bytes) => {
    const count = Math.floor(bytes / 70);
    const entry = (i: number): string => {
      const at = Math.imul(i, 0x9e3779b1) >>> 0;
      return `"${i.toString(36)}":{"dtype":"U8","shape":[1],"data_offsets":[${at % count},${(at % count) + 1}]}`;
    };
    return rawSafetensors(`{${names(count, entry)}}`, new Uint8Array(count));
  },
  'an index of objects': (bytes) => utf8(`{"weight_map":{},"x":[${many('{},', bytes)}{}]}`),
  'an index of metadata': (bytes) => utf8(`{"metadata":[${many('{},', bytes)}{}],"weight_map":{}}`),
  'an index of names': (bytes) => utf8(`{"weight_map":{${names(Math.floor(bytes / 18), (i) => `"${i.toString(36)}":"shard"`)}}}`),
  'MLC records': (bytes) => utf8(`{"records":[{"records":[${many('{},', bytes)}{}]}]}`),
  'MLC shards': (bytes) => utf8(`{"records":[${many('[[[]]],', bytes)}[]]}`),
  'GGUF tensors': (bytes) => {
    const count = Math.floor(bytes / 45);
    const info = (i: number): Uint8Array => ggufInfo(i.toString(36).padStart(5, '_'), [0], 24, 0);
    return concat([ggufHead(3, count, 0), ...Array.from({ length: count }, (_, i) => info(i)), new Uint8Array(64)]);
  },
  'GGUF strings': (bytes) => concat([ggufHead(3, 0, 1), u64(1), utf8('a'), u32(9), u32(8), u64(bytes / 8), new Uint8Array(bytes)]),
};

const resolve = () => Promise.reject(new ReadError('shard', 'not there'));
const settled = (bytes: Uint8Array, signal?: AbortSignal): Promise<unknown> =>
  openModel(bytes, { resolve, signal }).catch((error: unknown) => {
    if (!['FormatError', 'ReadError', 'AbortError'].includes((error as Error).name)) throw error;
    return error;
  });

/** Milliseconds of the processor, which other programs do not lengthen. */
const busy = (since?: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
};

describe.each(Object.entries(HEADERS))('%s', (_, make) => {
  test('an abort is heard within 100 ms', async () => {
    const bytes = make(process.env.ANTIQUANT_ALL ? 60 * MB : 4 * MB);
    const controller = new AbortController();
    let aborted: NodeJS.CpuUsage | undefined;
    const timer = setTimeout(() => {
      aborted = process.cpuUsage();
      controller.abort();
    }, 20);
    await settled(bytes, controller.signal);
    clearTimeout(timer);
    if (aborted) expect(busy(aborted)).toBeLessThan(100);
  }, 60_000);
});

test('more empty tensors than a file may have are refused: 1.8 million, or a few too many', async () => {
  const bytes = HEADERS['empty tensors']!((process.env.ANTIQUANT_ALL ? 1_800_000 : 320_000) * 54);
  const began = process.cpuUsage();
  await expectFormatError(openModel(bytes), { field: 'header', expected: 'at most 300000 tensors' });
  expect(busy(began)).toBeLessThan(10_000);
}, 120_000);

test.runIf(process.env.ANTIQUANT_ALL && process.platform === 'linux')(
  'memory is at most four times the file, or 192 MB, measured as the peak of a process',
  () => {
    const root = join(import.meta.dirname, '../../..');
    const built = join(root, 'node_modules/.cache/headers');
    execFileSync(
      process.execPath,
      [join(root, 'node_modules/vite/bin/vite.js'), 'build', '--outDir', built, '--emptyOutDir', '--logLevel', 'error'],
      { cwd: root },
    );
    const program = `
      import { readFileSync } from 'node:fs';
      import { openModel } from ${JSON.stringify(join(built, 'formats.js'))};
      const began = performance.now();
      const end = await openModel(process.argv[1]).then(() => 'read', (error) => error.name);
      const ms = performance.now() - began;
      const peak = 1024 * Number(/VmHWM:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
      console.log(JSON.stringify({ end, peak, ms }));`;
    const folder = mkdtempSync(join(tmpdir(), 'antiquant-'));
    const measure = (bytes: Uint8Array) => {
      writeFileSync(join(folder, 'm'), bytes);
      return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', program, join(folder, 'm')], { encoding: 'utf8' }));
    };
    try {
      const least = measure(rawSafetensors('{}')).peak;
      for (const [what, make] of Object.entries(HEADERS)) {
        const bytes = make(60 * MB);
        const { end, peak, ms } = measure(bytes);
        const times = (peak - least) / bytes.length;
        console.log(
          `${what}: ${(bytes.length / 1e6).toFixed(0)} MB, ${end} after ${(ms / 1000).toFixed(1)} s, memory ${times.toFixed(1)} times the file`,
        );
        expect(['read', 'FormatError', 'ReadError'], what).toContain(end);
        expect(peak - least, what).toBeLessThan(Math.max(4 * bytes.length, 192 * MB));
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  600_000,
);

describe('a file that changes while it is read', () => {
  const bytes = counted(200_000);
  interface Seen {
    readonly headers: (string | undefined)[];
  }
  async function changing(
    answer: (before: number, seen: Seen) => Record<string, string>,
    test: (url: string, seen: Seen) => Promise<void>,
  ) {
    const seen: Seen = { headers: [] };
    const server = createServer((request, response) => {
      const [, begin, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range!)!;
      const version = answer(seen.headers.length, seen);
      seen.headers.push(request.headers['if-range'] as string | undefined);
      const same = request.headers['if-range'] === undefined || request.headers['if-range'] === version.ETag;
      const end = Math.min(Number(last) + 1, bytes.length);
      if (!same || version.whole) response.writeHead(200, version).end(bytes);
      else
        response
          .writeHead(206, { ...version, 'Content-Range': `bytes ${begin}-${end - 1}/${bytes.length}` })
          .end(bytes.subarray(Number(begin), end));
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    try {
      await test(`http://127.0.0.1:${(server.address() as AddressInfo).port}/m`, seen);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  test('a server that compares ETags itself', () =>
    changing(
      (before) => ({ ETag: before === 0 ? '"one"' : '"two"' }),
      async (url, seen) => {
        const source = await byteSource(url);
        await expectFormatError(source.read(100_000, 100_010), { file: '/m', field: 'ETag', expected: '"one"', got: '"two"' });
        expect(seen.headers).toEqual([undefined, '"one"']);
      },
    ));
  test('one that does not', () =>
    changing(
      (before) => ({ ETag: before < 2 ? 'W/"one"' : 'W/"two"' }),
      async (url, seen) => {
        const source = await byteSource(url);
        expect(await source.read(100_000, 100_010)).toEqual(bytes.slice(100_000, 100_010));
        await expectFormatError(source.read(100_000, 100_010), { field: 'ETag', got: 'W/"two"' });
        expect(seen.headers).toEqual([undefined, undefined, undefined]); // weak tags are not compared by servers
      },
    ));
  test('one that tells times', () =>
    changing(
      (before) => ({ 'Last-Modified': `Mon, 0${before + 1} Jan 2024 00:00:00 GMT` }),
      async (url) => {
        await expectFormatError((await byteSource(url)).read(100_000, 100_010), { field: 'Last-Modified' });
      },
    ));
  test('the same tag, and parts that are parts', () =>
    changing(
      () => ({ ETag: '"one"' }),
      async (url) => {
        expect(await (await byteSource(url)).read(100_000, 100_010)).toEqual(bytes.slice(100_000, 100_010));
      },
    ));
  test('on disk: the same size, another time', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'antiquant-'));
    afterAll(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'm');
    writeFileSync(path, bytes);
    const source = await byteSource(path);
    writeFileSync(path, counted(200_000, 1));
    utimesSync(path, 1, 2);
    await expectFormatError(source.read(0, 10), { file: path, field: 'time of change' });
  });
});

describe('a server', () => {
  async function serving(
    answer: (count: number, range: string) => { status: number; headers?: Record<string, string>; body?: Uint8Array },
    use: (url: URL, count: () => number) => Promise<void>,
  ) {
    let count = 0;
    const server = createServer((request, response) => {
      const { status, headers, body } = answer(count++, request.headers.range ?? '');
      response.writeHead(status, headers).end(body);
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    try {
      await use(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/m`), () => count);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }
  const four = { status: 206, headers: { 'Content-Range': 'bytes 0-3/4' }, body: counted(4) };

  test('that says "later" is asked again when it says', () =>
    serving(
      (count) => (count < 2 ? { status: count === 0 ? 429 : 503, headers: { 'Retry-After': '0' } } : four),
      async (url, count) => {
        expect(await (await byteSource(url)).read(0, 4)).toEqual(counted(4));
        expect(count()).toBe(3);
      },
    ));
  test('that says "later" again and again', () =>
    serving(
      () => ({ status: 429, headers: { 'Retry-After': new Date(0).toUTCString() } }),
      async (url, count) => {
        await expectReadError(byteSource(url), { file: '/m', reason: '429 Too Many Requests', status: 429, missing: false });
        expect(count()).toBe(5);
      },
    ));
  test('is not waited for after an abort', () =>
    serving(
      () => ({ status: 503, headers: { 'Retry-After': '30' } }),
      async (url) => {
        const controller = new AbortController();
        setTimeout(() => controller.abort(new Error('enough')), 30);
        await expect(byteSource(url, { signal: controller.signal })).rejects.toThrow('enough');
      },
    ));
  test('that claims a size nobody has', () => {
    const size = 2 ** 50;
    const head = new Uint8Array(65_536);
    const header = `{"a":{"dtype":"U8","shape":[${size - 8 - 256}],"data_offsets":[0,${size - 8 - 256}]}}`.padEnd(256);
    head.set(rawSafetensors(header));
    return serving(
      (_, range) => ({
        status: 206,
        headers: { 'Content-Range': `${range.replace('=', ' ')}/${size}` },
        body: range.startsWith('bytes=0-') ? head : counted(9),
      }),
      async (url) => {
        const info = (await openModel(url)).tensors.get('a')!;
        const read = info.source.read(info.begin, info.end);
        await expect(read).rejects.toBeInstanceOf(UnsupportedError);
        await expect(read).rejects.toThrow(/bytes are too many to be read at once/);
      },
    );
  });
  test('secrets of an address are in no message', () =>
    serving(
      (count) => (count === 0 ? { status: 401 } : four),
      async (url) => {
        url.username = 'someone';
        url.password = 'hunter2';
        url.search = '?token=hunter3';
        const messages: string[] = [];
        const failing: typeof fetch = async (address) => {
          throw new TypeError(`Failed to fetch ${address}`);
        };
        for (const open of [
          () => byteSource(url),
          () => byteSource(url, { fetch: failing }),
          () => byteSource(`${url}`.replace('/m', ':x/m')),
        ])
          await open().then(
            () => expect.fail('it was opened'),
            (error: Error) => messages.push(`${error.message} ${JSON.stringify(error)}`),
          );
        for (const message of messages) expect(message).not.toMatch(/hunter|someone/);
        const source = await byteSource(url); // credentials are sent, and no part of the name
        expect(source.name).toBe(`${url.origin}/m`);
      },
    ));
});

describe('settings of many layers', () => {
  const state = utf8('{"quant_type":"nf4","blocksize":64,"shape":[1,64]}');
  const quantMap = new Uint8Array(new Float32Array(16).buffer);
  const tensors = Array.from({ length: 224 }, (_, i) => [
    { name: `l${i}.weight`, dtype: 'U8', shape: [32, 1], bytes: counted(32) },
    { name: `l${i}.weight.absmax`, dtype: 'F32', shape: [1], bytes: new Uint8Array(4) },
    { name: `l${i}.weight.quant_map`, dtype: 'F32', shape: [16], bytes: quantMap },
    { name: `l${i}.weight.quant_state.bitsandbytes__nf4`, dtype: 'U8', shape: [state.length], bytes: state },
    { name: `pad${i}`, dtype: 'U8', shape: [70_000], bytes: counted(70_000) },
  ]).flat();
  const file = async (read: (begin: number, end: number) => Promise<Uint8Array<ArrayBuffer>>) => {
    const bytes = makeSafetensors(tensors);
    const source = { name: 'm', size: bytes.length, read: async (begin: number, end: number) => bytes.slice(begin, end) };
    const opened = await openModel(source);
    source.read = async (begin, end) => {
      await read(begin, end);
      return bytes.slice(begin, end);
    };
    return opened;
  };

  test('are read a few at a time, and all layers are found', async () => {
    let [now, most] = [0, 0];
    const opened = await file(async () => {
      most = Math.max(most, ++now);
      await new Promise((done) => setTimeout(done, 1));
      now--;
      return new Uint8Array(0);
    });
    const { layers, refused } = await findLayers(opened);
    expect([layers.length, refused.length]).toEqual([224, 0]);
    expect(most).toBe(8);
  });

  test('neighbours are read together', async () => {
    const apart = tensors.filter(({ name }) => !name.startsWith('pad'));
    const together = [
      ...apart.filter(({ name }) => name.includes('quant_state')),
      ...apart.filter(({ name }) => !name.includes('quant_state')),
    ];
    const bytes = makeSafetensors(together);
    const source = counting(bytes);
    const opened = await openModel(source);
    source.asked.reads = 0;
    expect((await findLayers(opened)).layers).toHaveLength(224);
    expect(source.asked.reads).toBe(1);
  });

  test.each(['EMFILE', 'ECONNRESET', '429'])('%s is thrown as what it is, and refuses no layer', async (code) => {
    let reads = 0;
    const error = new ReadError('m', code, { code });
    const opened = await file(async () => {
      if (++reads > 20) throw error;
      return new Uint8Array(0);
    });
    await expect(findLayers(opened)).rejects.toBe(error);
    expect(reads).toBeLessThan(40);
  });
});
