// Runs a slice of the case tables in headless Firefox, whose compiler is naga: node e2e/firefox.mjs /path/to/firefox PORT [REPORT].
// The page is that of the other browsers' tests; e2e/demo/firefox.mjs opens the demo.
//
// Prints a line for each failure, then the counts, and writes the names to REPORT. Exit status 3: this Firefox has no WebGPU.
import { writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createServer } from 'vite';
import { launchFirefox } from './launch-firefox.mjs';

const [executablePath, port, report] = process.argv.slice(2);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const server = await createServer({
  root,
  mode: 'e2e',
  logLevel: 'warn',
  server: { port: Number(port), strictPort: true, watch: null, hmr: false },
});
let firefox;
const names = [];
let passed = 0;
let failed = 0;

/** Runs each of a list by name, by one of the page's functions. */
async function inTurn(page, list, method) {
  for (const { name } of list) {
    names.push(name);
    const failures = await page
      .evaluate((how, one) => globalThis.antiquant[how](one).then((done) => done.failures), method, name)
      .catch((error) => [String(error.message)]);
    if (failures.length === 0) passed++;
    else {
      failed++;
      console.log(`FAIL ${name}\n  ${failures.join('\n  ')}`);
    }
  }
}

try {
  await server.listen();
  const { casesOf } = await server.ssrLoadModule('/test/cases/engines.ts');
  const { runsOn } = await server.ssrLoadModule('/test/cases/cases.ts');
  const { matrixRunsOn } = await server.ssrLoadModule('/test/cases/matrix-cases.ts');
  firefox = await launchFirefox(executablePath);
  const { browser } = firefox;
  const page = await browser.newPage();
  await page.goto(`http://localhost:${port}/e2e/page.html`);
  if (!(await page.evaluate(() => 'gpu' in navigator))) {
    console.log(`${await browser.version()} has no navigator.gpu`);
    process.exitCode = 3;
  } else {
    await page.waitForFunction(() => 'antiquant' in globalThis);
    // Without an adapter this throws: nothing passes on nothing.
    const { adapter, caps } = await page.evaluate(() => globalThis.antiquant.open());
    console.log(`firefox: ${await browser.version()}, ${adapter} ${JSON.stringify(caps)}`);
    const { numbers, matrices, experts, formats, nodes, models } = casesOf('firefox');
    await inTurn(
      page,
      numbers.filter((c) => runsOn(c, caps)),
      'run',
    );
    await inTurn(
      page,
      matrices.filter((c) => matrixRunsOn(c, caps)),
      'runMatrix',
    );
    await inTurn(
      page,
      experts.filter((c) => runsOn(c, caps)),
      'runExperts',
    );
    await inTurn(page, models, 'runLlm');
    await inTurn(page, [...formats, ...nodes], 'runFormat');
    if (report) writeFileSync(report, JSON.stringify(names));
    console.log(`${passed} passed, ${failed} failed`);
    process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
  }
} finally {
  await firefox?.close();
  await server.close();
}
