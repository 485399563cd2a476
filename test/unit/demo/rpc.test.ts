// The page's end of the connection to the Worker: results, progress, errors with fields, cancelling, and a Worker that fails.
import { expect, test } from 'vitest';
import { errorMessage, JobError, pageEnd, type ToPage, type ToWorker } from '../../../demo/worker/rpc.js';
import { ArgumentError } from '../../../src/errors.js';

function line() {
  const sent: ToWorker[] = [];
  const others: ToPage[] = [];
  const failures: string[] = [];
  const worker = { postMessage: (message: ToWorker) => sent.push(message) } as unknown as Worker;
  const end = pageEnd(worker, { onMessage: (message) => others.push(message), onFailure: (text) => failures.push(text) });
  const receive = (data: ToPage): void => worker.onmessage!.call(worker, { data } as MessageEvent);
  return { sent, others, failures, worker, end, receive };
}

test('a call gets its progress, its parts and its result, and no other’s', async () => {
  const { end, sent, receive, others } = line();
  const seen: unknown[] = [];
  const one = end.call('a.b', 1, { onProgress: (fraction, text) => seen.push([fraction, text]), onPart: (part) => seen.push(part) });
  const two = end.call('a.c', 2);
  expect(sent).toEqual([
    { kind: 'call', id: 1, name: 'a.b', args: 1 },
    { kind: 'call', id: 2, name: 'a.c', args: 2 },
  ]);
  receive({ kind: 'progress', id: 2, fraction: 0, text: 'other' });
  receive({ kind: 'progress', id: 1, fraction: 0.5, text: 'half' });
  receive({ kind: 'part', id: 1, value: 'part' });
  receive({ kind: 'result', id: 2, value: 'two' });
  receive({ kind: 'device', device: { state: 'opening' } });
  receive({ kind: 'result', id: 1, value: 'one' });
  expect(await Promise.all([one, two])).toEqual(['one', 'two']);
  expect(seen).toEqual([[0.5, 'half'], 'part']);
  expect(others).toHaveLength(1);
});

test('an error comes back with its name, its sentence and its fields', async () => {
  const { end, receive } = line();
  const call = end.call('a.b', 1);
  receive({ kind: 'error', id: 1, error: errorMessage(new ArgumentError('x', 'a', 'b')) });
  const error = (await call.catch((thrown: unknown) => thrown)) as JobError;
  expect(error).toBeInstanceOf(JobError);
  expect(error.name).toBe('ArgumentError');
  expect(error.message).toBe('x: expected a, got b');
  expect(error.fields).toEqual({ argument: 'x', expected: 'a', got: 'b', errorCode: 'ANTIQUANT_ARGUMENT' });
  expect(errorMessage(Object.assign(new Error('no'), { keep: 1, drop: () => 1 })).fields).toEqual({ keep: 1 });
  expect(errorMessage('text')).toEqual({ name: 'Error', message: 'text', fields: {} });
});

test('a cancelled call rejects at once, tells the Worker once, and ignores what comes after', async () => {
  const { end, sent, receive } = line();
  const control = new AbortController();
  const call = end.call('a.b', 1, { signal: control.signal });
  control.abort(new DOMException('no more', 'AbortError'));
  await expect(call).rejects.toThrow('no more');
  receive({ kind: 'result', id: 1, value: 'late' });
  expect(sent.filter(({ kind }) => kind === 'cancel')).toEqual([{ kind: 'cancel', id: 1 }]);
  await expect(end.call('a.b', 1, { signal: control.signal })).rejects.toThrow('no more');
  expect(sent).toHaveLength(2);
});

test('a call that has ended is not cancelled', async () => {
  const { end, sent, receive } = line();
  const control = new AbortController();
  const call = end.call('a.b', 1, { signal: control.signal });
  receive({ kind: 'result', id: 1, value: 1 });
  await call;
  control.abort();
  expect(sent.map(({ kind }) => kind)).toEqual(['call']);
});

test('a Worker that fails rejects every call with a sentence', async () => {
  const { end, worker, failures } = line();
  const calls = [end.call('a.b', 1), end.call('a.b', 2)];
  worker.onerror!.call(worker, { message: 'boom', preventDefault() {} } as ErrorEvent);
  for (const call of calls) await expect(call).rejects.toThrow('failed: boom');
  expect(failures).toHaveLength(1);
});
