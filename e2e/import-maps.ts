// Vite's server leaves names of an example's import map to the browser: their addresses are what a page without a bundler loads.
import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';

/** The addresses of a page's import map, by name; of the library itself there are none, since the tests take src/. */
export function importMapOf(html: string): Readonly<Record<string, string>> {
  const text = /<script type="importmap">([\s\S]*?)<\/script>/.exec(html)?.[1];
  const { antiquant, ...others } = text === undefined ? {} : (JSON.parse(text) as { imports: Record<string, string> }).imports;
  return others;
}

export const importMaps: Plugin = {
  name: 'import-maps',
  enforce: 'pre',
  resolveId(name, importer) {
    const page = /^(.*\.html)\?/.exec(importer ?? '')?.[1];
    const address = page && importMapOf(readFileSync(page, 'utf8'))[name];
    return address ? { id: address, external: true } : null;
  },
};
