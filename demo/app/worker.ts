// The page's connection to its Worker: typed calls, and the device's state as a signal. Importing this file starts the Worker.
import { signal } from '@preact/signals';
import type { JobArgs, JobName, JobPart, JobResult } from '../worker/jobs.js';
import { type CallOptions, type DeviceState, type PageEnd, pageEnd } from '../worker/rpc.js';
import { dismiss, notify } from './notices.js';
import { startWasmWorker, startWorker } from './start-worker.js';

/** State of the GPU device. */
export const device = signal<DeviceState>({ state: 'opening' });

const endOf = (worker: Worker, onDevice: (state: DeviceState) => void): PageEnd =>
  pageEnd(worker, {
    onMessage: (message) => {
      if (message.kind === 'device') onDevice(message.device);
      else if (message.kind === 'trouble') notify({ id: message.text, kind: 'bad', text: message.text });
    },
    onFailure: (text) => notify({ id: 'worker', kind: 'bad', text: `${text}. Load the page again.` }),
  });
const end = endOf(startWorker(), (state) => {
  device.value = state;
});

/** The Worker that may compile WebAssembly. It has a device of its own, and the page's waits while it works. */
let wasm: Promise<PageEnd> | undefined;
const wasmEnd = (): Promise<PageEnd> =>
  (wasm ??= startWasmWorker().then(
    (worker) => endOf(worker, () => {}),
    (error: unknown) => {
      wasm = undefined;
      throw error;
    },
  ));

async function callWithWasm(name: string, args: unknown, options: CallOptions): Promise<unknown> {
  const held = new AbortController();
  const other = await wasmEnd();
  const choices = await end.call('bench.choices', undefined, { signal: options.signal });
  const holding = end.call('bench.hold', undefined, { signal: held.signal });
  holding.catch(() => {}); // it ends with the call
  try {
    return await other.call(name, { ...(args as object), choices }, options);
  } finally {
    held.abort();
  }
}

/**
 * Runs a job in the Worker. Its types are those of the function in demo/panels/PANEL/jobs/.
 * Rejects with signal.reason when `signal` aborts, with a JobError (name, sentence and fields as thrown) when the job throws.
 */
export const call = <Name extends JobName>(
  name: Name,
  args: JobArgs<Name>,
  options: CallOptions<JobPart<Name>> = {},
): Promise<JobResult<Name>> =>
  (needsWasm(name, args) ? callWithWasm : end.call)(name, args, options as CallOptions) as Promise<JobResult<Name>>;

/** Does a peer of WebAssembly take part? */
const needsWasm = (name: JobName, args: unknown): boolean =>
  (name === 'bench.run' && (args as JobArgs<'bench.run'>).settings.peers.length > 0) ||
  (name === 'bench.llm' && (args as JobArgs<'bench.llm'>).peers.length > 0);

/** Opens the device, also again after a loss. */
export const openDevice = (): void => end.send({ kind: 'open-device' });

/** Loses the device on purpose; tests do it through `antiquantDebug`, which a page with `?debug` has. */
const destroyDevice = (): void => {
  end.send({ kind: 'destroy-device' });
  void wasm?.then((other) => other.send({ kind: 'destroy-device' }));
};
if (new URLSearchParams(location.search).has('debug')) Object.assign(globalThis, { antiquantDebug: { destroyDevice, call: end.call } });

device.subscribe((now) => {
  if (now.state !== 'lost') return dismiss('device');
  notify({
    id: 'device',
    kind: 'warn',
    text: `The GPU device was lost (${now.reason}). Results that are already shown stay valid; the next run opens the device again.`,
    action: { label: 'Reopen the device', run: openDevice },
  });
});
openDevice();
