// Imports point one way. The GPU is known to src/gpu/ and to the few files above it; planning, checking and the reference are pure.
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../src');
/** File → the files that it imports or re-exports from, types included, as paths from src/. */
const imports = new Map<string, readonly string[]>();
for (const entry of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
  const file = entry.replaceAll('\\', '/');
  if (!file.endsWith('.ts')) continue;
  const text = readFileSync(join(root, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const paths = [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*['"]([^'"]+)['"]/g)].map(([, path]) => path!);
  imports.set(
    file,
    paths.map((path) => (path.startsWith('.') ? posix.join(posix.dirname(file), path).replace(/\.js$/, '.ts') : path)),
  );
}

const ABOVE = [
  'tensor.ts',
  'named-tensors.ts',
  'load-matrix.ts',
  'formats/load.ts',
  'formats/index.ts',
  'product.ts',
  'prepare.ts',
  'tuning.ts',
  'side-by-side.ts',
  'quantized-rows.ts',
  'linear-weight-quant.ts',
  'many.ts',
  'matmul.ts',
  'index.ts',
  'quantize/gpu.ts',
];
const isGpu = (file: string): boolean => file.startsWith('gpu/');
/** `a imports b`, for every import of a file that `from` holds for, of what `to` holds for. */
const found = (from: (file: string) => boolean, to: (path: string) => boolean): string[] =>
  [...imports].flatMap(([file, paths]) => (from(file) ? paths.filter(to).map((path) => `${file} imports ${path}`) : []));
const under =
  (...folders: readonly string[]) =>
  (path: string): boolean =>
    folders.some((folder) => path.startsWith(folder));

test('the import lines were read', () => {
  expect(imports.size).toBeGreaterThan(25);
  expect(imports.get('plan.ts')).toEqual(expect.arrayContaining(['caps.ts', 'kernels/index.ts', 'problem.ts'])); // types, too
  expect(imports.get('index.ts')).toEqual(expect.arrayContaining(['gpu/device.ts', 'tensor.ts'])); // re-exports
});

test('every import names a file of src/, and nothing from outside', () => {
  expect(
    found(
      () => true,
      (path) => !imports.has(path),
    ),
  ).toEqual([]);
});

test('pure files know neither the GPU nor the files above it', () => {
  const pure = (file: string): boolean => !isGpu(file) && !ABOVE.includes(file);
  expect(found(pure, (path) => isGpu(path) || ABOVE.includes(path))).toEqual([]);
});

test('src/gpu knows nothing above it', () => {
  expect(found(isGpu, (path) => ABOVE.includes(path))).toEqual([]);
});

test('the reference shares the rules on arguments with the GPU path, and nothing of planning or kernels', () => {
  expect(found(under('reference/'), under('gpu/', 'kernels/', 'wgsl/', 'plan.ts', 'packed.ts', 'step.ts', 'window.ts', 'caps.ts'))).toEqual(
    [],
  );
});

test('checking arguments knows nothing of kernels', () => {
  expect(
    found(
      under('problem.ts', 'checks.ts', 'functional.ts', 'ascend/', 'dtype.ts', 'errors.ts'),
      under('kernels/', 'plan.ts', 'packed.ts', 'wgsl/'),
    ),
  ).toEqual([]);
});

test('only two files know the bundler: one reads shaders, one starts a worker', () => {
  const files = [...imports.keys()].filter((file) => readFileSync(join(root, file), 'utf8').includes('import.meta'));
  expect(files.sort()).toEqual(['quantize/in-worker.ts', 'wgsl/sources.ts']);
});

test('there are no circles, not even of types', () => {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      circles.push([...path.slice(path.indexOf(file)), file].join(' → '));
      return;
    }
    if (done.has(file)) return;
    for (const next of imports.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of imports.keys()) visit(file, []);
  expect(circles).toEqual([]);
});
