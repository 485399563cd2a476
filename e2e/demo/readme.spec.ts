// The pictures of the READMEs: every run writes them to test-results; README_PICTURE=1 writes them to docs/.
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from './fixture.js';

const keep = (path: string, name: string): void => {
  if (process.env.README_PICTURE === '1') copyFileSync(path, join(import.meta.dirname, '../../docs', name));
};

test('the picture of the README: the page writes', async ({ demo }, info) => {
  test.setTimeout(180_000);
  const { page } = demo;
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  await page.setViewportSize({ width: 1280, height: 1140 });
  const panel = await demo.open('chat');
  const text = panel.locator('.chat-text[data-status]');
  await expect(text).toHaveAttribute('data-status', 'done', { timeout: 90_000 });
  // A second time nothing compiles: the figures are those of the model.
  await panel.getByRole('button', { name: 'Continue', exact: true }).click();
  await expect(text).toHaveAttribute('data-status', 'done', { timeout: 90_000 });
  await panel.getByRole('button', { name: 'Show', exact: true }).click();
  await expect(panel.locator('.chat-bars li')).toHaveCount(20, { timeout: 90_000 });
  await page.evaluate(() => scrollTo(0, 0));
  const path = info.outputPath('chat.jpg');
  await page.screenshot({ path, type: 'jpeg', quality: 82 });
  keep(path, 'chat.jpg');
});

test('the picture of the page’s README', async ({ demo }, info) => {
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
  keep(path, 'page.jpg');
});
