// The page's GPUDevice, in the Worker. It is opened at its first use, opened again after a loss, and lent to one job at a time.
import { DeviceLostError, UnsupportedError } from '../../src/errors.js';
import { capsOf, requestDevice } from '../../src/gpu/device.js';
import { formatReport } from '../../src/gpu/report.js';
import type { DeviceFacts, DeviceState } from './rpc.js';
import { roundTrip } from './timing.js';

export interface DeviceHolder {
  /** Opens the device if there is none. @throws UnsupportedError */
  open(): Promise<GPUDevice>;
  /** Waits for its turn and opens the device. Call `release` at the end of the job. `onLost` is called if the device is lost before. */
  lend(signal: AbortSignal, onLost: (error: DeviceLostError) => void): Promise<{ readonly device: GPUDevice; release(): void }>;
  /** Loses the device, for tests. */
  destroy(): void;
}

export function holdDevice(tell: (state: DeviceState) => void, trouble: (text: string) => void): DeviceHolder {
  let opened: Promise<GPUDevice> | undefined;
  let current: GPUDevice | undefined;
  let onLost: ((error: DeviceLostError) => void) | undefined;
  let facts: DeviceFacts | undefined;
  let turn: Promise<void> = Promise.resolve();

  const told = (state: DeviceState): void => {
    if (state.state === 'ready') facts = state.facts;
    tell(state);
  };
  /** Sends the report after a job, which may have added self-tests and measured choices. */
  const tellReport = (device: GPUDevice): void => {
    const report = formatReport(device);
    if (facts && device === current && report !== facts.report) told({ state: 'ready', facts: { ...facts, report } });
  };
  const open = (): Promise<GPUDevice> =>
    (opened ??= openDevice(told, trouble).then(
      (device) => {
        current = device;
        device.lost.then(({ reason, message }) => {
          if (current !== device) return;
          opened = current = undefined;
          const error = new DeviceLostError(reason, message);
          tell({ state: 'lost', reason: `${reason || 'unknown'}${message ? `: ${message.replace(/\.$/, '')}` : ''}` });
          onLost?.(error);
        });
        return device;
      },
      (error: unknown) => {
        opened = undefined;
        throw error;
      },
    ));

  return {
    open,
    lend: async (signal, lost) => {
      const before = turn;
      let release = (): void => {};
      turn = new Promise((resolve) => {
        release = () => {
          if (onLost === lost) onLost = undefined;
          resolve();
        };
      });
      await before;
      try {
        signal.throwIfAborted();
        const device = await open();
        onLost = lost;
        return {
          device,
          release: () => {
            tellReport(device);
            release();
          },
        };
      } catch (error) {
        release();
        throw error;
      }
    },
    destroy: () => current?.destroy(),
  };
}

async function openDevice(tell: (state: DeviceState) => void, trouble: (text: string) => void): Promise<GPUDevice> {
  tell({ state: 'opening' });
  try {
    const device = await requestDevice();
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      trouble(`The GPU reported an error: ${event.error.message}`);
    });
    tell({ state: 'ready', facts: await factsOf(device) });
    return device;
  } catch (error) {
    const reason = error instanceof UnsupportedError ? error.reasons.join('; ') : (error as Error).message;
    tell({ state: 'none', reason, webgpu: Boolean(navigator.gpu) });
    throw error;
  }
}

async function factsOf(device: GPUDevice): Promise<DeviceFacts> {
  const { vendor = '', architecture = '', device: name = '', description = '' } = device.adapterInfo ?? {};
  const limits: Record<string, number> = {};
  for (const key in device.limits) {
    const value = (device.limits as unknown as Record<string, unknown>)[key];
    if (typeof value === 'number') limits[key] = value;
  }
  return {
    vendor,
    architecture,
    device: name,
    description,
    features: [...device.features].sort(),
    limits,
    language: [...(navigator.gpu?.wgslLanguageFeatures ?? [])].sort(),
    caps: capsOf(device),
    roundTrip: (await roundTrip(device)).median,
    report: formatReport(device),
  };
}
