// Builds this tree, and for against.mjs a commit beside it; runs a program that measures in Dawn.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ensureModules, ensureVulkan, root } from '../setup.mjs';

const git = (...words) => execFileSync('git', words, { cwd: root, encoding: 'utf8' }).trim();

function build(folder) {
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  const done = spawnSync(process.execPath, [vite, 'build', '--logLevel', 'error'], { cwd: folder, stdio: 'inherit' });
  if (done.status !== 0) process.exit(1);
  return join(folder, 'dist');
}

/** Does not return. @param commit whatever git calls one */
export async function compare(commit, { only, rounds, kernel }) {
  ensureModules();
  const { env } = ensureVulkan();
  const name = git('rev-parse', '--short', commit);
  const folder = join(root, 'node_modules', '.cache', 'against', name);
  if (!existsSync(folder)) git('worktree', 'add', '--detach', folder, name);
  if (!existsSync(join(folder, 'node_modules'))) symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const there = existsSync(join(folder, 'dist', 'index.js')) ? join(folder, 'dist') : build(folder);
  const options = {
    here: build(root),
    there,
    ...(only && { only }),
    ...(rounds && { rounds: Number(rounds) }),
    ...(kernel && { kernel, rows: [1] }),
  };
  console.log(`this tree against ${name}\n`);
  run('against.mjs', { options, env });
}

/** Does not return. */
export function compareExperts({ rounds }) {
  ensureModules();
  const { env } = ensureVulkan();
  run('experts.mjs', { options: { here: build(root), ...(rounds && { rounds: Number(rounds) }) }, env });
}

function run(name, { options, env }) {
  const program = join(root, 'scripts', 'bench', name);
  const done = spawnSync(process.execPath, [program, JSON.stringify(options)], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  process.exit(done.status ?? 1);
}
