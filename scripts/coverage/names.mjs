// The names of the tests of every suite, { suite: [name] }, from the reports of the last run or listed without running.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runnerImport } from 'vite';
import { ensureVulkan, root } from '../setup.mjs';

export const load = async (path) => (await runnerImport(path, { root, configFile: false, logLevel: 'error' })).module;
const bin = (name) => join(root, 'node_modules', ...name.split('/'));
const VITEST = ['unit', 'dawn'];
const PLAYWRIGHT = ['chromium', 'chromium-f16', 'demo', 'demo-f16'];
/** Programs that mainly run tables; their reports are the names. */
const TABLES = ['deno', 'firefox'];

/** [the file and the titles of what a test is in, its own, was it skipped?] of every test. */
const specsOf = ({ suites = [], specs = [] }, outer = []) => [
  ...specs.map(({ title, tests }) => [...outer, title, tests.every(({ status }) => status === 'skipped')]),
  ...suites.flatMap((inner) => specsOf(inner, [...outer, inner.title])),
];
/** Those of the page with their file, which is a panel's. What was skipped did not run; of a list nothing did. */
const ofPlaywright = (report, { run = true } = {}) =>
  specsOf(report).flatMap((parts) => {
    const [file, ...titles] = parts.slice(0, -1);
    return run && parts.at(-1) ? [] : `${file.startsWith('demo/') ? `${file}: ` : ''}${titles.join(' ')}`;
  });
/** Vitest joins the names of describe and test differently in its report and in its list. */
const plain = (name) => name.replaceAll(' > ', ' ');
const ofVitest = ({ testResults }) =>
  testResults.flatMap(({ assertionResults }) =>
    assertionResults.filter(({ status }) => status === 'passed' || status === 'failed').map(({ fullName }) => plain(fullName)),
  );

/** Names from the suites' reports in `folder`. */
export function ran(folder) {
  const read = (suite) => JSON.parse(readFileSync(join(folder, `${suite}.json`), 'utf8'));
  const of = (suites, names) =>
    suites.filter((suite) => existsSync(join(folder, `${suite}.json`))).map((suite) => [suite, names(read(suite))]);
  return Object.fromEntries([
    ...of(VITEST, ofVitest),
    ...of(PLAYWRIGHT, (report) => ofPlaywright(report)),
    ...of(TABLES, (names) => names),
  ]);
}

/** Names that would run; with `all` those of `npm run test:all`. Of tables, the cases that software adapters can run. */
export async function listed({ all }) {
  const folder = mkdtempSync(join(tmpdir(), 'antiquant-names-'));
  const env = { ...process.env, ...ensureVulkan().env, ANTIQUANT_ALL: all ? '1' : '' };
  const node = (args, more = {}) => {
    const done = spawnSync(process.execPath, args, { cwd: root, env: { ...env, ...more }, encoding: 'utf8', maxBuffer: 2 ** 28 });
    if (done.status !== 0) throw new Error(`${args.join(' ')}:\n${done.stdout}\n${done.stderr}`);
  };
  try {
    const names = {};
    for (const suite of VITEST) {
      const file = join(folder, `${suite}.json`);
      node([bin('vitest/vitest.mjs'), 'list', '--project', suite, `--json=${file}`]);
      names[suite] = JSON.parse(readFileSync(file, 'utf8')).map(({ name }) => plain(name));
    }
    for (const suite of PLAYWRIGHT) {
      const file = join(folder, `${suite}.json`);
      node([bin('@playwright/test/cli.js'), 'test', '--list', '--project', suite, '--reporter=json'], {
        PLAYWRIGHT_JSON_OUTPUT_NAME: file,
      });
      names[suite] = ofPlaywright(JSON.parse(readFileSync(file, 'utf8')), { run: false });
    }
    for (const suite of TABLES) names[suite] = (await runnable(suite, all)).map(({ name }) => name);
    return names;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The cases of the tables that an engine's software adapter can run, each with its kernel if it names one. */
export async function runnable(engine, all) {
  const { casesOf, SOFTWARE } = await load('/test/cases/engines.ts');
  const { runsOn } = await load('/test/cases/cases.ts');
  const { matrixRunsOn } = await load('/test/cases/matrix-cases.ts');
  const { numbers, matrices, experts, formats, nodes, models } = casesOf(engine, all);
  return [
    ...numbers.filter((c) => runsOn(c, SOFTWARE[engine])),
    ...matrices.filter((c) => matrixRunsOn(c, SOFTWARE[engine])),
    ...experts.filter((c) => runsOn(c, SOFTWARE[engine])),
    ...formats,
    ...nodes,
    ...models,
  ].map(({ name, force }) => ({ name, kernel: force?.kernel }));
}
