// Runs a suite's program: its output goes to the suite's log, with `echo` also to the terminal; its processor time is counted.
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { root } from '../setup.mjs';
import { cpuTime } from './cpu-time.mjs';

/** Runs a suite's programs one after another; `cpu()` returns the seconds of those that have ended, or undefined if unknown. */
export function programs({ log, echo }) {
  let seconds = 0;
  const say = (text) => {
    appendFileSync(log, text);
    if (echo) process.stdout.write(text);
  };
  const run = (program, args, env = {}) =>
    new Promise((resolve) => {
      const child = spawn(program, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
      const time = cpuTime(child.pid);
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text) => {
          output += text;
          say(text);
        });
      child.on('error', (error) => say(`${error.message}\n`));
      child.on('close', (status) => {
        seconds += time.stop() ?? Number.NaN;
        resolve({ status, output });
      });
    });
  return { run, node: (args, env) => run(process.execPath, args, env), cpu: () => (Number.isNaN(seconds) ? undefined : seconds) };
}
