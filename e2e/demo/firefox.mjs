// Opens the built page in headless Firefox: node e2e/demo/firefox.mjs /path/to/firefox PORT.
//
// A check fails on its own and on any console error, unhandled rejection or failed request. Prints a line for each failure, then the counts.
// Exit status 3: this Firefox has no WebGPU.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createServer } from 'vite';
import { launchFirefox } from '../launch-firefox.mjs';

const [executablePath, port] = process.argv.slice(2);
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const LONG = { timeout: 90_000 };
const SAID = '.chat-said:last-child';
const STATUS = '.chat-text[data-status]';

function assert(holds, what) {
  if (!holds) throw new Error(what);
}
function equal(got, expected, what) {
  assert(got === expected, `${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`);
}

/** The page as a visitor has it. */
function visitor(page) {
  const textOf = (selector) => page.$eval(selector, ({ textContent }) => textContent);
  const until = (selector, test, ...args) =>
    page.waitForFunction(
      new Function('selector', '...args', `const one = document.querySelector(selector); return one && (${test})(one, ...args);`),
      LONG,
      selector,
      ...args,
    );
  const status = (value) => until(STATUS, (one, expected) => one.dataset.status === expected, value);
  const click = async (name) => {
    const found = await page.waitForFunction(
      (of) =>
        [...document.querySelectorAll('main button:enabled')].find(
          (one) => (one.getAttribute('aria-label') ?? one.textContent.trim()) === of && one.checkVisibility(),
        ),
      LONG,
      name,
    );
    await found.asElement().click();
  };
  const fill = async (selector, text) => {
    await page.focus(selector);
    await page.$eval(selector, (one) => one.select());
    await page.keyboard.type(text);
    await page.keyboard.press('Tab');
  };
  return {
    page,
    textOf,
    until,
    status,
    click,
    open: (query = {}) => page.goto(`http://localhost:${port}/?${new URLSearchParams({ panel: 'chat', ...query })}`),
    set: async (label, value) => {
      const id = await page.$$eval('.chat-controls label', (all, of) => all.find((one) => one.textContent.trim() === of)?.htmlFor, label);
      assert(id, `no control ${label}`);
      await fill(`[id="${id}"]`, String(value));
    },
    /** What it says behind a text. */
    continues: async (text) => {
      await fill('#chat-draft', text);
      await click('Continue');
      await until('.chat-begun', (one, expected) => one.textContent === expected, text);
      await status('done');
      return textOf(SAID);
    },
  };
}

/** What is checked, by name: functions of a visitor, and of the modules of the other browsers' tests. */
const CHECKS = {
  'a first visit: the model of the page writes by itself': async ({ page, until, status, textOf }) => {
    const began = Date.now();
    await page.goto(`http://localhost:${port}/`);
    await until(SAID, (one) => one.textContent !== '');
    console.log(`first words after ${Date.now() - began} ms`);
    await status('done');
    equal(await page.title(), 'Chat · antiquant', 'title');
    const text = await textOf('.chat-page');
    assert(/^And it came to pass.{60,}/s.test(text), `expected a text behind its beginning, got ${text}`);
  },
  'what it writes, and the shares of its tokens, are those of the float64 reference': async (visit, { likeliest, sharesOf }) => {
    const { page, open, status, continues, click, until, textOf } = visit;
    await open({ temperature: 0, max: 24 });
    await status('done');
    const { text, ids, rows, prompt } = await likeliest('In the beginning', 24);
    equal(await continues('In the beginning'), text, 'text');
    const figures = await textOf('.chat-figures');
    for (const words of ['24 tokens', `a prompt of ${prompt.length} tokens`]) assert(figures.includes(words), `${words}: got ${figures}`);
    await click('Show');
    await until('.chat-bars', ({ children }) => children.length === 20);
    const bars = await page.$$eval('.chat-bars li', (all) =>
      all.map((one) => ({
        id: Number(one.dataset.id),
        share: Number.parseFloat(one.querySelector('.chat-share').textContent),
        chosen: 'chosen' in one.dataset,
      })),
    );
    equal(bars[0].id, ids[0], 'the likeliest');
    equal(bars.find(({ chosen }) => chosen)?.id, ids[0], 'the one that was drawn');
    const shares = sharesOf(rows[0]);
    // As in chat.spec.ts: keys and values are halves, and a share has the digits that are shown.
    for (const { id, share } of bars.slice(0, 5)) assert(Math.abs(share - 100 * shares[id]) < 1, `the share of ${id} is ${share} %`);
  },
  'every setting counts: a seed gives one text, and stands in the URL': async ({ page, open, status, continues, set }) => {
    await open({ max: 12 });
    await status('done');
    const first = await continues('The voice of');
    await set('Seed', 7);
    assert((await continues('The voice of')) !== first, 'another seed gave the same text');
    assert(page.url().includes('seed=7'), page.url());
    await set('Seed', 1);
    equal(await continues('The voice of'), first, 'the first seed again');
  },
  'stop, go on: what a stop has cut goes on with the same text': async (visit, { atPiece }) => {
    const { page, open, status, click, continues, textOf } = visit;
    await open({ max: 120 });
    await page.waitForSelector('.chat-text[data-status]', LONG);
    await page.evaluate(atPiece, { count: 1, act: 'Stop' });
    await status('stopped');
    const cut = await textOf(SAID);
    await click('Go on');
    await status('done');
    const whole = await textOf(SAID);
    assert(whole.startsWith(cut) && whole.length > cut.length, `expected more than ${cut}, got ${whole}`);
    equal(await continues('And it came to pass'), whole, 'the text without a stop');
  },
};

async function check(browser, name, modules) {
  const page = await browser.newPage();
  const problems = [];
  page.on('console', (entry) => entry.type() === 'error' && problems.push(`console: ${entry.text()}`));
  page.on('pageerror', ({ message }) => problems.push(`page: ${message}`));
  page.on('requestfailed', (request) => problems.push(`${request.url()}: ${request.failure()?.errorText}`));
  try {
    await CHECKS[name](visitor(page), modules);
  } catch (error) {
    problems.unshift(error.message);
    problems.push(await page.$eval('main', ({ innerText }) => innerText).catch(() => 'no main'));
  } finally {
    await page.close();
  }
  return problems;
}

const server = fork(join(root, 'e2e/demo/serve.mjs'), [port]);
const vite = await createServer({
  ...{ root, configFile: false, logLevel: 'warn', optimizeDeps: { noDiscovery: true } },
  server: { middlewareMode: true, watch: null, ws: false },
});
let firefox;
try {
  const modules = {
    ...(await vite.ssrLoadModule('/e2e/demo/reference.ts')),
    ...(await vite.ssrLoadModule('/e2e/demo/at-piece.ts')),
  };
  firefox = await launchFirefox(executablePath);
  const { browser } = firefox;
  const page = await browser.newPage();
  await page.goto(`http://localhost:${port}/wasm.html`);
  const has = await page.evaluate(() => 'gpu' in navigator);
  await page.close();
  if (!has) {
    console.log(`${await browser.version()} has no navigator.gpu`);
    process.exitCode = 3;
  } else {
    console.log(`firefox: ${await browser.version()}`);
    let failed = 0;
    const names = Object.keys(CHECKS);
    for (const name of names) {
      const problems = await check(browser, name, modules);
      if (problems.length === 0) continue;
      failed++;
      console.log(`FAIL ${name}\n  ${problems.join('\n').replaceAll('\n', '\n  ')}`);
    }
    console.log(`${names.length - failed} passed, ${failed} failed`);
    process.exitCode = failed > 0 ? 1 : 0;
  }
} finally {
  await firefox?.close();
  await vite.close();
  server.kill();
  await once(server, 'exit');
}
