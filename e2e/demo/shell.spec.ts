// The frame of the built page: tabs, URL, theme, device, notices, offline, sizes. The panels have tests of their own.
import { test } from './fixture.js';

test('the shell opens', async ({ demo }) => {
  await demo.open('operator');
  await demo.axe();
});
