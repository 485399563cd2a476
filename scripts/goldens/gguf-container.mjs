// Writes test/fixtures/gguf/parse.json: @huggingface/gguf's reading of the files of gguf-container.py, which says how to run both.
// Integers past 2^53 and counts are bigint: they are written as text with an n.
import { readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(join(process.cwd(), 'node_modules/.cache/goldens/node_modules/x.js'));
const { gguf } = await import(pathToFileURL(require.resolve('@huggingface/gguf')).href);
const folder = 'test/fixtures/gguf';
const files = {};
for (const name of readdirSync(folder).filter((file) => file.endsWith('.gguf')))
  files[name] = await gguf(join(folder, name), { allowLocalFile: true });
const text = JSON.stringify(files, (_, value) => (typeof value === 'bigint' ? `${value}n` : value), 1);
writeFileSync(join(folder, 'parse.json'), `${text.replace(/\n\s+(?=[-\d"\]}{])/g, ' ')}\n`);
