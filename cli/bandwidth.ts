// How fast a GPU copies its own memory: the bound of every product with one row, which reads all weights once.

/** Bytes of a copy: more than caches hold. */
const BYTES = 128 * 2 ** 20;
const COPIES = 4;
const ROUNDS = 5;

const COPY_SRC = 4;
const COPY_DST = 8;

/** Bytes copied in a second: each is read once and written once. The fastest of some rounds. */
export async function copyBandwidth(device: GPUDevice, signal: AbortSignal): Promise<number> {
  const size = Math.min(BYTES, Math.floor(device.limits.maxBufferSize / 4) * 4);
  const buffers = [0, 1].map(() => device.createBuffer({ label: 'antiquant doctor', size, usage: COPY_SRC | COPY_DST }));
  const [from, to] = buffers as [GPUBuffer, GPUBuffer];
  const round = async (copies: number): Promise<number> => {
    const encoder = device.createCommandEncoder();
    for (let i = 0; i < copies; i++) encoder.copyBufferToBuffer(i % 2 === 0 ? from : to, 0, i % 2 === 0 ? to : from, 0, size);
    const commands = encoder.finish();
    const began = performance.now();
    device.queue.submit([commands]);
    await device.queue.onSubmittedWorkDone();
    return (performance.now() - began) / 1000;
  };
  try {
    await round(1); // memory is made and cleared at its first use
    let best = 0;
    for (let i = 0; i < ROUNDS; i++) {
      signal.throwIfAborted();
      // The time of no copy is that of a submit, and is taken off.
      const empty = await round(0);
      const seconds = Math.max(await round(COPIES), 1e-9);
      best = Math.max(best, (COPIES * size) / Math.max(seconds - empty, seconds / 2));
    }
    return best;
  } finally {
    for (const buffer of buffers) buffer.destroy();
  }
}
