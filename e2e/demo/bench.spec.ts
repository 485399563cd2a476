// The panel "Your GPU, measured" on the built page. Small products: the adapter here is the CPU.
import { readFile } from 'node:fs/promises';
import type { Locator } from '@playwright/test';
import { median, ours, ratio, share } from '../../bench/report.js';
import type { Saved } from '../../demo/panels/bench/save.js';
import { milliseconds, percent, short } from '../../demo/ui/numbers.js';
import { openModel } from '../../src/files/open-file.js';
import { findLayers } from '../../src/formats/find-layers.js';
import { type Demo, expect, test } from './fixture.js';

/** Small products alone; the language model has a test of its own. */
const SMALL = { llm: 0, rows: 'own', m: 4, matrix: 'own', k: 512, n: 256, rounds: 3, sample: 10 };
const TIMEOUT = 200_000;
/** Chromium compiles 41 MB of WebAssembly on two cores, and screenshots of long pages take seconds. */
test.setTimeout(300_000);

async function measure(panel: Locator, cells: number): Promise<void> {
  await panel.getByRole('button', { name: 'Measure' }).click();
  await expect(panel.locator(`article[data-cells="${cells}"]`)).toBeVisible({ timeout: TIMEOUT });
  await expect(panel.getByRole('button', { name: 'Measure' })).toBeEnabled({ timeout: TIMEOUT });
}

/** In the page: changes what the library's store holds. */
async function chooseEightRows(): Promise<void> {
  const done = <T>(request: IDBRequest<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const database = await done(indexedDB.open('antiquant', 1));
  const table = database.transaction('tuning', 'readwrite').objectStore('tuning');
  for (const key of await done(table.getAllKeys())) {
    const records: Record<string, { tile: Record<string, number>; ratio: number; short?: number }> = await done(table.get(key));
    for (const record of Object.values(records)) {
      Object.assign(record, { tile: { ...record.tile, ROWS: 8 }, ratio: 0.5 });
      delete record.short;
    }
    await done(table.put(records, key));
  }
  database.close();
}

async function save({ page, panel }: Demo): Promise<Saved> {
  const [file] = await Promise.all([page.waitForEvent('download'), panel.getByRole('button', { name: 'Save as JSON' }).click()]);
  return JSON.parse(await readFile((await file.path())!, 'utf8'));
}

test('measures, and shows what the report of the bench says of the raw times', async ({ demo }) => {
  const panel = await demo.open('bench', { ...SMALL, rows: 'all', rounds: 3 });
  await expect(panel).toContainText('Nothing is uploaded.');
  await measure(panel, 3);
  await expect(panel).toContainText('the times are not those of a GPU');
  const saved = await save(demo);
  expect(saved).toMatchObject({ schema: 1, mode: 'custom', software: true });
  expect(saved.settings).toMatchObject({ rows: [1, 8, 128], k: 512, n: 256, bits: 4, group: 32, rounds: 3, peers: [], dense: true });
  const { cells } = saved.hosts[0]!;
  expect(cells.map(({ m }) => m)).toEqual([1, 8, 128]);
  for (const cell of cells) {
    const mine = ours(cell)!;
    expect(mine.ms).toHaveLength(3);
    const card = panel.getByRole('region', { name: `M = ${cell.m}`, exact: true });
    await expect(card).toContainText(milliseconds(median(mine.ms)));
    await expect(card).toContainText(mine.detail);
    const dense = cell.timings.find(({ family }) => family === 'dense')!;
    expect(dense.error).toBeLessThan(1e-4);
    if (!dense.dropped) {
      const times = ratio(cell, mine, 'dense')!;
      await expect(card).toContainText(`${short(times >= 1 ? times : 1 / times)} × ${times >= 1 ? 'faster' : 'slower'} than dense f32`);
    }
    const most = Math.max(share(cell, 'copy')!, share(cell, 'multiply-add')!);
    expect(most).toBeGreaterThan(0);
    await expect(card).toContainText(`${percent(most)} of what`);
  }
  await expect(panel.locator('.chart svg').first()).toBeVisible();
  await expect(panel.locator('.chart').filter({ has: demo.page.locator('svg') })).toHaveCount(4);
  await demo.screenshots('bench');
  await panel.locator('details.bench-all summary').first().click();
  await expect(panel.getByRole('table', { name: /^x \(1, 512\)/ })).toContainText('right');
  // The link chooses the same again.
  await demo.page.goto(saved.link);
  await measure(panel, 3);
  expect((await save(demo)).settings).toEqual(saved.settings);
});

test('onnxruntime-web is loaded when asked, checked, and timed', async ({ demo }) => {
  const asked: string[] = [];
  demo.page.context().on('request', (request) => request.url().includes('/ort/') && asked.push(request.url()));
  const panel = await demo.open('bench', { ...SMALL, m: 1 });
  expect(asked).toEqual([]);
  await expect(panel).toContainText(/Loads 2\d\.\d MB from this site/);
  await panel.getByRole('checkbox', { name: 'onnxruntime-web on WebGPU' }).check();
  await panel.getByRole('checkbox', { name: 'onnxruntime-web on the CPU' }).check();
  await measure(panel, 1);
  const saved = await save(demo);
  const [cell] = saved.hosts[0]!.cells;
  const families = cell!.timings.filter(({ wrong }) => !wrong).map(({ family }) => family);
  expect(families, saved.hosts[0]!.notes.join('\n')).toEqual(
    expect.arrayContaining(['ours', 'ort-gpu', 'ort-wasm', 'dense', 'copy', 'multiply-add']),
  );
  expect(saved.versions['onnxruntime-web']).toMatch(/^1\./);
  await expect(panel).toContainText('CPU provider in WebAssembly, one thread');
  expect(asked.length).toBeGreaterThan(0);
  await demo.screenshots('bench-peers');
});

test('the language model beside wllama, and a report of it all to paste: the figures are those of the raw times', async ({
  demo,
  context,
  baseURL,
}) => {
  const { page } = demo;
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const asked: string[] = [];
  context.on('request', (request) => asked.push(request.url()));
  const panel = await demo.open('bench', { ...SMALL, llm: 1, m: 1, dense: 0 });
  await expect(panel.getByRole('region', { name: 'Known before timing' })).toContainText('an empty submission');
  await expect(panel).toContainText(/llama\.cpp; loads 10\.\d MB from this site/);
  expect(asked.filter((url) => url.includes('/wllama/'))).toEqual([]);
  await panel.getByRole('checkbox', { name: 'wllama on the CPU' }).check();
  await panel.getByRole('checkbox', { name: 'wllama on WebGPU' }).check();
  await measure(panel, 1);
  const { llm, versions, hosts } = await save(demo);
  const { voices, tokens, bytes, copy, dispatches, notes } = llm!;
  // This adapter has no shader-f16: llama.cpp would compute on the CPU, and must not be called a GPU's.
  expect(notes).toEqual(['wllama on WebGPU did not run: llama.cpp found no GPU here that it can use; it needs shader-f16']);
  await expect(panel).toContainText(`${notes[0]}.`);
  expect(voices.map(({ name }) => name)).toEqual(['antiquant', 'wllama on the CPU']);
  for (const { first, decode } of voices) for (const list of [first, decode]) expect(list.filter((ms) => ms > 0)).toHaveLength(3);
  expect(tokens.decode).toBe(64);
  for (const count of tokens.prompt) expect(Math.abs(count - 126)).toBeLessThanOrEqual(2);
  expect(versions.wllama).toBe('3.13.0');

  // What the panel shows, from the raw times.
  const card = panel.getByRole('region', { name: 'The language model' });
  const figure = (name: string): Locator => card.locator('dl > div').filter({ hasText: name }).locator('strong');
  const [mine, other] = voices as [(typeof voices)[0], (typeof voices)[0]];
  const speed = (one: typeof mine): number => 1000 / median(one.decode);
  const rate = 1000 / median(mine.first.map((ms, round) => ms / tokens.prompt[round]!));
  const percentOf = percent((1000 * (bytes.weights + bytes.cache)) / median(mine.decode) / copy);
  await expect(figure('Prompt tokens a second')).toHaveText(short(rate));
  await expect(figure('Dispatches a token')).toHaveText(String(dispatches));
  await expect(figure('Of what copying allows')).toHaveText(percentOf);
  await expect(card.getByRole('row', { name: /^wllama on the CPU/ })).toContainText(`${short(speed(mine) / speed(other))} ×`);

  // The weights are all that the file has, as the panel “Bring a model” counts them, and the dispatches those of the library.
  const { layers } = await findLayers(await openModel(new Uint8Array(await readFile('models/kjv.gguf'))));
  const weights = layers.reduce((sum, { n, k }) => sum + n * k, 0);
  expect((8 * bytes.weights) / weights).toBeGreaterThan(4.5);
  expect((8 * bytes.weights) / weights).toBeLessThan(8.6);

  await panel.getByRole('button', { name: 'Copy a report' }).click();
  await expect(panel.locator('.copy-said').first()).toHaveText('Copied');
  const report = await page.evaluate(() => navigator.clipboard.readText());
  const lines = report.split('\n');
  const cells = (start: string): string[] =>
    lines
      .find((line) => line.startsWith(`| ${start} |`))!
      .split(' | ')
      .map((one) => one.trim());
  expect(lines[0]).toBe('## GPU report of antiquant');
  expect(cells('Adapter')[1]).toContain('swiftshader');
  expect(cells('Features')[1]).toContain('core-features-and-limits');
  expect(cells('Browser')[1]).toContain('Chrome/');
  expect(cells('Versions')[1]).toContain(`antiquant ${versions.antiquant}`);
  expect(cells('Versions')[1]).toContain('wllama 3.13.0');
  expect(cells('antiquant').slice(1, 3)).toEqual([short(speed(mine)), short(rate)]);
  expect(cells('wllama on the CPU')[1]).toBe(short(speed(other)));
  expect(report).toContain(`- ${dispatches} dispatches a token`);
  expect(report).toContain(`- a token reads ${bytes.weights.toLocaleString('en')} bytes of weights`);
  expect(report).toContain(`a token takes ${percentOf} of it`);
  expect(report).toContain('### Products, K × N 512 × 256, int4, groups of 32, float32');
  expect(cells('1').slice(1, 3)).toEqual(['antiquant', milliseconds(median(ours(hosts[0]!.cells[0]!)!.ms))]);
  expect(report).toContain('3 rounds in turns');
  expect(report).toMatch(/^self-test: \d+ variants tested, 0 failed$/m);
  // It ran in the frame that may compile WebAssembly, from this site alone.
  expect(page.frames()[1]!.url()).toContain('/wasm.html');
  expect(asked.filter((url) => url.includes('/wllama/')).length).toBeGreaterThan(0);
  expect(asked.filter((url) => !/^(blob|data):/.test(url) && !url.startsWith(`${baseURL}/`))).toEqual([]);
  await demo.screenshots('bench-llm');
});

test('every control reaches the run, and the URL', async ({ demo }) => {
  const panel = await demo.open('bench');
  await expect(panel).toContainText('Measures the language model of this page; products of 1, 8, 128 rows');
  await panel.getByRole('checkbox', { name: 'the language model of this page' }).uncheck();
  await expect(panel.getByRole('checkbox', { name: 'wllama on the CPU' })).toBeDisabled();
  await panel.getByRole('checkbox', { name: 'products' }).uncheck();
  await expect(panel.getByRole('button', { name: 'Measure' })).toBeDisabled();
  await panel.getByRole('checkbox', { name: 'products' }).check();
  await panel.getByRole('radio', { name: 'own M' }).check();
  await panel.getByLabel('M', { exact: true }).fill('3');
  await panel.getByLabel('Weights (K × N)').selectOption('own K and N');
  await panel.getByLabel('K', { exact: true }).fill('256');
  await panel.getByLabel('N', { exact: true }).fill('300');
  await panel.getByLabel('N', { exact: true }).press('Enter');
  await expect(panel).toContainText('Expected 128, then in steps of 128.');
  await panel.getByLabel('N', { exact: true }).fill('384');
  await panel.getByLabel('N', { exact: true }).blur();
  await expect(panel).not.toContainText('Expected 128');
  await panel.getByRole('radio', { name: 'int8' }).check();
  await panel.getByLabel('Scales').selectOption('per channel');
  await panel.getByRole('radio', { name: 'float16' }).check();
  await panel.getByRole('checkbox', { name: 'offsets' }).check();
  await panel.getByRole('checkbox', { name: /dense in float32/ }).uncheck();
  await panel.getByLabel('Rounds').fill('4');
  await panel.getByLabel('A sample lasts').fill('12');
  await panel.getByLabel('A sample lasts').blur();
  await measure(panel, 1);
  const { settings, hosts, link } = await save(demo);
  const want = {
    rows: [3],
    k: 256,
    n: 384,
    bits: 8,
    group: 0,
    dtype: 'float16',
    offset: true,
    rounds: 4,
    sample: 12,
    peers: [],
    dense: false,
  };
  expect(settings).toEqual(want);
  expect(hosts[0]!.cells[0]).toMatchObject({ m: 3, k: 256, n: 384, bits: 8, group: 0, dtype: 'float16', offset: true });
  expect(new URL(link).search).toBe(new URL(demo.page.url()).search);
});

test('a run can be cancelled, and another started', async ({ demo }) => {
  const panel = await demo.open('bench', { ...SMALL, rows: 'all', rounds: 50, sample: 200 });
  await panel.getByRole('button', { name: 'Measure' }).click();
  await expect(panel.getByRole('progressbar', { name: 'The measurement' })).toBeVisible();
  await expect(panel.locator('.progress-text').first()).toContainText('round 1 of 50', { timeout: TIMEOUT });
  await panel.getByRole('button', { name: 'Cancel' }).click();
  await expect(panel).toContainText('Cancelled.');
  await panel.getByRole('radio', { name: 'own M' }).check();
  await panel.getByLabel('Rounds').fill('3');
  await panel.getByLabel('A sample lasts').fill('10');
  await panel.getByLabel('A sample lasts').blur();
  await measure(panel, 1);
});

test('tuning says what won, keeps it, and forgets it', async ({ demo }) => {
  const panel = await demo.open('bench', SMALL);
  await panel.getByRole('button', { name: 'Tune for these products' }).click();
  const table = panel.getByRole('table', { name: /^Tuned: int4/ });
  await expect(table).toBeVisible({ timeout: TIMEOUT });
  await expect(table.getByRole('row')).toHaveCount(2);
  await expect(table.getByRole('row').nth(1)).toContainText(/M = 4.*matmul-.*now/);
  await demo.screenshots('bench-tuned');
  // The store is the library's own: another page knows it.
  await demo.open('bench', SMALL);
  await panel.getByRole('button', { name: 'Tune for these products' }).click();
  await expect(table.getByRole('row').nth(1)).toContainText('earlier, on 2', { timeout: TIMEOUT });
  // Were another tile found to be the faster one, the run would use it, beside the planner's own.
  await demo.page.evaluate(chooseEightRows);
  await demo.open('bench', SMALL);
  await panel.getByRole('button', { name: 'Tune for these products' }).click();
  await expect(table.getByRole('row').nth(1)).toContainText(/ROWS=8.*ROWS=4.*earlier.*2 ×/, { timeout: TIMEOUT });
  await measure(panel, 1);
  const { timings } = (await save(demo)).hosts[0]!.cells[0]!;
  expect(timings.find(({ family }) => family === 'ours')!.detail).toContain('ROWS=8');
  expect(timings.find(({ name }) => name === 'antiquant, not tuned')!.detail).toContain('ROWS=4');
  await panel.getByRole('button', { name: 'Forget all' }).click();
  await expect(panel).toContainText('are deleted.');
  await panel.getByRole('button', { name: 'Tune for these products' }).click();
  await expect(table.getByRole('row').nth(1)).toContainText('now', { timeout: TIMEOUT });
});

test('the loss of the device is told, and the next run works', async ({ demo }) => {
  const panel = await demo.open('bench', { ...SMALL, rounds: 50, sample: 200 });
  await panel.getByRole('button', { name: 'Measure' }).click();
  await expect(panel.locator('.progress-text').first()).toContainText('round', { timeout: TIMEOUT });
  await demo.loseDevice();
  await expect(panel).toContainText('The measurement did not finish.');
  await panel.getByLabel('Rounds').fill('3');
  await panel.getByLabel('A sample lasts').fill('10');
  await panel.getByLabel('A sample lasts').blur();
  await measure(panel, 1);
});

test.describe('without a GPU', () => {
  test.use({ gpu: 'none', serviceWorkers: 'block' });
  test('says so', async ({ demo }) => {
    const panel = await demo.open('bench');
    await expect(panel).toContainText('Timing needs WebGPU');
    await demo.axe();
  });
});
