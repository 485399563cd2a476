// quantizeInWorker against quantize: with a worker made of a MessageChannel, and without one. e2e/quantize.spec.ts has a browser's.
import { expect, test } from 'vitest';
import { ArgumentError } from '../../../src/errors.js';
import { quantizeInWorker } from '../../../src/quantize/in-worker.js';
import { type Port, serve } from '../../../src/quantize/messages.js';
import type { QuantizeOptions } from '../../../src/quantize/options.js';
import { quantize } from '../../../src/quantize/quantize.js';
import { normals } from '../../support/normal-weights.js';

const [n, k] = [400, 512];
const weights = normals('worker', n * k);
const options: QuantizeOptions = { n, k, bits: 4, groupSize: 128 };

/** `serve` on the other end of a channel: messages are cloned and transferred as to a worker. */
function fakeWorker(): Worker & { readonly ended: () => boolean } {
  const { port1, port2 } = new MessageChannel();
  let ended = false;
  const worker = {
    onmessage: null as ((event: MessageEvent) => unknown) | null,
    onerror: null,
    postMessage: (message: unknown, transfer: Transferable[]) => port1.postMessage(message, transfer),
    terminate: () => {
      ended = true;
      port1.close();
    },
    ended: () => ended,
  };
  port1.onmessage = (event) => worker.onmessage?.(event);
  setTimeout(() => serve(port2 as unknown as Port));
  return worker as never;
}

test('a worker gives the same, tells how far it is, and ends', async () => {
  const worker = fakeWorker();
  const seen: number[] = [];
  const result = await quantizeInWorker(weights, options, {
    worker: () => worker,
    onProgress: ({ done, total }) => seen.push(done / total),
  });
  expect(result).toEqual(quantize(weights, options));
  expect(seen.at(-1)).toBe(1);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(worker.ended()).toBe(true);
  expect(weights.length).toBe(n * k); // a copy was sent
});

test('weights are moved where that is asked for', async () => {
  const own = weights.slice();
  const result = await quantizeInWorker(own, options, { worker: fakeWorker, transfer: true });
  expect(result.matrix).toEqual(quantize(weights, options).matrix);
  expect(own.length).toBe(0);
});

test('without a worker, others run meanwhile', async () => {
  const seen: number[] = [];
  let others = 0;
  const timer = setInterval(() => others++, 1);
  const work = quantizeInWorker(weights, { ...options, method: 'hqq' }, { onProgress: ({ done }) => seen.push(done) });
  const result = await work;
  clearInterval(timer);
  expect(result).toEqual(quantize(weights, { ...options, method: 'hqq' }));
  expect(seen.at(-1)).toBe(n);
  expect(others).toBeGreaterThan(0);
});

test('a worker that cannot start is done without', async () => {
  const broken = fakeWorker();
  const wanted = quantize(weights, options);
  const failing = () => {
    setTimeout(() => broken.onerror!({} as ErrorEvent));
    return {
      ...broken,
      set onerror(handler: never) {
        broken.onerror = handler;
      },
    } as never;
  };
  expect(await quantizeInWorker(weights, options, { worker: failing })).toEqual(wanted);
  const throwing = () => {
    throw new Error('not allowed');
  };
  expect(await quantizeInWorker(weights, options, { worker: throwing })).toEqual(wanted);
});

test.each(['a worker', 'pauses'])('errors and aborts come through %s', async (how) => {
  const worker = how === 'pauses' ? (false as const) : fakeWorker;
  const bad = weights.slice();
  bad[3 * k + 7] = Number.NaN;
  const refused = await quantizeInWorker(bad, options, { worker }).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(ArgumentError);
  expect((refused as ArgumentError).message).toBe('weights[3, 7]: expected a finite number of at most 2^126, got NaN');

  const reason = new Error('enough');
  const before = AbortSignal.abort(reason);
  await expect(quantizeInWorker(weights, options, { worker, signal: before })).rejects.toBe(reason);
  const controller = new AbortController();
  let told = 0;
  const work = quantizeInWorker(
    weights,
    { ...options, method: 'hqq' },
    {
      worker,
      signal: controller.signal,
      onProgress: () => {
        if (told++ === 0) controller.abort(reason);
      },
    },
  );
  await expect(work).rejects.toBe(reason);
});
