// The panel "See quantization" on the built page. The library computes the expected numbers here, from the same picture.
import type { Locator, Page } from '@playwright/test';
import {
  distance as distanceOf,
  exactProduct,
  matrixOf,
  type Picture,
  type Settings,
  weightsOf,
} from '../../demo/panels/picture/jobs/data.js';
import { SCENE_SIZE, scene } from '../../demo/panels/picture/jobs/scene.js';
import { dequantize } from '../../src/problem/matrix.js';
import type { Mode } from '../../src/quantize/options.js';
import { quantize } from '../../src/quantize/quantize.js';
import { cancelled, expect, test } from './fixture.js';

function ended<T>(work: Generator<unknown, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}
let known: Picture | undefined;
const picture = (): Picture => (known ??= { id: 0, name: '', rows: SCENE_SIZE, columns: SCENE_SIZE, pixels: ended(scene()) });

/** What the page is to show of a mode. */
function expected(mode: Mode, { spot, basis, bits, method, symmetric, groupSize }: Settings) {
  const [n, k] = [SCENE_SIZE, SCENE_SIZE];
  const weights = weightsOf(picture(), spot);
  const { matrix, report } = quantize(weights, { n, k, bits, mode, method, symmetric, ...(mode === 'group' && { groupSize }) });
  const x = matrixOf(basis, k);
  const product = (of: Float32Array): Float32Array => (basis === 'identity' ? of : ended(exactProduct(x, of, k)));
  return { ...distanceOf(product(dequantize(matrix)), product(weights)), report };
}

const DEFAULTS: Settings = { spot: false, basis: 'identity', bits: 4, method: 'minmax', symmetric: false, groupSize: 32 };
const figure = (panel: Locator, mode: Mode): Locator => panel.locator(`figure[data-mode="${mode}"]`);
const slow = { timeout: 90_000 };
// A CPU plays the GPU, and axe looks at every state: minutes where other work shares the cores.
test.describe.configure({ timeout: 300_000 });

/** Waits until the page shows these settings, and compares every number. */
async function check(panel: Locator, change: Partial<Settings>, modes: readonly Mode[] = ['tensor', 'channel', 'group']): Promise<void> {
  const settings = { ...DEFAULTS, ...change };
  const { spot, basis, bits, method, symmetric, groupSize } = settings;
  for (const mode of modes) {
    const one = figure(panel, mode);
    await expect(one).toHaveAttribute(
      'data-key',
      [0, spot, basis, bits, method, symmetric, mode === 'group' ? groupSize : ''].join(' '),
      slow,
    );
    const { psnr, rmse, largest, report } = expected(mode, settings);
    const got = await one.evaluate((node) => ({ ...node.dataset }));
    // Float32 sums of 512 products of at most 8 differ from float64's by less than 1e-4.
    const near = basis === 'identity' ? 1e-6 : 1e-4;
    expect(Math.abs(Number(got.rmse) - rmse)).toBeLessThan(near);
    expect(Math.abs(Number(got.largest) - largest)).toBeLessThan(near);
    expect(Math.abs(Number(got.psnr) - psnr)).toBeLessThan(0.05);
    expect(Number(got.bytes)).toBe(report.bytes);
    await expect(one).toContainText(`${Number(got.psnr).toFixed(2)} dB`);
    await expect(one).toContainText(`${report.bitsPerWeight.toFixed(2)} bits per weight`);
  }
  await expect(panel.locator('.progress')).not.toHaveAttribute('data-running', slow);
}

/** Brightest and darkest channel value of what a canvas shows. */
const shades = (canvas: Locator): Promise<number> =>
  canvas.evaluate((node: HTMLCanvasElement) => {
    const { data } = node.getContext('2d')!.getImageData(0, 0, node.width, node.height);
    return new Set(Array.from(data).filter((_, i) => i % 4 === 0)).size;
  });

test('the numbers are the library’s, and the pictures show them', async ({ demo }) => {
  const panel = await demo.open('picture');
  await check(panel, {});
  await expect(panel.locator('.picture-sees')).toContainText('One scale for the whole picture makes every step 0.066');
  // 16 codes make few grays; the original and groups have many.
  const { width } = (await panel.locator('canvas').first().boundingBox())!;
  await demo.page.getByRole('button', { name: 'Zoom in' }).click(); // squares, not averages
  await demo.page.getByRole('button', { name: 'Zoom in' }).click();
  expect(width).toBeGreaterThan(200);
  expect(await shades(figure(panel, 'tensor').locator('canvas').first())).toBeLessThanOrEqual(16);
  expect(await shades(figure(panel, 'group').locator('canvas').first())).toBeGreaterThan(60);
  await demo.page.getByRole('button', { name: 'Show all' }).click();
  const numbers = panel.getByRole('region', { name: 'All numbers' });
  await expect(numbers).toContainText('matmul-');
  const sqnr = (mode: Mode): string => expected(mode, DEFAULTS).report.sqnr.toFixed(2);
  await expect(numbers.getByRole('row', { name: /^SQNR/ })).toHaveText(
    `SQNR of the weights, dB${sqnr('tensor')}${sqnr('channel')}${sqnr('group')}`,
  );
  // The chart has every group size, and its table the library's numbers.
  const chart = panel.getByRole('figure', { name: /^Every group size/ });
  await expect(chart.locator('svg')).toBeVisible(slow);
  await chart.getByText('The same as a table').click();
  for (const groupSize of [8, 128]) {
    const { report } = expected('group', { ...DEFAULTS, groupSize });
    const cells = [`groups of ${groupSize}`, report.bitsPerWeight.toFixed(3), (-20 * Math.log10(report.rmse)).toFixed(2)];
    await expect(chart.getByRole('row', { name: cells.join(' ') })).toBeVisible();
  }
  await chart.getByText('The same as a table').click();
  await demo.screenshots('picture');
});

test('a bright spot ruins what shares its scale', async ({ demo }) => {
  const panel = await demo.open('picture');
  await panel.getByLabel('Add a bright spot').check();
  await check(panel, { spot: true });
  const psnr = async (mode: Mode): Promise<number> => Number(await figure(panel, mode).getAttribute('data-psnr'));
  expect(await psnr('channel')).toBeGreaterThan((await psnr('tensor')) + 10);
  expect(await psnr('group')).toBeGreaterThan((await psnr('channel')) + 3);
  await expect(panel.locator('.picture-sees')).toContainText('its step is 0.533, which leaves 3 codes of 16');
  await demo.screenshots('picture-spot');
});

test('the slider makes other groups and leaves the rest alone', async ({ demo }) => {
  const { page } = demo;
  const panel = await demo.open('picture');
  await check(panel, {});
  const tensorKey = await figure(panel, 'tensor').getAttribute('data-key');
  const slider = panel.getByLabel('Weights that share a scale');
  await slider.focus();
  await page.keyboard.press('ArrowLeft');
  await check(panel, { groupSize: 16 }, ['group']);
  await expect(panel.getByRole('heading', { name: 'Groups of 16' })).toBeVisible();
  expect(await figure(panel, 'tensor').getAttribute('data-key')).toBe(tensorKey);
  await page.keyboard.press('End');
  await check(panel, { groupSize: 512 }, ['group']);
  await expect(panel.getByRole('heading', { name: 'Groups of 512: a row' })).toBeVisible();
  await page.keyboard.press('Home');
  await check(panel, { groupSize: 8 }, ['group']);
  await expect(page).toHaveURL(/[?&]group=8\b/);
});

test('every control makes what it says, and the URL restores it', async ({ demo }) => {
  const { page } = demo;
  const panel = await demo.open('picture', { group: 8 });
  await check(panel, { groupSize: 8 });
  await panel.getByRole('radio', { name: 'int8', exact: true }).check();
  await check(panel, { groupSize: 8, bits: 8 });
  await panel.getByLabel('Zero points').uncheck();
  await check(panel, { groupSize: 8, bits: 8, symmetric: true });
  await panel.getByRole('radio', { name: 'mse' }).check();
  await panel.getByRole('radio', { name: 'int4', exact: true }).check();
  await check(panel, { groupSize: 8, symmetric: true, method: 'mse' });
  await panel.getByRole('radio', { name: 'blur' }).check();
  const last = { groupSize: 8, symmetric: true, method: 'mse', basis: 'blur' } as const;
  await check(panel, last);
  await panel.getByRole('slider', { name: 'Amplified' }).focus();
  await page.keyboard.press('End');
  await expect(panel.locator('.picture-legend')).toContainText('× 256');
  await expect(panel.getByRole('img', { name: /^Difference, per tensor, amplified 256 times/ })).toBeVisible();

  await expect(page).toHaveURL(/group=8&amplify=9|amplify=9.*group=8/);
  await page.reload();
  await check(panel, last);
  await expect(panel.locator('.picture-legend')).toContainText('× 256');
  // hqq looks for zero points whatever the other says.
  await panel.getByRole('radio', { name: 'hqq' }).check();
  await expect(panel.getByLabel('Zero points')).toBeDisabled();
  await check(panel, { groupSize: 8, method: 'hqq', basis: 'blur' });
});

test('the DCT shows frequencies', async ({ demo }) => {
  const panel = await demo.open('picture', { x: 'dct' });
  await check(panel, { basis: 'dct' });
  await demo.screenshots('picture-dct');
});

test('one view and one cursor for all pictures, by keys and by pointer', async ({ demo }) => {
  const { page } = demo;
  const panel = await demo.open('picture');
  await check(panel, {});
  const original = panel.getByRole('application', { name: 'Original' });
  await original.focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('+');
  await expect(panel.locator('.picture-frame[data-zoomed]')).toHaveCount(7);
  const readout = panel.locator('.picture-tools output');
  await expect(readout).toContainText(/row \d+, column \d+: original [−\d.]+.*; tensor [−\d.]+; channel [−\d.]+; group [−\d.]+/);
  await expect(figure(panel, 'group')).toContainText(/= code \d+, step 0\.\d+/);
  // In the picture of groups the frame is as wide as the group, and as high as a row.
  const mark = figure(panel, 'group').locator('.picture-mark').first();
  const frame = (await figure(panel, 'group').locator('.picture-frame').first().boundingBox())!;
  const box = (await mark.boundingBox())!;
  expect(box.width / frame.width).toBeCloseTo(32 / 256, 1);
  await page.keyboard.press('0');
  await expect(panel.locator('.picture-frame[data-zoomed]')).toHaveCount(0);
  await page.mouse.move(frame.x + frame.width / 4, frame.y + frame.height / 2);
  await expect(readout).toContainText(/row 25\d, column 1(2[678]|29)/);
});

test('a run is cancelled and run again', async ({ demo }) => {
  const panel = await demo.open('picture');
  await check(panel, {});
  await cancelled(panel, async () => {
    await panel.getByRole('radio', { name: 'minmax' }).check();
    await panel.getByRole('radio', { name: 'hqq' }).check();
  });
  await expect(panel.locator('.progress-text')).toHaveText('Cancelled.');
  await panel.getByRole('button', { name: 'Run again' }).click();
  await check(panel, { method: 'hqq' });
});

test('a device that is lost in the middle ends the run with a sentence', async ({ demo }) => {
  const panel = await demo.open('picture');
  await check(panel, {});
  await panel.getByRole('radio', { name: 'int8', exact: true }).check();
  await expect(panel.locator('.progress-text')).toContainText('The GPU multiplies', slow);
  await demo.loseDevice();
  await expect(panel.getByRole('alert').filter({ hasText: 'lost' })).toContainText('The run did not finish.');
  await panel.getByRole('button', { name: 'Run again' }).click();
  await check(panel, { bits: 8 });
});

/** A picture file with stripes. */
const file = (page: Page, width: number, height: number): Promise<Buffer> =>
  page
    .evaluate(
      ([columns, rows]) => {
        const paper = Object.assign(document.createElement('canvas'), { width: columns, height: rows });
        const context = paper.getContext('2d')!;
        for (let i = 0; i < columns!; i++) {
          context.fillStyle = `rgb(${(7 * i) % 256} ${(3 * i) % 256} ${i % 256})`;
          context.fillRect(i, 0, 1, rows!);
        }
        return paper.toDataURL('image/png').split(',')[1]!;
      },
      [width, height] as const,
    )
    .then((text) => Buffer.from(text, 'base64'));

test('the visitor’s own picture, of any size, and what is none', async ({ demo }) => {
  const { page } = demo;
  const panel = await demo.open('picture');
  await check(panel, {});
  await expect(panel.locator('.chart-box svg')).toBeVisible(slow); // its code comes last
  const sent: string[] = [];
  page.on('request', (request) => sent.push(`${request.method()} ${request.url()}`));
  await panel.getByText('Use your picture').click();
  const input = panel.getByLabel('Drop a picture, or choose one');
  await input.setInputFiles({ name: 'stripes.png', mimeType: 'image/png', buffer: await file(page, 300, 70) });
  await expect(panel).toContainText('Your picture: stripes.png', slow);
  await expect(panel.getByRole('figure', { name: 'Original' })).toContainText('70 × 300 weights');
  await expect(panel.locator('figure[data-psnr]')).toHaveCount(3, slow);
  await panel.getByLabel('Weights that share a scale').focus();
  await page.keyboard.press('End');
  await expect(panel.getByRole('heading', { name: 'Groups of 300: a row' })).toBeVisible(slow);
  // Dropped, it is taken as well.
  const dropped = await page.evaluateHandle(
    (text) => {
      const transfer = new DataTransfer();
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      transfer.items.add(new File([bytes], 'dropped.png', { type: 'image/png' }));
      return transfer;
    },
    (await file(page, 64, 48)).toString('base64'),
  );
  await panel.locator('.drop').dispatchEvent('drop', { dataTransfer: dropped });
  await expect(panel).toContainText('Your picture: dropped.png', slow);
  await expect(panel.getByRole('heading', { name: 'Groups of 64: a row' })).toBeVisible(slow);
  await input.setInputFiles({ name: 'large.png', mimeType: 'image/png', buffer: await file(page, 1300, 650) });
  await expect(panel.getByRole('figure', { name: 'Original' })).toContainText('256 × 512 weights', slow);
  await expect(panel.locator('figure[data-psnr]')).toHaveCount(3, slow);
  await demo.axe();

  await input.setInputFiles({ name: 'none.png', mimeType: 'image/png', buffer: Buffer.from('no picture') });
  await expect(panel.getByRole('alert').filter({ hasText: 'opened' })).toContainText('The picture could not be opened.');
  await expect(panel.getByRole('alert').filter({ hasText: 'opened' })).toContainText('none.png');
  await panel.getByRole('button', { name: 'Back to the page’s picture' }).click();
  await check(panel, { groupSize: 512 });
  expect(sent.filter((line) => !line.includes('blob:'))).toEqual([]);
  await expect(page).not.toHaveURL(/stripes|large/);
});

for (const gpu of ['none', 'no-adapter'] as const) {
  test.describe(`with gpu: ${gpu}`, () => {
    test.use({ gpu, serviceWorkers: 'block' });
    test('the CPU reference multiplies', async ({ demo }) => {
      const panel = await demo.open('picture');
      const begin = Date.now();
      await expect(panel).toContainText('the CPU reference made these products', { timeout: 100_000 });
      await check(panel, {});
      console.log(`${Date.now() - begin} ms on the CPU`);
    });
  });
}
