// Uses the packed package as others do: pages by vite, webpack, rollup, esbuild, an import map and one file, in Chromium; programs by Deno and
// Bun; types by an old and the newest TypeScript. Each computes and compares numbers with ===. `npm run test:all` runs it. What the project itself
// has no need of is in consumers/package.json, and is installed when this first runs.
//
//   node test/consumers.mjs --built vite bun    some of them, of the package that lies in dist/
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from '@playwright/test';
import { build } from 'vite';
import { ensureChromium, findDeno } from '../scripts/setup.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const own = join(root, 'test', 'consumers');
const [built, asked] = [process.argv.includes('--built'), process.argv.slice(2).filter((word) => !word.startsWith('--'))];
const windows = process.platform === 'win32';
const run = promisify(execFile);
const npm = (args, cwd) => execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], shell: windows });

// ------------------------------------------------------------------------------------------- what stands where

const installed = join(root, 'node_modules', '.cache', 'consumers');
const [lock, stamp] = [join(own, 'package-lock.json'), join(installed, 'node_modules', '.package-lock.json')];
if (!existsSync(stamp) || ofLock(stamp) !== ofLock(lock)) {
  mkdirSync(installed, { recursive: true });
  for (const name of ['package.json', 'package-lock.json']) cpSync(join(own, name), join(installed, name));
  npm(['ci', '--ignore-scripts', '--silent', '--no-audit', '--no-fund'], installed);
}
/** The versions of a lock file. */
function ofLock(path) {
  const { packages } = JSON.parse(readFileSync(path, 'utf8'));
  // Packages for other systems are not installed.
  return JSON.stringify(Object.entries(packages).flatMap(([name, { version, optional }]) => (name && !optional ? [[name, version]] : [])));
}
const require = createRequire(join(installed, 'package.json'));
const load = (name) => import(pathToFileURL(require.resolve(name)));

const home = mkdtempSync(join(tmpdir(), 'antiquant-consumers-'));
/** A user's project with the package, and with packages of these folders beside it. */
function project(name, ...beside) {
  const folder = join(home, name);
  const modules = join(folder, 'node_modules');
  mkdirSync(modules, { recursive: true });
  cpSync(join(home, 'package'), join(modules, 'antiquant'), { recursive: true });
  for (const path of beside) {
    mkdirSync(dirname(join(modules, path)), { recursive: true });
    symlinkSync(join(root, 'node_modules', path), join(modules, path), 'junction');
  }
  cpSync(join(own, 'pages'), folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  return folder;
}
const gguf = join(root, 'models', 'kjv.gguf');
const PEERS = ['@huggingface/jinja', '@huggingface/tokenizers'];

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.gguf': 'application/octet-stream' };
const server = createServer((request, response) => {
  const path = join(home, decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
  const file = request.url === '/kjv.gguf' ? gguf : path;
  if (!existsSync(file) || !extname(file)) return response.writeHead(404).end();
  response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(readFileSync(file));
});

let browser;
/** What a page of `home` finds. */
async function inChromium(path) {
  const software = process.env.ANTIQUANT_GPU === '1' ? [] : ['--use-webgpu-adapter=swiftshader'];
  browser ??= await chromium.launch({ executablePath: ensureChromium(), args: ['--no-sandbox', '--enable-unsafe-webgpu', ...software] });
  const page = await browser.newPage();
  const noise = [];
  page.on('console', (message) => noise.push(message.text()));
  page.on('pageerror', ({ message }) => noise.push(message));
  page.on('requestfailed', (request) => noise.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on(
    'response',
    (response) =>
      response.status() >= 400 && !response.url().endsWith('favicon.ico') && noise.push(`${response.url()}: ${response.status()}`),
  );
  await page.goto(`http://localhost:${server.address().port}/${path}`);
  try {
    await page.waitForFunction(() => globalThis.result !== undefined, undefined, { timeout: 240_000 });
    return { ...(await page.evaluate(() => globalThis.result)), noise };
  } catch (error) {
    return { error: error.message, noise };
  } finally {
    await page.close();
  }
}
/** The model has three blocks of seven matrices, and a head. */
const RIGHT = { product: true, nonzero: true, quantized: true, noWorker: '', layers: 22, shaders: true };
const html = (script, head = '') =>
  `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">${head}<script type="module" src="${script}"></script>`;

const entries = (at) => ({
  antiquant: `${at}/antiquant/dist/index.js`,
  'antiquant/formats': `${at}/antiquant/dist/formats.js`,
  'antiquant/llm': `${at}/antiquant/dist/llm.js`,
  'antiquant/shaders': `${at}/antiquant/dist/shaders.js`,
});
const importMap = (imports) => `<script type="importmap">${JSON.stringify({ imports })}</script>`;
const PEER_FILES = {
  '@huggingface/jinja': './node_modules/@huggingface/jinja/dist/index.js',
  '@huggingface/tokenizers': './node_modules/@huggingface/tokenizers/dist/tokenizers.min.mjs',
};

let reference;
/** What the model gives on a page, without a Worker and without a bundler. */
async function wanted() {
  if (!reference) {
    const folder = project('reference', ...PEERS);
    writeFileSync(join(folder, 'index.html'), html('./reference.js', importMap({ ...entries('./node_modules'), ...PEER_FILES })));
    reference = await inChromium('reference/index.html');
    assert.ok(
      reference.logits?.length > 0 && reference.logits.every(Number.isFinite) && reference.said.trim() !== '',
      JSON.stringify(reference),
    );
  }
  return reference;
}

/** Compares what a page of `home` finds, each number with ===. */
async function compare(path, other = {}) {
  const { logits, said, noise } = await wanted();
  assert.deepEqual(noise, []);
  assert.deepEqual(await inChromium(path), { ...RIGHT, logits, said, noise: [], ...other });
}

/** Builds a page with `make(folder)`, which gives the script's path from the folder, and opens it. */
async function page(name, make) {
  const folder = project(name, ...PEERS);
  const script = await make(folder);
  writeFileSync(join(folder, dirname(script), 'index.html'), html(`./${script.split('/').at(-1)}`));
  await compare(`${name}/${dirname(script)}/index.html`);
}

// ------------------------------------------------------------------------------------------- the consumers

const viteBuild = (folder, entry, more = {}) =>
  build({
    root: folder,
    configFile: false,
    logLevel: 'error',
    worker: { format: 'es' },
    base: './',
    ...more,
    build: {
      target: 'es2022',
      modulePreload: false,
      rollupOptions: { input: join(folder, entry), output: { entryFileNames: '[name].js' } },
      ...more.build,
    },
  });

async function rollupBuild(folder, input, options = {}) {
  const [{ rollup }, { nodeResolve }] = [await load('rollup'), await load('@rollup/plugin-node-resolve')];
  const warnings = [];
  const bundle = await rollup({
    input,
    plugins: [nodeResolve({ browser: true })],
    onwarn: (warning) => warnings.push(warning),
    ...options,
  });
  await bundle.write({ dir: join(folder, 'dist'), format: 'es', entryFileNames: '[name].js' });
  return warnings;
}

async function webpackBuild(folder, entry) {
  const { default: webpack } = await load('webpack');
  const stats = await promisify(webpack)({
    mode: 'production',
    context: folder,
    entry,
    output: { path: join(folder, 'dist'), filename: 'page.js' },
    performance: false,
  });
  const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
  return { errors: errors.map(({ message }) => message), warnings: warnings.map(({ message }) => message) };
}

async function esbuildBuild(folder, entryPoints) {
  const { default: esbuild } = await load('esbuild');
  return esbuild.build({
    entryPoints,
    bundle: true,
    splitting: true,
    format: 'esm',
    outdir: join(folder, 'dist'),
    logLevel: 'silent',
    absWorkingDir: folder,
  });
}

const consumers = {
  async vite() {
    await page('vite', async (folder) => {
      await viteBuild(folder, 'page.js');
      return 'dist/page.js';
    });
  },
  async webpack() {
    await page('webpack', async (folder) => {
      assert.deepEqual(await webpackBuild(folder, './page.js'), { errors: [], warnings: [] });
      return 'dist/page.js';
    });
  },
  async rollup() {
    await page('rollup', async (folder) => {
      const dist = join(folder, 'node_modules', 'antiquant', 'dist');
      const warnings = await rollupBuild(folder, {
        page: join(folder, 'page.js'),
        'antiquant-llm-worker': join(dist, 'llm-worker', 'antiquant-llm-worker.js'),
        'antiquant-quantize-worker': join(dist, 'quantize', 'antiquant-quantize-worker.js'),
      });
      assert.deepEqual(
        warnings.map(({ message }) => message),
        [],
      );
      return 'dist/page.js';
    });
  },
  async esbuild() {
    await page('esbuild', async (folder) => {
      const { warnings } = await esbuildBuild(folder, {
        page: './page.js',
        'antiquant-llm-worker': 'antiquant/llm-worker',
        'antiquant-quantize-worker': 'antiquant/quantize-worker',
      });
      assert.deepEqual(warnings, []);
      return 'dist/page.js';
    });
  },
  /** Workers at addresses of a page's own, whose scripts import those of the package for their effects. */
  async workers() {
    await page('workers', async (folder) => {
      const given = (kind) => `${kind}: () => new Worker(new URL('./my-${kind}.js', import.meta.url), { type: 'module' })`;
      writeFileSync(join(folder, 'workers.js'), `export const workers = { ${given('llm')}, ${given('quantize')} };`);
      for (const kind of ['llm', 'quantize']) writeFileSync(join(folder, `my-${kind}.js`), `import 'antiquant/${kind}-worker';`);
      const { warnings } = await esbuildBuild(folder, { page: './page.js', 'my-llm': './my-llm.js', 'my-quantize': './my-quantize.js' });
      assert.deepEqual(warnings, []);
      return 'dist/page.js';
    });
  },
  /** Scripts of Workers have no import map: texts need @huggingface/tokenizers, ids do not. */
  async 'import map'() {
    const folder = project('map', ...PEERS);
    writeFileSync(join(folder, 'index.html'), html('./page.js', importMap({ ...entries('./node_modules'), ...PEER_FILES })));
    await compare('map/index.html', { said: 'UnsupportedError' });
  },
  /** The optional packages are not there: all bundles, and only texts are refused. */
  async 'without peers'() {
    const folder = project('bare');
    await viteBuild(folder, 'page.js', { build: { outDir: join(folder, 'vite') } });
    const missing = (text) => /@huggingface/.test(text);
    const { errors, warnings } = await webpackBuild(folder, './page.js');
    assert.deepEqual([errors, warnings.filter((text) => !missing(text))], [[], []]);
    const { warnings: others } = await esbuildBuild(folder, { page: './page.js' });
    assert.deepEqual(others, []);
    const unresolved = await rollupBuild(folder, { page: join(folder, 'page.js') });
    assert.deepEqual(
      unresolved.filter(({ code, exporter }) => code !== 'UNRESOLVED_IMPORT' || !missing(exporter)),
      [],
    );
  },
  async deno() {
    const deno = findDeno();
    if (!deno) return 'the npm package deno has no binary for this machine';
    const folder = project('deno', ...PEERS);
    const { stdout } = await run(
      deno,
      ['run', '--unstable-webgpu', '--allow-all', '--node-modules-dir=manual', 'program.js', gguf, 'worker'],
      { cwd: folder },
    );
    const { said, ...found } = JSON.parse(stdout);
    assert.deepEqual(found, { ...RIGHT, finite: true });
    assert.ok(said.trim() !== '' && !said.includes('Error'), said);
  },
  async bun() {
    const engines = join(installed, 'node_modules', '@oven');
    const binary = existsSync(engines) ? readdirSync(engines)[0] : undefined;
    if (!binary) return 'the npm package bun has no binary for this machine';
    const bun = join(engines, binary, 'bin', windows ? 'bun.exe' : 'bun');
    const folder = project('bun', ...PEERS, 'webgpu');
    const { stdout } = await run(bun, ['program.js', gguf, 'dawn'], { cwd: folder });
    const { said, ...found } = JSON.parse(stdout);
    assert.deepEqual(found, { ...RIGHT, finite: true });
  },
  /** Types as TypeScript finds them in the old ways and the new ones, without skipLibCheck. */
  async types() {
    const folder = project('types', ...PEERS, '@webgpu/types');
    const program = `import { LinearWeightQuant, type Tensor } from 'antiquant';
import { openModel, type TensorFile } from 'antiquant/formats';
import { Llm, LlmWorker } from 'antiquant/llm';
import { shaders } from 'antiquant/shaders';
export const file: Promise<TensorFile> = openModel('a.gguf');
export const forward = (device: GPUDevice, x: Tensor): Promise<Float32Array> | unknown =>
  new LinearWeightQuant(device, { inFeatures: 8, outFeatures: 8 }).forward(x).read();
export const text: string | undefined = shaders['lib/weights.wgsl'];
export const [a, b] = [Llm.load('a.gguf'), LlmWorker.load('a.gguf', { worker: () => new Worker('w.js') })];
// @ts-expect-error a number is no model
Llm.load(7);
`;
    writeFileSync(join(folder, 'main.ts'), program);
    // Before 5.7, typed arrays have no type of buffer, which declarations name: skipLibCheck, and `any` where one is given.
    const [oldest, old] = ['typescript-5.4', 'typescript-5.7'].map((name) => require.resolve(`${name}/bin/tsc`));
    const newest = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    const ways = [
      [oldest, 'esnext', 'node10'],
      [oldest, 'node16', 'node16'],
      [old, 'esnext', 'node10'],
      [old, 'node16', 'node16'],
      [old, 'esnext', 'bundler'],
      [newest, 'nodenext', 'nodenext'],
      [newest, 'esnext', 'bundler'],
    ];
    for (const [tsc, module, moduleResolution] of ways) {
      const own = { module, moduleResolution, types: tsc === newest ? [] : ['@webgpu/types'], skipLibCheck: tsc === oldest };
      const compilerOptions = { target: 'es2022', lib: ['es2022', 'dom', 'dom.iterable'], strict: true, noEmit: true, ...own };
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['main.ts'] }));
      await run(process.execPath, [tsc, '-p', folder]).catch(({ stdout }) => assert.fail(`${moduleResolution}, ${tsc}: ${stdout}`));
    }
  },
};

// ------------------------------------------------------------------------------------------- all of them

let [passed, failed, skipped] = [0, 0, 0];
try {
  npm(['pack', '--silent', ...(built ? ['--ignore-scripts'] : []), '--pack-destination', home], root); // builds first, unless it is built
  const tarball = readdirSync(home).find((name) => name.endsWith('.tgz'));
  execFileSync('tar', ['-xzf', tarball], { cwd: home });
  await new Promise((resolve) => server.listen(0, resolve));
  for (const [name, use] of Object.entries(consumers)) {
    if (asked.length > 0 && !asked.includes(name)) continue;
    const begin = Date.now();
    try {
      const why = await use();
      if (why) skipped++;
      else passed++;
      console.log(why ? `!!! SKIPPED: ${name}: ${why}` : `${name}: right, ${((Date.now() - begin) / 1000).toFixed(1)} s`);
    } catch (error) {
      failed++;
      console.log(`FAIL ${name}\n  ${String(error.stack ?? error).replaceAll('\n', '\n  ')}`);
    }
  }
} finally {
  await browser?.close();
  server.close();
  rmSync(home, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
