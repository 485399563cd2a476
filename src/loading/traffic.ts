// The bytes of a load on their way, counted where they change: in the loader's hands, and in flight to the GPU. A load sends no more than
// the limit at once.
import { assertAlive, whileAlive } from '../gpu/device.js';

/** Bytes. */
export interface Limits {
  /** Of a piece of the file, and of what it becomes. */
  readonly piece: number;
  /** That the GPU has not taken. */
  readonly inFlight: number;
}

/** A load holds the first pieces of four layers, and one piece as it is read and imported: at most 64 MiB. */
export const LIMITS: Limits = { piece: 2 ** 23, inFlight: 2 ** 25 };

export class Traffic {
  readonly device: GPUDevice;
  readonly limits: Limits;
  /** Bytes of the file that were read and not imported, and of matrices that were not sent. */
  hands = 0;
  mostInHands = 0;
  /** Bytes that were sent and that the GPU has not taken. */
  inFlight = 0;
  mostInFlight = 0;
  readonly #sent: Promise<void>[] = [];
  readonly #watched: Promise<unknown>[] = [];
  #fault: { readonly error: unknown } | undefined;
  #closed = false;

  constructor(device: GPUDevice, limits: Limits = LIMITS) {
    this.device = device;
    this.limits = limits;
  }

  take(bytes: number): void {
    this.hands += bytes;
    this.mostInHands = Math.max(this.mostInHands, this.hands);
  }

  drop(bytes: number): void {
    this.hands -= bytes;
  }

  /** Waits until so many bytes may be sent. One piece that is larger than the limit goes alone. */
  async room(bytes: number): Promise<void> {
    while (this.#sent.length > 0 && this.inFlight + bytes > this.limits.inFlight) await this.#sent[0];
    await this.check();
  }

  /** Runs `work`, which sends `bytes`, when there is room for them. `taken` runs when the GPU has them. */
  async send(bytes: number, work: () => void, taken?: () => void): Promise<void> {
    await this.room(bytes);
    work();
    this.#fly(bytes);
    this.land(bytes, taken);
  }

  /** Waits until there is room, and keeps it until `land`. */
  async reserve(bytes: number): Promise<void> {
    await this.room(bytes);
    this.#fly(bytes);
  }

  /** These bytes are no longer in flight when the GPU has done what was submitted. */
  land(bytes: number, taken = (): void => {}): void {
    const { queue } = this.device;
    const settled = queue.onSubmittedWorkDone().catch(() => {}); // of a lost device: `check` says so
    const done = settled.then(() => {
      this.inFlight -= bytes;
      this.#sent.shift(); // the queue answers in order
      if (!this.#closed) taken();
    });
    this.#sent.push(done.catch((error) => this.#fail(error)));
  }

  /** The load fails with `errors`, at its next step or at the end. */
  watch(errors: Promise<unknown>): void {
    errors.catch((error) => this.#fail(error));
    this.#watched.push(errors);
  }

  /** Resolves when all that is watched has. */
  async sound(): Promise<void> {
    await Promise.all(this.#watched);
    await this.check(); // a callback may have thrown
  }

  /** @throws what went wrong on the GPU; DeviceLostError */
  async check(): Promise<void> {
    assertAlive(this.device);
    if (this.#fault) await whileAlive(this.device, Promise.reject(this.#fault.error));
  }

  /** Resolves when nothing is in flight. */
  async idle(): Promise<void> {
    await Promise.all(this.#sent);
  }

  /** From here on nothing is told. */
  close(): void {
    this.#closed = true;
  }

  #fly(bytes: number): void {
    this.inFlight += bytes;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
  }

  #fail(error: unknown): void {
    this.#fault ??= { error };
  }
}
