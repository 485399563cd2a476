// `npm run static`: compiles the kernels with real GPU compilers, without a GPU, and counts instructions and registers.
//
//   npm run static                     a table of every variant that planning picks on a GPU, for each family
//   npm run static -- --json           the same as JSON
//   npm run static -- --narrow         the same table of weights as GGUF, GPTQ and HQQ files have them
//   npm run static -- --check          more formats; fails on spills and scratch memory
//   npm run static -- matmul-decode --tiles                the same table of every tile of the named kernels that suits a GPU
//   npm run static -- matmul-rows --family navi31,dg2      one kernel, these families
//
// WGSL → SPIR-V by Dawn (scripts/static/spirv.mjs) → machine code by Mesa's drivers without hardware: RADV for AMD, ANV for Intel
// over a no-op DRM shim that INTEL_DRM_SHIM names (Mesa builds it with -Dtools=drm-shim,intel; Debian does not ship it).
// Instruction counts rank kernels. They ignore caches and bandwidth, so they do not predict time.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureModules, ensureStatic, root } from './setup.mjs';

const AMD_CAPS = { vendor: 'amd', minSubgroupSize: 32, maxSubgroupSize: 64 };
const WMMA = [{ componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 }];
/** `caps`: the device's caps, with `matrices` as its subgroup matrices. `subgroup`: the size that Dawn requests from the driver. */
const FAMILIES = {
  navi31: { vendor: 'amd', subgroup: 64, env: { RADV_FORCE_FAMILY: 'navi31' }, caps: AMD_CAPS, matrices: WMMA },
  navi21: { vendor: 'amd', subgroup: 64, env: { RADV_FORCE_FAMILY: 'navi21' }, caps: AMD_CAPS },
  dg2: {
    vendor: 'intel',
    subgroup: 16,
    env: { INTEL_STUB_GPU_PLATFORM: 'dg2' },
    caps: { vendor: 'intel', minSubgroupSize: 8, maxSubgroupSize: 32 },
  },
};

const words = process.argv.slice(2);
const options = new Set(words.filter((word) => word.startsWith('--')));
const familyAt = words.indexOf('--family');
const asked = familyAt < 0 ? undefined : words[familyAt + 1]?.split(',');
const only = words.filter((word, i) => !word.startsWith('--') && (familyAt < 0 || i !== familyAt + 1));
const unknown = (asked ?? []).filter((name) => !(name in FAMILIES));
if (unknown.length > 0) {
  console.error(`no family ${unknown.join(', ')}; there are ${Object.keys(FAMILIES).join(', ')}`);
  process.exit(2);
}

ensureModules();
const parts = ensureStatic();
const families = Object.keys(FAMILIES).filter((name) => (asked ? asked.includes(name) : true));
const ready = families.filter((name) => {
  const lacking = parts.missing[FAMILIES[name].vendor];
  if (lacking.length > 0) console.error(`!!! SKIPPED: static ${name}: missing ${lacking.join(', ')}`);
  return lacking.length === 0;
});
if (!parts.matrices)
  console.error("!!! SKIPPED: static matmul-subgroup-matrix: missing Mesa's libamdgpu_noop_drm_shim.so (mesa-drm-shim, or AMD_DRM_SHIM)");
if (ready.length === 0) process.exit(options.has('--check') ? 3 : 1);

const { pickedVariants, variantId } = await import('./static/variants.mjs');
const { hotLoop } = await import('./static/assembly.mjs');
const { plainNames } = await import('./static/spirv-text.mjs');
const { perMac, withMacs } = await import('./static/work.mjs');
const folder = mkdtempSync(join(tmpdir(), 'antiquant-static-'));
const run = (program, args, options) => spawnSync(program, args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 30, ...options });

/** id → the file of its SPIR-V, or the error. */
function toSpirv(variants) {
  const child = run(process.execPath, [join(root, 'scripts', 'static', 'spirv.mjs')], {
    input: JSON.stringify(variants.map(({ id, code }) => ({ id, code }))),
    env: { ...process.env, ...parts.dawn },
  });
  const files = new Map();
  for (const part of child.stdout.split('\n@@ ').slice(1)) {
    const [head, ...rest] = part.split('\n');
    const text = rest.join('\n');
    const begin = text.lastIndexOf('/* Dumped SPIRV disassembly */');
    if (head.endsWith(' !')) files.set(head.slice(0, -2), { error: text.trim() });
    else if (begin >= 0) {
      const file = join(folder, `${files.size}.spv`);
      const version = /; Version: (\d\.\d)/.exec(text)?.[1] ?? '1.3';
      const input = plainNames(text.slice(text.indexOf('\n', begin) + 1));
      const done = run('spirv-as', ['--target-env', `spv${version}`, '-o', file, '-'], { input });
      files.set(head, done.status === 0 ? { file } : { error: `spirv-as: ${done.stderr.trim()}` });
    }
  }
  return files;
}

/** Mesa's report of each file, in order. */
function compile(family, files) {
  const { vendor, subgroup, env } = FAMILIES[family];
  const source = join(root, 'scripts', 'static', 'compile.c');
  const cache = join(root, 'node_modules', '.cache', 'static');
  const program = join(cache, 'compile');
  mkdirSync(cache, { recursive: true });
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    execFileSync(parts.cc, ['-O1', '-o', program, source, '-lvulkan'], { stdio: 'inherit' });
  }
  const done = run(program, [String(subgroup), ...files], {
    env: { ...process.env, ...parts[vendor], ...env, MESA_SHADER_CACHE_DISABLE: 'true' },
  });
  const lines = done.stdout.split('\n').filter((line) => line.startsWith('{'));
  if (lines.length < files.length) throw new Error(`${family}: the driver stopped at file ${lines.length}:\n${done.stderr.trim()}`);
  return lines.map((line) => JSON.parse(line));
}

const AMD = (stats, subgroup) => ({
  registers: stats.VGPRs,
  waves: Math.floor((stats['Subgroups per SIMD'] * 32) / subgroup), // the driver counts in units of 32 lanes
  spills: stats['Spilled VGPRs'] + stats['Spilled SGPRs'],
  scratch: stats['Scratch size'],
});
const INTEL = (stats) => ({
  registers: stats['Max live registers'],
  waves: undefined,
  spills: stats['Spill Count'] + stats['Fill Count'],
  scratch: stats['Scratch Memory Size'],
});

const results = [];
const faults = [];
let tried = 0;
for (const family of ready) {
  const { vendor, caps, matrices } = FAMILIES[family];
  const devices = [caps, ...(matrices && parts.matrices ? [{ ...caps, subgroupMatrix: matrices }] : [])];
  const tiles = options.has('--tiles') ? only : [];
  const variants = pickedVariants(devices, { more: options.has('--check'), narrow: options.has('--narrow'), tiles }).filter(
    ({ shader }) => only.length === 0 || only.includes(shader),
  );
  tried += variants.length;
  const spirv = toSpirv(variants);
  const good = variants.filter(({ id }) => spirv.get(id)?.file);
  for (const { id } of variants) if (!spirv.get(id)?.file) faults.push(`${family} ${id}: ${spirv.get(id)?.error ?? 'Dawn stopped'}`);
  const reports = compile(
    family,
    good.map(({ id }) => spirv.get(id).file),
  );
  good.forEach(({ id, shader, params, cost: said, dtype, name, rows }, i) => {
    const { stats, subgroup, assembly } = reports[i];
    const sizes = vendor === 'amd' ? AMD(stats, subgroup) : INTEL(stats);
    const written = said && withMacs(said);
    const loop = written && hotLoop(vendor, assembly, subgroup, written.macs);
    const cost = loop && perMac(written, loop);
    const { BITS: bits } = params;
    const loads = loop?.hot.loads ?? [];
    const loadsPerWeight = cost && loads.length / (written.columns * written.k * cost.unrolled);
    results.push({ id, kernel: shader, params, bits, dtype, name, rows, family, ...sizes, ...cost, loads, loadsPerWeight });
    if (sizes.spills > 0 || sizes.scratch > 0) faults.push(`${family} ${id}: ${sizes.spills} spills, ${sizes.scratch} bytes of scratch`);
  });
}
rmSync(folder, { recursive: true, force: true });

if (options.has('--json')) console.log(JSON.stringify(results, null, 1));
else if (!options.has('--check')) printTable(results.filter(({ kernel }) => kernel.startsWith('matmul-')));
for (const fault of faults) console.error(`FAIL ${fault}`);
if (options.has('--check')) {
  console.log(
    `static: ${tried - faults.length} passed, ${faults.length} failed, ${families.length - ready.length} skipped (${ready.join(', ')})`,
  );
}
process.exit(options.has('--check') && (faults.length > 0 || tried === 0) ? 1 : 0);

function printTable(rows) {
  const number = (value) => (Number.isFinite(value) ? value.toFixed(2) : '–');
  const widths = (loads) =>
    [...new Set(loads)].sort((a, b) => b - a).map((bytes) => `${loads.filter((b) => b === bytes).length} × ${bytes} B`);
  const OPERANDS = ['BITS', 'X', 'SCALE', 'OFFSET', 'CODEBOOK', 'ROUND', 'READ', 'Y'];
  const tile = (params) => Object.fromEntries(Object.entries(params).filter(([key]) => !OPERANDS.includes(key)));
  const head = [
    'kernel',
    'M',
    'w',
    'x',
    'family',
    'per weight',
    'per m-add',
    'loop alone',
    'registers',
    'waves',
    'spills',
    'scratch',
    'loads',
    'a weight',
  ];
  const lines = rows.map((r) => [
    variantId(r.kernel, tile(r.params)),
    r.rows[0] === r.rows[1] ? r.rows[0] : `${r.rows[0]}–${r.rows[1]}`,
    r.name ?? `int${r.bits}`,
    r.dtype,
    r.family,
    number(r.all * r.tileRows),
    number(r.all),
    number(r.inner),
    r.registers,
    r.waves ?? '–',
    r.spills,
    r.scratch,
    widths(r.loads).join(', ') || '–',
    number(r.loadsPerWeight),
  ]);
  for (const line of [head, head.map(() => '---'), ...lines]) console.log(`| ${line.join(' | ')} |`);
}
