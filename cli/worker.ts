// A thread of pool.ts: quantizes what it is sent. The script is loaded by its address, not imported.
import { parentPort } from 'node:worker_threads';
import { ArgumentError, quantize } from '../src/formats/index.js';
import type { Answer, Task } from './pool.js';

parentPort?.on('message', ({ weights, options }: Task) => {
  const answer = (message: Answer, transfer: ArrayBuffer[] = []): void => parentPort!.postMessage(message, transfer);
  try {
    const result = quantize(weights, options);
    const { codes, scale, zeroPoint } = result.matrix;
    answer(
      { result },
      [codes, scale, zeroPoint].flatMap((array) => (array ? [array.buffer as ArrayBuffer] : [])),
    );
  } catch (error) {
    // A clone of an error is of no class.
    if (error instanceof ArgumentError) answer({ refused: [error.argument, error.expected, error.got] });
    else answer({ failed: String((error as Error).stack) });
  }
});
