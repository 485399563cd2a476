// The examples that need other libraries: their numbers.
import { expect, type Page } from '@playwright/test';
import { test } from './cdn.js';

const open = (page: Page, name: string) => page.goto(`/examples/${name}.html`);
/** Of the layer that all of them have: x of ones, row n of the weights n - 32, a scale of 1/2. */
const y = Array.from({ length: 64 }, (_, n) => 64 * 0.5 * (n - 32));
const relu = y.map((value) => Math.max(0, value)).join(' ');

test('typegpu', async ({ page }) => {
  await open(page, 'typegpu');
  await expect(page.locator('#y')).toHaveText(relu, { timeout: 60_000 });
});

test('tfjs', async ({ page }) => {
  await open(page, 'tfjs');
  await expect(page.locator('#y')).toHaveText(relu, { timeout: 60_000 });
});

test('three', async ({ page }) => {
  await open(page, 'three');
  await expect(page.locator('#y')).toHaveText(relu, { timeout: 60_000 });
});

test('jax-js', async ({ page }) => {
  await open(page, 'jax-js');
  await expect(page.locator('#y')).toHaveText(y.join(' '), { timeout: 60_000 });
});

test('transformers', async ({ page }) => {
  await open(page, 'transformers');
  // The words' ids are 1, 2 and 3; hidden states are twice their rows.
  const rows = [1, 2, 3].flatMap((id) => y.map((value) => 2 * id * value));
  await expect(page.locator('#y')).toHaveText(rows.join(' '), { timeout: 60_000 });
});
