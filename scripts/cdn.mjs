// Builds dist/cdn: each entry of the package as one file, for pages without a bundler. Part of `npm run build`.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Files of dist/cdn, and what they are made of. Workers lie beside what starts them. */
const FILES = {
  antiquant: 'src/index.ts',
  formats: 'src/formats.ts',
  llm: 'src/llm.ts',
  'antiquant-quantize-worker': 'src/quantize/antiquant-quantize-worker.ts',
  'antiquant-llm-worker': 'src/llm-worker/antiquant-llm-worker.ts',
};

// What a page fetches on demand elsewhere is in the file here.
for (const [name, entry] of Object.entries(FILES))
  await build({
    root,
    mode: 'cdn',
    logLevel: 'error',
    build: { lib: { entry: { [name]: join(root, entry) }, formats: ['es'] } },
  });
