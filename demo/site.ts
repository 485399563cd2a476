// Adds the documents and the service worker with its list of files to the built page. Only vite.config.ts uses this file.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'vite';
import { ORT_FOLDER } from './ort.js';
import { WLLAMA_FOLDER } from './wllama.js';

/** Files of more bytes are cached at their first use, not at installation. */
const LARGE = 1_500_000;

/** Files that the bench loads on demand. */
const ON_DEMAND = [ORT_FOLDER, WLLAMA_FOLDER];

const DOCUMENTS = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', 'LICENSE', 'shaders/README.md'];

export const site = (root: string): Plugin => ({
  name: 'antiquant-site',
  apply: 'build',
  generateBundle: {
    order: 'post',
    handler(_, bundle) {
      const documents = [
        ...DOCUMENTS,
        ...readdirSync(join(root, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
      ];
      for (const name of documents)
        this.emitFile({ type: 'asset', fileName: `docs/${name}`, source: readFileSync(join(root, name), 'utf8') });
      const parts = Object.values(bundle).map((part) => ({ name: part.fileName, source: part.type === 'chunk' ? part.code : part.source }));
      const hash = createHash('sha256');
      for (const { name, source } of parts.toSorted((a, b) => (a.name < b.name ? -1 : 1))) hash.update(name).update(source);
      const late = (name: string): boolean => name === 'index.html' || ON_DEMAND.some((folder) => name.startsWith(folder));
      const ahead = parts.filter(({ name, source }) => !late(name) && source.length <= LARGE);
      const files = ahead.map(({ name }) => `./${name}`);
      const text = readFileSync(join(root, 'demo', 'sw.js'), 'utf8');
      const head = `const VERSION = '${hash.digest('hex').slice(0, 12)}';\nconst FILES = ${JSON.stringify(['./', ...files])};\n`;
      this.emitFile({ type: 'asset', fileName: 'sw.js', source: head + text });
    },
  },
});
