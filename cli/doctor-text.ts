// The result of doctor as text. Pure.
import { wrap } from './command.js';
import type { DoctorDocument } from './documents.js';
import { bytesText, plain } from './text.js';

/** The limits that bound this library. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupStorageSize',
];

const SUBSETS = { quick: 'one of each tile', normal: 'four of each tile', all: 'all' } as const;

export function doctorText(document: DoctorDocument, width: number): string {
  const { version, node, platform, packages, gpu, noGpu, selfTest, copyBytesPerSecond, missing } = document;
  const rows: (readonly [name: string, text: string])[] = [
    ['antiquant', version],
    ['Node', `${node}, ${platform}`],
    ...packages.map(({ name, version: own }) => [name, own ?? 'not installed'] as const),
  ];
  if (gpu === null) rows.push(['GPU', `none: ${noGpu}`]);
  else
    rows.push(
      ['GPU', `${gpu.adapter}${gpu.software ? ' (software: it runs on the CPU)' : ''}`],
      ['features', gpu.features.join(' ') || 'none'],
      ['subgroups', gpu.subgroups ? `${gpu.subgroups.least} to ${gpu.subgroups.most} lanes` : 'none'],
      ['matrices', gpu.subgroupMatrices.join(', ') || 'none'],
      ...LIMITS.flatMap((name) => {
        const value = gpu.limits[name];
        return value === undefined ? [] : [[name, /Size$/.test(name) ? bytesText(value) : String(value)] as const];
      }),
    );
  if (selfTest) {
    const { variants, subset, kernels, failed, seconds } = selfTest;
    const names = Object.entries(kernels).map(([name, count]) => `${name} ${count}`);
    rows.push([
      'self-test',
      `${variants - failed.length} of ${variants} variants right (${SUBSETS[subset]}; ${names.join(', ')}), in ${seconds.toFixed(1)} s`,
    ]);
  }
  if (copyBytesPerSecond !== null) rows.push(['copying', `${bytesText(copyBytesPerSecond)}/s`]);
  const first = Math.max(...rows.map(([name]) => name.length)) + 2;
  const parts = rows.map(([name, text]) => `${name.padEnd(first)}${wrap(plain(text), width, ' '.repeat(first))}\n`);
  for (const { variant, where, expected, got } of selfTest?.failed ?? [])
    parts.push(`\n${wrap(plain(`FAILED ${variant}: ${where}: expected ${expected}, got ${got}`), width, '  ')}\n`);
  if (missing.length > 0) parts.push('\nMissing\n');
  for (const { what, how } of missing) parts.push(`  ${wrap(what, width, '    ')}\n    → ${wrap(how, width, '      ')}\n`);
  return parts.join('');
}
