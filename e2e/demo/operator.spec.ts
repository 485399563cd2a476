// The panel "Operator" on the built page: every control, numbers equal to the library's, refusals, the URL, cancelling.
import type { Locator } from '@playwright/test';
import { type Choice, refusal } from '../../demo/panels/operator/jobs/choice.js';
import { decibels } from '../../demo/panels/operator/jobs/compare.js';
import { sourceOf } from '../../demo/panels/operator/jobs/data.js';
import { bytesOf, inputsOf, quantized, quantizeOptions } from '../../demo/panels/operator/jobs/inputs.js';
import { plainProduct, referenceOf } from '../../demo/panels/operator/jobs/reference.js';
import { bytes, short, whole } from '../../demo/ui/numbers.js';
import { codeAt, type QuantizedMatrix } from '../../src/problem/matrix.js';
import { type Demo, expect, test } from './fixture.js';

const TIMEOUT = { timeout: 60_000 };
const DEFAULTS: Choice = {
  m: 64,
  k: 256,
  n: 256,
  bits: 4,
  mode: 'group',
  groupSize: 32,
  dtype: 'float16',
  scales: 'x',
  format: 'ND',
  offset: true,
  bias: false,
  int8Output: false,
  quantOffset: false,
  innerPrecise: 0,
  data: 'model',
  seed: 1,
};
const KEYS: Readonly<Partial<Record<keyof Choice, string>>> = {
  groupSize: 'group',
  int8Output: 'int8',
  quantOffset: 'int8offset',
  innerPrecise: 'precise',
};
/** Small enough for a software adapter to do many. */
const SMALL: Partial<Choice> = { m: 4, k: 160, n: 36, data: 'random' };
const query = (choice: Partial<Choice>): Record<string, string | number> =>
  Object.fromEntries(
    Object.entries(choice).map(([name, value]) => [KEYS[name as keyof Choice] ?? name, typeof value === 'boolean' ? Number(value) : value]),
  );

const allInside = (panel: Locator, count: number): Promise<void> =>
  expect(panel.getByText(`All ${whole(count)} elements are inside their intervals.`)).toBeVisible(TIMEOUT);
const field = (panel: Locator, label: string): Locator =>
  panel.locator('.field').filter({
    has: panel
      .page()
      .getByLabel(label, { exact: true })
      .or(panel.page().getByRole('group', { name: label, exact: true })),
  });

test('the first product agrees with the reference, and everything of it is shown', async ({ demo }) => {
  test.slow();
  const panel = await demo.open('operator');
  await allInside(panel, 64 * 256);
  const { inside, count, error, rms } = await panel.locator('article').evaluate((node) => ({ ...(node as HTMLElement).dataset }));
  expect(inside).toBe(count);
  expect(Number(error)).toBeGreaterThan(0);
  expect(Number(error)).toBeLessThan(0.01);
  expect(Number(rms)).toBeLessThan(Number(error));
  await expect(panel.getByText('Codes, scales and offsets are read back from the layer’s buffers')).toBeVisible();
  await expect(
    panel
      .getByRole('img', { name: /^Histogram of codes/ })
      .locator('svg')
      .first(),
  ).toBeVisible();
  await expect(panel.getByRole('table', { name: /6 dB more is half the error/ }).getByRole('row')).toHaveCount(6);

  await demo.screenshots('operator');

  await panel.locator('summary', { hasText: 'First elements of y' }).click();
  await expect(panel.getByRole('table', { name: /^First elements/ })).toContainText(/-?\d\.\d{5}/);
  await panel.getByText('WGSL that ran').click();
  const code = panel.getByRole('region', { name: /^WGSL of matmul-/ });
  await expect(code).toContainText('@compute');
  await expect(code).toHaveAttribute('data-coloured', '');
});

/** What the page must show of seeded numbers, made here by the library. */
async function expected(choice: Choice) {
  const context = { breathe: async () => {} };
  const source = await sourceOf(choice, context);
  const plain = await plainProduct(choice, source, context, () => {});
  const layer = await quantized(source.weights, quantizeOptions(choice), context);
  const inputs = inputsOf(choice, source, layer, plain);
  const want = await referenceOf(choice, inputs, undefined, context, () => {});
  return { layer, want, size: bytesOf(choice, inputs.tensors), outputSqnr: decibels(plain, want.exact) };
}

test('numbers, codes and intervals are the library’s', async ({ demo }) => {
  const choice: Choice = { ...DEFAULTS, m: 3, k: 96, n: 24, data: 'random', seed: 77, dtype: 'float32', bias: true };
  const panel = await demo.open('operator', query({ m: 3, k: 96, n: 24, data: 'random', seed: 77, dtype: 'float32', bias: true }));
  await allInside(panel, 3 * 24);
  const { layer, want, size, outputSqnr } = await expected(choice);
  const { matrix, report } = layer;
  const weights = panel.locator('section.card').filter({ has: demo.page.getByRole('heading', { name: 'Weights' }) });
  await expect(weights).toContainText(`${report.sqnr.toFixed(1)} dB`);
  await expect(weights).toContainText(`${outputSqnr.toFixed(1)} dB of y`);
  await expect(weights).toContainText(report.bitsPerWeight.toFixed(2));
  await expect(weights).toContainText(`${short(report.maxError)}of a weight; RMS ${short(report.rmse)}`);
  await expect(weights).toContainText(
    `${bytes(size.codes + size.scales + size.offsets)} codes ${bytes(size.codes)}, scales ${bytes(size.scales)}`,
  );
  await expect(weights).toContainText(bytes(4 * 96 * 24));

  // The cell (0, 0), by keys: its code is what the layer's buffer has, and its numbers follow.
  const codes = panel.getByRole('application', { name: /^Codes/ });
  await toOrigin(codes, demo);
  const scale = matrix.scale[0]!;
  const offset = 8 - matrix.zeroPoint![0]!;
  const value = (codeAt(matrix, 0, 0) - 8 + offset) * scale;
  const readouts = panel.getByRole('region', { name: 'Weights', exact: true }).locator('.heatmap-readout');
  await expect(readouts.nth(0)).toHaveText(
    `n 0, k 0: group 0, code ${codeAt(matrix, 0, 0)}, scale ${short(scale, 4)}, offset ${short(offset)}, value ${short(value, 4)}`,
  );
  await expect(readouts.nth(1)).toContainText(`= ${short(value, 4)}`);
  await expect(readouts.nth(2)).toContainText('was ');
  // One row down, in the last group.
  await demo.page.keyboard.press('ArrowDown');
  for (let i = 0; i < 8; i++) await demo.page.keyboard.press('Shift+ArrowRight');
  await expect(readouts.nth(0)).toContainText(`n 1, k 95: group 2, code ${codeAt(matrix, 1, 95)}, scale ${short(matrix.scale[5]!, 4)}`);

  await toOrigin(panel.getByRole('application', { name: /^y/ }), demo);
  const outputs = panel.getByRole('region', { name: 'Output', exact: true }).locator('.heatmap-readout');
  await expect(outputs.nth(0)).toContainText(`allowed ${short(want.low[0]!, 5)} to ${short(want.high[0]!, 5)}`);
  await expect(outputs.nth(1)).toContainText('from the reference');

  const chart = panel.locator('figure.chart');
  await chart.getByText('The same as a table').click();
  const counts = histogramOf(matrix);
  for (const [code, count] of counts.entries())
    await expect(chart.getByRole('row').nth(code + 1)).toContainText(new RegExp(`^${code}${whole(count)}[^\\d]?`));
});

async function toOrigin(map: Locator, { page }: Demo): Promise<void> {
  await map.focus();
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press('Shift+ArrowUp');
    await page.keyboard.press('Shift+ArrowLeft');
  }
}
function histogramOf(matrix: QuantizedMatrix): number[] {
  const counts = new Array<number>(2 ** matrix.bits).fill(0);
  for (let n = 0; n < matrix.n; n++) for (let k = 0; k < matrix.k; k++) counts[codeAt(matrix, n, k)]!++;
  return counts;
}

test('every control runs what it says', async ({ demo }) => {
  test.slow();
  const panel = await demo.open('operator', query(SMALL));
  await allInside(panel, 4 * 36);
  const { page } = demo;
  const number = (label: string, value: number) => async () => {
    await panel.getByLabel(label, { exact: true }).fill(String(value));
    await page.keyboard.press('Enter');
  };
  const radio = (group: string, name: string) => () =>
    panel.getByRole('group', { name: group, exact: true }).getByRole('radio', { name, exact: true }).check();
  const select = (label: string, name: string) => () =>
    panel
      .getByLabel(label, { exact: true })
      .selectOption(name)
      .then(() => {});
  const toggle =
    (label: string, on = true) =>
    () =>
      panel.getByLabel(label, { exact: true }).setChecked(on);
  const steps: readonly (readonly [() => Promise<void>, title: string, shapes: string])[] = [
    [number('M, rows of x', 5), 'int4, groups of 32, with offsets · random, seed 1', 'x (5, 160) float16 → y (5, 36) float16'],
    [number('N, outputs', 20), 'int4, groups of 32, with offsets · random, seed 1', 'x (5, 160) float16 → y (5, 20) float16'],
    [number('K, inputs', 200), 'int4, groups of 32, with offsets · random, seed 1', 'x (5, 200) float16 → y (5, 20) float16'],
    [number('Group size', 64), 'int4, groups of 64, with offsets · random, seed 1', 'x (5, 200)'],
    [number('Seed', 9), 'int4, groups of 64, with offsets · random, seed 9', 'x (5, 200)'],
    [radio('dtype of x', 'float32'), 'random, seed 9', 'x (5, 200) float32 → y (5, 20) float32'],
    [radio('dtype of x', 'bfloat16'), 'random, seed 9', 'x (5, 200) bfloat16 → y (5, 20) bfloat16'],
    [toggle('Bias'), 'int4, groups of 64, with offsets · bias · random', 'bfloat16'],
    [toggle('Offsets', false), 'int4, groups of 64 · bias · random', 'bfloat16'],
    [radio('Codes', 'int8'), 'int8, groups of 64 · bias · random', 'bfloat16'],
    [toggle('int8 output'), 'int8, groups of 64 · bias · random', 'y (5, 20) int8'],
    [toggle('Output offset'), 'int8, groups of 64 · bias · output offset · random', 'y (5, 20) int8'],
    [toggle('Output offset', false), 'int8, groups of 64 · bias · random', 'y (5, 20) int8'],
    [toggle('int8 output', false), 'int8, groups of 64 · bias · random', 'y (5, 20) bfloat16'],
    [radio('One scale for', 'channel'), 'int8, per channel · bias', 'bfloat16'],
    [radio('One scale for', 'tensor'), 'int8, per tensor · bias', 'bfloat16'],
    [select('Layout', 'FRACTAL_NZ'), 'int8, per tensor · FRACTAL_NZ · bias', 'bfloat16'],
    [radio('innerPrecise', '1'), 'FRACTAL_NZ · bias · innerPrecise 1', 'bfloat16'],
    [radio('One scale for', 'channel'), 'int8, per channel · FRACTAL_NZ', 'bfloat16'],
    [radio('dtype of x', 'float16'), 'int8, per channel · FRACTAL_NZ', 'float16'],
    [select('Scales', 'int64, packed'), 'int8, per channel · 64-bit scales · FRACTAL_NZ', 'float16'],
    [toggle('Offsets'), 'int8, per channel, with offsets · 64-bit scales', 'float16'],
    [select('Weights and x', 'Cosine basis'), 'innerPrecise 1 · cosine basis', 'x (5, 200)'],
    [select('Weights and x', 'Trained layer'), 'innerPrecise 1 · trained layer', 'x (5, 200)'],
  ];
  for (const [act, title, shapes] of steps) {
    await act();
    await expect(panel.getByRole('heading', { level: 3 })).toContainText(title, TIMEOUT);
    await expect(panel.locator('article > div > p.mono')).toContainText(shapes, TIMEOUT);
    await expect(panel.locator('.progress[data-running]')).toHaveCount(0, TIMEOUT);
    const { inside, count } = await panel.locator('article').evaluate((node) => ({ ...(node as HTMLElement).dataset }));
    expect(inside, title).toBe(count);
  }
});

const REFUSED: readonly (readonly [Partial<Choice>, string])[] = [
  [{ groupSize: 48 }, 'Group size'],
  [{ groupSize: 160 }, 'Group size'],
  [{ k: 100 }, 'K, inputs'],
  [{ k: 0 }, 'K, inputs'],
  [{ n: 0 }, 'N, outputs'],
  [{ scales: 'int64' }, 'Scales'],
  [{ scales: 'int64', bits: 8 }, 'Scales'],
  [{ scales: 'int64', bits: 8, mode: 'channel', dtype: 'float32' }, 'Scales'],
  [{ scales: 'int64', bits: 8, mode: 'channel', int8Output: true }, 'int8 output'],
  [{ scales: 'int64', bits: 8, mode: 'tensor' }, 'Scales'],
  [{ quantOffset: true }, 'Output offset'],
  [{ format: 'FRACTAL_NZ', int8Output: true }, 'Layout'],
];
test('what the library refuses is said at the field, in its words, and nothing runs', async ({ demo }) => {
  test.slow();
  for (const [choice, label] of REFUSED) {
    const error = refusal({ ...DEFAULTS, ...SMALL, ...choice });
    expect(error, JSON.stringify(choice)).toBeDefined();
    const panel = await demo.open('operator', query({ ...SMALL, ...choice }));
    await expect(field(panel, label)).toContainText(`${error!.message}.`);
    await expect(panel.getByRole('status').first()).toContainText(`Nothing runs. The library refuses this: ${error!.message}.`);
    await expect(panel.getByRole('button', { name: 'Run again' })).toBeDisabled();
    await expect(panel.locator('.problem')).toHaveCount(1);
    await expect(panel.locator('article')).toHaveCount(0);
  }
  await demo.axe();
  // Nothing was prevented; what is refused is mended by hand, and runs.
  const panel = await demo.open('operator', query({ ...SMALL, groupSize: 48 }));
  await panel.getByLabel('Group size').fill('64');
  await demo.page.keyboard.press('Enter');
  await allInside(panel, 4 * 36);
  await panel.getByLabel('K, inputs').fill('100');
  await demo.page.keyboard.press('Enter');
  await expect(panel.getByRole('status').first()).toContainText('Below is the last product that ran.');
  await demo.screenshots('operator-refused');
});

test('the trained layer has one size, which is said', async ({ demo }) => {
  const panel = await demo.open('operator', { n: 300 });
  await expect(field(panel, 'N, outputs')).toContainText('The trained layer is (256, 256).');
  await panel.getByLabel('Weights and x').selectOption('Random');
  await allInside(panel, 64 * 300);
  await panel.getByLabel('Weights and x').selectOption('Trained layer');
  await allInside(panel, 64 * 256);
  await expect(panel.getByLabel('N, outputs')).toHaveValue('256');
});

test('the URL holds every control', async ({ demo }) => {
  const { page } = demo;
  const choice: Partial<Choice> = {
    ...SMALL,
    bits: 8,
    groupSize: 64,
    dtype: 'bfloat16',
    offset: false,
    bias: true,
    int8Output: true,
    quantOffset: true,
    innerPrecise: 1,
    seed: 5,
  };
  const panel = await demo.open('operator', query(choice));
  const check = async (): Promise<void> => {
    await expect(panel.getByRole('heading', { level: 3 })).toHaveText(
      'int8, groups of 64 · bias · output offset · innerPrecise 1 · random, seed 5',
      TIMEOUT,
    );
    await expect(panel.locator('article > div > p.mono')).toHaveText('x (4, 160) bfloat16 → y (4, 36) int8');
    for (const label of ['Bias', 'int8 output', 'Output offset']) await expect(panel.getByLabel(label, { exact: true })).toBeChecked();
    await expect(panel.getByLabel('Offsets', { exact: true })).not.toBeChecked();
  };
  await check();
  await panel.getByLabel('Seed').fill('6');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/[?&]seed=6\b/);
  await panel.getByLabel('Seed').fill('5');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/[?&]seed=5\b/);
  await page.reload();
  await check();
});

test('a long run shows how far it is, is cancelled, and leaves the last result', async ({ demo }) => {
  const panel = await demo.open('operator', query(SMALL));
  await allInside(panel, 4 * 36);
  for (const [label, value] of [
    ['M, rows of x', '512'],
    ['K, inputs', '2048'],
    ['N, outputs', '2048'],
  ] as const) {
    await panel.getByLabel(label).fill(value);
    await demo.page.keyboard.press('Enter');
  }
  const bar = panel.getByRole('progressbar', { name: 'The product' });
  await expect.poll(() => bar.evaluate((node) => (node as HTMLProgressElement).value), TIMEOUT).toBeGreaterThan(0.04);
  await expect(panel.locator('.progress-text')).toContainText('The CPU');
  const begin = Date.now();
  await panel.getByRole('button', { name: 'Cancel' }).click();
  await expect(panel.locator('.progress-text')).toHaveText('Cancelled.');
  expect(Date.now() - begin).toBeLessThan(5000);
  await expect(panel.locator('article > div > p.mono')).toHaveText('x (4, 160) float16 → y (4, 36) float16');
  for (const [label, value] of [
    ['M, rows of x', '3'],
    ['N, outputs', '36'],
    ['K, inputs', '160'],
  ] as const) {
    await panel.getByLabel(label).fill(value);
    await demo.page.keyboard.press('Enter');
  }
  await allInside(panel, 3 * 36);
});

test('weights that are larger than what is drawn say so', async ({ demo }) => {
  const panel = await demo.open('operator', { m: 1, k: 2304, n: 64, data: 'random' });
  await allInside(panel, 64);
  await expect(panel).toContainText('Of (64, 2,304) the first (64, 2,048) are drawn.');
});

for (const gpu of ['none', 'no-adapter'] as const) {
  test.describe(`with gpu: ${gpu}`, () => {
    test.use({ gpu, serviceWorkers: 'block' });
    test('the reference runs alone', async ({ demo }) => {
      const panel = await demo.open('operator');
      await expect(panel).toContainText('only the CPU reference ran', TIMEOUT);
      await expect(panel).toContainText('Without a GPU these are the codes that a layer would load.');
      await expect(panel.getByRole('application', { name: /^y of the CPU reference/ })).toBeVisible();
      await panel.locator('summary', { hasText: 'First elements of y' }).click();
      await expect(panel.getByRole('table', { name: /^First elements/ })).toContainText(/-?\d\.\d{5}/);
      if (gpu === 'none') await demo.screenshots('operator-no-gpu');
    });
  });
}
