// Tests the package: packs it, unpacks it elsewhere, imports it, checks types, runs the README's example, and shakes the tree.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { namesOf, readApi } from '../scripts/api.mjs';
import { bundleSize, coreSize, readHistory } from '../scripts/size.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const home = mkdtempSync(join(tmpdir(), 'antiquant-package-'));
const windows = process.platform === 'win32';
/** npm and npx are scripts there, which only a shell starts. */
const run = (program, args, cwd = home) =>
  execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], shell: windows && /^np[mx]$/.test(program) });
const link = (name) => symlinkSync(join(root, 'node_modules', name), join(modules, name), 'junction');
const modules = join(home, 'node_modules');
const step = (text) => console.log(`package: ${text}`);

try {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  run('npm', ['pack', '--silent', '--pack-destination', home], root); // builds first
  const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
  writeFileSync(join(home, 'package.json'), '{ "type": "module" }');
  run('npm', ['install', '--silent', '--offline', '--no-save', '--no-audit', '--no-fund', `./antiquant-${version}.tgz`]);
  link('webgpu');

  // Public names: what each entry exports when it runs and in its declarations. A change of them is a change of test/package-names.json.
  const names = JSON.parse(readFileSync(join(root, 'test', 'package-names.json'), 'utf8'));
  const installed = join(modules, 'antiquant');
  const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  assert.deepEqual(namesOf(readApi(join(installed, 'dist'), manifest)), names, 'npm run api keeps a change of the public names');
  for (const [entry, all] of Object.entries(names)) {
    writeFileSync(join(home, 'names.js'), `import * as all from '${entry}'; console.log(JSON.stringify(Object.keys(all)));`);
    const values = all.filter((name) => !name.startsWith('type '));
    assert.deepEqual(JSON.parse(run(process.execPath, ['names.js'])).sort(), [...values].sort(), entry);
    step(`${entry}: ${values.length} values, ${all.length - values.length} types`);
  }

  // A model of one layer, through the command: from the package alone, and as npx finds it.
  const header = JSON.stringify({ 'a.up_proj.weight': { dtype: 'F32', shape: [8, 64], data_offsets: [0, 2048] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const weights = Float32Array.from({ length: 512 }, (_, i) => Math.sin(i));
  writeFileSync(join(home, 'model.safetensors'), Buffer.concat([length, Buffer.from(header), Buffer.from(weights.buffer)]));
  const npx = (...args) => run('npx', ['--no-install', 'antiquant', ...args]);
  assert.match(npx('--help'), /quantize IN OUT/);
  assert.match(npx('inspect', 'model.safetensors'), /a\.up_proj\.weight +F32 +8 × 64/);
  assert.match(npx('quantize', 'model.safetensors', 'out', '--group', '32', '--threads', '2'), /a\.up_proj +8 × 64/);
  assert.equal(JSON.parse(npx('verify', 'out', '--gpu', '--json')).ok, true);
  step('npx antiquant inspects, quantizes and verifies');

  // What tools of others say of the package: its manifest, and whether each way of resolving types finds what runs.
  const tool = (path, args) => run(process.execPath, [join(root, 'node_modules', path), ...args]);
  tool('publint/src/cli.js', ['run', installed, '--strict', '--pack', 'false']);
  // It has ES modules alone. Scripts of workers and shaders are addresses, and nothing imports their types in the old way.
  const ignored = [
    '--ignore-rules',
    'cjs-resolves-to-esm',
    '--exclude-entrypoints',
    './quantize-worker',
    './llm-worker',
    './shaders/*',
    './shaders/*.wgsl',
  ];
  tool('@arethetypeswrong/cli/dist/index.js', [join(home, `antiquant-${version}.tgz`), ...ignored]);
  step('publint and attw find nothing');

  // Pages without a bundler: one file of the package, alone in a folder, computes; what it imports on demand is in it.
  const alone = mkdtempSync(join(home, 'alone-'));
  for (const name of ['antiquant', 'formats', 'llm']) {
    const text = readFileSync(join(installed, 'dist', 'cdn', `${name}.js`), 'utf8');
    const more = [...text.matchAll(/\b(?:from|import)\s*\(?\s*["'`](\.[^"'`]+)["'`]/g)].map(([, path]) => path);
    assert.deepEqual(more, [], `dist/cdn/${name}.js asks for other files`);
    cpSync(join(installed, 'dist', 'cdn', `${name}.js`), join(alone, `${name}.mjs`));
    const values = names[name === 'antiquant' ? name : `antiquant/${name}`].filter((one) => !one.startsWith('type '));
    writeFileSync(join(alone, 'names.mjs'), `import * as all from './${name}.mjs'; console.log(JSON.stringify(Object.keys(all)));`);
    assert.deepEqual(JSON.parse(run(process.execPath, ['names.mjs'], alone)).sort(), [...values].sort(), name);
  }
  for (const field of ['unpkg', 'jsdelivr']) assert.ok(existsSync(join(installed, manifest[field])), field);
  step('antiquant, formats and llm are one request each from dist/cdn');

  writeFileSync(join(home, 'shader.js'), "console.log(import.meta.resolve('antiquant/shaders/lib/weights.wgsl'));");
  assert.match(readFileSync(new URL(run(process.execPath, ['shader.js']).trim()), 'utf8'), /#param BITS 2 3 4 5 6 8/);
  step('shaders are published');

  // The README's example, as it stands, with Dawn as the browser.
  const example = /```js\n([\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))[1];
  const dawn =
    "import { create, globals } from 'webgpu'; Object.assign(globalThis, globals); globalThis.navigator = { gpu: (globalThis.dawn = create([])) };";
  writeFileSync(join(home, 'browser.js'), dawn);
  writeFileSync(join(home, 'example.js'), `import './browser.js';\n${example}\nprocess.exit(0);`);
  assert.match(run(process.execPath, ['example.js']), /Float32Array\(8\) \[\s*32, 32, 32, 32,\s*32, 32, 32, 32\s*\]/);
  const onCdn = example.replace("'antiquant'", JSON.stringify(`./${relative(home, alone)}/antiquant.mjs`));
  assert.notEqual(onCdn, example);
  writeFileSync(join(home, 'example-cdn.js'), `import './browser.js';\n${onCdn}\nprocess.exit(0);`);
  assert.match(run(process.execPath, ['example-cdn.js']), /Float32Array\(8\) \[\s*32, 32, 32, 32,\s*32, 32, 32, 32\s*\]/);
  step('the example of the README runs, from one file too');

  // The examples, as files of a user's project. Those in a page run in e2e/examples.spec.ts; here they bundle.
  cpSync(join(root, 'examples'), join(home, 'examples'), { recursive: true });
  assert.match(run(process.execPath, ['examples/node-dawn.mjs']), /: 256 of 256 results inside their interval/);
  link('onnxruntime-web');
  // Those with an import map take other libraries by it, and no bundler.
  const mapped = (file) => readFileSync(join(home, 'examples', file), 'utf8').includes('<script type="importmap">');
  const pages = readdirSync(join(home, 'examples')).filter((file) => file.endsWith('.html') && !mapped(file));
  await build({
    root: join(home, 'examples'),
    configFile: false,
    logLevel: 'error',
    worker: { format: 'es' },
    build: { target: 'es2022', rollupOptions: { input: pages.map((file) => join(home, 'examples', file)) } },
  });
  assert.ok(pages.every((file) => existsSync(join(home, 'examples', 'dist', file))));
  step(`${pages.length} examples bundle, and the one for Node runs`);

  writeFileSync(
    join(home, 'example.ts'),
    `${example}\nexport * as formats from 'antiquant/formats';\nexport * as llm from 'antiquant/llm';\nexport * as shaders from 'antiquant/shaders';\nimport text from 'antiquant/shaders/matmul-plain.wgsl';\nexport const shader: string = text;`,
  );
  const options = { target: 'es2022', lib: ['es2022', 'dom'], module: 'nodenext', types: [], strict: true, noEmit: true };
  writeFileSync(join(home, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['example.ts'] }));
  execFileSync(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', home], { stdio: 'inherit' });
  step('its types are sound for a user, without skipLibCheck');

  // Comments of shaders are in a separate entry; places of lines are known without them.
  const probe = (before) => `${before}import './browser.js';
    import { LinearWeightQuant, requestDevice, Tensor, tuning } from 'antiquant';
    const device = await requestDevice();
    const layer = new LinearWeightQuant(device, { inFeatures: 32, outFeatures: 8, bias: false, dtype: 'float32' });
    layer.load({
      weight: Tensor.from(device, new Int8Array(256).fill(3), { shape: [8, 32], dtype: 'int8' }),
      antiquantScale: Tensor.from(device, new Float32Array([0.5]), { shape: [1], dtype: 'float32' }),
    });
    const y = await layer.forward(Tensor.from(device, new Float32Array(32).fill(1), { shape: [1, 32], dtype: 'float32' })).read();
    console.log(JSON.stringify({ wgsl: layer.explain(1).wgsl, key: tuning(device).key, y: [...y] }));
    process.exit(0);`;
  const [plain, readable] = [
    '',
    "import { shaders } from 'antiquant/shaders'; if (!shaders['lib/weights.wgsl']) throw new Error('no lib/weights.wgsl');\n",
  ].map((before) => {
    writeFileSync(join(home, 'explain.js'), probe(before));
    return JSON.parse(run(process.execPath, ['explain.js']));
  });
  const code = ({ wgsl }) =>
    wgsl
      .split('\n')
      .map((line) => line.replace(/\s*\/\/.*/, ''))
      .filter(Boolean);
  assert.deepEqual(plain.y, Array(8).fill(48));
  assert.deepEqual(readable.y, plain.y);
  assert.ok(!plain.wgsl.includes('//') && readable.wgsl.includes('//'), 'only antiquant/shaders has comments');
  assert.deepEqual(code(readable), code(plain));
  assert.equal(readable.key, plain.key, 'comments are no part of the key of measured choices');
  step('explain() shows comments where antiquant/shaders is imported');

  assert.deepEqual(
    readdirSync(installed, { recursive: true }).filter((file) => /\.map$|\.jpg$/.test(file)),
    [join('docs', 'chat.jpg')], // the picture of the README
  );
  const entry = join(installed, 'dist', 'index.js');
  const one = await bundleSize(entry, 'convertWeightToInt4Pack');
  assert.ok(one.minified < 3000, `a bundle of one function has ${one.minified} bytes`);
  const llm = await bundleSize(join(installed, 'dist', 'llm.js'), 'Llm');
  assert.ok(llm.gzip <= readHistory().llm, `Llm takes ${llm.gzip} bytes gzipped, more than ${readHistory().llm}`);
  const client = await bundleSize(join(installed, 'dist', 'llm.js'), 'LlmWorker');
  assert.ok(client.gzip <= 4000, `LlmWorker takes ${client.gzip} bytes gzipped, since the model's code is the worker's`);
  const core = await coreSize(entry);
  const { limit, history } = readHistory();
  const last = history.at(-1);
  assert.ok(core.gzip <= limit, `LinearWeightQuant and Tensor take ${core.gzip} bytes gzipped, more than ${limit}`);
  assert.ok(
    Math.abs(core.gzip - last.gzip) <= 1000,
    `LinearWeightQuant and Tensor take ${core.gzip} bytes gzipped, and ${last.gzip} on ${last.date}: npm run size -- --record keeps the change`,
  );
  step(`one function bundles to ${one.minified} bytes; LinearWeightQuant and Tensor to ${core.gzip} gzipped`);
} finally {
  rmSync(home, { recursive: true, force: true });
}
