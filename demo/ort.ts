// Copies onnxruntime-web's files to ort/ of the built page; the bench panel loads them on demand. Scripts end in .js, since some static
// servers do not know .mjs. Only vite.config.ts uses this file.
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Plugin } from 'vite';

/** Script (without .mjs) and WebAssembly of each build of onnxruntime-web. */
const BUILDS = {
  webgpu: ['ort.webgpu.bundle.min', 'ort-wasm-simd-threaded.asyncify.wasm'],
  wasm: ['ort.wasm.bundle.min', 'ort-wasm-simd-threaded.wasm'],
} as const;
export const ORT_FOLDER = 'ort/';

export interface OrtFile {
  readonly file: string;
  readonly bytes: number;
}
/** The files' names and sizes; the page has them as __ORT_FILES__. */
export type OrtFiles = Readonly<Record<keyof typeof BUILDS, { readonly script: OrtFile; readonly wasm: OrtFile }>>;

export function ort(root: string): Plugin {
  const folder = join(root, 'node_modules', 'onnxruntime-web', 'dist');
  const inFolder = (name: string): string => join(folder, name.endsWith('.js') ? name.replace(/\.js$/, '.mjs') : name);
  const entry = (file: string): OrtFile => ({ file, bytes: statSync(inFolder(file)).size });
  const files = Object.fromEntries(
    Object.entries(BUILDS).map(([name, [script, wasm]]) => [name, { script: entry(`${script}.js`), wasm: entry(wasm) }]),
  ) as OrtFiles;
  return {
    name: 'antiquant-ort',
    config: () => ({ define: { __ORT_FILES__: JSON.stringify(files) } }),
    configureServer(server) {
      server.middlewares.use(`/${ORT_FOLDER}`, (request, response, next) => {
        const name = basename(new URL(request.url ?? '', 'http://localhost').pathname);
        if (!/\.(js|wasm)$/.test(name) || !existsSync(inFolder(name))) return next();
        response.setHeader('Content-Type', name.endsWith('.wasm') ? 'application/wasm' : 'text/javascript');
        createReadStream(inFolder(name)).pipe(response);
      });
    },
    generateBundle() {
      for (const { script, wasm } of Object.values(files))
        for (const { file } of [script, wasm])
          this.emitFile({ type: 'asset', fileName: `${ORT_FOLDER}${file}`, source: readFileSync(inFolder(file)) });
    },
  };
}
