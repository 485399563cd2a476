// The frame of the built page: tabs, URL, theme, device, notices, offline, any path, sizes. Each panel has another file.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Locator } from '@playwright/test';
import { whole } from '../../test/cases/slice.js';
import { cancelled, expect, test } from './fixture.js';

const PANELS = ['chat', 'operator', 'picture', 'shader', 'bench', 'model'] as const;
const TITLES = ['Chat', 'Operator', 'See quantization', 'What runs', 'Your GPU, measured', 'Bring a model'] as const;

async function setRows(panel: Locator, rows: number): Promise<void> {
  await panel.getByLabel('M, rows of x').fill(String(rows));
  await panel.page().keyboard.press('Enter');
}

test('the tabs show panels by mouse and by keys, and each is in the URL', async ({ demo }) => {
  const { page } = demo;
  await demo.open('operator');
  const tabs = page.getByRole('navigation', { name: 'Panels' });
  for (const [i, name] of PANELS.entries()) {
    await tabs.getByRole('link', { name: TITLES[i]! }).click();
    await expect(page.locator(`main[data-panel="${name}"] .panel[data-ready]`)).toBeVisible();
    await expect(page).toHaveURL(new RegExp(`[?&]panel=${name}\\b`));
    await expect(page).toHaveTitle(`${TITLES[i]} · antiquant`);
    await expect(tabs.locator('[aria-current="page"]')).toHaveText(TITLES[i]!);
  }
  // Arrows move the focus round; Enter follows the link.
  await page.keyboard.press('ArrowRight');
  await expect(tabs.getByRole('link', { name: 'Chat' })).toBeFocused();
  await page.keyboard.press('End');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('Enter');
  await expect(page.locator('main')).toHaveAttribute('data-panel', 'bench');
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
  await expect(page.locator('main')).toHaveAttribute('data-panel', 'chat');
});

test('the URL holds the state: loading, changing, back and forward, and values that mean nothing', async ({ demo }) => {
  const { page } = demo;
  const panel = await demo.open('operator', { m: 16, mode: 'channel', dtype: 'float32', int8: 1 });
  const rows = panel.getByLabel('M, rows of x');
  const radio = (name: string) => panel.getByRole('radio', { name, exact: true });
  await expect(rows).toHaveValue('16');
  await expect(radio('channel')).toBeChecked();
  await expect(radio('float32')).toBeChecked();
  await expect(panel.getByLabel('int8 output')).toBeChecked();

  await setRows(panel, 4);
  await panel.getByLabel('int8 output').uncheck();
  await expect(page).toHaveURL(/[?&]m=4\b/);
  await expect(page).not.toHaveURL(/int8=/); // a default is not written
  const changed = page.url();
  await page.getByRole('link', { name: 'Bring a model' }).click();
  await expect(page).not.toHaveURL(/[?&]m=/);
  await page.goBack();
  await expect(page).toHaveURL(changed);
  await expect(rows).toHaveValue('4');
  await page.goForward();
  await expect(page.locator('main')).toHaveAttribute('data-panel', 'model');
  await page.getByRole('link', { name: 'Operator' }).click();
  await expect(page).toHaveURL(changed);
  await page.reload();
  await expect(rows).toHaveValue('4');

  await demo.open('operator', { m: 'five', mode: 'toString', dtype: '', int8: 2 });
  await expect(rows).toHaveValue('64');
  await expect(radio('group')).toBeChecked();
  await expect(radio('float16')).toBeChecked();
  await expect(panel.getByLabel('int8 output')).not.toBeChecked();
  await page.goto(`${new URL(page.url()).origin}/?panel=constructor`);
  await expect(page.locator('main')).toHaveAttribute('data-panel', 'chat');
});

test('the theme is the system’s until the reader chooses, and the choice stays', async ({ demo }) => {
  const { page } = demo;
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const [light, dark] = ['rgb(247, 248, 248)', 'rgb(15, 19, 20)'];
  await page.emulateMedia({ colorScheme: 'dark' });
  await demo.open('picture');
  expect(await background()).toBe(dark);
  await page.emulateMedia({ colorScheme: 'light' });
  expect(await background()).toBe(light);
  const theme = page.getByRole('group', { name: 'Theme' });
  await theme.getByRole('radio', { name: 'dark' }).check();
  expect(await background()).toBe(dark);
  await page.reload();
  expect(await background()).toBe(dark);
  await theme.getByRole('radio', { name: 'dark' }).focus();
  await page.keyboard.press('ArrowLeft');
  expect(await background()).toBe(light);
  await theme.getByRole('radio', { name: 'auto' }).check();
  await page.emulateMedia({ colorScheme: 'dark' });
  expect(await background()).toBe(dark);
});

test('the device line opens by mouse and keys and says what the browser tells', async ({ demo }, info) => {
  const { page } = demo;
  await demo.open('picture');
  const line = page.locator('details.device');
  await line.locator('summary').click();
  for (const name of ['Vendor', 'Architecture', 'Description', 'Kind', 'shader-f16', 'subgroups', 'Round trip'])
    await expect(line).toContainText(name);
  await demo.axe();
  await page.screenshot({ path: info.outputPath('device.png') });
  await page.keyboard.press('Escape');
  await expect(line.locator('.device-facts')).toBeHidden();
  await expect(line.locator('summary')).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(line.locator('.device-facts')).toBeVisible();
  await page.mouse.click(1200, 600); // beside it
  await expect(line.locator('.device-facts')).toBeHidden();
});

test('a lost device is told, opened again by the button, and by the next run', async ({ demo }, info) => {
  const { page } = demo;
  const panel = await demo.open('operator');
  await expect(panel).toContainText('inside their intervals', { timeout: 60_000 });
  const notice = page.getByRole('status', { name: 'Notices' });
  await demo.loseDevice();
  await expect(notice).toContainText('The GPU device was lost (destroyed');
  await demo.axe();
  await page.screenshot({ path: info.outputPath('lost.png') });
  await notice.getByRole('button', { name: 'Reopen the device' }).click();
  await expect(page.locator('details.device')).toBeVisible();
  await expect(notice).toBeEmpty();

  await demo.loseDevice();
  await expect(notice).toContainText('lost');
  await setRows(panel, 4);
  await expect(panel).toContainText('All 1,024 elements are inside their intervals.', { timeout: 60_000 });
  await expect(notice).toBeEmpty();
});

test('a device that is lost in the middle of a run ends the run with a sentence', async ({ demo }) => {
  const panel = await demo.open('operator');
  await expect(panel).toContainText('inside their intervals', { timeout: 60_000 });
  // The GPU's part is short: every frame is looked at.
  const begun = demo.page.waitForFunction(
    () => document.querySelector('main .progress-text')?.textContent?.includes('The GPU'),
    undefined,
    {
      polling: 'raf',
      timeout: 60_000,
    },
  );
  await setRows(panel, 512);
  await begun;
  await demo.loseDevice();
  await expect(panel.getByRole('alert')).toContainText('The run did not finish.');
  await expect(panel.getByRole('alert')).toContainText('lost');
  await panel.getByRole('button', { name: 'Run again' }).click();
  await expect(panel).toContainText('All 131,072 elements are inside their intervals.', { timeout: 60_000 });
  await expect(panel.getByRole('alert')).toBeHidden();
});

test('a run is cancelled, and another takes its place', async ({ demo }) => {
  const panel = await demo.open('operator');
  await expect(panel).toContainText('inside their intervals', { timeout: 60_000 });
  await cancelled(panel, () => panel.getByRole('button', { name: 'Run again' }).click());
  await expect(panel.locator('.progress-text')).toHaveText('Cancelled.');
  await setRows(panel, 16);
  await setRows(panel, 4);
  await expect(panel).toContainText('All 1,024 elements are inside their intervals.', { timeout: 60_000 });
});

test('once loaded, the page and every panel work without a network', async ({ demo, context }) => {
  const { page } = demo;
  await demo.open('picture');
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
    while (!navigator.serviceWorker.controller) await new Promise((resolve) => setTimeout(resolve, 50));
  });
  await context.setOffline(true);
  await page.reload();
  for (const title of TITLES) {
    await page.getByRole('link', { name: title }).click();
    await expect(page.locator('.panel[data-ready] h2')).toHaveText(title);
  }
  await page.getByRole('link', { name: 'Operator' }).click();
  await expect(demo.panel).toContainText('inside their intervals', { timeout: 60_000 });
  await context.setOffline(false);
});

test('the page works from any path', async ({ demo, baseURL }) => {
  await demo.page.goto(`${baseURL}/deep/somewhere/else/page/?panel=operator`);
  await expect(demo.panel).toContainText('inside their intervals', { timeout: 60_000 });
});

for (const [gpu, sentence, advice] of [
  ['none', 'There is no navigator.gpu', 'Open this page over https'],
  ['no-adapter', 'requestAdapter() found no adapter', 'Switch on hardware acceleration'],
] as const) {
  test.describe(`with gpu: ${gpu}`, () => {
    test.use({ gpu, serviceWorkers: 'block' });
    test('the page says why and what to do', async ({ demo }) => {
      for (const name of PANELS) {
        await demo.open(name);
        const alert = demo.page.locator('.masthead').getByRole('alert');
        await expect(alert).toContainText('No GPU is available.');
        await expect(alert).toContainText(sentence, { ignoreCase: true });
        await expect(alert).toContainText(advice);
      }
      await demo.screenshots(`gpu-${gpu}`);
    });
  });
}

// As they open. The panels' own tests look at each when it is full, also in `npm test`.
if (whole)
  test('axe finds nothing and nothing is too wide, on every panel, in both themes', async ({ demo }) => {
    for (const name of PANELS) {
      await demo.open(name);
      await demo.screenshots(name);
    }
  });

test.describe('without the service worker, which fetches every panel later', () => {
  test.use({ serviceWorkers: 'block' });
  test('the shell is small: what loads before a panel asks for more', async ({ demo, baseURL }) => {
    const { page } = demo;
    const loaded = new Set<string>();
    page.on('response', (response) => response.url().startsWith(`${baseURL}/`) && loaded.add(new URL(response.url()).pathname));
    await page.goto(`${baseURL}/?panel=picture`);
    await expect(page.locator('.panel[data-ready]')).toBeVisible();
    const root = join(import.meta.dirname, '../../dist-demo');
    const size = (path: string): number => gzipSync(readFileSync(join(root, path === '/' ? 'index.html' : path))).length;
    const sizes = [...loaded].map((path) => [path, size(path)] as const);
    const total = sizes.reduce((sum, [, bytes]) => sum + bytes, 0);
    for (const [path, bytes] of sizes) console.log(`${String(bytes).padStart(8)} ${path}`);
    console.log(`${String(total).padStart(8)} bytes, gzipped, of the shell with a panel`);
    expect(total).toBeLessThan(150_000);
    for (const lazy of ['highlight', 'operator', 'chat', 'kjv']) {
      expect(
        [...loaded].some((path) => path.includes(lazy)),
        `${lazy} loads before it is asked for`,
      ).toBe(false);
      expect(readdirSync(join(root, 'assets')).some((name) => name.startsWith(lazy))).toBe(true);
    }
    const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Number.NaN);
    console.log(`first contentful paint after ${Math.round(paint)} ms`);
    expect(paint).toBeLessThan(1000);
  });
});
