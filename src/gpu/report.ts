// Text about a device for a report: the GPU, its features and limits, and the findings about it.

import { checkDevice } from '../arguments/gpu-objects.js';
import { variantId } from '../kernels/kernel.js';
import { VERSION } from '../version.js';
import { capsOf } from './device.js';
import { describe, findingsOf } from './device-findings.js';

interface Host {
  readonly navigator?: { readonly userAgent?: string; readonly gpu?: { readonly wgslLanguageFeatures?: Iterable<string> } };
}

const list = (words: Iterable<string>): string => [...words].sort().join(' ') || 'none';
const indent = (lines: readonly string[]): string[] => lines.map((line) => `  ${line.replaceAll('\n', '\n    ')}`);

/** Limits are accessors of the object's prototype. */
function limitsOf({ limits }: GPUDevice): string[] {
  const out: string[] = [];
  for (const name in limits) {
    const value = (limits as unknown as Readonly<Record<string, unknown>>)[name];
    if (typeof value === 'number') out.push(`${name} ${value}`);
  }
  return out.sort();
}

/**
 * Plain text about a device, to paste into a report: the library's version, the browser, the adapter and whether it is software, features,
 * limits, caps, variants that failed their self-test, measured choices. It holds none of your data, and only facts that any script of the
 * page can read. It does no GPU work and works on a lost device.
 * @example console.log(formatReport(device));
 */
export function formatReport(device: GPUDevice): string {
  checkDevice(device);
  const { navigator } = globalThis as Host;
  const info: Partial<GPUAdapterInfo> = device.adapterInfo ?? {};
  const { software, subgroupMatrix, ...caps } = capsOf(device);
  const { reports, tests, tuned, notes } = findingsOf(device);
  const matrices = subgroupMatrix.map(
    ({ M, N, K, componentType, resultComponentType }) => `${M}x${N}x${K} ${componentType} to ${resultComponentType}`,
  );
  const names = (['vendor', 'architecture', 'device', 'description'] as const).map((name) => `${name}: ${info[name] || 'not disclosed'}`);
  return [
    `antiquant ${VERSION}`,
    `engine: ${navigator?.userAgent ?? 'not disclosed'}`,
    `adapter: ${software ? 'software, runs on the CPU' : 'GPU'}`,
    ...indent(names),
    `features: ${list(device.features as Iterable<string>)}`,
    `WGSL: ${list(navigator?.gpu?.wgslLanguageFeatures ?? [])}`,
    'caps:',
    ...indent(Object.entries(caps).map(([name, value]) => `${name} ${value}`)),
    ...indent([`subgroupMatrix ${matrices.join(', ') || 'none'}`]),
    'limits:',
    ...indent(limitsOf(device)),
    `self-test: ${tests.size} variants tested, ${reports.length} failed`,
    ...indent(reports.map((report) => `${report.variant}: ${describe(report)}`)),
    `measured choices: ${tuned.size || 'none'}`,
    ...indent(
      [...tuned].map(
        ([problem, { kernel, tile, ratio, candidates, date }]) =>
          `${problem}: ${variantId(kernel, tile)}, ${ratio.toFixed(2)} of the default's time, among ${candidates}, ${date}`,
      ),
    ),
    ...(notes.size > 0 ? ['notes:', ...indent([...notes])] : []),
    '',
  ].join('\n');
}
