// Findings about a device: variants that failed their self-test, with reports, and measured choices. All layers of a device share them.
import { checkDevice } from '../arguments/gpu-objects.js';
import { type LogCode, log } from '../log.js';
import type { Findings, Tuned } from '../plan/findings.js';

/** A variant that failed its self-test on a device. */
export interface SelfTestReport {
  /** The variant's id, as in labels and errors. */
  readonly variant: string;
  /** Place of the first fault. */
  readonly where: string;
  readonly expected: string;
  readonly got: string;
  /** Vendor, architecture, device and description. */
  readonly adapter: string;
}

export interface State extends Findings {
  readonly disabled: Map<string, string>;
  readonly tuned: Map<string, Tuned>;
  readonly reports: SelfTestReport[];
  /** Self-tests by variantId, running or done. They do not reject for wrong results. */
  readonly tests: Map<string, Promise<void>>;
  /** A trial with scales of two levels failed: layers loaded from now on hold such scales as float32. */
  unitsFail: boolean;
  /** Problems that make no product wrong. */
  readonly notes: Set<string>;
  /** Incremented whenever planning may give another plan. */
  changes: number;
}
const states = new WeakMap<GPUDevice, State>();

export function findingsOf(device: GPUDevice): State {
  let state = states.get(device);
  if (!state) {
    state = { disabled: new Map(), tuned: new Map(), reports: [], tests: new Map(), unitsFail: false, notes: new Set(), changes: 0 };
    states.set(device, state);
  }
  return state;
}

export function adapterName(device: GPUDevice): string {
  const info: Partial<GPUAdapterInfo> = device.adapterInfo ?? {};
  return [info.vendor, info.architecture, info.device, info.description].join(' ').replace(/\s+/g, ' ').trim();
}

/** From now on no plan on `device` uses this variant. */
export function disable(device: GPUDevice, report: Omit<SelfTestReport, 'adapter'>): void {
  const state = findingsOf(device);
  if (state.disabled.has(report.variant)) return;
  state.disabled.set(report.variant, `failed its self-test on this device: ${describe(report)}`);
  state.reports.push({ ...report, adapter: adapterName(device) });
  state.changes++;
  log(device, 'disabled', `${report.variant}: ${describe(report)}`, { ...report });
}

/** Keeps a problem that makes no product wrong. */
export function note(device: GPUDevice, code: LogCode, said: string): void {
  findingsOf(device).notes.add(said);
  log(device, code, said);
}

/** Layers that are loaded on `device` from now on hold scales of two levels as float32. */
export function holdScalesWide(device: GPUDevice): void {
  const state = findingsOf(device);
  state.unitsFail = true;
  note(device, 'wide', 'scales of two levels failed a self-test: layers that are loaded from now on hold them as float32');
}

export const describe = ({ where, expected, got }: Pick<SelfTestReport, 'where' | 'expected' | 'got'>): string =>
  `${where}: expected ${expected}, got ${got}`;

/**
 * The variants that failed their self-test on `device` and are not used there, with the expected and the actual value. Please report them.
 * @example for (const { variant, where, expected, got, adapter } of selfTestReports(device)) console.warn(variant, where, expected, got, adapter);
 */
export const selfTestReports = (device: GPUDevice): readonly SelfTestReport[] => [...findingsOf(checkDevice(device)).reports];
