// `npm test`: installs missing programs, runs every suite, and prints the time of each and `N passed, N failed`.
//
//   node scripts/test.mjs dawn deno    some suites
//   node scripts/test.mjs --all        every case; `npm test` runs a slice of them, see test/cases/slice.ts
//
// As many suites run beside each other as there are cores, up to three. What they print goes to test-results/logs, and of one alone to the
// terminal too; failures are printed whole. A suite that finds no GPU adapter fails; those that need parts no other machine may have say loudly when they are skipped.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { ensureModules, root } from './setup.mjs';
import { programs } from './test/program.mjs';
import { result } from './test/reports.mjs';

ensureModules();
const { prepare, reports, suites } = await import('./test/suites.mjs'); // what it imports may be what was missing

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
/** Not of `npm test`. */
const EXTRA = all ? [] : ['interop'];
const names = Object.keys(suites).filter((name) => (asked.length === 0 ? name !== LAST && !EXTRA.includes(name) : asked.includes(name)));
const logs = join(root, 'test-results', 'logs');
for (const folder of [reports, logs]) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}
if (all) process.env.ANTIQUANT_ALL = '1';
prepare(names);

const LANES = Math.min(availableParallelism(), 3, names.length);
/** Of a suite whose every test fails, the first say enough; the log has all. */
const MOST = { failures: 20, lines: 60 };
const clock = (seconds) => `${Math.round(seconds)} s`;
const begin = Date.now();
const ended = new Map();

async function suite(name) {
  const log = join(logs, `${name}.log`);
  writeFileSync(log, '');
  const start = Date.now();
  const own = programs({ log, echo: names.length === 1 });
  const came = await suites[name](own).catch((error) => result(0, 1, 0, [error.stack]));
  const { passed, failed, skipped, failures, skips } = came;
  const line = [
    name.padEnd(14),
    `${passed} passed, ${failed} failed, ${skipped} skipped`.padEnd(40),
    clock((Date.now() - start) / 1000).padStart(6),
    own.cpu() === undefined ? '' : `${clock(own.cpu())} of CPU`.padStart(14),
  ].join('');
  ended.set(name, { ...came, line, cpu: own.cpu() });
  console.log(line.trimEnd());
  for (const why of skips) console.log(`\n!!! SKIPPED: ${name}: ${why}\n`);
  for (const failure of failures.slice(0, MOST.failures))
    console.log(`\nFAIL ${name}: ${failure.split('\n').slice(0, MOST.lines).join('\n')}\n`);
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
