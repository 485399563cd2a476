// One configuration for the package (default), the demo page (--mode demo), the browser tests' page (--mode e2e) and the Deno test
// program (--mode deno).
import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

const here = (path: string): string => resolve(import.meta.dirname ?? '.', path);

const modes: Record<string, object> = {
  demo: { root: here('demo'), base: './', build: { outDir: here('dist-demo'), emptyOutDir: true, target: 'es2022' } },
  e2e: { root: here('.'), server: { fs: { allow: [here('.')] } } },
  deno: {
    build: {
      lib: { entry: here('test/deno.ts'), formats: ['es'], fileName: 'deno' },
      outDir: here('node_modules/.cache/deno'),
      target: 'es2022',
    },
  },
};

export default defineConfig(({ mode }) => ({
  build: {
    lib: { entry: here('src/index.ts'), formats: ['es'], fileName: 'index' },
    outDir: here('dist'),
    target: 'es2022',
    minify: false,
    sourcemap: true,
    // A file for each module: bundlers then leave out whatever is not used.
    rollupOptions: { output: { preserveModules: true, preserveModulesRoot: 'src', entryFileNames: '[name].js' } },
  },
  ...modes[mode],
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        test: {
          name: 'dawn',
          include: ['test/dawn/**/*.test.ts'],
          // One process for all files: Dawn's instance lives as long as it, and one device at a time keeps two cores busy enough.
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
}));
