// Headless Chromium: every case of the table and the demo page. `chromium` is the browser as it is (a GPU, or SwiftShader without
// shader-f16); `chromium-f16` is the one that e2e/chromium-f16 builds, for machines whose Chromium has no shader-f16.
// scripts/test.mjs finds the browsers and sets CHROMIUM and CHROMIUM_F16.
import { defineConfig } from '@playwright/test';

const port = Number(process.env.PORT ?? 4173);
const args = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const software = process.env.ANTIQUANT_GPU === '1' ? [] : ['--use-webgpu-adapter=swiftshader'];
const browser = (executablePath: string | undefined, extra: readonly string[]) => ({
  launchOptions: { args: [...args, ...extra], ...(executablePath && { executablePath }) },
});

export default defineConfig({
  testDir: 'e2e',
  testMatch: '*.spec.ts',
  workers: 1,
  timeout: 120_000,
  forbidOnly: true,
  reporter: [['list']],
  use: { baseURL: `http://localhost:${port}` },
  webServer: { command: `npx vite --mode e2e --port ${port} --strictPort`, port, reuseExistingServer: false, stdout: 'ignore' },
  projects: [
    { name: 'chromium', outputDir: 'test-results/chromium', use: browser(process.env.CHROMIUM ?? '/usr/bin/chromium', software) },
    {
      name: 'chromium-f16',
      outputDir: 'test-results/chromium-f16',
      use: browser(process.env.CHROMIUM_F16, []),
      testMatch: ['cases.spec.ts', 'formats.spec.ts'],
    },
  ],
});
