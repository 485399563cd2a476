// onnxruntime-web's files in ort/ of the built page. Only vite.config.ts uses this file.
import type { Plugin } from 'vite';
import { inPackage, type PeerFile, peerFiles } from './peer-files.js';

/** Script (without .mjs) and WebAssembly of each build of onnxruntime-web. */
const BUILDS = {
  webgpu: ['ort.webgpu.bundle.min', 'ort-wasm-simd-threaded.asyncify.wasm'],
  wasm: ['ort.wasm.bundle.min', 'ort-wasm-simd-threaded.wasm'],
} as const;
export const ORT_FOLDER = 'ort/';

/** The files' names and sizes; the page has them as __ORT_FILES__. */
export type OrtFiles = Readonly<Record<keyof typeof BUILDS, { readonly script: PeerFile; readonly wasm: PeerFile }>>;

export const ort = (root: string): Plugin =>
  peerFiles({
    name: 'ort',
    folder: ORT_FOLDER,
    at: (file) => inPackage(root, 'onnxruntime-web', 'dist', file.replace(/\.js$/, '.mjs')),
    files: Object.values(BUILDS).flatMap(([script, wasm]) => [`${script}.js`, wasm]),
    define: (entry) => ({
      __ORT_FILES__: Object.fromEntries(
        Object.entries(BUILDS).map(([name, [script, wasm]]) => [name, { script: entry(`${script}.js`), wasm: entry(wasm) }]),
      ),
    }),
  });
