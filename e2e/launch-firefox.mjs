// Starts a headless Firefox with WebGPU. Playwright needs a patched one; puppeteer speaks WebDriver BiDi, which every Firefox knows.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';

/** @returns the browser, with a home of its own, and what ends both */
export async function launchFirefox(executablePath) {
  const home = mkdtempSync(join(tmpdir(), 'antiquant-firefox-'));
  const removed = () => rmSync(home, { recursive: true, force: true });
  try {
    const browser = await puppeteer.launch({
      browser: 'firefox',
      executablePath,
      headless: true,
      env: { ...process.env, HOME: home },
      extraPrefsFirefox: { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true },
      protocolTimeout: 120_000,
    });
    return { browser, close: () => browser.close().finally(removed) };
  } catch (error) {
    removed();
    throw error;
  }
}
