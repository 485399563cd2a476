// Saves a measurement as the report that `npm run bench -- --report FILE` reads, with the settings and a link that repeats it.
import type { BenchResult } from '../../../bench/results.js';
import type { Measured } from './jobs/index.js';
import type { Settings } from './jobs/settings.js';
import type { TuneResult } from './jobs/tuning.js';

export interface Saved extends BenchResult {
  readonly settings: Settings;
  readonly link: string;
  readonly software: boolean;
  readonly isolated: boolean;
  readonly tuning?: TuneResult;
}

export function savedOf(measured: Measured, link: string, tuned: TuneResult | undefined): Saved {
  const { host, settings, versions, software, isolated, date } = measured;
  const memory = (navigator as { deviceMemory?: number }).deviceMemory ?? 0;
  return {
    schema: 1,
    date,
    mode: 'custom',
    machine: { cpu: 'not known to a page', cores: navigator.hardwareConcurrency, memoryGiB: memory, system: navigator.platform },
    versions,
    hosts: [host],
    settings,
    link,
    software,
    isolated,
    ...(tuned && { tuning: tuned }),
  };
}

export function download(name: string, value: unknown): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([JSON.stringify(value, null, 1)], { type: 'application/json' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
