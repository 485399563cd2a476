// How long work takes on a device: by its own timestamps where it has them and they agree with the clock, else by the clock.
import { UnsupportedError } from '../errors.js';
import { BUFFER, makeBuffer, USAGE } from '../gpu/buffers.js';
import { whileAlive } from '../gpu/device.js';
import { guarded } from '../gpu/guard.js';
import { encodeInto, type Recording } from '../gpu/recording.js';

export interface Stopwatch {
  readonly by: 'timestamps' | 'clock';
  /** Milliseconds that `times` executions took. */
  time(recording: Recording, times: number): Promise<number>;
  destroy(): void;
}

interface Clock {
  readonly set: GPUQuerySet;
  readonly resolved: GPUBuffer;
  readonly staging: GPUBuffer;
}

function makeClock(device: GPUDevice): Clock | undefined {
  if (!device.features.has('timestamp-query')) return undefined;
  return {
    set: device.createQuerySet({ label: 'antiquant stopwatch', type: 'timestamp', count: 2 }),
    resolved: makeBuffer(device, { label: 'stopwatch', size: 16, usage: USAGE.QUERY_RESOLVE | USAGE.COPY_SRC }),
    staging: makeBuffer(device, { label: 'stopwatch', size: 16, usage: BUFFER.staging }),
  };
}

/** Runs `times` executions; milliseconds by the clock, and by timestamps where there are any. */
async function run(device: GPUDevice, clock: Clock | undefined, recording: Recording, times: number): Promise<readonly [number, number]> {
  device.pushErrorScope('validation');
  const encoder = device.createCommandEncoder({ label: 'antiquant stopwatch' });
  const timestampWrites = clock && { querySet: clock.set, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
  const pass = encoder.beginComputePass({ label: 'antiquant stopwatch', ...(timestampWrites && { timestampWrites }) });
  for (let i = 0; i < times; i++) encodeInto(pass, recording);
  pass.end();
  if (clock) {
    encoder.resolveQuerySet(clock.set, 0, 2, clock.resolved, 0);
    encoder.copyBufferToBuffer(clock.resolved, 0, clock.staging, 0, 16);
  }
  const commands = encoder.finish();
  const begin = performance.now();
  device.queue.submit([commands]);
  const done = clock ? clock.staging.mapAsync(1 /* GPUMapMode.READ */) : device.queue.onSubmittedWorkDone();
  const scope = device.popErrorScope();
  await whileAlive(device, done);
  const wall = performance.now() - begin;
  const invalid = await scope;
  if (invalid) throw new UnsupportedError('tuning', [`the device refuses: ${invalid.message}`]); // e.g. the layer was destroyed meanwhile
  if (!clock) return [wall, Number.NaN];
  const [first, last] = new BigInt64Array(clock.staging.getMappedRange());
  const own = Number(last! - first!) / 1e6;
  clock.staging.unmap();
  return [wall, own];
}

/** Timestamps may not claim more than the clock saw, nor nothing. */
const sane = (wall: number, own: number): boolean => own > 0 && own <= 1.02 * wall + 0.1;

/** @param example work to try the timestamps on; what it first costs (a lazy compiler, fresh memory) is paid here */
export async function makeStopwatch(device: GPUDevice, example: Recording): Promise<Stopwatch> {
  const { result: clock, errors } = guarded(device, 'tuning', () => makeClock(device));
  await errors;
  const [wall, own] = await run(device, clock, example, 1);
  const by = clock && sane(wall, own) ? 'timestamps' : 'clock';
  return {
    by,
    async time(recording, times) {
      const [wall, own] = await run(device, by === 'timestamps' ? clock : undefined, recording, times);
      return by === 'timestamps' && sane(wall, own) ? own : wall;
    },
    destroy() {
      clock?.set.destroy();
      clock?.resolved.destroy();
      clock?.staging.destroy();
    },
  };
}
