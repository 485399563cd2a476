#!/usr/bin/env node
// The process: passes arguments to run.ts, handles Ctrl-C, and sets the exit code.
import { EXIT } from './exit.js';
import { findDevice } from './gpu.js';
import { run } from './run.js';

const controller = new AbortController();
const stop = (): void => {
  process.exitCode = EXIT.interrupted;
  controller.abort(new DOMException('stopped by a signal', 'AbortError'));
};
// Handled once: a second Ctrl-C ends the process at once.
process.once('SIGINT', stop);
process.once('SIGTERM', stop);
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.fine); // as in `antiquant inspect FILE | head`
  throw error;
});

const code = await run(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  columns: process.stdout.columns ?? 80,
  live: process.stderr.isTTY === true,
  signal: controller.signal,
  findDevice,
});
// All output is written; a GPU's threads would keep the process alive.
await new Promise((resolve) => process.stdout.write('', resolve));
process.exit(code);
