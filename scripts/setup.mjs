// Finds the programs that the project needs beside its npm packages, and installs missing ones where apt is available.
// `node scripts/setup.mjs` does all of it and prints the result; other scripts call the parts that they need.
//
// The machine's apt configuration stays unchanged: Mesa 25 comes from bookworm-backports through a private source list with the machine's
// mirror and keyring.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const say = (text) => console.error(`[setup] ${text}`);

const run = (command, args, options = {}) =>
  spawnSync(command, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options });

const works = (command, ...args) => run(command, args).status === 0;

/** Installs npm packages by the lock file. */
export function ensureModules() {
  const stamp = join(root, 'node_modules', '.package-lock.json');
  const wanted = ['vite', 'vitest', 'typescript', 'webgpu', 'onnxruntime-web', 'puppeteer-core'].every((name) =>
    existsSync(join(root, 'node_modules', name)),
  );
  if (existsSync(stamp) && wanted) return;
  say('installing npm packages (npm ci)');
  // On Windows npm is a .cmd, which only a shell starts.
  const done = run('npm', ['ci'], { stdio: 'inherit', shell: process.platform === 'win32' });
  if (done.status !== 0) throw new Error('npm ci failed; see above');
}

/** Installs the libraries of e2e/interop by their own lock file, which no other suite needs. Returns why it could not, or undefined. */
export function ensureInterop() {
  const folder = join(root, 'e2e', 'interop');
  const [wanted, there] = ['package-lock.json', join('node_modules', '.package-lock.json')].map((name) => {
    const path = join(folder, name);
    return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : {};
  });
  const all = Object.entries(wanted).every(([at, { version }]) => at === '' || there[at]?.version === version);
  if (all) return undefined;
  say('installing the libraries of e2e/interop, 270 MB (npm ci)');
  const options = { cwd: folder, shell: process.platform === 'win32' };
  const done = run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], options);
  return done.status === 0 ? undefined : `npm ci in e2e/interop failed: ${(done.stderr ?? '').trim().split('\n').slice(-3).join(' ')}`;
}

// ---------------------------------------------------------------------------------------------------------------- apt

const canApt = () => process.platform === 'linux' && process.getuid?.() === 0 && works('apt-get', '--version');

let updated = false;
function apt(packages, options = []) {
  if (!updated && options.length === 0) {
    run('apt-get', ['update']);
    updated = true;
  }
  say(`apt-get install ${packages.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const done = run('apt-get', [...options, 'install', '-y', '--no-install-recommends', ...packages], { env });
  if (done.status !== 0) say(`apt-get failed: ${done.stderr.trim().split('\n').at(-1)}`);
  return done.status === 0;
}

/** apt options that add bookworm-backports to the machine's sources, in a private folder. */
function backports() {
  const parts = '/etc/apt/sources.list.d';
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  if (!/VERSION_CODENAME=bookworm/.test(release)) return undefined;
  const own = readdirSync(parts)
    .filter((name) => name.endsWith('.sources'))
    .map((name) => readFileSync(join(parts, name), 'utf8'))
    .find((text) => /^Suites:.*\bbookworm\b/m.test(text));
  if (!own) return undefined;
  const field = (name) => own.match(new RegExp(`^${name}:\\s*(.*)$`, 'm'))?.[1];
  const folder = mkdtempSync(join(tmpdir(), 'antiquant-apt-'));
  mkdirSync(join(folder, 'parts'));
  mkdirSync(join(folder, 'lists', 'partial'), { recursive: true });
  const source = ['Types: deb', `URIs: ${field('URIs')}`, 'Suites: bookworm bookworm-updates bookworm-backports', 'Components: main'];
  if (field('Signed-By')) source.push(`Signed-By: ${field('Signed-By')}`);
  writeFileSync(join(folder, 'parts', 'all.sources'), `${source.join('\n')}\n`);
  const options = ['Dir::Etc::sourcelist=/dev/null', `Dir::Etc::sourceparts=${folder}/parts`, `Dir::State::lists=${folder}/lists`];
  const flags = options.flatMap((option) => ['-o', option]);
  if (run('apt-get', [...flags, 'update']).status !== 0) return undefined;
  return [...flags, '-t', 'bookworm-backports'];
}

// ----------------------------------------------------------------------------------------------------------- Chromium

function findChromium() {
  const fixed = [
    process.env.CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/opt/google/chrome/chrome',
  ];
  const mac = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';
  const windows = `${process.env.PROGRAMFILES}\\Google\\Chrome\\Application\\chrome.exe`;
  return [...fixed, mac, windows].find((path) => path && existsSync(path));
}

/** Path of a Chromium, or undefined with a line that says what is missing. `CHROMIUM=/path` overrides. */
export function ensureChromium() {
  const found = findChromium();
  if (found) return found;
  if (canApt()) apt(['chromium']);
  const path = findChromium();
  if (!path) say('NO CHROMIUM: install Chromium or Chrome, or set CHROMIUM=/path/to/chrome');
  return path;
}

function findFirefox() {
  const mac = '/Applications/Firefox.app/Contents/MacOS/firefox';
  const windows = `${process.env.PROGRAMFILES}\\Mozilla Firefox\\firefox.exe`;
  return [process.env.FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox', mac, windows].find((path) => path && existsSync(path));
}

/** Path of a Firefox, or undefined with a line that says what is missing. `FIREFOX=/path` overrides. */
export function ensureFirefox() {
  const found = findFirefox();
  if (found) return found;
  if (canApt()) apt(['firefox-esr']);
  const path = findFirefox();
  if (!path) say('NO FIREFOX: install Firefox, or set FIREFOX=/path/to/firefox');
  return path;
}

// --------------------------------------------------------------------------------------------------------- Vulkan, GPU

/** The description of one of Mesa's Vulkan drivers: lvp, radeon, intel. */
const driverJson = (driver) => {
  const folder = '/usr/share/vulkan/icd.d';
  const mine = (file) => file.startsWith(`${driver}_icd`) && file.endsWith('.json') && !file.includes('i686');
  const name = existsSync(folder) && readdirSync(folder).find(mine);
  return name ? join(folder, name) : undefined;
};
const lavapipeJson = () => driverJson('lvp');

const driverEnv = (json) => {
  const home = join(root, 'node_modules', '.cache', 'xdg');
  mkdirSync(home, { recursive: true });
  return { VK_DRIVER_FILES: json, VK_ICD_FILENAMES: json, XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? home };
};

/** The adapter of Dawn for Node under these variables: { vendor, architecture, description, software, features } or null. */
function probe(env) {
  const found = run(process.execPath, [join(root, 'scripts', 'adapter.mjs')], { env: { ...process.env, ...env }, timeout: 60_000 });
  try {
    return JSON.parse(found.stdout.trim().split('\n').at(-1));
  } catch {
    return null;
  }
}

/** Environment in which Dawn for Node has an adapter: the machine's GPU, or without one Mesa 25's lavapipe. */
export function ensureVulkan() {
  const own = probe({});
  if (own && !own.software) return { env: {}, adapter: own };
  const usable = (adapter) => adapter?.features.includes('shader-f16');
  let json = lavapipeJson();
  let adapter = json ? probe(driverEnv(json)) : own;
  if (!usable(adapter) && canApt()) {
    const options = backports();
    if (options) apt(['mesa-vulkan-drivers', 'libvulkan1'], options);
    else apt(['mesa-vulkan-drivers', 'libvulkan1']);
    json = lavapipeJson();
    adapter = json ? probe(driverEnv(json)) : own;
  }
  if (!usable(adapter)) say('NO ADAPTER WITH shader-f16 FOR NODE: a GPU with a Vulkan driver, or Mesa 25 (lavapipe), is missing');
  return { env: json ? driverEnv(json) : {}, adapter };
}

/**
 * A Chromium with shader-f16 for machines whose Chromium lacks it: Debian's, with lavapipe as its software adapter.
 * Returns { path } or { missing } with the missing parts.
 */
export function ensureChromiumF16(chromium) {
  const missing = [];
  const home =
    chromium && existsSync(chromium)
      ? ['/usr/lib/chromium', dirname(realpathSync(chromium))].find((p) => existsSync(join(p, 'libvk_swiftshader.so')))
      : undefined;
  if (!home) missing.push('a Chromium folder with libvk_swiftshader.so');
  if (!lavapipeJson()) missing.push('Mesa lavapipe');
  if (process.platform !== 'linux') missing.push('Linux');
  let cc = ['cc', 'gcc', 'clang'].find((name) => works(name, '--version'));
  if (!cc && canApt() && apt(['gcc', 'libc6-dev'])) cc = 'gcc';
  if (!cc) missing.push('a C compiler');
  if (missing.length > 0) return { missing };
  const folder = join(root, 'node_modules', '.cache', 'chromium-f16');
  const done = run('sh', [join(root, 'e2e', 'chromium-f16', 'build.sh'), home, folder, cc]);
  if (done.status !== 0) return { missing: [`a build of e2e/chromium-f16 that works:\n${done.stderr}`] };
  return { path: join(folder, 'chromium') };
}

/** Mesa's no-op AMD card, on which Dawn runs and has subgroup matrices. It is in Debian's mesa-drm-shim. */
function amdShim() {
  const places = [process.env.AMD_DRM_SHIM, '/usr/lib/x86_64-linux-gnu/libamdgpu_noop_drm_shim.so'];
  const find = () => places.find((path) => path && existsSync(path));
  const options = !find() && canApt() && backports();
  if (options) apt(['mesa-drm-shim'], options);
  return find();
}

/**
 * Programs for scripts/static.mjs: a C compiler, an assembler of SPIR-V, Mesa's drivers. Returns { cc, dawn, matrices, amd, intel, missing
 * }: the environment for Dawn, whether it has subgroup matrices, the environment for each vendor's driver, and each vendor's missing parts.
 */
export function ensureStatic() {
  const header = () => existsSync('/usr/include/vulkan/vulkan.h');
  const compiler = () => ['cc', 'gcc', 'clang'].find((name) => works(name, '--version'));
  const tools = () => works('spirv-as', '--version') && header() && compiler();
  if (!driverJson('radeon') || !lavapipeJson()) ensureVulkan();
  if (!tools() && canApt()) apt(['spirv-tools', 'libvulkan-dev', 'gcc', 'libc6-dev']);
  const intelShim = process.env.INTEL_DRM_SHIM;
  const noShim = intelShim ? `INTEL_DRM_SHIM=${intelShim}` : "INTEL_DRM_SHIM (path of Mesa's libintel_noop_drm_shim.so)";
  const lacks = (there, what) => (there ? [] : [what]);
  const both = [
    ...lacks(works('spirv-as', '--version'), 'spirv-as (spirv-tools)'),
    ...lacks(header(), 'vulkan.h (libvulkan-dev)'),
    ...lacks(compiler(), 'a C compiler'),
    ...lacks(lavapipeJson(), 'Mesa lavapipe'),
  ];
  const vendor = (driver, ...more) => [...both, ...lacks(driverJson(driver), `Mesa's Vulkan driver ${driver}`), ...more.flat()];
  const missing = { amd: vendor('radeon'), intel: vendor('intel', lacks(intelShim && existsSync(intelShim), noShim)) };
  const env = (driver, more = {}) => (driverJson(driver) ? { ...driverEnv(driverJson(driver)), ...more } : {});
  const shim = missing.amd.length === 0 ? amdShim() : undefined;
  const dawn = shim ? env('radeon', { AMDGPU_GPU_ID: 'navi31', LD_PRELOAD: shim }) : env('lvp');
  return {
    cc: compiler(),
    dawn,
    matrices: shim !== undefined,
    amd: env('radeon'),
    intel: env('intel', { LD_PRELOAD: intelShim }),
    missing,
  };
}

/** npm does not run install scripts everywhere; Deno's binary is in a separate package. */
export function findDeno() {
  const platform = { linux: 'linux', darwin: 'darwin', win32: 'win32' }[process.platform];
  const cpu = { x64: 'x64', arm64: 'arm64' }[process.arch];
  const libc = platform === 'linux' ? '-glibc' : '';
  const path = join(root, 'node_modules', '@deno', `${platform}-${cpu}${libc}`, platform === 'win32' ? 'deno.exe' : 'deno');
  return existsSync(path) ? path : undefined;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  ensureModules();
  const chromium = ensureChromium();
  const vulkan = ensureVulkan();
  const f16 = ensureChromiumF16(chromium);
  const version = (path) => (path ? execFileSync(path, ['--version'], { encoding: 'utf8' }).trim().split('\n')[0] : 'none');
  console.log(`chromium      ${version(chromium)}`);
  console.log(`firefox       ${version(ensureFirefox())}`);
  console.log(`chromium f16  ${f16.path ? 'built' : `not built; missing: ${f16.missing.join(', ')}`}`);
  console.log(`dawn adapter  ${vulkan.adapter ? `${vulkan.adapter.description} (${vulkan.adapter.features.join(' ')})` : 'none'}`);
  console.log(`deno          ${version(findDeno())}`);
}
