// The demo page in headless Chromium: its own example, its controls, no WebGPU, no adapter, a lost device, and how it looks.
import { test as base, expect, type Page } from '@playwright/test';

/** Fails on whatever the page reports to the console or throws. */
const test = base.extend<{ problems: string[] }>({
  problems: [
    async ({ page }, use) => {
      const problems: string[] = [];
      page.on('console', (entry) => entry.type() === 'error' && problems.push(entry.text()));
      page.on('pageerror', (error) => problems.push(error.message));
      page.on('requestfailed', (request) => problems.push(`${request.url()} failed`));
      await use(problems);
      expect(problems).toEqual([]);
    },
    { auto: true },
  ],
});

const settled = async (page: Page): Promise<string> => {
  const html = page.locator('html');
  await expect(html).not.toHaveAttribute('data-state', 'running', { timeout: 60_000 });
  return (await html.getAttribute('data-state'))!;
};
const open = async (page: Page): Promise<string> => {
  await page.goto('/demo/index.html');
  return settled(page);
};

test('the embedded example agrees with the reference', async ({ page }) => {
  expect(await open(page)).toBe('done');
  await expect(page.getByRole('status')).toHaveText('Done. All 4 runs agree with the reference.');
  const device = page.locator('#device');
  for (const name of ['Vendor', 'Architecture', 'Description', 'Kind', 'shader-f16', 'subgroups']) await expect(device).toContainText(name);
  const software = (await device.textContent())!.includes('software adapter');
  await expect(page.locator('#device-note')).toBeVisible({ visible: software });

  const cards = page.locator('#examples article');
  await expect(cards).toHaveCount(4);
  for (const [i, count] of ['1,024', '1,024', '65,536', '65,536'].entries()) {
    const card = cards.nth(i);
    await expect(card).toContainText(`All ${count} elements are inside their intervals.`);
    const { error, inside, count: all } = await card.evaluate((node) => ({ ...node.dataset }));
    expect(inside).toBe(all);
    expect(Number(error)).toBeGreaterThan(0);
    expect(Number(error)).toBeLessThan(0.01);
    await expect(card.locator('.kernel')).toHaveText(/^matmul-[a-z]+$/);
    await expect(card).toContainText(/Time[\d.]+ ms/);
    await expect(card).toContainText('times smaller');
    const wgsl = card.getByRole('region', { name: /^WGSL of matmul-/, includeHidden: true });
    await expect(wgsl).toBeHidden();
    await card.getByText('WGSL that ran').click();
    await expect(wgsl).toBeVisible();
    await expect(wgsl).toContainText('@compute');
    await expect(wgsl).toContainText('// ');
  }
});

test('the controls run another product', async ({ page }) => {
  await open(page);
  const choices = [
    { rows: '16', weights: 'int4, per channel, with offsets', dtype: 'bfloat16', int8: false },
    { rows: '4', weights: 'int8, groups of 128, with offsets', dtype: 'float32', int8: true },
  ];
  for (const { rows, weights, dtype, int8 } of choices) {
    await page.getByLabel('Rows of x').selectOption(rows);
    await page.getByLabel('Weights').selectOption(weights);
    await page.getByLabel('dtype').selectOption(dtype);
    await page.getByLabel('int8 output').setChecked(int8);
    await page.getByRole('button', { name: 'Run again' }).click();
    const count = (1024 * Number(rows)).toLocaleString('en');
    await expect(page.locator('#outcome')).toContainText(`All ${count} elements are inside their intervals. Largest error`);
    await expect(page.locator('#outcome')).toContainText(weights);
    expect(await settled(page)).toBe('done');
    await expect(page.locator('#chosen article')).toHaveCount(1);
    await expect(page.locator('#chosen article')).toContainText(`x (${rows}, 1024) ${dtype} → y (${rows}, 1024) ${int8 ? 'int8' : dtype}`);
  }
});

for (const [name, setup, sentence] of [
  ['WebGPU', () => Object.defineProperty(navigator, 'gpu', { value: undefined }), 'there is no navigator.gpu'],
  ['an adapter', () => Object.defineProperty(navigator.gpu, 'requestAdapter', { value: async () => null }), 'found no adapter'],
] as const) {
  test(`without ${name} the page says so and shows the reference`, async ({ page }, info) => {
    await page.addInitScript(setup);
    expect(await open(page)).toBe('failed');
    await expect(page.getByRole('alert')).toContainText(sentence);
    const card = page.locator('#examples article').first();
    await expect(card).toContainText('this is the CPU reference alone');
    await expect(card.getByRole('table')).toContainText(/-?\d\.\d{5}/);
    await page.getByRole('button', { name: 'Run again' }).click();
    await expect(page.locator('#outcome')).toContainText('computed by the reference alone');
    await settled(page);
    await page.screenshot({ path: info.outputPath(`without ${name}.png`), fullPage: true });
  });
}

test('after a loss the device can be opened again', async ({ page }, info) => {
  await page.addInitScript(() => {
    const opened: GPUDevice[] = [];
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...given) {
      const device = await request.apply(this, given);
      opened.push(device);
      return device;
    };
    (globalThis as { lose?: () => void }).lose = () => opened.at(-1)!.destroy();
  });
  await open(page);
  await page.evaluate(() => (globalThis as unknown as { lose: () => void }).lose());
  await expect(page.getByRole('alert')).toContainText('The GPU device was lost (destroyed');
  await page.screenshot({ path: info.outputPath('lost.png') });
  await page.getByRole('button', { name: 'Reopen the device' }).click();
  await expect(page.getByRole('status')).toHaveText('Done. All 4 runs agree with the reference.', { timeout: 60_000 });
  await expect(page.getByRole('alert')).toBeEmpty();
});

test('the page fits phones and wide windows, light and dark', async ({ page }, info) => {
  expect(await open(page)).toBe('done');
  await page.getByRole('button', { name: 'Run again' }).click();
  await expect(page.locator('#outcome')).toContainText('inside their intervals');
  await page.getByText('WGSL that ran').first().click();
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [320, 390, 1280]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(wide, `wider than ${width} pixels`).toBe(0);
      await page.screenshot({ path: info.outputPath(`${colorScheme}-${width}.png`), fullPage: true });
    }
  }
});
