#!/usr/bin/env node
// The process: arguments in, an exit code out, Ctrl-C. What commands do is in run.ts and the files that it names.
import { EXIT } from './exit.js';
import { findDevice } from './gpu.js';
import { run } from './run.js';

const controller = new AbortController();
const stop = (): void => {
  process.exitCode = EXIT.interrupted;
  controller.abort(new DOMException('stopped by a signal', 'AbortError'));
};
// Once: whoever presses Ctrl-C again does not want to wait.
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
// What was written is written; a GPU's threads would keep the process alive.
await new Promise((resolve) => process.stdout.write('', resolve));
process.exit(code);
