// The files of wllama, which is llama.cpp in WebAssembly, in wllama/ of the built page, with its licence. Only vite.config.ts uses this file.
import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';
import { inPackage, type PeerFile, peerFiles } from './peer-files.js';

export const WLLAMA_FOLDER = 'wllama/';
const PLACES: Readonly<Record<string, readonly string[]>> = {
  'wllama.js': ['esm', 'index.min.js'],
  'wllama.wasm': ['esm', 'wasm', 'wllama.wasm'],
  LICENCE: ['LICENCE'],
};

/** Names, sizes and version; the page has them as __WLLAMA_FILES__. */
export interface WllamaFiles {
  readonly script: PeerFile;
  readonly wasm: PeerFile;
  readonly version: string;
}

export function wllama(root: string): Plugin {
  const inside = (...path: readonly string[]): string => inPackage(root, '@wllama', 'wllama', ...path);
  return peerFiles({
    name: 'wllama',
    folder: WLLAMA_FOLDER,
    at: (file) => inside(...(PLACES[file] ?? [file])),
    files: Object.keys(PLACES),
    define: (entry) => ({
      __WLLAMA_FILES__: {
        script: entry('wllama.js'),
        wasm: entry('wllama.wasm'),
        version: (JSON.parse(readFileSync(inside('package.json'), 'utf8')) as { readonly version: string }).version,
      },
    }),
  });
}
