// `npm run bench -- --llm`: the language model's table. Installs its native peer into node_modules/.cache/peers, builds bench/llm and runs it on
// Dawn, and in Chromium.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureModules, ensureVulkan, root } from '../setup.mjs';
import { inBrowser } from './llm-browser.mjs';

/** node-llama-cpp's program for this machine is a package of its own. */
const own = { linux: 'linux', darwin: 'mac', win32: 'win' }[process.platform];
const program = `@node-llama-cpp/${own}-${process.arch}${own === 'mac' && process.arch === 'arm64' ? '-metal' : ''}`;
const PEERS = { 'node-llama-cpp': '3.22.1', ...(own && { [program]: '3.22.1' }) };
const cache = join(root, 'node_modules', '.cache');
const peers = join(cache, 'peers');

/** Are the peers there? */
function ensurePeers() {
  const missing = Object.entries(PEERS).filter(([name]) => !existsSync(join(peers, 'node_modules', ...name.split('/'), 'package.json')));
  if (missing.length === 0) return true;
  mkdirSync(peers, { recursive: true });
  writeFileSync(join(peers, 'package.json'), '{ "private": true }\n');
  const words = ['install', '--prefix', peers, '--ignore-scripts', '--no-save', ...Object.entries(PEERS).map((one) => one.join('@'))];
  console.error('installs node-llama-cpp, a peer of the bench');
  return spawnSync('npm', words, { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
}

/** Does not return. */
export async function benchLlm({ rounds: given, only = '', peers: asked }) {
  ensureModules();
  const rounds = Number(given ?? 7);
  const withPeers = asked !== 'none' && ensurePeers();
  if (!withPeers && asked !== 'none') console.error('!!! no peers: they could not be installed');
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  const build = spawnSync(process.execPath, [vite, 'build', '--mode', 'bench-llm', '--logLevel', 'error'], { cwd: root, stdio: 'inherit' });
  if (build.status !== 0) process.exit(1);
  const options = { models: join(cache, 'bench-models'), rounds, only, ...(withPeers && { peers }) };
  const run = spawnSync(process.execPath, [join(cache, 'bench-llm', 'dawn.js'), JSON.stringify(options)], {
    cwd: root,
    env: { ...process.env, ...ensureVulkan().env },
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  const line = run.stdout.split('\n').find((text) => text.startsWith('{"adapter"'));
  if (!line) process.exit(run.status || 1);
  const { adapter, rows } = JSON.parse(line);
  if (withPeers && ['wllama', 'ort', 'swiftshader'].some((word) => new RegExp(only).test(word)))
    rows.push(...(await inBrowser({ ...options, cache })));
  const { tableOf } = await import(pathToFileURL(join(cache, 'bench-llm', 'rows.js')).href);
  console.log(`${adapter}, ${rounds} rounds: the median, the least and the most\n\n${tableOf(rows)}`);
  process.exit(0);
}
