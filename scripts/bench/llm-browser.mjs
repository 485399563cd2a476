// Ours beside wllama in one page of the Chromium with shader-f16, the same file, in turns. CPU time is that of all processes of the browser.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureChromium, ensureChromiumF16, root } from '../setup.mjs';

const PORT = Number(process.env.PORT ?? 4194);
const TICK_MS = 10;

/** Milliseconds of CPU of this process's children, and of theirs; ended ones are not counted. */
function childrenCpu() {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
        return [{ pid: Number(pid), parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }];
      } catch {
        return [];
      }
    });
  const mine = new Set([process.pid]);
  for (let before = 0; before !== mine.size; ) {
    before = mine.size;
    for (const { pid, parent } of all) if (mine.has(parent)) mine.add(pid);
  }
  return TICK_MS * all.filter(({ pid }) => pid !== process.pid && mine.has(pid)).reduce((sum, { ticks }) => sum + ticks, 0);
}

async function measure(run) {
  const [wall, cpu] = [performance.now(), childrenCpu()];
  await run();
  return { wall: performance.now() - wall, cpu: childrenCpu() - cpu };
}

async function serve() {
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  const args = [vite, '--mode', 'bench', '--port', String(PORT), '--strictPort', '--logLevel', 'error'];
  const server = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  for (let i = 0; i < 100; i++) {
    if ((await fetch(`http://localhost:${PORT}/bench/llm/browser.html`).catch(() => undefined))?.ok) return server;
    await new Promise((then) => setTimeout(then, 200));
  }
  server.kill();
  throw new Error(`the page's server did not answer on port ${PORT}`);
}

/** The rows of the browser. */
export async function inBrowser({ rounds, cache }) {
  const { path, missing } = ensureChromiumF16(ensureChromium());
  if (!path) {
    console.error(`!!! no Chromium with shader-f16, so no rows of wllama; missing: ${missing.join(', ')}`);
    return [];
  }
  const { versus } = await import(pathToFileURL(join(cache, 'bench-llm', 'versus.js')).href);
  const server = await serve();
  const { chromium } = await import('@playwright/test');
  const args = ['--no-sandbox', '--enable-unsafe-webgpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
  const browser = await chromium.launch({ executablePath: path, args });
  try {
    const page = await browser.newPage();
    if (process.env.DEBUG) page.on('console', (message) => console.error(message.text()));
    page.on('pageerror', (error) => console.error(error.message));
    await page.goto(`http://localhost:${PORT}/bench/llm/browser.html`);
    await page.waitForFunction(() => 'llmBench' in globalThis);
    const call = (what, name, value) => page.evaluate(([w, n, v]) => globalThis.llmBench[w](n, v), [what, name, value]);
    const speaker = async (name) => {
      console.error(`language model: ${name}, in Chromium`);
      await call('load', name, '/node_modules/.cache/bench-models/qwen-4.gguf');
      return { prompt: (count) => call('prompt', name, count), decode: (count) => call('decode', name, count) };
    };
    const ours = await speaker('ours');
    const rows = [];
    const against = async (name, decodeFloor, promptFloor) => {
      try {
        const pair = { ours, peer: await speaker(name), rounds: Math.min(rounds, 5), measure };
        for (const clock of ['wall', 'cpu'])
          rows.push(await versus({ ...pair, clock, what: `decode: ${name} / ours, ${clock}`, decode: 16, floor: decodeFloor }));
        if (promptFloor)
          rows.push(await versus({ ...pair, clock: 'wall', what: `prompt of 128: ${name} / ours, wall`, prompt: 128, floor: promptFloor }));
      } catch (error) {
        console.error(`!!! ${name}: ${error.message}`);
      }
    };
    await against('wllama wasm', 1.15);
    await against('wllama WebGPU', 8, 10);
    return rows;
  } finally {
    await browser.close();
    server.kill();
  }
}
