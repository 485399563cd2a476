// Every suite of `npm test`: the quick ones that say most first, then the longest first, for a long one that is begun last would keep one
// core busy alone. A suite is given { run, node } of program.mjs, and gives what reports.mjs makes.
import { join } from 'node:path';
import { ensureChromium, ensureChromiumF16, ensureFirefox, ensureInterop, ensureVulkan, findDeno, root } from '../setup.mjs';
import { ofCounts, ofPlaywright, ofVitest, one, result } from './reports.mjs';

export const reports = join(root, 'test-results', 'reports');
const bin = (name) => join(root, 'node_modules', ...name.split('/'));
const once = (make) => {
  let made;
  return () => (made ??= make());
};

/** On lavapipe compiling is what the time goes into, and how fast the products are is nobody's business: LLVM need not optimize. */
const QUICK = { GALLIVM_PERF: 'nopt' };
const graphics = once(() => {
  const { env, adapter } = ensureVulkan();
  return { adapter, env: adapter?.software ? { ...env, ...QUICK } : env };
});
const chromium = once(ensureChromium);
const interop = once(() => [ensureInterop()]);
const firefox = once(ensureFirefox);
const chromiumF16 = once(() => {
  graphics(); // brings lavapipe where there is no GPU
  return ensureChromiumF16(chromium());
});
const skipped = (why) => ({ ...result(0, 0, 1), skips: [why] });

async function vitest(project, { node }, env = {}) {
  const file = join(reports, `${project}.json`);
  const args = ['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  return ofVitest(await node([bin('vitest/vitest.mjs'), ...args], env), file);
}

/** Each project has ports for its own servers, so that several can run beside each other. */
const PORTS = { chromium: 4173, 'chromium-f16': 4175, demo: 4177, 'demo-f16': 4179, firefox: 4181, 'demo-firefox': 4183, interop: 4185 };
async function playwright(project, { node }, env) {
  const file = join(reports, `${project}.json`);
  const own = { PORT: String(PORTS[project]), PLAYWRIGHT_JSON_OUTPUT_NAME: file };
  const gpu = graphics().adapter && !graphics().adapter.software ? { ANTIQUANT_GPU: '1' } : {};
  return ofPlaywright(
    await node([bin('@playwright/test/cli.js'), 'test', '--project', project, '--reporter=list,json'], { ...env, ...gpu, ...own }),
    file,
  );
}

/** In the installed browser. */
async function inChromium(project, programs, env = {}) {
  const path = chromium();
  if (!path) return result(0, 1, 0, ['there is no Chromium; see above']);
  return playwright(project, programs, { ...env, CHROMIUM: path });
}

/** In a Chromium that has shader-f16. */
async function withF16(project, programs, env = {}) {
  const { path, missing } = chromiumF16();
  if (!path) return skipped(`no Chromium with shader-f16 can be made here; missing: ${missing.join(', ')}`);
  return playwright(project, programs, { ...env, ...QUICK, CHROMIUM_F16: path });
}

/** A program of e2e/ that starts the installed Firefox. */
async function inFirefox({ node }, program, args) {
  const path = firefox();
  if (!path) return skipped('there is no Firefox; see above');
  const done = await node([join(root, 'e2e', program), path, ...args], graphics().env);
  return done.status === 3 ? skipped(`this Firefox has no WebGPU: ${path}`) : ofCounts(done);
}

/** The page is built once for the suites that open it. */
let building;
async function ofPage(programs, suite) {
  building ??= programs.node([bin('vite/bin/vite.js'), 'build', '--mode', 'demo', '--logLevel', 'warn']);
  const built = await building;
  return built.status === 0 ? suite({ PAGE_BUILT: '1' }) : one(built);
}

/** Suites that pack the package build dist/, one after another. */
let packed = Promise.resolve();
const packing = (suite) => {
  packed = packed.then(suite, suite);
  return packed;
};

export const suites = {
  lint: async ({ node }) => one(await node([bin('@biomejs/biome/bin/biome'), 'check', '.'])),
  repeats: async ({ node }) => one(await node([join(root, 'scripts', 'repeats.mjs')])),
  /** Files, exports and dependencies that nobody uses. */
  unused: async ({ node }) => one(await node([bin('knip/bin/knip.js')])),
  types: async ({ node }) => one(await node([bin('typescript/bin/tsc'), '-p', '.'])),
  demo: (programs) => ofPage(programs, (env) => inChromium('demo', programs, env)),
  dawn: (programs) => vitest('dawn', programs, graphics().env),
  chromium: (programs) => inChromium('chromium', programs),
  static: async ({ node }) => {
    const done = await node([join(root, 'scripts', 'static.mjs'), '--check']);
    return done.status === 3 ? skipped('no GPU compiler to ask; see above for what is missing') : ofCounts(done);
  },
  'chromium-f16': (programs) => withF16('chromium-f16', programs),
  unit: (programs) => vitest('unit', programs),
  deno: async ({ run, node }) => {
    const deno = findDeno();
    if (!deno) return skipped('the npm package deno has no binary for this machine');
    const built = await node([bin('vite/bin/vite.js'), 'build', '--mode', 'deno', '--logLevel', 'error']);
    if (built.status !== 0) return one(built);
    const program = join(root, 'node_modules', '.cache', 'deno', 'deno.js');
    return ofCounts(await run(deno, ['run', '--unstable-webgpu', '--allow-all', program, join(reports, 'deno.json')], graphics().env));
  },
  firefox: (programs) => inFirefox(programs, 'firefox.mjs', [String(PORTS.firefox), join(reports, 'firefox.json')]),
  /** The page, in the other engine. */
  'demo-firefox': (programs) => ofPage(programs, () => inFirefox(programs, 'demo/firefox.mjs', [String(PORTS['demo-firefox'])])),
  'demo-f16': (programs) => ofPage(programs, (env) => withF16('demo-f16', programs, env)),
  package: ({ node }) => packing(async () => one(await node([join(root, 'test', 'package.mjs')], graphics().env))),
  /** The package in bundlers and runtimes, which only `npm run test:all` and this suite's own command install. */
  consumers: ({ node }) =>
    packing(async () => ofCounts(await node([join(root, 'test', 'consumers.mjs')], { ...graphics().env, CHROMIUM: chromium() ?? '' }))),
  /** Other libraries on one device. They are large, so that only `npm run test:all` and this suite's own command install them. */
  interop: (programs) => {
    const [why] = interop();
    return why === undefined ? inChromium('interop', programs) : Promise.resolve(skipped(why));
  },
  /** Had what ran every kernel, engine, format and panel? */
  coverage: async ({ node }) => one(await node([join(root, 'scripts', 'coverage.mjs')])),
};

const IN_CHROMIUM = /chromium|^demo(-f16)?$|interop|consumers/;
/** Finds and installs what suites need, before their time is taken. */
export function prepare(names) {
  if (names.some((name) => ['dawn', 'deno', 'firefox', 'demo-firefox', 'package'].includes(name) || IN_CHROMIUM.test(name))) graphics();
  if (names.some((name) => IN_CHROMIUM.test(name))) chromium();
  if (names.includes('interop')) interop();
  if (names.some((name) => name.endsWith('firefox'))) firefox();
  if (names.some((name) => name.endsWith('-f16'))) chromiumF16();
}
