import { expect, test } from './fixture.js';
test('look', async ({ demo }) => {
  const panel = await demo.open('picture');
  await expect(panel.locator('figure[data-psnr]')).toHaveCount(3, { timeout: 60_000 });
  await demo.screenshots('picture');
});
test('look spot', async ({ demo }) => {
  const panel = await demo.open('picture', 'spot=1&x=blur');
  const t = Date.now();
  await expect(panel.locator('figure[data-psnr]')).toHaveCount(3, { timeout: 60_000 });
  console.log(Date.now() - t);
  await demo.screenshots('spot');
});
