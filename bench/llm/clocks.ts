// What is measured beside wall time, since a software adapter computes on the cores that its peers compute on.
import { readFileSync } from 'node:fs';

/** Milliseconds of CPU of this process, all threads. */
export const processCpu = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** Milliseconds of CPU of this thread, where JavaScript runs; undefined where the system does not tell. */
export function threadCpu(): number | undefined {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  } catch {
    return undefined;
  }
}

/**
 * Dawn for Node polls in every turn of the event loop, which takes a core from a software adapter. Until the returned function is called, every
 * turn waits a quarter of a millisecond.
 */
export function calm(): () => void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  let on = true;
  const turn = (): void => {
    if (!on) return;
    Atomics.wait(cell, 0, 0, 0.25);
    setImmediate(turn);
  };
  setImmediate(turn);
  return () => {
    on = false;
  };
}

/** Wall and CPU milliseconds. */
export interface Cost {
  readonly wall: number;
  readonly cpu: number;
}

export async function cost(run: () => Promise<unknown>, each = 1): Promise<Cost> {
  const [wall, cpu] = [performance.now(), processCpu()];
  await run();
  return { wall: (performance.now() - wall) / each, cpu: (processCpu() - cpu) / each };
}

export function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted.length % 2 ? sorted[sorted.length >> 1]! : (sorted[sorted.length / 2 - 1]! + sorted[sorted.length / 2]!) / 2;
}

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}
export const spread = (list: readonly number[]): Spread => ({ median: median(list), least: Math.min(...list), most: Math.max(...list) });
