// Lists the kernels and formats that the tests run in each engine, and the panels in each browser; fails if one is missing.
//
//   node scripts/coverage.mjs                  for the last run (test-results/reports)
//   node scripts/coverage.mjs --list [--all]   for the tests of `npm test` (or `npm run test:all`), without running them
//   … --save FILE                              writes the names of all tests to FILE
//   … --against FILE …                         prints names that are in these files and not here
//
// `npm test` ends with the first.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listed, load, ran, runnable } from './coverage/names.mjs';
import { root } from './setup.mjs';

const words = process.argv.slice(2);
const valuesOf = (option) => words.flatMap((word, i) => (words[i - 1] === option ? [word] : []));
const names = words.includes('--list') ? await listed({ all: words.includes('--all') }) : ran(join(root, 'test-results', 'reports'));

const { kernels } = await load('/src/kernels/index.ts');
const { formatCases, nodeCases } = await load('/test/cases/format-cases.ts');
const { ENGINES } = await load('/test/cases/engines.ts');
const { PANELS } = await load('/demo/app/panels.ts');
const missing = [];
const has = (text, word) => new RegExp(`(^|[^\\w-])${word}($|[^\\w-])`).test(text);

/** A table of counts; `needs` tells whether a zero is an error. */
function table(title, rows, columns, { count, needs }) {
  const cells = rows.map((row) => [row, ...columns.map((column) => count(row, column))]);
  const width = Math.max(...rows.map(({ length }) => length), title.length);
  const line = ([first, ...rest]) => `${String(first).padEnd(width)}${rest.map((cell) => String(cell).padStart(14)).join('')}`;
  console.log([[title, ...columns], ...cells].map(line).join('\n'), '\n');
  for (const [row, ...counts] of cells)
    for (const [i, found] of counts.entries()) if (found === 0 && needs(row, columns[i])) missing.push(`${row} in ${columns[i]}`);
}

const engines = ENGINES.filter((engine) => names[engine]);
// A kernel that no case can run on an engine's software adapter is not asked of it; Dawn has tests of them all.
const able = Object.fromEntries(
  await Promise.all(engines.map(async (engine) => [engine, new Set((await runnable(engine, true)).map(({ kernel }) => kernel))])),
);
table(
  'kernel',
  kernels.map(({ name }) => name),
  engines,
  {
    count: (kernel, engine) => names[engine].filter((name) => has(name, kernel)).length,
    needs: (kernel, engine) => engine === 'dawn' || able[engine].has(kernel),
  },
);
table(
  'format',
  [...formatCases, ...nodeCases].map(({ name }) => name),
  engines,
  {
    count: (format, engine) => names[engine].filter((name) => name === format || name.endsWith(`: ${format}`)).length,
    needs: () => true,
  },
);
const browsers = ['demo', 'demo-f16'].filter((suite) => names[suite]);
table(
  'panel',
  PANELS.map(({ name }) => name),
  browsers,
  {
    count: (panel, suite) => names[suite].filter((name) => name.includes(`${panel}.spec.ts: `)).length,
    needs: (_, suite) => suite === 'demo',
  },
);
for (const { name } of PANELS) {
  const spec = join(root, 'e2e', 'demo', `${name}.spec.ts`);
  if (!existsSync(spec) || !readFileSync(spec, 'utf8').includes(`screenshots('${name}')`))
    missing.push(`a look at the panel ${name} by axe`);
}
for (const [suite, list] of Object.entries(names)) console.log(`${suite.padEnd(14)}${list.length} tests`);

for (const file of valuesOf('--save')) writeFileSync(file, JSON.stringify(names, null, 1));
for (const file of valuesOf('--against')) {
  for (const [suite, list] of Object.entries(JSON.parse(readFileSync(file, 'utf8')))) {
    const here = new Set(names[suite]);
    const gone = [...new Set(list)].filter((name) => !here.has(name));
    console.log(`\n${gone.length} of ${list.length} tests of ${suite} in ${file} are not here${gone.length > 0 ? ':' : ''}`);
    for (const name of gone) console.log(`  ${name}`);
  }
}
for (const hole of missing) console.log(`FAIL no test of ${hole}`);
process.exitCode = missing.length > 0 ? 1 : 0;
