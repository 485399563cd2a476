// `npm test`: installs missing programs, runs every suite, and prints the time of each and `N passed, N failed`.
//
//   node scripts/test.mjs dawn deno    some suites
//   node scripts/test.mjs --all        every case; `npm test` runs a slice of them, see test/cases/slice.ts
//
// Suites run in parallel, one for each core, up to three. Their output goes to test-results/logs, and for a single suite also to the
// terminal; failures are printed completely. A suite without a GPU adapter fails; a suite whose programs are missing prints that it is
// skipped.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { ensureModules, root } from './setup.mjs';
import { programs } from './test/program.mjs';

ensureModules();
const { prepare, reports, suites } = await import('./test/suites.mjs');

const words = process.argv.slice(2);
const all = words.includes('--all');
const asked = words.filter((word) => word !== '--all');
const unknown = asked.filter((name) => !(name in suites));
if (unknown.length > 0) {
  console.error(`no suite ${unknown.join(', ')}; there are ${Object.keys(suites).join(', ')}`);
  process.exit(2);
}
/** Checks the tests that the others ran. */
const LAST = 'coverage';
const names = Object.keys(suites).filter((name) => (asked.length === 0 ? name !== LAST : asked.includes(name)));
const logs = join(root, 'test-results', 'logs');
for (const folder of [reports, logs]) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}
if (all) process.env.ANTIQUANT_ALL = '1';
prepare(names);

const LANES = Math.min(availableParallelism(), 3, names.length);
/** Failures that are printed of a suite: if all tests fail, the first are enough. */
const MOST_FAILURES = 20;
const clock = (seconds) => `${Math.round(seconds)} s`;
const begin = Date.now();
const ended = new Map();

async function suite(name) {
  const log = join(logs, `${name}.log`);
  writeFileSync(log, '');
  const start = Date.now();
  const own = programs({ log, echo: names.length === 1 });
  const came = await suites[name](own);
  const { passed, failed, skipped, failures, why } = came;
  const line = [
    name.padEnd(14),
    `${passed} passed, ${failed} failed, ${skipped} skipped`.padEnd(40),
    clock((Date.now() - start) / 1000).padStart(6),
    own.cpu() === undefined ? '' : `${clock(own.cpu())} of CPU`.padStart(14),
  ].join('');
  ended.set(name, { ...came, line, cpu: own.cpu() });
  console.log(line.trimEnd());
  if (why) console.log(`\n!!! SKIPPED: ${name}: ${why}\n`);
  for (const failure of failures.slice(0, MOST_FAILURES)) console.log(`\nFAIL ${name}: ${failure}\n`);
  if (failed > 0) console.log(`${failures.length} failures of ${name}; all that it printed is in ${relative(root, log)}\n`);
}

const waiting = [...names];
async function lane() {
  for (let name = waiting.shift(); name; name = waiting.shift()) await suite(name);
}
await Promise.all(Array.from({ length: LANES }, lane));

if (asked.length === 0) await suite(LAST);

const results = [...ended.values()];
const sum = (key) => results.reduce((total, one) => total + one[key], 0);
const cpu = results.some((one) => one.cpu === undefined) ? '' : `, ${clock(sum('cpu'))} of CPU`;
console.log(
  `\n${Object.keys(suites)
    .flatMap((name) => ended.get(name)?.line.trimEnd() ?? [])
    .join('\n')}`,
);
console.log(`in all ${clock((Date.now() - begin) / 1000)}${cpu}\n`);
const [passed, failed, skipped] = ['passed', 'failed', 'skipped'].map(sum);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
