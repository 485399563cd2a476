// Finds duplicated text: SIZE or more equal lines after trimming, without blank lines and imports. `npm run repeats` prints each pair of
// places and ends with 1 if there is one; `npm run repeats -- shaders` searches these folders only.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

const SIZE = 6;
const FOLDERS = ['src', 'shaders', 'test'];
const TEXT = /\.(ts|mjs|wgsl)$/;

/** The lines of a text that count: [{ text, line }]. */
function linesOf(file) {
  const lines = [];
  let importing = false;
  for (const [i, raw] of readFileSync(join(root, file), 'utf8').split('\n').entries()) {
    const text = raw.trim();
    if (/^(import\b(?!\()|#include\b)/.test(text)) importing = !/;$|^#/.test(text);
    else if (importing) importing = !text.endsWith(';');
    else if (text !== '') lines.push({ text, line: i + 1 });
  }
  return lines;
}

/** Longest pairs of places: [{ a, b, size }]; a place is { file, at } in lines that count. */
function repeatsIn(files) {
  const seen = new Map(); // window → the places where it begins
  const pairs = [];
  for (const [file, lines] of files)
    for (let at = 0; at + SIZE <= lines.length; at++) {
      const window = lines
        .slice(at, at + SIZE)
        .map(({ text }) => text)
        .join('\n');
      const before = seen.get(window) ?? [];
      for (const a of before) {
        if (a.file === file && at - a.at < SIZE) continue; // a row of equal lines
        const longer = pairs.find(
          (pair) => pair.a.file === a.file && pair.b.file === file && at - pair.b.at === a.at - pair.a.at && at <= pair.b.at + pair.size,
        );
        if (longer) longer.size = Math.max(longer.size, at + SIZE - longer.b.at);
        else pairs.push({ a, b: { file, at }, size: SIZE });
      }
      seen.set(window, [...before, { file, at }]);
    }
  return pairs;
}

const asked = process.argv.slice(2);
const files = new Map();
for (const folder of asked.length > 0 ? asked : FOLDERS)
  for (const name of readdirSync(join(root, folder), { recursive: true }).sort()) {
    if (TEXT.test(name)) files.set(join(folder, name), linesOf(join(folder, name)));
  }
const pairs = repeatsIn(files);
for (const { a, b, size } of pairs) {
  const place = ({ file, at }) => `${file}:${files.get(file)[at].line}`;
  console.log(`${place(a)} = ${place(b)}, ${size} lines: ${files.get(b.file)[b.at].text}`);
}
console.log(`${files.size} files: ${pairs.length} pairs of ${SIZE} or more equal lines`);
process.exit(pairs.length > 0 || files.size === 0 ? 1 : 0);
