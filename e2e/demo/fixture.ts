// The fixture of the page's tests. `test` fails on any console error, unhandled rejection, failed request, or error of a Worker. `open`
// shows a panel of the built site; axe, screenshots and the loss of the device are one call each. `npm test` runs axe and screenshots once
// for each panel and theme, since both take seconds; `npm run test:all` runs them at every call.
import { AxeBuilder } from '@axe-core/playwright';
import { test as base, type ConsoleMessage, expect, type Locator, type Page } from '@playwright/test';
import { PANELS } from '../../demo/app/panels.js';
import { whole } from '../../test/cases/slice.js';

export { expect };
export const WIDTHS = [360, 1280, 1920] as const;
export const THEMES = ['light', 'dark'] as const;

export interface Demo {
  readonly page: Page;
  /** The panel that is shown. */
  readonly panel: Locator;
  /** Shows a panel by its URL and waits until it has loaded and the device is known. `query` is what follows, as `m=4&n=64` or an object. */
  open(panel: string, query?: string | Readonly<Record<string, string | number>>): Promise<Locator>;
  /** In `npm run test:all`: axe-core over the whole page as it is, but for what follows the first lines of a code view: more of the same, and slow. Fails with what it found. */
  axe(): Promise<void>;
  /**
   * No sideways scrolling at three widths in both themes. In `npm run test:all`, and where `name` is a panel's: axe-core, and pictures of
   * each under test-results, as NAME-THEME-WIDTH.png.
   */
  screenshots(name: string): Promise<void>;
  /** Destroys the GPUDevice in the Worker; the page must have been opened by `open`. */
  loseDevice(): Promise<void>;
  /** What the console, the page or the network reported; a test that provokes something removes it from here. */
  readonly problems: string[];
}

interface Options {
  /** `none`: neither the page nor its Worker has navigator.gpu; `no-adapter`: requestAdapter() finds none; `no-timestamps`: adapters have none. */
  readonly gpu: 'real' | 'none' | 'no-adapter' | 'no-timestamps';
}

/** What runs before the page's and the Worker's own text. */
const AWAY: Readonly<Record<Options['gpu'], string>> = {
  real: '',
  none: "Object.defineProperty(navigator, 'gpu', { value: undefined });",
  'no-adapter': "if (navigator.gpu) Object.defineProperty(navigator.gpu, 'requestAdapter', { value: async () => null });",
  'no-timestamps': `if (globalThis.GPUAdapter) {
    const { get } = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, 'features');
    const features = function () { return new Set([...get.call(this)].filter((name) => name !== 'timestamp-query')); };
    Object.defineProperty(GPUAdapter.prototype, 'features', { get: features });
  }`,
};

export const test = base.extend<Options & { demo: Demo }>({
  gpu: ['real', { option: true }],
  demo: async ({ page, context, gpu, baseURL }, use, info) => {
    const problems: string[] = [];
    const said = (entry: ConsoleMessage): void => {
      if (entry.type() === 'error') problems.push(`console: ${entry.text()}`);
    };
    page.on('console', said);
    page.on('pageerror', (error) => problems.push(`page: ${error.message}`));
    page.on('requestfailed', (request) => {
      // A page that goes away drops what it was still fetching.
      if (request.failure()?.errorText !== 'net::ERR_ABORTED') problems.push(`${request.url()}: ${request.failure()?.errorText}`);
    });
    if (gpu !== 'real') {
      await page.addInitScript(AWAY[gpu]);
      // Init scripts do not reach Workers: the same line goes before the Worker's own text.
      await context.route(/\/assets\/worker-[^/]*\.js$/, async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, body: `${AWAY[gpu]}\n${await response.text()}` });
      });
    }
    const panel = page.locator('main .panel');
    const axe = async (rules?: readonly string[]): Promise<void> => {
      const builder = new AxeBuilder({ page }).exclude('.code-line:nth-child(n + 40)');
      const { violations } = await (rules ? builder.withRules([...rules]) : builder).analyze();
      expect(
        violations.flatMap(({ id, help, nodes }) =>
          nodes.map(({ target, failureSummary }) => `${id} (${help}) ${target}: ${failureSummary}`),
        ),
      ).toEqual([]);
    };
    const demo: Demo = {
      page,
      panel,
      problems,
      open: async (name, query = '') => {
        const more =
          typeof query === 'string' ? query : new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value)]));
        await page.goto(`${baseURL}/?panel=${name}&debug=&${more}`);
        await expect(page.locator(`main[data-panel="${name}"] .panel[data-ready]`)).toBeVisible();
        await expect(page.locator('.device[data-state]')).not.toHaveAttribute('data-state', 'opening', { timeout: 30_000 });
        return panel;
      },
      axe: async () => {
        if (whole) await axe();
      },
      screenshots: async (name) => {
        const looked = whole || PANELS.some((entry) => entry.name === name);
        const size = page.viewportSize();
        for (const theme of THEMES) {
          await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
          for (const width of WIDTHS) {
            await page.setViewportSize({ width, height: width < 600 ? 780 : 900 });
            const sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
            expect(sideways, `${name} is wider than ${width} pixels`).toBe(0);
            if (!looked) continue;
            await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
            await page.screenshot({ path: info.outputPath(`${name}-${theme}-${width}.png`), fullPage: true });
          }
          // Another theme has the same elements in other colours.
          if (looked) await axe(whole || theme === THEMES[0] ? undefined : ['color-contrast']);
        }
        await page.emulateMedia({ colorScheme: null });
        if (size) await page.setViewportSize(size);
      },
      loseDevice: () =>
        page.evaluate(() => (globalThis as unknown as { antiquantDebug: { destroyDevice(): void } }).antiquantDebug.destroyDevice()),
    };
    await use(demo);
    expect(problems).toEqual([]);
  },
});

/** Begins work and cancels it by the button in `within`. A fast machine may end it before the click: then it begins anew. */
export async function cancelled(within: Locator, begin: () => Promise<void>): Promise<void> {
  await expect(async () => {
    await begin();
    await within.getByRole('button', { name: 'Cancel' }).click({ timeout: 2000 });
  }).toPass({ timeout: 60_000 });
}
