// Imports point one way: a folder of src/ imports only folders before it in this list; the entries are index.ts, formats.ts, llm.ts and shaders.ts.
// There are no circles in src/ and cli/.
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { expect, test } from 'vitest';

/** Lowest first; folders of one row know nothing of each other. */
const FLOORS: readonly (readonly string[])[] = [
  ['errors.ts', 'dtype.ts', 'version.ts', 'progress.ts', 'log.ts', 'wgsl'],
  ['arguments'],
  ['workers'],
  ['problem'],
  ['kernels', 'ascend', 'quantize', 'files'],
  ['formats', 'reference', 'text'],
  ['plan'],
  ['trial'],
  ['gpu'],
  ['tuning'],
  ['product'],
  ['layer'],
  ['epilogues', 'loading', 'rows'],
  ['experts'],
  ['functional', 'recorded'],
  ['llm-kernels'],
  ['llm-trials'],
  ['llm'],
  ['model'],
  ['sequence'],
  ['runtime'],
  ['llm-worker'],
  ['index.ts', 'formats.ts', 'llm.ts', 'shaders.ts'],
];
/** Lower folders that a folder has no business with. */
const NEVER: Readonly<Record<string, readonly string[]>> = {
  reference: ['files', 'formats', 'kernels', 'quantize', 'wgsl'],
  formats: ['kernels', 'wgsl'],
  plan: ['files', 'formats'],
  trial: ['files', 'formats'],
  gpu: ['files', 'formats', 'reference', 'quantize'],
  tuning: ['files', 'formats', 'reference', 'quantize'],
};
/** Peer dependencies that a page may do without. */
const OPTIONAL = [
  'text/template.ts imports @huggingface/jinja',
  'text/tokenizer-json.ts imports @huggingface/tokenizers',
  'text/tokenizer.ts imports @huggingface/tokenizers',
];
/** About a dozen, but where each kernel, format or container has a file. */
const MOST_FILES = 16;

/** File of a folder → the files that it imports or re-exports from, types included, as paths from that folder. */
function importsOf(folder: string): Map<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const file = entry.replaceAll('\\', '/');
    if (!file.endsWith('.ts')) continue;
    const text = readFileSync(join(folder, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
    const paths = [...text.matchAll(/(?<!['"])\b(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)].map(([, path]) => path!);
    found.set(
      file,
      paths.map((path) => (path.startsWith('.') ? posix.join(posix.dirname(file), path).replace(/\.js$/, '.ts') : path)),
    );
  }
  return found;
}

const root = join(import.meta.dirname, '../../src');
const imports = importsOf(root);

/** The folder of a path from src/, or the file itself where it stands in none. */
const room = (path: string): string => path.split('/')[0]!;
const floor = (path: string): number => FLOORS.findIndex((rooms) => rooms.includes(room(path)));
/** `a imports b`, for every import that `wrong` holds for. */
const found = (wrong: (file: string, path: string) => boolean): string[] =>
  [...imports].flatMap(([file, paths]) => paths.filter((path) => wrong(file, path)).map((path) => `${file} imports ${path}`));

test('the import lines were read', () => {
  expect(imports.size).toBeGreaterThan(100);
  expect(imports.get('plan/plan.ts')).toEqual(expect.arrayContaining(['problem/caps.ts', 'plan/choose.ts'])); // types, too
  expect(imports.get('index.ts')).toEqual(expect.arrayContaining(['gpu/device.ts', 'gpu/tensor.ts'])); // re-exports
});

test('every import names a file of src/, and nothing from outside but optional packages', () => {
  expect(found((_, path) => !imports.has(path))).toEqual(OPTIONAL);
});

test('optional packages are imported when they are needed, and types of the library do not need them', () => {
  for (const [file, name] of OPTIONAL.map((line) => line.split(' imports ')))
    expect(readFileSync(join(root, file!), 'utf8')).not.toContain(`from '${name}'`);
});

test('every file stands in a folder of the list, and none imports upwards or sideways', () => {
  expect([...imports.keys()].filter((file) => floor(file) < 0)).toEqual([]);
  expect(found((file, path) => room(path) !== room(file) && floor(path) >= floor(file))).toEqual([]);
});

test('folders do not import what is none of their business', () => {
  expect(found((file, path) => NEVER[room(file)]?.includes(room(path)) ?? false)).toEqual([]);
});

test('a folder has about a dozen files', () => {
  const sizes = new Map<string, string[]>();
  for (const file of imports.keys()) sizes.set(room(file), [...(sizes.get(room(file)) ?? []), file]);
  const large = [...sizes].filter(([name, files]) => !['kernels', 'formats', 'files'].includes(name) && files.length > MOST_FILES);
  expect(large.map(([name, files]) => `${name} has ${files.length}`)).toEqual([]);
});

test('only gpu/, tuning/, layer/, epilogues/, experts/, loading/ and sequence/ call a GPUDevice', () => {
  const files = [...imports.keys()].filter((file) =>
    /\.(create(Buffer|BindGroup|ShaderModule|ComputePipeline|CommandEncoder)\w*|queue|pushErrorScope)\b/.test(
      readFileSync(join(root, file), 'utf8'),
    ),
  );
  expect(files.filter((file) => !['gpu', 'tuning', 'layer', 'epilogues', 'experts', 'loading', 'sequence'].includes(room(file)))).toEqual(
    [],
  );
});

test('only ten files know the bundler: eight read shaders, two start a worker', () => {
  const files = [...imports.keys()].filter((file) => readFileSync(join(root, file), 'utf8').includes('import.meta'));
  expect(files.sort()).toEqual([
    'llm-worker/llm-worker.ts',
    'quantize/in-worker.ts',
    'shaders.ts',
    'wgsl/best-text.ts',
    'wgsl/glu-text.ts',
    'wgsl/llm-text.ts',
    'wgsl/quantize-text.ts',
    'wgsl/rows-text.ts',
    'wgsl/sort-text.ts',
    'wgsl/sources.ts',
  ]);
});

test.each(['src', 'cli'])('there are no circles in %s, not even of types', (folder) => {
  const all = importsOf(join(root, '..', folder));
  expect(all.size).toBeGreaterThan(10);
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      circles.push([...path.slice(path.indexOf(file)), file].join(' → '));
      return;
    }
    if (done.has(file)) return;
    for (const next of all.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of all.keys()) visit(file, []);
  expect(circles).toEqual([]);
});
