// The device's details contain a report to paste, with the findings of later jobs.
import { expect, test } from './fixture.js';

test('a report of the device is copied, and has the self-tests of the products that ran', async ({ demo, context }) => {
  const { page } = demo;
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const panel = await demo.open('operator');
  await expect(panel).toContainText('inside their intervals', { timeout: 60_000 });
  const line = page.locator('details.device');
  await line.locator('summary').click();
  await line.getByRole('button', { name: 'Copy a report' }).click();
  await expect(line.locator('.copy-said')).toHaveText('Copied');
  const report = await page.evaluate(() => navigator.clipboard.readText());
  expect(report).toMatch(/^antiquant \d+\.\d+\.\d+\nengine: Mozilla/);
  expect(report).toMatch(/^self-test: [1-9]\d* variants tested, 0 failed$/m);
  expect(report).toMatch(/^ {2}maxBufferSize \d+$/m);
  await demo.axe();
});
