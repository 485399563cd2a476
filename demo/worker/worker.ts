// The Worker's entry: runs jobs by name, lends them the device, and sends their messages. demo/app/worker.ts starts it.
import { holdDevice } from './device.js';
import { findJob } from './jobs.js';
import { errorMessage, Moved, type ToPage, type ToWorker } from './rpc.js';

const send = (message: ToPage, buffers: readonly Transferable[] = []): void => self.postMessage(message, { transfer: [...buffers] });
const holder = holdDevice(
  (device) => send({ kind: 'device', device }),
  (text) => send({ kind: 'trouble', text }),
);
const running = new Map<number, AbortController>();

/** Posts a task to the event loop: messages that arrived before are handled first. */
const channel = new MessageChannel();
const waiting: (() => void)[] = [];
channel.port1.onmessage = () => waiting.shift()?.();
const nextTask = (): Promise<void> =>
  new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(0);
  });

async function run(id: number, name: string, args: unknown): Promise<void> {
  const control = new AbortController();
  const { signal } = control;
  running.set(id, control);
  let lent: ReturnType<typeof holder.lend> | undefined;
  const said = (kind: 'part' | 'result', value: unknown): void =>
    value instanceof Moved ? send({ kind, id, value: value.value }, value.buffers) : send({ kind, id, value });
  try {
    const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    const work = findJob(name).then((job) =>
      job(args, {
        signal,
        progress: (fraction, text) => signal.aborted || send({ kind: 'progress', id, fraction, text }),
        part: (value) => signal.aborted || said('part', value),
        breathe: async () => {
          await nextTask();
          signal.throwIfAborted();
        },
        device: async () => (await (lent ??= holder.lend(signal, (error) => control.abort(error)))).device,
      }),
    );
    // The next job gets the device when this one has really ended, even after a cancel or a loss.
    const release = (): Promise<void> | undefined => lent?.then((got) => got.release()).catch(() => {});
    work.then(release, release);
    said('result', await Promise.race([work, aborted]));
  } catch (error) {
    send({ kind: 'error', id, error: errorMessage(error) });
  } finally {
    running.delete(id);
  }
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.kind === 'call') void run(data.id, data.name, data.args);
  else if (data.kind === 'cancel') running.get(data.id)?.abort(new DOMException('The job was cancelled', 'AbortError'));
  else if (data.kind === 'open-device')
    holder.open().catch(() => {}); // the device's state reports it
  else holder.destroy();
};
