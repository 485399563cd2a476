// What a sequence submits to the queue: writes, passes and reads, and the first error of them.
import { BUFFER } from '../gpu/buffers.js';
import { assertAlive, whileAlive } from '../gpu/device.js';
import { allTaken, guarded, guardedSubmit, type Taken } from '../gpu/guard.js';
import { CANDIDATES, STATE } from '../llm-kernels/state.js';

/** Buffers that the host reads through, in turn: so many submits can be under way. */
const RING = 3;
/** What the host reads of the state: all but the list of ids by position. */
export const STATE_BYTES = 4 * STATE.list;
/** Or the candidates; and how many values no half could hold. */
const READ_BYTES = Math.max(STATE_BYTES, CANDIDATES.bytes) + 4;

const stagingName = (i: number): string => `staging ${i}`;
/** Names and descriptors of the buffers that `read` uses. */
export const STAGINGS = Array.from(
  { length: RING },
  (_, i) => [stagingName(i), { label: 'llm staging', usage: BUFFER.staging, size: READ_BYTES }] as const,
);

export type Steps = (pass: GPUComputePassEncoder) => void;

/** What tells whether the steps before have written it. */
interface Written {
  readonly written: Taken | undefined;
}

export class Submissions {
  readonly device: GPUDevice;
  /** By name. Those of a cache are replaced as it grows. */
  readonly buffers: Map<string, GPUBuffer>;
  readonly #logits: Written;
  readonly #others: readonly Written[];
  /** Rejects with the first error of what was submitted. */
  #sound: Taken = Promise.resolve();
  #next = 0;

  /**
   * @param logits which every step that is read writes
   * @param others what the rest of the steps write
   */
  constructor(device: GPUDevice, buffers: Map<string, GPUBuffer>, logits: Written, others: readonly Written[]) {
    this.device = device;
    this.buffers = buffers;
    this.#logits = logits;
    this.#others = others;
  }

  /** Errors of calls before are theirs. */
  begin(): void {
    this.#sound = Promise.resolve();
  }

  take(taken: Taken): void {
    this.#sound = allTaken(this.#sound, taken);
  }

  /** Runs `work`, which makes GPU objects; the next wait tells its errors. @param what names the work in them */
  make<T>(what: string, work: () => T): { readonly result: T; readonly errors: Taken } {
    const made = guarded(this.device, what, work);
    this.take(made.errors);
    return made;
  }

  write(name: string, data: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>, offset = 0): void {
    this.device.queue.writeBuffer(this.buffers.get(name)!, offset, data);
  }

  /** Submits what `work` encodes. @throws DeviceLostError */
  encode(what: string, work: (encoder: GPUCommandEncoder) => void): void {
    const { device } = this;
    assertAlive(device);
    const encoder = device.createCommandEncoder({ label: `antiquant ${what}` });
    work(encoder);
    this.take(guardedSubmit(device, what, () => device.queue.submit([encoder.finish()])));
  }

  /** Submits one pass, and copies behind it. @throws DeviceLostError */
  submit(steps: Steps, copies?: (encoder: GPUCommandEncoder) => void): void {
    this.encode('a language model', (encoder) => {
      const pass = encoder.beginComputePass();
      steps(pass);
      pass.end();
      copies?.(encoder);
    });
  }

  /** Submits one pass, and reads so many bytes of a buffer and the count of values that no half holds. @throws as `settled` */
  async read(steps: Steps, name: string, bytes: number): Promise<Uint32Array<ArrayBuffer>> {
    const staging = this.buffers.get(stagingName(this.#next++ % RING))!;
    this.submit(steps, (encoder) => {
      encoder.copyBufferToBuffer(this.buffers.get(name)!, 0, staging, 0, bytes);
      encoder.copyBufferToBuffer(this.buffers.get('clamped')!, 0, staging, bytes, 4);
    });
    const sound = allTaken(this.#sound, this.#logits.written);
    const mapped = staging.mapAsync(1 /* GPUMapMode.READ */);
    mapped.catch(() => {}); // what is not sound says more
    return whileAlive(this.device, allTaken(sound, mapped))
      .then(() => new Uint32Array(staging.getMappedRange().slice(0)))
      .finally(() => staging.unmap()); // whatever has happened, the next submit may use it
  }

  /**
   * Waits until the GPU has done what was submitted.
   * @throws what was wrong with it: UnsupportedError, ShaderError, GpuError, DeviceLostError
   */
  async settled(): Promise<void> {
    await whileAlive(this.device, allTaken(this.#sound, this.#logits.written, ...this.#others.map(({ written }) => written)));
    await whileAlive(this.device, this.device.queue.onSubmittedWorkDone());
  }
}
