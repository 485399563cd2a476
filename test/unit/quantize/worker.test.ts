// quantizeInWorker against quantize, with a worker made from a MessageChannel and without one. e2e/quantize.spec.ts uses a browser's
// worker.
import { expect, test, vi } from 'vitest';
import { ArgumentError } from '../../../src/errors.js';
import { quantizeInWorker } from '../../../src/quantize/in-worker.js';
import { type Port, READY, serve } from '../../../src/quantize/messages.js';
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
    onProgress: ({ phase, done, total }) => seen.push(phase === 'quantize' ? done / total : Number.NaN),
  });
  expect(result).toEqual(quantize(weights, options));
  expect(seen.at(-1)).toBe(1);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(worker.ended()).toBe(true);
  expect(weights.length).toBe(n * k); // a copy was sent
});

test('a search for scales of inputs too, which are moved back', async () => {
  const activations = { meanAbs: Float32Array.from({ length: k }, (_, i) => 1 + (i % 7)) };
  const searched = { ...options, method: 'mse', activations, inputScale: 'search' } as const;
  const own = weights.map((value, i) => value / (1 + ((i % k) % 7)));
  const want = quantize(own, searched);
  expect(want.matrix.inputScale).toHaveLength(k);
  expect(await quantizeInWorker(own, searched, { worker: fakeWorker })).toEqual(want);
  expect(await quantizeInWorker(own, searched)).toEqual({ ...want, noWorker: 'there are no Workers here' });
  const abort = new AbortController();
  const work = quantizeInWorker(own, searched, { signal: abort.signal, onProgress: ({ done }) => abort.abort(`at ${done}`) });
  await expect(work).rejects.toBe('at 0'); // while it searches
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
  expect(result).toEqual({ ...quantize(weights, { ...options, method: 'hqq' }), noWorker: 'there are no Workers here' });
  expect(seen.at(-1)).toBe(n);
  expect(others).toBeGreaterThan(0);
});

/** A Worker whose script says `first`, if anything, and then nothing. */
function strangeWorker(first: { readonly message?: unknown; readonly error?: object }) {
  const worker = {
    onmessage: null as ((event: object) => unknown) | null,
    onerror: null as ((event: object) => unknown) | null,
    postMessage: vi.fn(),
    terminate: vi.fn(),
  };
  setTimeout(() => {
    if (first.message !== undefined) worker.onmessage!({ data: first.message });
    if (first.error) worker.onerror!(first.error);
  });
  return worker;
}

test.each<[string, Parameters<typeof strangeWorker>[0], string]>([
  ['says nothing', {}, 'the worker did not say who it is within 1 s'],
  ['does not load', { error: {} }, 'the worker did not start: its script could not be loaded'],
  ['fails at once', { error: { message: 'x is not defined' } }, 'the worker did not start: x is not defined'],
  ['says something else', { message: { ready: true } }, "another script lies at the worker's address"],
  ['is ready, as others are', { message: { kind: 'ready' } }, "another script lies at the worker's address"],
  [
    'is of another version',
    { message: { ...READY, version: '9.9.9' } },
    `the worker's script is of version 9.9.9, and this is ${READY.version}`,
  ],
])('a worker whose script %s is done without, which is said', async (_, first, noWorker) => {
  const wanted = quantize(weights, options);
  const worker = strangeWorker(first);
  const begin = performance.now();
  expect(await quantizeInWorker(weights, options, { worker: () => worker as never })).toEqual({ ...wanted, noWorker });
  expect(performance.now() - begin).toBeLessThan(10_000);
  expect(worker.postMessage).not.toHaveBeenCalled(); // no script but ours sees the weights
  expect(worker.terminate).toHaveBeenCalled();
});

test('a worker that cannot be made is done without, which is said', async () => {
  const wanted = quantize(weights, options);
  const throwing = () => {
    throw new Error("Failed to construct 'Worker': origin 'null'");
  };
  const result = await quantizeInWorker(weights, options, { worker: throwing });
  expect(result).toEqual({ ...wanted, noWorker: "the worker could not be made: Failed to construct 'Worker': origin 'null'" });
  expect((await quantizeInWorker(weights, options, { worker: false })).noWorker).toBe('none was asked for');
});

test('a signal that is aborted while a worker starts', async () => {
  const reason = new Error('enough');
  const controller = new AbortController();
  const worker = strangeWorker({});
  const work = quantizeInWorker(weights, options, { worker: () => worker as never, signal: controller.signal });
  controller.abort(reason);
  await expect(work).rejects.toBe(reason);
  expect(worker.terminate).toHaveBeenCalled();
});

test('memory that cannot be moved is copied', async () => {
  const shared = new Float32Array(new SharedArrayBuffer(weights.byteLength));
  shared.set(weights);
  const result = await quantizeInWorker(shared, options, { worker: fakeWorker, transfer: true });
  expect(result).toEqual(quantize(weights, options));
  expect(shared.length).toBe(n * k);
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
