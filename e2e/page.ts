// The test page: opens a device, runs a case by its name, prepares a layer, quantizes weights.
import { capsOf } from '../src/gpu/device.js';
import { requestDevice } from '../src/index.js';
import { cases } from '../test/cases/cases.js';
import { expertCases } from '../test/cases/expert-cases.js';
import { formatCases, nodeCases } from '../test/cases/format-cases.js';
import { llmCases } from '../test/cases/llm-cases.js';
import { matrixCases } from '../test/cases/matrix-cases.js';
import { type CaseReport, runCase } from '../test/cases/run-case.js';
import { runExpertCase } from '../test/cases/run-experts.js';
import { runFormatCase, runNodeCase } from '../test/cases/run-format.js';
import { runLlmCase } from '../test/cases/run-llm.js';
import { runMatrixCase } from '../test/cases/run-matrix.js';
import { cachedModels, evictModel, loadCached } from './cache.js';
import { quantizeAndReport } from './quantize.js';
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
  quantize: quantizeAndReport,
  loadCached: (url: string, how?: { readonly abortAfter?: number }) => loadCached(device!, url, how),
  cachedModels,
  evictModel,
  run: (name: string): Promise<CaseReport> => runCase(device!, byName.get(name)!),
  runMatrix: (name: string): Promise<CaseReport> => runMatrixCase(device!, matrixCases.find((c) => c.name === name)!),
  runExperts: (name: string): Promise<CaseReport> => runExpertCase(device!, expertCases.find((c) => c.name === name)!),
  runLlm: (name: string): Promise<CaseReport> => runLlmCase(device!, llmCases.find((c) => c.name === name)!),
  runFormat(name: string): Promise<CaseReport> {
    const c = formatCases.find((one) => one.name === name);
    return c ? runFormatCase(device!, c) : runNodeCase(device!, nodeCases.find((one) => one.name === name)!);
  },
};
export type TestPage = typeof page;
(globalThis as { antiquant?: TestPage }).antiquant = page;
