// docs/api-reference.md has every export of every entry with a docstring, and every type of a public signature is exported.
// test/package-names.json has the public names, so that a change of them shows.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
const { namesOf, outputs, readApi, withDeclarations } = await import(join(root, 'scripts/api.mjs'));

test('every export has a docstring, every type in a signature is exported, and `npm run api` has been run', { timeout: 60_000 }, () => {
  const api = withDeclarations(readApi);
  expect(api.undocumented).toEqual([]);
  expect(api.unexported).toEqual([]);
  for (const [path, text] of Object.entries(outputs(api))) {
    expect(text === readFileSync(join(root, path), 'utf8'), `${path} is what \`npm run api\` writes`).toBe(true);
  }
  expect(Object.keys(namesOf(api))).toEqual(['antiquant', 'antiquant/formats', 'antiquant/llm', 'antiquant/shaders']);
});

test('what is missing is found: docstrings, and types by whatever way a signature names them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'antiquant-api-test-'));
  const files = {
    'index.d.ts': "export { f as g, type Told, Shape, all } from './a.js';\nexport type { Bare } from './a.js';\n",
    'a.d.ts': `import { type Hidden as Own } from './b.js';
interface Base { readonly x: number; }
/** Told. */
export interface Told extends Base { readonly own: Own | GPUDevice; list<T>(of: T): { [K in keyof T]: T[K] }; }
export type Bare = 'a' | 'b';
type Inside = Bare;
/** f. */
export declare function f(a: Told, { b }: { readonly b?: readonly Inside[] }): import("./b.js").Also;
/** Shape. @param a it */
export declare class Shape { #private; constructor(a: Told); }
/** All. */
export declare const all: ReadonlyMap<string, typeof f>;
`,
    'b.d.ts': 'export interface Hidden {}\nexport interface Also {}\n',
  };
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const api = readApi(folder, { name: 'x', exports: { '.': { types: './dist/index.d.ts' }, './package.json': './package.json' } });
    expect(namesOf(api)).toEqual({ x: ['all', 'type Bare', 'g', 'Shape', 'type Told'] });
    expect(api.undocumented).toEqual(['x: Bare of a.d.ts']);
    expect(api.unexported.sort()).toEqual([
      'x: Told names Base of a.d.ts',
      'x: Told names Hidden of b.d.ts',
      'x: g names Also of b.d.ts',
      'x: g names Inside of a.d.ts',
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
