// Ours beside wllama and onnxruntime-web in one page, the same weights, in turns: of the Chromium with shader-f16 on lavapipe, and of Chromium as it
// is on SwiftShader. CPU time is that of all processes of the browser.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
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

const FLAGS = ['--no-sandbox', '--enable-unsafe-webgpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];

/** Runs `work` with a page that has `llmBench`. */
async function inPage(executablePath, flags, work) {
  const { chromium } = await import('@playwright/test');
  const browser = await chromium.launch({ executablePath, args: [...FLAGS, ...flags] });
  try {
    const page = await browser.newPage();
    if (process.env.DEBUG) page.on('console', (message) => console.error(message.text()));
    page.on('pageerror', (error) => console.error(error.message));
    await page.goto(`http://localhost:${PORT}/bench/llm/browser.html`);
    await page.waitForFunction(() => 'llmBench' in globalThis);
    return await work((what, ...given) => page.evaluate(([w, g]) => globalThis.llmBench[w](...g), [what, given]));
  } finally {
    await browser.close();
  }
}

/**
 * The most that a peer's logits may be from ours, as a part of their length: ours rounds keys and values to float16, which makes 1e-3 of it. A wrong
 * rule makes more than 0.05.
 */
const APART = 5e-3;
/** Ids behind which logits are compared: a prompt at once, and the last of it a token at a time. */
const COMPARED = { prompt: { count: 128, decoded: 0 }, decode: { count: 12, decoded: 8 } };

/**
 * Throws if a peer does not compute the model that ours does. Of prompts, the first of `pieces` with which it does is kept.
 * @returns what a row says of it
 */
async function checkSame(call, { name, pieces }, what) {
  const found = [];
  for (const rows of what === 'prompt' ? pieces : [pieces[0]]) {
    await call('inPieces', name, rows);
    const apart = await call('apart', name, COMPARED[what]);
    console.error(`language model: ${what} of ${name}, up to ${rows} rows at once: logits ${apart.toPrecision(3)} from ours`);
    if (apart <= APART)
      return `; logits ${apart.toPrecision(2)} from ours${found.length > 0 ? `, its prompt in pieces of ${rows} rows: at once ${found[0]}` : ''}`;
    found.push(apart.toPrecision(2));
  }
  throw new Error(`its logits are ${found.join(' and ')} from ours, more than ${APART}: it computes another model, and is not timed`);
}

/** The rows of peers in one browser. */
async function rowsOf({ where, path, flags, peers }, { rounds, versus, models }) {
  const rows = [];
  await inPage(path, flags, async (call) => {
    const speaker = async (name, model) => {
      console.error(`language model: ${name}, ${where}`);
      await call('load', name, `/node_modules/.cache/bench-models/${model}`);
      return { prompt: (count) => call('prompt', name, count), decode: (count) => call('decode', name, count) };
    };
    const ours = await speaker('ours', models.ours);
    for (const peer of peers) {
      const { name, model = 'ours', pieces, floors, tokens = 16, behind } = peer;
      try {
        const pair = { ours, peer: await speaker(name, models[model]), rounds: Math.min(rounds, 5), measure };
        for (const [what, clocks] of Object.entries(floors))
          try {
            const same = pieces ? await checkSame(call, peer, what) : '';
            const title = `${what === 'decode' ? 'decode' : 'prompt of 128'}: ${name} / ours, ${where}`;
            const held = Object.entries(clocks).map(([clock, floor]) => ({ what: `${title}, ${clock}`, clock, floor }));
            const found = await versus({ ...pair, ...(what === 'decode' ? { decode: tokens, behind } : { prompt: 128 }), rows: held });
            rows.push(...found.map((row) => ({ ...row, how: row.how + same })));
            for (const row of found) console.error(`${row.what}: ${row.measured.median.toPrecision(3)}; ${row.how}`);
          } catch (error) {
            console.error(`!!! ${what} of ${name}, ${where}: ${error.message}`);
          }
      } catch (error) {
        console.error(`!!! ${name}, ${where}: ${error.message}`);
      }
    }
  });
  return rows;
}

/** What their time / ours should be, by what is measured and by clock. */
const WLLAMA = [
  { name: 'wllama wasm', floors: { decode: { wall: 1.15, cpu: 1.15 } } },
  { name: 'wllama WebGPU', floors: { decode: { wall: 8, cpu: 8 }, prompt: { wall: 10 } } },
];
/** On lavapipe its logits are wrong from 32 rows at once on; 31 are right. */
const ORT = {
  name: 'onnxruntime-web',
  model: 'onnx',
  pieces: [512, 31],
  floors: { decode: { wall: 3, cpu: 3 }, prompt: { wall: 3, cpu: 3 } },
};
/** It takes seconds for a token on SwiftShader, and minutes for 128 rows of a prompt. */
const ORT_DECODE = { ...ORT, floors: { decode: ORT.floors.decode }, tokens: 4, behind: 8 };

/** The rows of the browsers whose peers match `only`: wllama, ort, swiftshader. */
export async function inBrowser({ rounds, cache, only = '' }) {
  const asked = (word) => new RegExp(only).test(word);
  const chromium = ensureChromium();
  const { path, missing } = ensureChromiumF16(chromium);
  if (!path) console.error(`!!! no Chromium with shader-f16, so no rows of it; missing: ${missing.join(', ')}`);
  const browsers = [
    path && { where: 'lavapipe', path, flags: [], peers: [...(asked('ort') ? [ORT] : []), ...(asked('wllama') ? WLLAMA : [])] },
    chromium && {
      where: 'SwiftShader',
      path: chromium,
      flags: ['--use-webgpu-adapter=swiftshader'],
      peers: asked('swiftshader') ? [ORT_DECODE] : [],
    },
  ].filter((one) => one && one.peers.length > 0);
  const built = (file) => import(pathToFileURL(join(cache, 'bench-llm', file)).href);
  const { versus } = await built('versus.js');
  const { onnxPath } = await built('models.js');
  const models = { ours: 'qwen-4.gguf', onnx: basename(await onnxPath(join(cache, 'bench-models'), 'qwen-4')) };
  const server = await serve();
  try {
    const rows = [];
    for (const browser of browsers) rows.push(...(await rowsOf(browser, { rounds, versus, models })));
    return rows;
  } finally {
    server.kill();
  }
}
