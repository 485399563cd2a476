// `npm run bench`: times the library, its peers and the adapter's limits in every host of this machine, prints tables and targets, and
// writes a JSON file. It fails if an answer was wrong or a host did not run.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, type as systemType, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { ensureChromium, ensureChromiumF16, ensureModules, ensureVulkan, root } from './setup.mjs';

const HELP = `npm run bench -- [options]

Times y = x · weights for this library, onnxruntime-web and a dense product, and the adapter's limits (copy, multiply-add), in turns, in
one process, with data on the GPU; checks every answer. Without options: everything, some 15 minutes on two cores.

  --quick          fewer products and rounds, under two minutes
  --hosts LIST     of chromium (the browser as it is: a GPU, or SwiftShader), chromium-f16 (lavapipe with shader-f16, where there is no
                   GPU), dawn (Node, no browser: a GPU, or lavapipe); default: all that this machine has
  --only REGEX     products whose name it matches, e.g. 'q4 g32 f32 2048x2048 M=1$'
  --rounds N       samples of each contender and product; default 5, with --quick 3
  --peers all      also the peer's variants that are known to be far slower than its others
  --peers none     no peers: the library and the limits
  --kernels        each of the library's kernels in every product (else in one of them)
  --tiles          each tile of each kernel in every product
  --out FILE       the JSON file; default bench-results/DATE-COMMIT.json
  --report FILES   measures nothing: prints the report of one or more JSON files, put together
  --against COMMIT measures this tree against a commit, in turns, on weights as GGUF files have them (scripts/bench/against.mjs); takes
                   --only (a type, e.g. Q4_K), --rounds (default 15), and --kernel NAME, which both must run, of one row
  --experts        measures forwardExperts against a loop of layers, on Dawn (scripts/bench/experts.mjs); takes --rounds (default 15)
  --llm            measures the language model beside llama.cpp (wllama in the Chromium with shader-f16, and on the CPU), whose packages it
                   installs for it, and beside onnxruntime-web (scripts/bench/llm.mjs); takes --rounds (default 7), --peers none, and
                   --only, a pattern of host, products, positions, load, native, wllama, ort,
                   swiftshader (onnxruntime-web there)
  --help           this text

PORT chooses the port that the browser's page is served at, default 4192. The panel “Your GPU, measured” of the page (npm start) measures by hand.
`;

/** `--peers` alone means all of them. */
const words = process.argv
  .slice(2)
  .map((word, i, all) => (word === '--peers' && !/^(all|none)$/.test(all[i + 1] ?? '') ? '--peers=all' : word));
const { values: given, positionals } = parseArgs({
  args: words,
  allowPositionals: true,
  options: {
    quick: { type: 'boolean' },
    hosts: { type: 'string' },
    only: { type: 'string' },
    rounds: { type: 'string' },
    peers: { type: 'string' },
    kernels: { type: 'boolean' },
    tiles: { type: 'boolean' },
    out: { type: 'string' },
    report: { type: 'boolean' },
    against: { type: 'string' },
    kernel: { type: 'string' },
    experts: { type: 'boolean' },
    llm: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});
const fail = (text) => {
  console.error(text);
  process.exit(2);
};
if (given.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
if (given.peers && !['all', 'none'].includes(given.peers)) fail(`--peers: expected all or none, got ${given.peers}`);
if (given.rounds && !(Number(given.rounds) >= 1)) fail(`--rounds: expected a number of at least 1, got ${given.rounds}`);
if (positionals.length > 0 && !given.report) fail(`unknown argument ${positionals[0]}; see --help`);

const options = {
  mode: given.quick ? 'quick' : 'full',
  ...(given.only && { only: given.only }),
  ...(given.peers && { peers: given.peers }),
  ...((given.kernels || given.tiles) && { force: given.tiles ? 'tiles' : 'kernels' }),
  ...(given.rounds && { rounds: Number(given.rounds) }),
};
if (given.experts) await (await import('./bench/against-commit.mjs')).compareExperts(given);
if (given.llm) await (await import('./bench/llm.mjs')).benchLlm(given);
if (given.against) await (await import('./bench/against-commit.mjs')).compare(given.against, given);

const port = Number(process.env.PORT ?? 4192);
const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
const built = join(root, 'node_modules', '.cache', 'bench');
const peerFiles = join(root, 'node_modules', 'onnxruntime-web', 'dist');

/** On a machine without the tools, prebuilt programs are enough. */
if (existsSync(vite) || !existsSync(join(built, 'dawn.js'))) {
  ensureModules();
  const done = spawnSync(process.execPath, [vite, 'build', '--mode', 'bench', '--logLevel', 'error'], { cwd: root, stdio: 'inherit' });
  if (done.status !== 0) process.exit(1);
}
const { reportText } = await import(pathToFileURL(join(built, 'text.js')).href);
const { failures } = await import(pathToFileURL(join(built, 'report.js')).href);

if (given.report) {
  const results = positionals.map((path) => JSON.parse(readFileSync(path, 'utf8')));
  if (results.length === 0) fail('--report: expected one or more JSON files, got none');
  console.log(reportText({ ...results[0], hosts: results.flatMap(({ hosts }) => hosts) }));
  process.exit(0);
}

/** Starts the page's server and waits until it answers. */
async function serve() {
  const args = [vite, '--mode', 'bench', '--port', String(port), '--strictPort', '--logLevel', 'error'];
  const server = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  for (let i = 0; i < 100; i++) {
    if (server.exitCode !== null) throw new Error(`the page's server ended with ${server.exitCode}; is port ${port} free?`);
    const answer = await fetch(`http://localhost:${port}/bench/browser.html`).catch(() => undefined);
    if (answer?.ok) return server;
    await new Promise((then) => setTimeout(then, 200));
  }
  server.kill();
  throw new Error(`the page's server did not answer on port ${port}`);
}

// ------------------------------------------------------------------------------------------------------------- hosts

const onTerminal = process.stderr.isTTY;
function show(host, { done, total, text, cell }) {
  const line = `${host}: ${done}/${total} ${text}`;
  if (onTerminal) process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns ?? 100) - 1)}`);
  else if (cell || process.env.DEBUG) console.error(line);
}

/** One browser, one page, one part of the sessions. */
async function onePart(host, executablePath, flags, part) {
  const { chromium } = await import('@playwright/test');
  const args = ['--no-sandbox', '--enable-unsafe-webgpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
  args.push('--disable-component-update', '--disable-sync', ...flags);
  const browser = await chromium.launch({ executablePath, args });
  try {
    const page = await browser.newPage();
    page.on('pageerror', (error) => console.error(`[${host}] ${error.message}`));
    if (process.env.DEBUG) page.on('console', (message) => console.error(`[${host}] ${message.text()}`));
    await page.exposeFunction('benchProgress', (progress) => show(host, progress));
    await page.goto(`http://localhost:${port}/bench/browser.html`);
    await page.waitForFunction(() => 'antiquantBench' in globalThis);
    const run = ([name, o]) => globalThis.antiquantBench.run(name, o, globalThis.benchProgress);
    const result = await page.evaluate(run, [host, { ...options, part }]);
    return { ...result, engine: `Chromium ${browser.version()}` };
  } finally {
    await browser.close();
  }
}

// V8 would optimise the peers' WebAssembly for a minute, on the cores that a software adapter computes on. The CPU peer, whose
// arithmetic that is, gets a browser that does.
const BASELINE_WASM = '--liftoff-only';

async function inBrowser(host, executablePath, flags) {
  const server = await serve();
  try {
    const gpu = await onePart(host, executablePath, [...flags, `--js-flags=${BASELINE_WASM}`], 'gpu');
    const cpu = await onePart(host, executablePath, flags, 'cpu');
    return {
      ...gpu,
      cells: [...gpu.cells, ...cpu.cells],
      notes: [...gpu.notes, ...cpu.notes],
      seconds: gpu.seconds + cpu.seconds,
    };
  } finally {
    server.kill();
  }
}

let vulkan;
const graphics = () => (vulkan ??= ensureVulkan());
const realGpu = () => graphics().adapter && !graphics().adapter.software;

function inDawn() {
  const args = [BASELINE_WASM, join(built, 'dawn.js'), JSON.stringify({ options, dist: peerFiles })];
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...graphics().env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((then, reject) => {
    let result;
    createInterface({ input: child.stdout }).on('line', (text) => {
      if (!text.startsWith('{"')) return console.error(`[dawn] ${text}`);
      const line = JSON.parse(text);
      if (line.progress) show('dawn', line.progress);
      if (line.error) reject(new Error(line.error));
      if (line.result) result = line.result;
    });
    child.on('close', (code) => (result ? then(result) : reject(new Error(`dawn ended with ${code} and without a result`))));
  });
}

const hosts = {
  chromium: () => {
    const path = ensureChromium();
    if (!path) throw new Error('no Chromium');
    return inBrowser('chromium', path, realGpu() ? [] : ['--use-webgpu-adapter=swiftshader']);
  },
  'chromium-f16': () => {
    graphics(); // brings lavapipe
    const { path, missing } = ensureChromiumF16(ensureChromium());
    if (!path) throw new Error(`no Chromium with shader-f16 can be made here; missing: ${missing.join(', ')}`);
    return inBrowser('chromium-f16', path, []);
  },
  dawn: inDawn,
};
/** The hosts to run: no software adapter in a browser if there is a GPU, and no browser without vite. */
const present = () => (existsSync(vite) ? (realGpu() ? ['chromium', 'dawn'] : Object.keys(hosts)) : ['dawn']);
const asked = given.hosts?.split(',') ?? present();
for (const host of asked) if (!(host in hosts)) fail(`--hosts: expected some of ${Object.keys(hosts).join(', ')}, got ${host}`);

// --------------------------------------------------------------------------------------------------------------- run

const packageVersion = (name) => {
  try {
    return JSON.parse(readFileSync(join(root, 'node_modules', ...name.split('/'), 'package.json'), 'utf8')).version;
  } catch {
    return 'none';
  }
};
const commit = () => {
  try {
    const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', 'src', 'shaders') === '' ? '' : '+changes');
  } catch {
    return 'unknown';
  }
};

const results = [];
let broken = 0;
for (const host of asked) {
  try {
    results.push(await hosts[host]());
  } catch (error) {
    broken++;
    console.error(`\n!!! ${host} did not run: ${error.message}`);
  }
  if (onTerminal) process.stderr.write('\r\x1b[K');
}
if (results.length === 0) process.exit(1);

const date = new Date().toISOString();
const result = {
  schema: 1,
  date,
  mode: given.only || given.peers || given.rounds || options.force ? 'custom' : options.mode,
  machine: {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${systemType()} ${release()}`,
  },
  versions: {
    antiquant: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version,
    commit: commit(),
    node: process.versions.node,
    webgpu: packageVersion('webgpu'),
    'onnxruntime-web': packageVersion('onnxruntime-web'),
  },
  hosts: results,
};
const out = resolve(
  given.out ??
    join(root, 'bench-results', `${date.slice(0, 10)}-${result.versions.commit}${result.mode === 'full' ? '' : `-${result.mode}`}.json`),
);
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, `${JSON.stringify(result, null, 1)}\n`);
console.log(reportText(result));
console.log(`\nevery sample is in ${out}; npm run bench -- --report ${out} prints this again`);
process.exit(broken > 0 || failures(result).length > 0 ? 1 : 0);
