// The panel "Operator" on the built page.
import { expect, test } from './fixture.js';

test('the first product agrees with the reference', async ({ demo }) => {
  const panel = await demo.open('operator');
  await expect(panel).toContainText('All 16,384 elements are inside their intervals.', { timeout: 60_000 });
  await demo.page.waitForTimeout(1000);
  await demo.screenshots('operator');
});
