// What a page fetches of peers before a model: their scripts and WebAssembly, minified and gzipped. The files are those of npm packages of these
// versions, which `npm pack` brings.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { minify } from 'vite';

/** The build that runs on WebGPU. */
const ORT = ['dist/ort.webgpu.min.mjs', 'dist/ort-wasm-simd-threaded.asyncify.mjs', 'dist/ort-wasm-simd-threaded.asyncify.wasm'];

const { devDependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
/** An own peer, in the version that is installed. */
const installed = (name) => `${name}@${devDependencies[name]}`;

/** By name: packages, and the files of them. transformers.js says which onnxruntime-web is its own. */
const PEERS = {
  'onnxruntime-web': { [installed('onnxruntime-web')]: ORT },
  'transformers.js': {
    '@huggingface/transformers@4.3.2': ['dist/transformers.web.min.js'],
    'onnxruntime-web@1.31.0-dev.20260914-8d85527a0': ORT,
  },
  wllama: { [installed('@wllama/wllama')]: ['esm/index.min.js', 'esm/wasm/wllama.wasm'] },
  WebLLM: { '@mlc-ai/web-llm@0.2.86': ['lib/index.js'] }, // and a library of WebAssembly for each model
};

/** The folder of an npm package of this version. */
function packageOf(spec, into) {
  const file = execFileSync('npm', ['pack', '--silent', '--pack-destination', into, spec], { encoding: 'utf8' }).trim().split('\n').at(-1);
  const folder = join(into, spec.replace(/\W/g, '-'));
  mkdirSync(folder);
  execFileSync('tar', ['xzf', join(into, file), '-C', folder]);
  return join(folder, 'package');
}

async function gzipped(path) {
  const bytes = readFileSync(path);
  if (path.endsWith('.wasm')) return gzipSync(bytes, { level: 9 }).length;
  return gzipSync((await minify(path, bytes.toString(), { module: true })).code, { level: 9 }).length;
}

/** Bytes of each peer: { name, packages, bytes }. */
export async function peerSizes() {
  const into = mkdtempSync(join(tmpdir(), 'antiquant-peers-'));
  try {
    const sizes = [];
    for (const [name, packages] of Object.entries(PEERS)) {
      let bytes = 0;
      for (const [spec, files] of Object.entries(packages)) {
        const folder = packageOf(spec, into);
        for (const file of files) bytes += await gzipped(join(folder, file));
        rmSync(folder, { recursive: true });
      }
      sizes.push({ name, packages: Object.keys(packages), bytes });
    }
    return sizes;
  } finally {
    rmSync(into, { recursive: true, force: true });
  }
}
