// One configuration for the package (default), the demo page (--mode demo), the browser tests' page (--mode e2e), the Deno test
// program (--mode deno), and the bench (--mode bench: a server for its pages, and its Node programs; --mode bench-llm: those of the language model).
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { ort } from './demo/ort.js';
import { plotWithoutStyles, security } from './demo/security.js';
import { site } from './demo/site.js';
import { wllama } from './demo/wllama.js';

import { importMaps } from './e2e/import-maps.js';
import { strip } from './src/wgsl/strip.js';

const here = (path: string): string => resolve(import.meta.dirname ?? '.', path);

/** Threads of WebAssembly need a page and workers that are isolated from other origins. */
const isolation = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

/** The peers' unchanged files: their workers and WebAssembly find each other by URL. */
const PEER_FILES = {
  '/ort/': 'node_modules/onnxruntime-web/dist',
  '/wllama/wasm/': 'node_modules/@wllama/wllama/esm/wasm',
  '/wllama/': 'node_modules/@wllama/wllama/esm',
};
const peerFiles: Plugin = {
  name: 'peer-files',
  configureServer(server) {
    for (const [at, folder] of Object.entries(PEER_FILES))
      server.middlewares.use(at, (request, response, next) => {
        const path = join(here(folder), basename(new URL(request.url ?? '', 'http://localhost').pathname));
        if (!/\.(m?js|wasm)$/.test(path) || !existsSync(path)) return next();
        response.setHeader('Content-Type', path.endsWith('.wasm') ? 'application/wasm' : 'text/javascript');
        for (const [name, value] of Object.entries(isolation)) response.setHeader(name, value);
        createReadStream(path).pipe(response);
      });
  },
};

/** Replacements inside a line, so that source maps stay valid. */
const changed = (code: string, from: RegExp, to: string) => (from.test(code) ? { code: code.replace(from, to), map: null } : null);

/**
 * Leaves the address of a worker in the package as it is written, for the bundler of whoever uses the package to find; Vite would make
 * one file of the worker, at an address of its own. The script is an entry of the package.
 */
const workerAddress: Plugin = {
  name: 'worker-address',
  enforce: 'pre',
  transform: (code) => changed(code, /new Worker\(new URL\((?=')/, 'new Worker(new URL(/* @vite-ignore */ '),
  renderChunk: (code) => changed(code, /new Worker\(new URL\(\s*\/\* @vite-ignore \*\/\s*/, 'new Worker(new URL('),
};

/** The package's shaders without comments; `?raw&readable`, which only src/shaders.ts uses, keeps the comments. */
const strippedShaders: Plugin = {
  name: 'stripped-shaders',
  enforce: 'pre',
  load: (id) => (id.endsWith('.wgsl?raw') ? `export default ${JSON.stringify(strip(readFileSync(id.slice(0, -4), 'utf8')))};` : null),
};

/** Where reports go. The project's addresses stand in package.json alone, and it may have none. */
const { bugs } = JSON.parse(readFileSync(here('package.json'), 'utf8')) as { readonly bugs?: string | { readonly url?: string } };
const bugsUrl = typeof bugs === 'string' ? bugs : (bugs?.url ?? '');

const modes: Record<string, object> = {
  // The package's entries as one file each: scripts/cdn.mjs says which.
  cdn: {
    plugins: [workerAddress, strippedShaders],
    build: {
      outDir: here('dist/cdn'),
      emptyOutDir: false,
      target: 'es2022',
      minify: true,
      rollupOptions: { external: [/^node:/, /^@huggingface\//], output: { codeSplitting: false, entryFileNames: '[name].js' } },
    },
  },
  demo: {
    root: here('demo'),
    define: { 'import.meta.env.BUGS': JSON.stringify(bugsUrl) },
    base: './',
    plugins: [ort(here('.')), wllama(here('.')), plotWithoutStyles(), security(), site(here('.'))],
    worker: { format: 'es' },
    build: {
      outDir: here('dist-demo'),
      emptyOutDir: true,
      target: 'es2022',
      rollupOptions: { input: { index: here('demo/index.html'), wasm: here('demo/wasm.html') } },
    },
  },
  // The browser tests' page, and examples/, which import the package by its name. onnxruntime-web finds its files beside itself.
  e2e: {
    root: here('.'),
    plugins: [importMaps],
    server: { fs: { allow: [here('.')] } },
    resolve: {
      alias: [
        { find: /^antiquant$/, replacement: here('src/index.ts') },
        { find: /^antiquant\/(.+)$/, replacement: here('src/$1.ts') },
      ],
    },
    optimizeDeps: { exclude: ['onnxruntime-web'] },
  },
  deno: {
    build: {
      lib: { entry: here('test/deno.ts'), formats: ['es'], fileName: 'deno' },
      outDir: here('node_modules/.cache/deno'),
      target: 'es2022',
    },
  },
  bench: {
    plugins: [peerFiles],
    server: { fs: { allow: [here('.')] }, watch: null, headers: isolation },
    build: {
      lib: { entry: { dawn: here('bench/dawn.ts'), text: here('bench/text.ts'), report: here('bench/report.ts') }, formats: ['es'] },
      outDir: here('node_modules/.cache/bench'),
      emptyOutDir: true,
      target: 'es2022',
      minify: false,
      rollupOptions: { external: ['webgpu', /^node:/] },
    },
  },
  // The language model's bench, a program of its own.
  'bench-llm': {
    build: {
      lib: {
        entry: {
          dawn: here('bench/llm/dawn.ts'),
          versus: here('bench/llm/versus.ts'),
          rows: here('bench/llm/rows.ts'),
          models: here('bench/llm/models.ts'),
        },
        formats: ['es'],
      },
      outDir: here('node_modules/.cache/bench-llm'),
      emptyOutDir: true,
      target: 'es2022',
      minify: false,
      rollupOptions: { external: ['webgpu', /^node:/, /^@huggingface\//] },
    },
  },
};

export default defineConfig(({ mode }) => ({
  ...(mode in modes ? {} : { plugins: [workerAddress, strippedShaders] }),
  build: {
    lib: {
      entry: {
        index: here('src/index.ts'),
        formats: here('src/formats.ts'),
        llm: here('src/llm.ts'),
        shaders: here('src/shaders.ts'),
        'quantize/antiquant-quantize-worker': here('src/quantize/antiquant-quantize-worker.ts'),
        'llm-worker/antiquant-llm-worker': here('src/llm-worker/antiquant-llm-worker.ts'),
        'cli/main': here('cli/main.ts'),
        'cli/worker': here('cli/worker.ts'),
      },
      formats: ['es'],
    },
    outDir: here('dist'),
    target: 'es2022',
    minify: false,
    // A file for each module: bundlers then leave out whatever is not used.
    rollupOptions: {
      external: ['webgpu', /^node:/, /^@huggingface\//], // of cli/, and optional packages
      output: {
        preserveModules: true,
        preserveModulesRoot: 'src',
        entryFileNames: ({ name }) => `${name.replace('.wgsl_raw_readable', '.readable').replace('.wgsl_raw', '')}.js`,
      },
    },
  },
  ...modes[mode],
  test: {
    projects: [
      // What hangs must end; what other work holds up must not.
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 180_000 } },
      {
        test: {
          name: 'dawn',
          include: ['test/dawn/**/*.test.ts'],
          // A process for each file: Dawn's instance lives as long as it. One at a time: compiling takes a core, and other suites the rest.
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
}));
