// Copies files of a peer's package into a folder of the built page; the bench panel loads them on demand. Scripts end in .js, since some static
// servers do not know .mjs. Only vite.config.ts uses this file, by ort.ts and wllama.ts.
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Plugin } from 'vite';

export interface PeerFile {
  readonly file: string;
  readonly bytes: number;
}

export interface PeerFiles {
  readonly name: string;
  /** Of the page, with a slash at its end. */
  readonly folder: string;
  /** Where a file of the page lies in the package. */
  readonly at: (file: string) => string;
  readonly files: readonly string[];
  /** What the page has as a constant: made of the files' names and sizes. */
  readonly define: (entry: (file: string) => PeerFile) => Readonly<Record<string, unknown>>;
}

export const inPackage = (root: string, ...path: readonly string[]): string => join(root, 'node_modules', ...path);

export function peerFiles({ name, folder, at, files, define }: PeerFiles): Plugin {
  const entry = (file: string): PeerFile => ({ file, bytes: statSync(at(file)).size });
  return {
    name: `antiquant-${name}`,
    config: () => ({
      define: Object.fromEntries(Object.entries(define(entry)).map(([key, value]) => [key, JSON.stringify(value)])),
    }),
    configureServer(server) {
      server.middlewares.use(`/${folder}`, (request, response, next) => {
        const file = basename(new URL(request.url ?? '', 'http://localhost').pathname);
        if (!/\.(js|wasm)$/.test(file) || !existsSync(at(file))) return next();
        response.setHeader('Content-Type', file.endsWith('.wasm') ? 'application/wasm' : 'text/javascript');
        createReadStream(at(file)).pipe(response);
      });
    },
    generateBundle() {
      for (const file of files) this.emitFile({ type: 'asset', fileName: `${folder}${file}`, source: readFileSync(at(file)) });
    },
  };
}
