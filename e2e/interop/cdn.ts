// Pages ask a CDN for the libraries of their import maps; it is answered from what is installed beside this file, at the same versions.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test as base } from '@playwright/test';

const modules = join(import.meta.dirname, 'node_modules');
const TYPES: Readonly<Record<string, string>> = { js: 'text/javascript', mjs: 'text/javascript', wasm: 'application/wasm' };

/** The installed file of `https://cdn.jsdelivr.net/npm/NAME@VERSION/PATH`; undefined if it is of another version, or there is none. */
function installed(address: URL): string | undefined {
  const [, name, version, path] = /^\/npm\/((?:@[^/@]+\/)?[^/@]+)@([^/]+)\/(.+)$/.exec(address.pathname) ?? [];
  if (address.host !== 'cdn.jsdelivr.net' || !name || !path) return undefined;
  const folder = join(modules, ...name.split('/'));
  if (!existsSync(folder) || JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version !== version) return undefined;
  const file = join(folder, ...path.split('/'));
  return existsSync(file) ? file : undefined;
}

/** `problems` are errors of the page and requests that leave this machine; a test that has one fails. */
export const test = base.extend<{ problems: string[] }>({
  problems: [
    async ({ page, baseURL }, use) => {
      const problems: string[] = [];
      page.on('pageerror', ({ message }) => problems.push(message));
      await page.route(
        (url) => url.origin !== baseURL && url.protocol.startsWith('http'),
        async (route) => {
          const address = route.request().url();
          const path = installed(new URL(address));
          if (path === undefined) {
            problems.push(`not installed: ${address}`);
            return route.abort();
          }
          const contentType = TYPES[path.split('.').at(-1)!] ?? 'application/octet-stream';
          await route.fulfill({ path, contentType, headers: { 'Access-Control-Allow-Origin': '*' } });
        },
      );
      await use(problems);
      base.expect(problems).toEqual([]);
    },
    { auto: true },
  ],
});
