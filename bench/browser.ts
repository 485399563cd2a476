// The bench in a browser's page (browser.html): scripts/bench.mjs calls `antiquantBench.run`. The page's panel measures by hand.

import type { HostResult } from './results.js';
import { type BenchOptions, openDevice, runHost } from './run.js';
import type { Progress } from './sessions.js';

const engineName = (): string => {
  const brand = /(?:Chrome|Firefox|Version)\/[\d.]+/.exec(navigator.userAgent);
  return brand ? brand[0].replace('/', ' ') : navigator.userAgent;
};

/** Measures in this page; `host` is the name that the result gets. */
async function run(host: string, options: BenchOptions, report: (progress: Progress) => void): Promise<HostResult> {
  if (!navigator.gpu) throw new Error('this browser has no WebGPU');
  const engine = {
    host,
    name: engineName(),
    device: await openDevice(navigator.gpu),
    wait: async (device: GPUDevice): Promise<void> => void (await device.queue.onSubmittedWorkDone()),
    // From the root of the server, so that the bundler leaves it alone.
    ort: (file: string) => import(/* @vite-ignore */ new URL(`/ort/${file}`, location.href).href),
    ortFiles: new URL('/ort/', location.href).href,
    browser: true,
  };
  try {
    return await runHost(engine, options, report);
  } finally {
    engine.device.destroy();
  }
}

Object.assign(globalThis, { antiquantBench: { run } });
