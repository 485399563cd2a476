// Projects in headless Chromium. `chromium`: the case tables in the installed browser (a GPU, or SwiftShader without shader-f16).
// `chromium-f16`: the tables in the browser that e2e/chromium-f16 builds, for machines whose Chromium has no shader-f16. `demo`: the built
// page in the installed browser. `demo-f16`: some of its tests in the other one. `interop`: other libraries in the installed browser.
// scripts/test.mjs sets CHROMIUM and CHROMIUM_F16.
import { defineConfig } from '@playwright/test';

const port = Number(process.env.PORT ?? 4173);
const demoPort = port + 1;
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
const plain = browser(process.env.CHROMIUM ?? '/usr/bin/chromium', software);

/** Each project has a server, which starts only if the project runs. */
const words = process.argv.map((word) => word.replace(/^--project=/, ''));
const wants = (...names: string[]): boolean =>
  !process.argv.some((word) => word.startsWith('--project')) || names.some((name) => words.includes(name));
const server = (command: string, at: number) => ({ command, port: at, reuseExistingServer: false, stdout: 'ignore' as const });

export default defineConfig({
  testDir: 'e2e',
  testMatch: '*.spec.ts',
  workers: 1,
  timeout: 120_000,
  forbidOnly: true,
  reporter: [['list']],
  use: { baseURL: `http://localhost:${port}` },
  webServer: [
    ...(wants('chromium', 'chromium-f16', 'interop') ? [server(`npx vite --mode e2e --port ${port} --strictPort`, port)] : []),
    ...(wants('demo', 'demo-f16')
      ? [
          server(
            `${process.env.PAGE_BUILT ? '' : 'npx vite build --mode demo --logLevel warn && '}node e2e/demo/serve.mjs ${demoPort}`,
            demoPort,
          ),
        ]
      : []),
  ],
  projects: [
    { name: 'chromium', outputDir: 'test-results/chromium', use: plain, testIgnore: ['demo/**', 'chromium-f16/**', 'interop/**'] },
    { name: 'interop', testDir: 'e2e/interop', outputDir: 'test-results/interop', use: plain },
    {
      name: 'chromium-f16',
      testDir: 'e2e/chromium-f16',
      outputDir: 'test-results/chromium-f16',
      use: browser(process.env.CHROMIUM_F16, []),
    },
    {
      name: 'demo-f16',
      testDir: 'e2e/demo',
      outputDir: 'test-results/demo-f16',
      use: { ...browser(process.env.CHROMIUM_F16, []), baseURL: `http://localhost:${demoPort}` },
      testMatch: ['operator.spec.ts', 'chat.spec.ts'],
      grep: /first product|every control|a first visit|are those of the float64|every setting|stop, go on|lost in the middle/,
    },
    { name: 'demo', testDir: 'e2e/demo', outputDir: 'test-results/demo', use: { ...plain, baseURL: `http://localhost:${demoPort}` } },
  ],
});
