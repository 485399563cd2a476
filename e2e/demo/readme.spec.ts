// The picture of the page's README: every run writes it to test-results; README_PICTURE=1 writes it to docs/.
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from './fixture.js';

test('the picture of the README', async ({ demo }, info) => {
  test.setTimeout(180_000);
  const { page } = demo;
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  await page.setViewportSize({ width: 1280, height: 1040 });
  const panel = await demo.open('picture', { spot: 1 });
  await expect(panel.locator('figure[data-mode="group"]')).toContainText('dB', { timeout: 90_000 });
  await expect(panel.locator('.progress')).not.toHaveAttribute('data-running', { timeout: 90_000 });
  await expect(panel).toContainText('One scale for the whole picture must cover the spot');
  const path = info.outputPath('page.jpg');
  await page.screenshot({ path, type: 'jpeg', quality: 82 });
  if (process.env.README_PICTURE === '1') copyFileSync(path, join(import.meta.dirname, '../../docs/page.jpg'));
});
