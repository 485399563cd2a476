// What the built page may do: its Content-Security-Policy and Trusted Types hold in the page, its Worker and the frame of onnxruntime-web, and
// nothing that the visitor writes or opens leaves the machine.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeGguf } from '../../test/support/files.js';
import { modelParts } from '../../test/support/model-file.js';
import { expect, test } from './fixture.js';

const LONG = { timeout: 90_000 };
const policyOf = (name: string): Record<string, string[]> => {
  const html = readFileSync(join(import.meta.dirname, '../../dist-demo', name), 'utf8');
  const content = /<meta http-equiv="Content-Security-Policy" content="([^"]*)">/.exec(html)![1]!;
  return Object.fromEntries(content.split('; ').map((one) => [one.split(' ')[0]!, one.split(' ').slice(1)]));
};

test('the policy of each document says no more than it must', () => {
  const [page, frame] = [policyOf('index.html'), policyOf('wasm.html')];
  for (const policy of [page, frame]) {
    const all = Object.values(policy).flat();
    for (const word of ["'unsafe-inline'", "'unsafe-eval'", '*', 'http:']) expect(all).not.toContain(word);
    expect(policy['default-src']).toEqual(["'none'"]);
    expect(policy['require-trusted-types-for']).toEqual(["'script'"]);
    expect(policy['trusted-types']).toEqual(['antiquant']);
    expect(policy['base-uri']).toEqual(["'none'"]);
  }
  expect(page['connect-src']).toEqual(["'self'", 'https:']);
  expect(frame['connect-src']).toEqual(["'self'"]);
  expect(page['script-src']!.filter((one) => !one.startsWith("'sha256-"))).toEqual(["'self'"]);
  expect(frame['script-src']).toEqual(["'self'", "'wasm-unsafe-eval'"]);
});

test('the policy holds: nothing is evaluated, no script is named by a text, and the Worker has it too', async ({ demo }) => {
  const { page } = demo;
  await demo.open('picture');
  const refused = await page.evaluate(async () => {
    const tries: Record<string, () => unknown> = {
      eval: () => new Function('return 1')(),
      wasm: () => new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])),
      markup: () => {
        document.createElement('div').innerHTML = '<b>x</b>';
      },
      script: () => {
        document.createElement('script').src = './assets/other.js';
      },
      worker: () => new Worker('./assets/other.js'),
      policy: () =>
        (globalThis as unknown as { trustedTypes: { createPolicy(name: string, rules: object): void } }).trustedTypes.createPolicy(
          'other',
          {},
        ),
      again: () =>
        (globalThis as unknown as { trustedTypes: { createPolicy(name: string, rules: object): void } }).trustedTypes.createPolicy(
          'antiquant',
          {},
        ),
    };
    const out: Record<string, string> = {};
    await new Promise((resolve) => setTimeout(resolve)); // the driver's own call may evaluate
    for (const [name, attempt] of Object.entries(tries)) {
      try {
        await attempt();
        out[name] = 'allowed';
      } catch (error) {
        out[name] = (error as Error).name;
      }
    }
    return out;
  });
  expect(refused).toEqual({
    eval: 'EvalError',
    wasm: 'CompileError',
    markup: 'TypeError',
    script: 'TypeError',
    worker: 'TypeError',
    policy: 'TypeError',
    again: 'TypeError',
  });
  // The Worker: a URL that is not https is refused before anything is asked.
  const asked: string[] = [];
  page.context().on('request', (request) => asked.push(request.url()));
  const message = await page.evaluate(async () => {
    const { call } = (globalThis as unknown as { antiquantDebug: { call(name: string, args: unknown): Promise<unknown> } }).antiquantDebug;
    return call('chat.load', { from: { url: 'http://127.0.0.1:9/model.gguf' }, holding: {} }).then(
      () => 'loaded',
      (error: Error) => `${error.name}: ${error.message}`,
    );
  });
  expect(message).toMatch(/^ReadError/);
  expect(asked.filter((url) => url.includes('127.0.0.1'))).toEqual([]);
  // The console tells of each refusal; nothing else is told.
  expect(demo.problems.filter((one) => !/Content Security Policy|Trusted|TrustedScriptURL|TrustedHTML/.test(one))).toEqual([]);
  expect(demo.problems.length).toBeGreaterThan(0);
  demo.problems.length = 0;
});

test('nothing that is written or opened leaves the machine: only GETs of the site’s own files', async ({ demo, baseURL }) => {
  const { page } = demo;
  const asked: { readonly method: string; readonly url: string; readonly all: string }[] = [];
  page.context().on('request', (request) => {
    const all = [request.url(), request.postData() ?? '', JSON.stringify(request.headers())].join('\n');
    asked.push({ method: request.method(), url: request.url(), all });
  });
  page.on('websocket', (socket) => asked.push({ method: 'WEBSOCKET', url: socket.url(), all: '' }));
  const panel = await demo.open('chat', { max: 6 });
  await expect(panel.locator('.chat-text[data-status]')).toHaveAttribute('data-status', 'done', LONG);
  const secret = 'Rumpelstilzchen';
  await panel.getByRole('textbox', { name: 'Begin a text' }).fill(secret);
  await panel.getByRole('button', { name: 'Continue', exact: true }).click();
  await expect(panel.locator('.chat-begun')).toHaveText(secret);
  await expect(panel.locator('.chat-text[data-status]')).toHaveAttribute('data-status', 'done', LONG);
  const { metadata, tensors } = modelParts({ architecture: 'llama', seed: 5, sizes: { layers: 1, feedForward: 256 } });
  metadata.set('tokenizer.chat_template', ['STRING', '{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}']);
  const file = { name: `${secret}.gguf`, mimeType: '', buffer: Buffer.from(makeGguf(tensors, { metadata })) };
  await panel.locator('.chat-side input[type=file]').setInputFiles(file);
  await expect(panel).toContainText('It answers: the file has a chat template.', LONG);
  await panel.getByLabel('System prompt').fill(secret);
  await panel.getByRole('textbox', { name: 'Your message' }).fill(secret);
  await panel.getByRole('button', { name: 'Send' }).click();
  await expect(panel.locator('.chat-text[data-status]').last()).toHaveAttribute('data-status', 'done', LONG);
  await page.getByRole('link', { name: 'Bring a model' }).click();
  await demo.panel.locator('input[type=file]').setInputFiles(file);
  await expect(demo.panel).toContainText(`${secret}.gguf`, LONG);
  await page.waitForTimeout(500); // what a panel would send when it is hidden
  const out = asked.filter(({ url }) => !/^(blob|data):/.test(url));
  expect(out.length).toBeGreaterThan(5);
  expect(out.filter(({ method, url }) => method !== 'GET' || !url.startsWith(`${baseURL}/`))).toEqual([]);
  expect(asked.filter(({ all }) => all.toLowerCase().includes(secret.toLowerCase()))).toEqual([]);
  expect(page.url()).not.toContain(secret);
});

test('onnxruntime-web runs in a frame of its own, and the page’s Worker does not', async ({ demo }) => {
  test.setTimeout(240_000);
  const { page } = demo;
  const panel = await demo.open('bench', {
    llm: 0,
    rows: 'decode',
    matrix: 'own',
    k: 128,
    n: 128,
    rounds: 3,
    sample: 10,
    dense: 0,
    wasm: 1,
  });
  expect(page.frames()).toHaveLength(1);
  await panel.getByRole('button', { name: 'Measure' }).click();
  await expect.poll(() => page.frames()[1]?.url(), LONG).toContain('/wasm.html');
  await expect(panel.locator('article[data-cells="1"]')).toContainText('onnxruntime-web', { timeout: 200_000 });
  await expect(panel.getByRole('button', { name: 'Measure' })).toBeEnabled({ timeout: 200_000 });
  await expect(panel).toContainText('CPU provider in WebAssembly');
});
