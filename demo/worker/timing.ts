// Times a product by the Worker's clock, from the call until the queue is done. Browsers round clocks to 0.1 ms or more, and each time
// contains the round trip, so short products are also timed in a row with one wait.

export interface Timing {
  /** Median, in milliseconds. */
  readonly median: number;
  readonly runs: number;
  /** Milliseconds of each of `calls` submitted together, if a call is short compared with the round trip. */
  readonly inARow?: { readonly calls: number; readonly each: number };
}

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** Submits and waits: two times to warm up, then 5 to 15 times, for about half a second. */
export async function time(device: GPUDevice, submit: () => void, pause?: () => Promise<void>): Promise<Timing> {
  const times: number[] = [];
  const until = performance.now() + 500;
  for (let i = 0; i < 17 && (i < 7 || performance.now() < until); i++) {
    await pause?.();
    const begin = performance.now();
    submit();
    await device.queue.onSubmittedWorkDone();
    times.push(performance.now() - begin);
  }
  const kept = times.slice(2);
  return { median: median(kept), runs: kept.length };
}

const CALLS = 32;
export async function timeInARow(device: GPUDevice, call: () => void): Promise<NonNullable<Timing['inARow']>> {
  const each: number[] = [];
  for (let i = 0; i < 3; i++) {
    const begin = performance.now();
    for (let j = 0; j < CALLS; j++) call();
    await device.queue.onSubmittedWorkDone();
    each.push((performance.now() - begin) / CALLS);
  }
  return { calls: CALLS, each: median(each) };
}

/** Time of an empty submit: the part of every time that is not the product. */
export const roundTrip = (device: GPUDevice): Promise<Timing> =>
  time(device, () => device.queue.submit([device.createCommandEncoder().finish()]));
