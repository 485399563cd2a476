// `npm test`: installs what is missing, runs every suite, and ends with `N passed, N failed`. `node scripts/test.mjs dawn deno` runs
// some. A suite that finds no GPU adapter fails; those that need parts no other machine may have say loudly when they are skipped.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureChromium, ensureChromiumF16, ensureModules, ensureVulkan, findDeno, root } from './setup.mjs';

const reports = join(root, 'test-results', 'reports');
const bin = (name) => join(root, 'node_modules', ...name.split('/'));

/** Runs a program with its output on ours, or kept. */
function run(program, args, { env = {}, keep = false } = {}) {
  const stdio = keep ? ['ignore', 'pipe', 'inherit'] : ['ignore', 'inherit', 'inherit'];
  return spawnSync(program, args, { cwd: root, env: { ...process.env, ...env }, stdio, encoding: 'utf8' });
}
const node = (args, options) => run(process.execPath, args, options);

const counts = (passed, failed, skipped = 0) => ({ passed, failed, skipped });
const one = (ok) => counts(ok ? 1 : 0, ok ? 0 : 1);
const skipped = (why) => {
  console.log(`\n!!! SKIPPED: ${why}\n`);
  return counts(0, 0, 1);
};

function vitest(project, env = {}) {
  const file = join(reports, `${project}.json`);
  const done = node(
    [bin('vitest/vitest.mjs'), 'run', '--project', project, '--reporter=dot', '--reporter=json', `--outputFile.json=${file}`],
    { env },
  );
  try {
    const { numPassedTests, numFailedTests, numPendingTests, success } = JSON.parse(readFileSync(file, 'utf8'));
    // A run may fail without a failing test: a file that does not load, an error outside of tests.
    const failed = numFailedTests + (done.status === 0 && success ? 0 : numFailedTests === 0 ? 1 : 0);
    return counts(numPassedTests, failed, numPendingTests);
  } catch {
    return counts(0, 1);
  }
}

function playwright(project, env) {
  const file = join(reports, `${project}.json`);
  const done = node([bin('@playwright/test/cli.js'), 'test', '--project', project, '--reporter=dot,json'], {
    env: { ...env, PLAYWRIGHT_JSON_OUTPUT_NAME: file },
  });
  try {
    const { stats, errors } = JSON.parse(readFileSync(file, 'utf8'));
    const failed = stats.unexpected + stats.flaky;
    return counts(stats.expected, failed + (failed === 0 && (done.status !== 0 || errors.length > 0) ? 1 : 0), stats.skipped);
  } catch {
    return counts(0, 1);
  }
}

let vulkan;
const graphics = () => (vulkan ??= ensureVulkan());
const realGpu = () => graphics().adapter && !graphics().adapter.software;
const browserEnv = () => ({ ...(realGpu() && { ANTIQUANT_GPU: '1' }) });

/** In a Chromium that has shader-f16. */
function withF16(project) {
  graphics(); // brings lavapipe where there is no GPU
  const { path, missing } = ensureChromiumF16(ensureChromium());
  if (!path) return skipped(`${project}: no Chromium with shader-f16 can be made here; missing: ${missing.join(', ')}`);
  return playwright(project, { CHROMIUM_F16: path });
}

const suites = {
  lint: () => one(node([bin('@biomejs/biome/bin/biome'), 'check', '.']).status === 0),
  types: () => one(node([bin('typescript/bin/tsc'), '-p', '.']).status === 0),
  unit: () => vitest('unit'),
  dawn: () => vitest('dawn', graphics().env),
  static: () => {
    const done = node([join(root, 'scripts', 'static.mjs'), '--check'], { keep: true });
    process.stdout.write(done.stdout);
    if (done.status === 3) return skipped('static: no GPU compiler to ask; see above for what is missing');
    const last = /(\d+) passed, (\d+) failed, (\d+) skipped/.exec(done.stdout);
    return last ? counts(Number(last[1]), Number(last[2]), Number(last[3])) : counts(0, 1);
  },
  package: () => {
    const done = node([join(root, 'test', 'package.mjs')], { env: graphics().env });
    return one(done.status === 0);
  },
  deno: () => {
    const deno = findDeno();
    if (!deno) return skipped('deno: the npm package deno has no binary for this machine');
    const built = node([bin('vite/bin/vite.js'), 'build', '--mode', 'deno', '--logLevel', 'error']);
    if (built.status !== 0) return counts(0, 1);
    const program = join(root, 'node_modules', '.cache', 'deno', 'deno.js');
    const done = run(deno, ['run', '--unstable-webgpu', '--allow-all', program], { env: graphics().env, keep: true });
    process.stdout.write(done.stdout);
    const last = /(\d+) passed, (\d+) failed\s*$/.exec(done.stdout);
    return last ? counts(Number(last[1]), Number(last[2])) : counts(0, 1);
  },
  chromium: () => {
    const path = ensureChromium();
    return path ? playwright('chromium', { ...browserEnv(), CHROMIUM: path }) : counts(0, 1);
  },
  demo: () => {
    const path = ensureChromium();
    return path ? playwright('demo', { ...browserEnv(), CHROMIUM: path }) : counts(0, 1);
  },
  'chromium-f16': () => withF16('chromium-f16'),
  'demo-f16': () => withF16('demo-f16'),
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in suites));
if (unknown.length > 0) {
  console.error(`no suite ${unknown.join(', ')}; there are ${Object.keys(suites).join(', ')}`);
  process.exit(2);
}
ensureModules();
rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });
const total = counts(0, 0);
const lines = [];
for (const name of asked.length > 0 ? asked : Object.keys(suites)) {
  console.log(`\n== ${name}`);
  const start = Date.now();
  const result = suites[name]();
  for (const key of Object.keys(result)) total[key] += result[key];
  lines.push(
    `${name.padEnd(14)}${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped, ${Math.round((Date.now() - start) / 1000)} s`,
  );
}
console.log(`\n${lines.join('\n')}\n`);
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0);
