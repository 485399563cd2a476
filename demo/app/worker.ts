// The page's connection to its Worker: typed calls, and the device's state as a signal. Importing this file starts the Worker.
import { signal } from '@preact/signals';
import type { JobArgs, JobName, JobPart, JobResult } from '../worker/jobs.js';
import { type CallOptions, type DeviceState, pageEnd } from '../worker/rpc.js';
import { dismiss, notify } from './notices.js';

/** State of the GPU device. */
export const device = signal<DeviceState>({ state: 'opening' });

const end = pageEnd(new Worker(new URL('../worker/worker.ts', import.meta.url), { type: 'module', name: 'antiquant' }), {
  onMessage: (message) => {
    if (message.kind === 'device') device.value = message.device;
    else if (message.kind === 'trouble') notify({ id: message.text, kind: 'bad', text: message.text });
  },
  onFailure: (text) => notify({ id: 'worker', kind: 'bad', text: `${text}. Load the page again.` }),
});

/**
 * Runs a job in the Worker. Its types are those of the function in demo/panels/PANEL/jobs/.
 * Rejects with signal.reason when `signal` aborts, with a JobError (name, sentence and fields as thrown) when the job throws.
 */
export const call = <Name extends JobName>(
  name: Name,
  args: JobArgs<Name>,
  options: CallOptions<JobPart<Name>> = {},
): Promise<JobResult<Name>> => end.call(name, args, options as CallOptions) as Promise<JobResult<Name>>;

/** Opens the device, also again after a loss. */
export const openDevice = (): void => end.send({ kind: 'open-device' });

/** Loses the device on purpose; tests do it through `antiquantDebug`, which a page with `?debug` has. */
const destroyDevice = (): void => end.send({ kind: 'destroy-device' });
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
