// `npm run size`: builds the package and prints its bytes in a page: LinearWeightQuant and Tensor, bundled, minified and gzipped.
// `--record` adds the figures to bench-results/size.json; test/package.mjs checks the limit. `--peers` prints what a page fetches of peers.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { peerSizes } from './peer-sizes.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const file = join(root, 'bench-results', 'size.json');

/** { limit, llm, conversation, history }: most gzipped bytes of the core, of a page with an Llm, and of a whole conversation; earlier figures of the core. */
export const readHistory = () => JSON.parse(readFileSync(file, 'utf8'));

/** Bytes of a bundle that uses these names of an entry: minified, gzipped, and gzipped parts that load on demand. */
export async function bundleSize(entry, names) {
  const folder = mkdtempSync(join(tmpdir(), 'antiquant-size-'));
  try {
    const input = join(folder, 'main.js');
    writeFileSync(input, `import { ${names} } from ${JSON.stringify(entry.replaceAll('\\', '/'))};\nglobalThis.used = [${names}];\n`);
    const { output } = await build({
      root: folder,
      configFile: false,
      logLevel: 'error',
      build: { write: false, target: 'es2022', modulePreload: false, rollupOptions: { input } },
    });
    const sizeOf = (chunks) => chunks.reduce((sum, { code }) => sum + gzipSync(code, { level: 9 }).length, 0);
    const chunks = output.filter(({ type }) => type === 'chunk');
    // What loads at once: the entry, and what it imports other than by import().
    const main = chunks.filter(({ isEntry }) => isEntry);
    for (const { imports } of main) main.push(...chunks.filter((one) => imports.includes(one.fileName) && !main.includes(one)));
    const later = chunks.filter((one) => !main.includes(one));
    return { minified: main.reduce((sum, { code }) => sum + Buffer.byteLength(code), 0), gzip: sizeOf(main), later: sizeOf(later) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Bytes of a page with one layer. */
export const coreSize = (entry) => bundleSize(entry, 'LinearWeightQuant, Tensor');

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const run = (program, ...args) => execFileSync(program, args, { cwd: root, encoding: 'utf8' }).trim();
  run(process.execPath, join('node_modules', 'vite', 'bin', 'vite.js'), 'build', '--logLevel', 'error');
  const { minified, gzip, later } = await coreSize(join(root, 'dist', 'index.js'));
  const { history, ...limits } = readHistory();
  const { limit, llm } = limits;
  const model = await bundleSize(join(root, 'dist', 'llm.js'), 'Llm');
  console.log(`Llm: ${model.gzip} bytes gzipped; the limit is ${llm}`);
  console.log(
    `LinearWeightQuant and Tensor: ${minified} bytes minified, ${gzip} gzipped; the limit is ${limit}. The first self-test and tuning fetch ${later} more`,
  );
  if (process.argv.includes('--peers'))
    for (const { name, packages, bytes } of await peerSizes()) console.log(`${name}: ${bytes} bytes gzipped (${packages.join(', ')})`);
  if (process.argv.includes('--record')) {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const entry = {
      date: new Date().toISOString().slice(0, 10),
      version,
      commit: run('git', 'rev-parse', '--short', 'HEAD'),
      minified,
      gzip,
    };
    const lines = [...history, entry].map((one) => `    ${JSON.stringify(one)}`);
    const most = Object.entries(limits).map(([name, bytes]) => `  "${name}": ${bytes},\n`);
    writeFileSync(file, `{\n${most.join('')}  "history": [\n${lines.join(',\n')}\n  ]\n}\n`);
  }
}
