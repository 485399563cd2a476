// The panel "Operator" on the built page.
import { expect, test } from './fixture.js';

test('the first product agrees with the reference', async ({ demo }) => {
  const panel = await demo.open('operator');
  await expect(panel).toContainText('All 1,024 elements are inside their intervals.', { timeout: 60_000 });
  const { inside, count, error } = await panel.locator('article').evaluate((node) => ({ ...node.dataset }));
  expect(inside).toBe(count);
  expect(Number(error)).toBeGreaterThan(0);
  expect(Number(error)).toBeLessThan(0.01);
  await expect(panel.getByRole('img', { name: 'Values of y' }).locator('svg').first()).toBeVisible();

  // Both heatmaps move together, by keys and by the pointer; the readout names the cell.
  const map = panel.getByRole('application', { name: /^y/ });
  const readouts = panel.locator('.heatmap-readout');
  await map.focus();
  await demo.page.keyboard.press('ArrowRight');
  await expect(readouts.first()).toHaveText(/^m 0, n 51[23]: −?[\d.]+$/);
  await expect(readouts.last()).toHaveText(/^m 0, n 51[23]: .* of .* to .*$/);
  await demo.page.keyboard.press('+');
  await expect(panel.getByRole('button', { name: 'Show all: Error of y' })).toBeEnabled();
  await demo.page.keyboard.press('0');
  await expect(panel.getByRole('button', { name: 'Show all: Error of y' })).toBeDisabled();
  await map.hover({ position: { x: 2, y: 10 } });
  await expect(readouts.first()).toHaveText(/^m 0, n [0-9]: /);

  await panel.getByText('WGSL that ran').click();
  const code = panel.getByRole('region', { name: /^WGSL of matmul-/ });
  await expect(code).toContainText('@compute');
  await expect(code).toHaveAttribute('data-coloured', '');
  await demo.screenshots('operator');
});

test('the controls run another product', async ({ demo }) => {
  const panel = await demo.open('operator');
  const choices = [
    { rows: '16', weights: 'int4, per channel, with offsets', dtype: 'bfloat16', int8: false },
    { rows: '4', weights: 'int8, groups of 128, with offsets', dtype: 'float32', int8: true },
  ];
  for (const { rows, weights, dtype, int8 } of choices) {
    await panel.getByRole('radio', { name: rows, exact: true }).check();
    await panel.getByLabel('Weights').selectOption(weights);
    await panel.getByRole('radio', { name: dtype, exact: true }).check();
    await panel.getByLabel('int8 output').setChecked(int8);
    await expect(panel).toContainText(`x (${rows}, 1024) ${dtype} → y (${rows}, 1024) ${int8 ? 'int8' : dtype}`, { timeout: 60_000 });
    await expect(panel).toContainText(`All ${(1024 * Number(rows)).toLocaleString('en')} elements are inside their intervals.`);
    await expect(panel.getByRole('heading', { level: 3 })).toContainText(weights);
  }
});

for (const gpu of ['none', 'no-adapter'] as const) {
  test.describe(`with gpu: ${gpu}`, () => {
    test.use({ gpu, serviceWorkers: 'block' });
    test('the reference runs alone', async ({ demo }) => {
      const panel = await demo.open('operator');
      await expect(panel).toContainText('this is the CPU reference alone', { timeout: 60_000 });
      await expect(panel.getByRole('table')).toContainText(/-?\d\.\d{5}/);
    });
  });
}
