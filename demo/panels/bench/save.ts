// Saves a measurement as the report that `npm run bench -- --report FILE` reads, with the settings and a link that repeats it.
import type { BenchResult } from '../../../bench/results.js';
import type { Measured } from './jobs/index.js';
import type { LlmMeasured } from './jobs/llm-settings.js';
import type { Settings } from './jobs/settings.js';
import type { TuneResult } from './jobs/tuning.js';

export interface Saved extends BenchResult {
  readonly settings: Settings;
  readonly link: string;
  readonly software: boolean;
  readonly isolated: boolean;
  readonly tuning?: TuneResult;
  readonly llm?: LlmMeasured;
}

/** @param measured products; undefined if the language model alone was measured */
export function savedOf(
  measured: Measured | undefined,
  { link, tuned, llm }: { readonly link: string; readonly tuned?: TuneResult | undefined; readonly llm?: LlmMeasured | undefined },
): Partial<Saved> {
  const memory = (navigator as { deviceMemory?: number }).deviceMemory ?? 0;
  const machine = { cpu: 'not known to a page', cores: navigator.hardwareConcurrency, memoryGiB: memory, system: navigator.platform };
  const shared = { schema: 1, mode: 'custom', machine, link, ...(tuned && { tuning: tuned }), ...(llm && { llm }) } as const;
  if (!measured) return { ...shared, date: llm!.date, versions: llm!.versions, software: llm!.software, isolated: llm!.isolated };
  const { host, settings, versions, software, isolated, date } = measured;
  return { ...shared, date, versions: { ...llm?.versions, ...versions }, hosts: [host], settings, software, isolated };
}

export function download(name: string, value: unknown): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([JSON.stringify(value, null, 1)], { type: 'application/json' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
