// The panel "Chat": what the page's own model writes is what the float64 reference says; settings, stop, go on, again; a file and a URL; one
// token; fewer bits; keys, screen readers, offline; a device that is lost in the middle.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator, Page, Request } from '@playwright/test';
import { makeGguf } from '../../test/support/files.js';
import { modelParts } from '../../test/support/model-file.js';
import { atPiece } from './at-piece.js';
import { expect, test } from './fixture.js';
import { likeliest, sharesOf } from './reference.js';

const root = join(import.meta.dirname, '../..');
const LONG = { timeout: 90_000 };

/** A model of random weights with a chat template: what it says is nonsense, and always the same. */
function chatModel(): { readonly name: string; readonly mimeType: string; readonly buffer: Buffer } {
  const { metadata, tensors } = modelParts({ architecture: 'llama', seed: 5, sizes: { layers: 1, feedForward: 256 } });
  metadata.set('tokenizer.chat_template', ['STRING', '{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}']);
  return { name: 'chat.gguf', mimeType: '', buffer: Buffer.from(makeGguf(tensors, { metadata })) };
}

const said = (panel: Locator): Locator => panel.locator('.chat-said').last();
const status = (panel: Locator): Locator => panel.locator('.chat-text[data-status]').last();
const ended = (panel: Locator): Promise<void> => expect(status(panel)).toHaveAttribute('data-status', 'done', LONG);
const button = (within: Locator | Page, name: string): Locator => within.getByRole('button', { name, exact: true });
const field = (panel: Locator, name: string): Locator => panel.getByRole('spinbutton', { name });
const writes = (panel: Locator): Locator => panel.getByRole('textbox', { name: /^(Begin a text|Your message)/ });

async function set(panel: Locator, name: string, value: number): Promise<void> {
  await field(panel, name).fill(String(value));
  await field(panel, name).press('Tab');
}

async function continues(panel: Locator, text: string): Promise<string> {
  await writes(panel).fill(text);
  await button(panel, 'Continue').click();
  await expect(panel.locator('.chat-begun')).toHaveText(text);
  await ended(panel);
  return (await said(panel).textContent())!;
}

test('a first visit: the model of the page writes by itself, and nothing comes from elsewhere', async ({ demo, baseURL }, info) => {
  const { page } = demo;
  const asked: string[] = [];
  // The service worker fetches every file once more, later.
  const mine = (request: Request): boolean => request.serviceWorker() === null;
  page
    .context()
    .on('request', (request) => mine(request) && asked.push(`${request.method()} ${request.url()} ${request.postData() ?? ''}`));
  const began = Date.now();
  await page.goto(`${baseURL}/`);
  await expect(page).toHaveTitle('Chat · antiquant');
  await expect(said(demo.panel)).not.toBeEmpty(LONG);
  const first = Date.now() - began;
  await ended(demo.panel);
  console.log(`first words after ${first} ms, the end after ${Date.now() - began} ms`);
  info.annotations.push({ type: 'first words', description: `${first} ms` });
  await expect(demo.panel.locator('.chat-page')).toContainText(/^And it came to pass.{60,}/s);
  expect(
    asked.filter((line) => !line.startsWith(`GET ${baseURL}/`) && !line.startsWith('GET blob:') && !line.startsWith('GET data:')),
  ).toEqual([]);
  expect(asked.filter((line) => line.includes('.gguf'))).toHaveLength(1);
  // The same visit ends in the same text: nothing but the settings decides.
  const text = await demo.panel.locator('.chat-page').textContent();
  await page.reload();
  await ended(demo.panel);
  expect(await demo.panel.locator('.chat-page').textContent()).toBe(text);
});

test('what it writes, and the shares of its tokens, are those of the float64 reference', async ({ demo }) => {
  const { page } = demo;
  const panel = await demo.open('chat', { temperature: 0, max: 24 });
  await ended(panel);
  const reference = await likeliest('In the beginning', 24);
  expect(await continues(panel, 'In the beginning')).toBe(reference.text);
  await expect(panel.locator('.chat-figures')).toContainText('24 tokens');
  await expect(panel.locator('.chat-figures')).toContainText(`a prompt of ${reference.prompt.length} tokens`);

  // One token: the twenty likeliest, by key and by click.
  await button(panel, 'Show').click();
  const bars = panel.locator('.chat-bars li');
  await expect(bars).toHaveCount(20, LONG);
  const check = async (at: number): Promise<void> => {
    const row = reference.rows[at]!;
    const shares = sharesOf(row);
    const order = [...row.keys()].sort((a, b) => row[b]! - row[a]!);
    await expect(panel.locator('.chat-place output')).toHaveText(`${at + 1} of 24`);
    await expect(panel.locator('.chat-bars')).not.toHaveAttribute('data-stale', LONG);
    await expect(panel.locator('.chat-bars [data-chosen]')).toHaveAttribute('data-id', String(reference.ids[at]), LONG);
    const shown = await bars.evaluateAll((all) =>
      all.map((one) => ({ id: Number(one.dataset.id), share: Number.parseFloat(one.querySelector('.chat-share')!.textContent!) })),
    );
    expect(shown[0]!.id).toBe(order[0]);
    // Keys and values are held as halves: logits are within 2e-3 of their norm, shares within the digits that are shown.
    for (const { id, share } of shown.slice(0, 5)) expect(Math.abs(share - 100 * shares[id]!)).toBeLessThan(1);
  };
  await check(0);
  await panel.getByRole('slider', { name: 'Token' }).press('ArrowRight');
  await check(1);
  await said(panel).locator('> span').nth(5).click();
  await check(5);

  // Where its time went: all dispatches of the token, and all of the time.
  await button(panel, 'Measure where the time went').click();
  const times = panel.locator('.chat-times tbody tr');
  await expect(times.first().or(panel.locator('.chat-without'))).toBeVisible(LONG);
  const timed = (await panel.locator('.chat-without').count()) === 0;
  const rowsOfTimes = await times.evaluateAll((all) => all.map((one) => [...one.children].map(({ textContent }) => textContent!)));
  if (timed) {
    await expect(panel.locator('.chat-times')).toContainText(/Token 6, [\d.,]+ (µs|ms) on the GPU\. .* second, slower build of passes/);
    const names = rowsOfTimes.map(([name]) => name);
    expect(names).toEqual(expect.arrayContaining(['Attention', 'Norms', 'Product: down', 'Product: logits', 'Choice of the token']));
    const shares = rowsOfTimes.reduce((sum, [, , , share]) => sum + Number.parseFloat(share!), 0);
    expect(Math.abs(shares - 100)).toBeLessThan(1 + 0.5 * rowsOfTimes.length); // each is rounded
  }
  // How near that is to a copy of as many bytes.
  await button(panel, 'Measure how fast this adapter copies').click();
  const copying = panel.locator('.chat-figures > div').filter({ hasText: 'Share of copy bandwidth' });
  await expect(copying).toContainText(/[\d.]+ %[\d.,]+ MiB read a token; a copy reads and writes [\d.,]+ (MiB|GiB) a second/, LONG);
  const share = Number.parseFloat((await copying.locator('strong').textContent())!);
  expect(share).toBeGreaterThan(0);
  expect(share).toBeLessThan(100);

  // What ran: a link to the text of each shader.
  await panel.locator('.chat-ran summary').click();
  const rows = panel.locator('.chat-ran tbody tr');
  const counts = await rows.locator('td:last-child').allTextContents();
  const dispatches = counts.reduce((sum, text) => sum + Number(text), 0);
  if (timed) expect(rowsOfTimes.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(dispatches);
  await expect(panel.locator('.chat-ran summary')).toHaveText(`What ran for it: ${dispatches} dispatches`);
  await expect(panel.locator('.chat-figures')).toContainText(String(dispatches));
  for (const name of ['llm/attend', 'gather-weights', 'matmul-subgroup']) {
    const link = rows.getByRole('link', { name }).first();
    if ((await link.count()) === 0) continue; // a GPU has other kernels
    await link.click();
    await expect(demo.panel).toContainText(`The text of ${name}.wgsl`, LONG);
    await expect(demo.panel.locator('.outline')).toContainText('main', LONG);
    if (name === 'llm/attend') {
      await page.reload();
      await expect(demo.panel).toContainText('The text of llm/attend.wgsl', LONG);
      await button(demo.panel, 'Plan a product instead').click();
      await expect(demo.panel.locator('.shader-form')).toBeVisible();
      await page.getByRole('link', { name: 'Chat', exact: true }).click();
      await ended(demo.panel);
      await demo.panel.locator('.chat-ran summary').click();
    } else {
      await page.goBack();
      await demo.panel.locator('.chat-ran summary').click();
    }
  }
});

test('every setting is in the URL and counts; the text is in none', async ({ demo }) => {
  const { page } = demo;
  const panel = await demo.open('chat', { max: 12 });
  await ended(panel);
  const first = await continues(panel, 'The voice of');
  await set(panel, 'Seed', 7);
  const second = await continues(panel, 'The voice of');
  expect(second).not.toBe(first);
  await set(panel, 'Seed', 1);
  expect(await continues(panel, 'The voice of')).toBe(first);
  await set(panel, 'Temperature', 0);
  await set(panel, 'Most tokens', 5);
  const greedy = await continues(panel, 'The voice of');
  expect(greedy).toBe((await likeliest('The voice of', 5)).text);
  // Of one candidate there is but one choice, whatever the temperature.
  await set(panel, 'Temperature', 3);
  for (const [name, value, none] of [
    ['Top-k', 1, 0],
    ['Top-p', 0, 1],
    ['Min-p', 1, 0],
  ] as const) {
    await set(panel, name, value);
    expect(await continues(panel, 'The voice of'), name).toBe(greedy);
    await set(panel, name, none);
  }
  expect(await continues(panel, 'The voice of')).not.toBe(greedy);
  await set(panel, 'Top-p', 0.5);
  await expect(page).toHaveURL(/topP=0\.5/);
  await set(panel, 'Temperature', 0);
  await panel.getByText('How the model is held').click();
  await set(panel, 'Context, in tokens', 64);
  await panel.getByRole('radio', { name: 'float32' }).check();
  await expect(page).toHaveURL(/temperature=0&/);
  await expect(page).toHaveURL(/max=5/);
  await expect(page).toHaveURL(/context=64/);
  await expect(page).toHaveURL(/kv=f32/);
  expect(page.url()).not.toContain('voice');
  await page.reload();
  await expect(status(panel)).toHaveAttribute('data-status', 'done', LONG);
  await expect(field(panel, 'Most tokens')).toHaveValue('5');
  await expect(panel).toContainText('context 64');
  // A full context ends it, and says so.
  await set(panel, 'Most tokens', 8192);
  await continues(panel, 'The voice of');
  await expect(panel).toContainText('The context is full.');
  await expect(button(panel, 'Go on')).toBeHidden();
});

test('stop, go on, another text: what a stop has cut goes on with the same text', async ({ demo }) => {
  const panel = await demo.open('chat', { max: 200 });
  await demo.page.evaluate(atPiece, { count: 1, act: 'Stop' });
  await expect(status(panel)).toHaveAttribute('data-status', 'stopped');
  const cut = (await said(panel).textContent())!;
  await button(panel, 'Go on').click();
  await ended(panel);
  const whole = (await said(panel).textContent())!;
  expect(whole.startsWith(cut)).toBe(true);
  expect(whole.length).toBeGreaterThan(cut.length);
  expect(await continues(panel, 'And it came to pass')).toBe(whole);
  // Another panel wants the GPU: the answer stops, and goes on after the return.
  const tab = (name: string): Locator => demo.page.getByRole('link', { name, exact: true });
  await button(panel, 'Continue').click();
  await demo.page.evaluate(atPiece, { count: 5, act: 'Bring a model' });
  await tab('Chat').click();
  await expect(status(panel)).toHaveAttribute('data-status', 'stopped');
  await button(panel, 'Go on').click();
  await ended(panel);
  expect(await said(panel).textContent()).toBe(whole);
  await button(panel, 'Another text').click();
  await ended(panel);
  await expect(field(panel, 'Seed')).toHaveValue('2');
  expect(await said(panel).textContent()).not.toBe(whole);
  // Behind its end it goes on with as many tokens again.
  await set(panel, 'Most tokens', 10);
  const ten = await continues(panel, 'Blessed are they');
  await button(panel, 'Go on').click();
  await ended(panel);
  const twenty = (await said(panel).textContent())!;
  expect(twenty.startsWith(ten)).toBe(true);
  await expect(panel.locator('.chat-figures')).toContainText('20 tokens');
});

test('a device that is lost in the middle: the answer goes on with the same text', async ({ demo }) => {
  const panel = await demo.open('chat', { max: 240, seed: 3 });
  await ended(panel);
  const whole = await continues(panel, 'And it came to pass');
  await button(panel, 'Continue').click();
  await demo.page.evaluate(atPiece, { count: 20, act: 'destroy-device' });
  const alert = panel.getByRole('alert').filter({ hasText: 'The GPU device was lost' });
  await expect(alert).toContainText('“Go on” opens the device again', LONG);
  const cut = (await said(panel).textContent())!;
  expect(cut.length).toBeLessThan(whole.length);
  await button(panel, 'Go on').click();
  await ended(panel);
  expect(await said(panel).textContent()).toBe(whole);
});

test('a file with a chat template answers: messages, again, edit, a system prompt; a broken file is refused', async ({ demo }) => {
  const panel = await demo.open('chat', { max: 12 });
  await ended(panel);
  await panel.locator('.chat-side input[type=file]').setInputFiles(chatModel());
  await expect(panel).toContainText('It answers: the file has a chat template.', LONG);
  await expect(panel).toContainText('Write something: the model answers.');
  const ask = async (text: string): Promise<string> => {
    await writes(panel).fill(text);
    await writes(panel).press('Enter');
    await expect(panel.locator('.chat-mine .chat-text').last()).toHaveText(text);
    await ended(panel);
    return (await said(panel).textContent())!;
  };
  const [one, two] = [await ask('hello'), await ask('and then?')];
  await expect(panel.locator('.chat-turn')).toHaveCount(2);
  await expect(writes(panel)).toHaveValue('');
  await button(panel, 'Answer again').click();
  await ended(panel);
  expect(await said(panel).textContent()).not.toBe(two);
  // The first message is changed: what followed is gone.
  await set(panel, 'Seed', 1);
  await button(panel, 'Edit this message').first().click();
  await expect(writes(panel)).toHaveValue('hello');
  await expect(writes(panel)).toBeFocused();
  expect(await ask('hello')).toBe(one);
  await expect(panel.locator('.chat-turn')).toHaveCount(1);
  expect(await ask('and then?')).toBe(two);
  await panel.getByLabel('System prompt').fill('Be brief.');
  await button(panel, 'Edit this message').first().click();
  expect(await ask('hello')).not.toBe(one);
  await demo.screenshots('chatting');

  await panel
    .locator('.chat-side input[type=file]')
    .setInputFiles({ name: 'a.gguf', mimeType: '', buffer: Buffer.from('GGUF, or not quite so') });
  await expect(panel.getByRole('alert').filter({ hasText: 'could not be loaded' })).toContainText(
    'a.gguf: header: expected 24 bytes, got 21',
    LONG,
  );
  await expect(panel.locator('.chat-turn')).toHaveCount(1);
  expect(await ask('still there?')).not.toBe('');
  await button(panel, 'Back to the model of this page').click();
  await expect(panel).toContainText('It goes on with a text', LONG);
  await continues(panel, 'In the beginning');
});

test.describe('without the service worker, which answers for the network', () => {
  test.use({ serviceWorkers: 'block' });
  test('a URL is read in parts, after a click alone', async ({ demo, baseURL }) => {
    const { page } = demo;
    const name = readdirSync(join(root, 'dist-demo/assets')).find((one) => one.endsWith('.gguf'))!;
    const ranges: (string | undefined)[] = [];
    const url = `${baseURL}/assets/${name}`;
    const panel = await demo.open('chat', { url: `${url}?mine`, max: 8 });
    await ended(panel);
    page.context().on('request', (request) => request.url().endsWith('?mine') && ranges.push(request.headers().range));
    await expect(panel.getByLabel('Or its URL')).toHaveValue(`${url}?mine`);
    expect(ranges).toEqual([]);
    await panel.getByRole('button', { name: 'Load' }).click();
    await expect(panel.locator('.chat-side')).toContainText('Back to the model of this page', LONG);
    await expect(panel).toContainText('Begin a text: the model goes on with it.');
    expect(ranges.length).toBeGreaterThan(1);
    expect(ranges.every((range) => /^bytes=\d+-\d+$/.test(range ?? ''))).toBe(true);
    await continues(panel, 'In the beginning');
    await panel.getByLabel('Or its URL').fill(`${baseURL}/nowhere.gguf`);
    await panel.getByLabel('Or its URL').press('Enter');
    await expect(panel.getByRole('alert').filter({ hasText: 'could not be loaded' })).toContainText('404', LONG);
    demo.problems.splice(0, demo.problems.length, ...demo.problems.filter((one) => !one.includes('404')));
  });

  test('models of URLs that this browser keeps: listed, loaded without the network, deleted', async ({ demo, baseURL }) => {
    const { page } = demo;
    const name = readdirSync(join(root, 'dist-demo/assets')).find((one) => one.endsWith('.gguf'))!;
    const url = `${baseURL}/assets/${name}?kept`;
    const { size } = statSync(join(root, 'dist-demo/assets', name));
    const ranges: string[] = [];
    page.context().on('request', (request) => request.url() === url && ranges.push(request.headers().range ?? 'all'));
    /** The first request of a file says its size and its version; what is behind its bytes is weights. */
    const weights = (): readonly string[] => ranges.splice(0).filter((range) => range !== 'bytes=0-65535');
    const kept = demo.panel.getByRole('list', { name: 'Models that this browser keeps' }).getByRole('listitem');
    const loaded = async (press: () => Promise<void>): Promise<void> => {
      await press();
      await expect(demo.panel.locator('.chat-said')).toHaveCount(0, LONG); // its load ends the conversation
      await expect(demo.panel).toContainText('Begin a text: the model goes on with it.', LONG);
    };
    const panel = await demo.open('chat', { url, max: 12, temperature: 0 });
    await ended(panel);
    await expect(kept).toHaveCount(0);
    expect(ranges).toEqual([]);

    await loaded(() => panel.getByLabel('Or its URL').press('Enter'));
    expect(weights()).toEqual([`bytes=0-${size - 1}`]);
    await expect(kept).toHaveText([`${url}, ${(size / 2 ** 20).toFixed(1)} MiB Load Delete`]);
    const { text } = await likeliest('In the beginning', 12);
    expect(await continues(panel, 'In the beginning')).toBe(text);

    // Another visit: the list is there, and the weights come from it.
    await page.reload();
    await ended(panel);
    await expect(kept).toHaveCount(1);
    expect(ranges).toEqual([]);
    await loaded(() => kept.getByRole('button', { name: 'Load' }).click());
    expect(weights()).toEqual([]);
    expect(await continues(panel, 'In the beginning')).toBe(text);
    await demo.axe();

    await kept.getByRole('button', { name: 'Delete' }).click();
    await expect(kept).toHaveCount(0);
    // The model that is loaded stays.
    expect(await continues(panel, 'In the beginning')).toBe(text);
    await loaded(() => panel.getByLabel('Or its URL').press('Enter'));
    expect(weights()).toEqual([`bytes=0-${size - 1}`]);
  });
});

test('in fewer bits: the file as it is, and int8, int4, 3 and 2 bits side by side', async ({ demo }) => {
  test.setTimeout(240_000);
  const panel = await demo.open('chat', { max: 16, temperature: 0 });
  await ended(panel);
  const plain = await continues(panel, 'And it came to pass');
  await button(panel, 'Compare').click();
  const all = panel.locator('.chat-widths article');
  await expect(all).toHaveCount(5, { timeout: 200_000 });
  await expect(all.locator('h4')).toHaveText(['The file as it is', '8 bits', '4 bits', '3 bits', '2 bits']);
  expect(await all.nth(0).locator('.chat-text').textContent()).toBe(plain);
  const bits = (await all.locator('small').allTextContents()).map((text) => Number(/([\d.]+) bits a token/.exec(text)![1]));
  // Eight bits on top of four change little; two change much.
  expect(Math.abs(bits[1]! - bits[0]!)).toBeLessThan(0.1);
  expect(bits[4]!).toBeGreaterThan(Math.max(...bits.slice(0, 4)));
  await demo.screenshots('chat-widths');
});

test('keys and screen readers: Enter writes, sentences are announced, axe finds nothing', async ({ demo }) => {
  const { page } = demo;
  const panel = await demo.open('chat', { max: 40 });
  await ended(panel);
  const live = panel.locator('.chat-talk [aria-live="polite"]').last();
  await expect(live).not.toBeEmpty();
  await writes(panel).focus();
  await writes(panel).fill('The voice of');
  await page.keyboard.press('Shift+Enter');
  await expect(writes(panel)).toHaveValue('The voice of\n');
  await page.keyboard.press('Backspace');
  await page.keyboard.press('Enter');
  await expect(panel.locator('.chat-begun')).toHaveText('The voice of');
  await ended(panel);
  const text = (await said(panel).textContent())!;
  expect(text.endsWith((await live.locator('span').last().textContent())!)).toBe(true);
  await button(panel, 'Show').press('Enter');
  await expect(panel.locator('.chat-bars li').first()).toBeVisible(LONG);
  await demo.screenshots('chat');
});

test('one visit: a phone and a large screen, a picture that is saved, and the text once more without the network', async ({
  demo,
  context,
}, info) => {
  const { page } = demo;
  await page.setViewportSize({ width: 360, height: 780 });
  const panel = await demo.open('chat');
  await ended(panel);
  await test.step('the answer is on the first screen of a phone, and the text fits', async () => {
    const box = (await status(panel).boundingBox())!;
    expect(box.y + 100).toBeLessThan(780);
    await page.screenshot({ path: info.outputPath('phone.png') });
    await page.setViewportSize({ width: 3840, height: 2160 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
    await page.screenshot({ path: info.outputPath('4k.png') });
    await page.setViewportSize({ width: 1280, height: 900 });
  });
  await test.step('a picture of the answer is saved', async () => {
    const downloading = page.waitForEvent('download');
    await button(panel, 'Save a picture').click();
    const download = await downloading;
    expect(download.suggestedFilename()).toBe('antiquant-chat.png');
    const path = info.outputPath('shared.png');
    await download.saveAs(path);
    const png = readFileSync(path);
    expect(png.subarray(1, 4).toString()).toBe('PNG');
    expect(png.readUInt32BE(16)).toBe(1200);
  });
  await test.step('it writes offline, once it was loaded', async () => {
    const text = await said(panel).textContent();
    await page.evaluate(async () => {
      await navigator.serviceWorker.ready;
      while (!navigator.serviceWorker.controller) await new Promise((resolve) => setTimeout(resolve, 50));
    });
    await context.setOffline(true);
    await page.reload();
    await ended(panel);
    expect(await said(panel).textContent()).toBe(text);
    await context.setOffline(false);
  });
});

test.describe('without a GPU', () => {
  test.use({ gpu: 'none', serviceWorkers: 'block' });
  test('it says why nothing is written', async ({ demo }) => {
    const panel = await demo.open('chat');
    await expect(panel.getByRole('alert').filter({ hasText: 'could not be loaded' })).toContainText('navigator.gpu', { ignoreCase: true });
    await expect(button(panel, 'Continue')).toBeDisabled();
  });
});

test.describe('on an adapter without timestamps', () => {
  test.use({ gpu: 'no-timestamps', serviceWorkers: 'block' });
  test('the page says that it cannot tell where the time went', async ({ demo }) => {
    const panel = await demo.open('chat', { max: 4 });
    await ended(panel);
    await button(panel, 'Measure where the time went').click();
    await expect(panel.locator('.chat-without')).toContainText('This adapter has no timestamps (timestamp-query)', LONG);
    await expect(panel.locator('.chat-times table')).toHaveCount(0);
  });
});
