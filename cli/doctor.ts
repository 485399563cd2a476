// antiquant doctor: what this machine has for the library, what it lacks, and how to get it.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { capsOf } from '../src/gpu/device.js';
import { findingsOf } from '../src/gpu/device-findings.js';
import { selfTest } from '../src/gpu/self-test.js';
import type { MatmulVariant } from '../src/trial/trial.js';
import { VERSION } from '../src/version.js';
import { copyBandwidth } from './bandwidth.js';
import type { Command, Given, Io } from './command.js';
import { missingOf } from './doctor-missing.js';
import { doctorText } from './doctor-text.js';
import { variantsFor } from './doctor-variants.js';
import type { DoctorDocument } from './documents.js';
import { EXIT, UsageError } from './exit.js';
import { jsonText } from './print.js';

/** Optional packages, and what needs them. */
const PACKAGES: Readonly<Record<string, string>> = {
  webgpu: 'a GPU in Node: verify, run, bench-llm, doctor',
  '@huggingface/tokenizers': 'run, for tokenizers',
  '@huggingface/jinja': 'run, for chat templates',
};

/** Variants of each tile. */
const EACH = { quick: 1, normal: 4, all: Number.POSITIVE_INFINITY } as const;
/** Variants that are compiled and run together. */
const TOGETHER = 16;

export const doctor: Command = {
  name: 'doctor',
  summary: 'Says what this machine has for the library: the GPU, its features and limits, self-tests, and what is missing.',
  takes: [],
  options: {
    quick: { type: 'boolean', help: 'tests one variant of each tile of a kernel, instead of four' },
    all: { type: 'boolean', help: 'tests every variant: many thousands, which takes long' },
  },
  notes: [
    'Self-tests are small products whose results are known exactly. They take every matrix product and tile that is meant for this GPU, each with several dtypes, bits and kinds of scales. Kernels of language models are tested when a model is loaded.',
    'Ends with 1 if a variant failed, and with 4 if there is no GPU.',
  ],
  async run({ given }, io) {
    const subset = subsetOf(given);
    const packages = Object.entries(PACKAGES).map(([name, why]) => ({ name, version: versionOf(name), for: why }));
    const found = await io.findDevice();
    const device = 'device' in found ? found.device : undefined;
    const gpu = device ? gpuOf(device, 'adapter' in found ? found.adapter : '') : null;
    const document: DoctorDocument = {
      command: 'doctor',
      version: VERSION,
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      packages,
      gpu,
      noGpu: 'why' in found ? found.why : null,
      selfTest: device ? await tested(device, subset, io) : null,
      copyBytesPerSecond: device ? await copyBandwidth(device, io.signal) : null,
      missing: missingOf({ packages, gpu, platform: process.platform }),
    };
    io.out(given.json ? jsonText(document) : doctorText(document, io.columns));
    if (!device) return EXIT.impossible;
    return document.selfTest!.failed.length > 0 ? EXIT.finding : EXIT.fine;
  },
};

/** @throws UsageError */
function subsetOf({ quick, all }: Given): keyof typeof EACH {
  if (quick && all) throw new UsageError('--quick, --all: expected one of them, got both');
  return all ? 'all' : quick ? 'quick' : 'normal';
}

/** The version of a package beside this one or where the command runs; null if there is none. */
function versionOf(name: string): string | null {
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')]) {
    for (const folder of createRequire(from).resolve.paths(name) ?? []) {
      const path = join(folder, name, 'package.json');
      if (existsSync(path)) return (JSON.parse(readFileSync(path, 'utf8')) as { readonly version: string }).version;
    }
  }
  return null;
}

function gpuOf(device: GPUDevice, adapter: string): NonNullable<DoctorDocument['gpu']> {
  const info: Partial<GPUAdapterInfo> = device.adapterInfo ?? {};
  const { software, subgroups, minSubgroupSize, maxSubgroupSize, subgroupMatrix } = capsOf(device);
  const limits: Record<string, number> = {};
  for (const name in device.limits) {
    const value = (device.limits as unknown as Readonly<Record<string, unknown>>)[name];
    if (typeof value === 'number') limits[name] = value;
  }
  return {
    adapter,
    vendor: info.vendor ?? '',
    architecture: info.architecture ?? '',
    device: info.device ?? '',
    description: info.description ?? '',
    software,
    features: [...(device.features as ReadonlySet<string>)].sort(),
    subgroups: subgroups ? { least: minSubgroupSize, most: maxSubgroupSize } : null,
    subgroupMatrices: subgroupMatrix.map(
      ({ M, N, K, componentType, resultComponentType }) => `${M}x${N}x${K} ${componentType} to ${resultComponentType}`,
    ),
    limits: Object.fromEntries(Object.entries(limits).sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** Runs the self-tests, some variants at a time. */
async function tested(
  device: GPUDevice,
  subset: keyof typeof EACH,
  { signal, err, draw = err, live }: Io,
): Promise<NonNullable<DoctorDocument['selfTest']>> {
  const began = performance.now();
  const kernels = new Map<string, number>();
  let count = 0;
  let batch: MatmulVariant[] = [];
  const flush = async (): Promise<void> => {
    signal.throwIfAborted();
    await selfTest(device, batch);
    batch = [];
    if (live) draw(`\rself-test: ${count} variants\u001b[K`);
  };
  for (const variant of variantsFor(capsOf(device), EACH[subset])) {
    batch.push(variant);
    count++;
    kernels.set(variant.kernel, (kernels.get(variant.kernel) ?? 0) + 1);
    if (batch.length === TOGETHER) await flush();
  }
  await flush();
  if (live) draw('\r\u001b[K');
  return {
    subset,
    variants: count,
    kernels: Object.fromEntries(kernels),
    failed: findingsOf(device).reports.map(({ variant, where, expected, got }) => ({ variant, where, expected, got })),
    seconds: (performance.now() - began) / 1000,
  };
}
