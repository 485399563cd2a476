// The page that cases.spec.ts and tune.spec.ts drive: opens a device, runs a case by its name, prepares a layer.
import { capsOf } from '../src/gpu/device.js';
import { requestDevice } from '../src/index.js';
import { cases } from './cases.js';
import { type CaseReport, runCase } from './run-case.js';
import { forget, prepareAndReport } from './tune.js';

let device: GPUDevice | undefined;
const byName = new Map(cases.map((c) => [c.name, c]));

const page = {
  async open() {
    device = await requestDevice();
    const { vendor, architecture, description } = device.adapterInfo;
    return { adapter: [vendor, architecture, description].join(' '), caps: capsOf(device) };
  },
  prepare: prepareAndReport,
  forget,
  run: (name: string): Promise<CaseReport> => runCase(device!, byName.get(name)!),
};
export type TestPage = typeof page;
(globalThis as { antiquant?: TestPage }).antiquant = page;
