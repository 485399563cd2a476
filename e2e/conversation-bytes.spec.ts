// What a page with an Llm fetches: at once, and until the first answer of a GGUF file with a chat template. The built package, bundled as a page's
// build would do it; bytes are those of gzipped scripts that Chromium asks for.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from '@playwright/test';
import { build, type Rollup } from 'vite';
import { makeGguf } from '../test/support/files.js';
import { modelParts } from '../test/support/model-file.js';

const root = resolve(import.meta.dirname, '..');
/** Limits, in bytes. */
const { llm: atOnceLimit, conversation } = JSON.parse(readFileSync(join(root, 'bench-results', 'size.json'), 'utf8')) as Record<
  string,
  number
>;
const PAGE = `
import { Llm } from 'antiquant/llm';
globalThis.talk = async (url) => {
  const llm = await Llm.load(url);
  let ids = 0;
  for await (const piece of llm.chat([{ role: 'user', content: 'hi' }], { maxTokens: 4 })) ids += piece.ids.length;
  llm.destroy();
  return ids;
};`;

/** The scripts of a page, by file name; the first is its entry. */
async function scripts(): Promise<ReadonlyMap<string, string>> {
  const folder = mkdtempSync(join(root, 'node_modules', '.cache', 'bytes-'));
  try {
    const input = join(folder, 'main.js');
    writeFileSync(input, PAGE);
    const dist = join(folder, 'dist');
    await build({ root, logLevel: 'error', build: { outDir: dist } });
    const alias = [{ find: /^antiquant\/(.+)$/, replacement: join(dist, '$1.js') }];
    const options = { write: false, target: 'es2022', modulePreload: false, rollupOptions: { input } } as const;
    const { output } = (await build({
      root: folder,
      configFile: false,
      logLevel: 'error',
      resolve: { alias },
      build: options,
    })) as Rollup.RollupOutput;
    const chunks = output.filter((one) => one.type === 'chunk');
    return new Map(
      [...chunks.filter(({ isEntry }) => isEntry), ...chunks.filter(({ isEntry }) => !isEntry)].map((one) => [one.fileName, one.code]),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('what a conversation fetches', async ({ page, baseURL }) => {
  const files = await scripts();
  const { metadata, tensors } = modelParts({ architecture: 'llama' });
  metadata.set('tokenizer.chat_template', ['STRING', "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"]);
  const model = Buffer.from(makeGguf(tensors, { metadata }));
  const fetched = new Map<string, number>();
  await page.route('**/*', (route) => {
    const name = new URL(route.request().url()).pathname.slice(1);
    if (name === '')
      return route.fulfill({ contentType: 'text/html', body: `<script type="module" src="/${[...files.keys()][0]}"></script>` });
    if (name === 'model.gguf') {
      const [, from, to] = /bytes=(\d+)-(\d+)/.exec(route.request().headers().range ?? '') ?? [];
      if (from === undefined) return route.fulfill({ body: model, headers: { 'Accept-Ranges': 'bytes' } });
      const body = model.subarray(Number(from), Number(to) + 1);
      return route.fulfill({
        status: 206,
        body,
        headers: { 'Content-Range': `bytes ${from}-${Number(from) + body.length - 1}/${model.length}` },
      });
    }
    const code = files.get(name);
    if (code === undefined) return route.fulfill({ status: 404 });
    fetched.set(name, gzipSync(code, { level: 9 }).length);
    return route.fulfill({ contentType: 'text/javascript', body: code });
  });
  const sum = (): number => [...fetched.values()].reduce((a, b) => a + b, 0);
  await page.goto(`${baseURL}/`);
  await page.waitForFunction('globalThis.talk');
  const atOnce = sum();
  const ids = await page.evaluate('talk("/model.gguf")');
  console.log(`antiquant/llm: ${atOnce} bytes gzipped at once, ${sum()} for a whole conversation, in ${fetched.size} requests`);
  if (process.env.FETCHED)
    console.log(
      [...fetched]
        .sort((a, b) => b[1] - a[1])
        .map((one) => one.join(' '))
        .join('\n'),
    );
  expect(ids).toBe(4);
  expect(atOnce).toBeLessThanOrEqual(atOnceLimit!);
  expect(sum()).toBeLessThanOrEqual(conversation!);
});
