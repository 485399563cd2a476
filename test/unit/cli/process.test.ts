// The built command as a process: signals, pipes, threads, and memory for a large file.
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test, vi } from 'vitest';
import { safetensorsHeader } from '../../../src/files/write-safetensors.js';
import { folder, putModel } from '../../support/call-cli.js';

const root = join(import.meta.dirname, '../../..');
const built = join(root, 'node_modules/.cache/cli');
const main = join(built, 'cli/main.js');
const at = folder();
vi.setConfig({ testTimeout: 60_000 }); // many files are written; machines may be busy

beforeAll(() => {
  const vite = join(root, 'node_modules/vite/bin/vite.js');
  execFileSync(process.execPath, [vite, 'build', '--outDir', built, '--emptyOutDir', '--logLevel', 'error'], { cwd: root });
}, 60_000);

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: string;
  readonly err: string;
}

/** `watch` sees each piece of stderr, and may kill. */
function start(
  argv: readonly string[],
  { watch, flags = [] }: { watch?: (kill: (signal: NodeJS.Signals) => void) => void; flags?: string[] } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [...flags, main, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (piece) => {
    out += piece;
  });
  child.stderr.on('data', (piece) => {
    err += piece;
    watch?.((signal) => {
      if (!child.killed) child.kill(signal);
    });
  });
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, out, err })));
}

/** `count` layers of (n, k) float16, whose bytes are written a piece at a time. */
function putLarge(path: string, { count, n, k }: { count: number; n: number; k: number }): number {
  const file = openSync(path, 'w');
  const names = Array.from({ length: count }, (_, i) => `model.layers.${i}.mlp.up_proj.weight`);
  let size = writeSync(file, safetensorsHeader(names.map((name) => ({ name, dtype: 'F16', shape: [n, k] }))));
  const row = Uint16Array.from({ length: k * 8 }, (_, i) => 0x2000 | ((i * 40503) & 0x8fff)); // finite, of both signs
  for (let i = 0; i < (count * n) / 8; i++) size += writeSync(file, row);
  closeSync(file);
  return size;
}
const threaded = ['--threads', '2'];

test('as a program: a shebang, help, exit codes', async () => {
  expect(readFileSync(main, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  expect(await start(['--help'])).toMatchObject({ code: 0, err: '' });
  expect(await start(['inspect'])).toMatchObject({ code: 2, out: '' });
  expect(await start(['inspect', putModel(at('a.safetensors'))])).toMatchObject({ code: 0, err: '' });
});

test('a reader that closes the pipe is no error', async () => {
  const path = putModel(
    at('many.safetensors'),
    Array.from({ length: 5000 }, (_, i) => ({ name: `t${i}`, dtype: 'F32', shape: [1], bytes: new Uint8Array(4) })),
  );
  const child = spawn(process.execPath, [main, 'inspect', path, '--tensors'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let err = '';
  child.stderr.on('data', (piece) => {
    err += piece;
  });
  child.stdout.once('data', () => child.stdout.destroy());
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect([code, err]).toEqual([0, '']);
});

test('threads make the same bytes; SIGINT and SIGKILL after the first shard leave what the next run goes on with', async () => {
  const input = at('kill.safetensors');
  putLarge(input, { count: 6, n: 1024, k: 1024 });
  const argv = (out: string): string[] => ['quantize', input, at(out), '--shard-bytes', '600k'];
  expect(await start([...argv('whole'), '--threads', '1'])).toMatchObject({ code: 0 });
  const names = readdirSync(at('whole'))
    .filter((name) => name.startsWith('model'))
    .sort();
  expect(names).toHaveLength(7); // six shards and the index
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    const out = at(signal);
    const killed = await start([...argv(signal), ...threaded], { watch: (kill) => existsSync(join(out, names[0]!)) && kill(signal) });
    expect(killed).toMatchObject(signal === 'SIGINT' ? { code: 130, signal: null } : { code: null, signal });
    if (signal === 'SIGINT') expect(killed.err).toContain('stopped; the same command continues');
    const left = readdirSync(out).filter((name) => name.endsWith('.safetensors'));
    expect(left.length).toBeGreaterThan(0);
    expect(left.length).toBeLessThan(6);
    if (signal === 'SIGINT') expect(readdirSync(out).filter((name) => name.endsWith('.part'))).toEqual([]);
    for (const name of left) expect(readFileSync(join(out, name)).equals(readFileSync(at('whole', name))), name).toBe(true);
    const again = await start([...argv(signal), ...threaded]);
    expect(again).toMatchObject({ code: 0 });
    expect(again.err).toContain(`of 6 files are complete from an earlier run`);
    for (const name of names) expect(readFileSync(join(out, name)).equals(readFileSync(at('whole', name))), name).toBe(true);
    expect(readdirSync(out).filter((name) => name.endsWith('.part'))).toEqual([]);
  }
});

test('what is wrong with a weight is told from a thread, too', async () => {
  const weight = new Float32Array(2 ** 21).fill(0.5);
  weight[1500 * 1024 + 3] = Number.POSITIVE_INFINITY;
  const input = putModel(at('inf.safetensors'), [
    { name: 'a.weight', dtype: 'F32', shape: [2048, 1024], bytes: new Uint8Array(weight.buffer) },
  ]);
  const { code, err } = await start(['quantize', input, at('inf-out'), ...threaded]);
  expect(code).toBe(3);
  expect(err).toMatch(/a\.weight: weights\[1500, 3\]: expected a finite number of at most 2\^126, got Infinity/);
});

test('200 MB stream through: memory grows by far less', async () => {
  const script = "process.on('exit', () => process.stderr.write('peak ' + process.resourceUsage().maxRSS + '\\n'))";
  const flags = ['--import', `data:text/javascript,${encodeURIComponent(script)}`];
  const peak = async (argv: readonly string[]): Promise<number> => {
    const { code, err } = await start(argv, { flags });
    expect(code, err).toBe(0);
    return Number(/peak (\d+)/.exec(err)![1]) * 1024;
  };
  const [small, large] = [at('small.safetensors'), at('large.safetensors')];
  putLarge(small, { count: 1, n: 64, k: 2560 });
  const size = putLarge(large, { count: 10, n: 4096, k: 2560 });
  expect(size).toBeGreaterThan(200e6);
  const least = await peak(['quantize', small, at('small-out'), '--threads', '1']);
  const quantizing = (await peak(['quantize', large, at('large-out'), '--threads', '1'])) - least;
  const inspecting = (await peak(['inspect', at('large-out')])) - least;
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  console.log(
    `a file of ${mb(size)}: quantize takes ${mb(quantizing)} more than for a small one (${mb(least)}), inspect ${mb(inspecting)}`,
  );
  expect(quantizing).toBeLessThan(100e6);
  expect(inspecting).toBeLessThan(30e6);
}, 120_000);
