// Times the candidates for one problem on the layer's weights, in turn, round by round, within a budget.

import { BYTES, encode16, wholeWords } from '../dtype.js';
import { ShaderError } from '../errors.js';
import { BUFFER, makeBuffer } from '../gpu/buffers.js';
import { whileAlive } from '../gpu/device.js';
import { findingsOf } from '../gpu/device-findings.js';
import { allTaken, guarded } from '../gpu/guard.js';
import { preparePipelines } from '../gpu/pipeline.js';
import { type Recording, record } from '../gpu/recording.js';
import { scratch } from '../gpu/scratch.js';
import { selfTest } from '../gpu/self-test.js';
import { variantId } from '../kernels/kernel.js';
import type { Tuned } from '../plan/findings.js';
import type { PlanContext } from '../plan/plan.js';
import type { Problem } from '../problem/problem.js';
import { type Candidate, candidates } from './candidates.js';
import { decide, LEAST_ROUNDS, survivors } from './decide.js';
import { makeStopwatch, type Stopwatch } from './stopwatch.js';

export interface Job extends PlanContext {
  /** The layer's packed weights, by role. */
  readonly buffers: ReadonlyMap<string, GPUBuffer>;
  /** Milliseconds for measuring, compiling not counted. The search ends after COMPILING budgets, compiling included. */
  readonly budgetMs: number;
}
const COMPILING = 20;
/** Candidates compiled at once. */
const BATCH = 4;
/**
 * Least milliseconds of a sample; it repeats the work to reach them. Browsers round timestamps to 0.1 ms, and a submit costs time.
 */
const SAMPLE = 5;
const MOST_EXECUTIONS = 64;
const MOST_ROUNDS = 9;

/** An x of noise, since some devices are faster on zeros. */
function makeX(device: GPUDevice, { m, weights: { k }, xDtype }: Problem): GPUBuffer {
  const bytes = new Uint8Array(wholeWords(m * k * BYTES[xDtype]));
  const noise = Float32Array.from({ length: 4096 }, (_, i) => (((i * 7919) % 4001) - 2000) / 1000);
  const block = new Uint8Array((xDtype === 'float32' ? noise : encode16(noise, xDtype)).buffer);
  for (let at = 0; at < bytes.length; at += block.length) bytes.set(block.subarray(0, bytes.length - at), at);
  return makeBuffer(device, { label: 'tuning x', usage: BUFFER.scratch, data: bytes });
}

interface Runner {
  readonly candidate: Candidate;
  readonly recording: Recording;
  /** Executions in a sample. */
  readonly count: number;
  /** Milliseconds of the last sample, submit and wait included. */
  cost: number;
}

/**
 * The fastest kernel and tile on this device, or the planner's choice if none is clearly faster; undefined if none works.
 * @throws UnsupportedError if there is no memory to measure with, DeviceLostError
 */
export async function measure(device: GPUDevice, job: Job): Promise<Tuned | undefined> {
  const { problem, buffers } = job;
  const { m, weights, yDtype } = problem;
  const { result: x, errors: xErrors } = guarded(device, 'tuning', () => makeX(device, problem));
  const { result: y, errors: yErrors } = guarded(device, 'tuning', () => {
    return makeBuffer(device, { label: 'tuning y', usage: BUFFER.scratch, size: wholeWords(m * weights.n * BYTES[yDtype]) });
  });
  const find = (plan: Candidate['plan']) => (role: string) =>
    role === 'x' ? x : role === 'y' ? y : (buffers.get(role) ?? scratch(device, role, plan.scratch[role]!).buffer);
  const runners: Runner[] = [];
  const times: number[][] = []; // of an execution, by runner and round
  const started = performance.now();
  let used = 0;
  let watch: Stopwatch | undefined;
  const spend = async <T>(work: Promise<T>): Promise<{ readonly result: T; readonly cost: number }> => {
    const begin = performance.now();
    const result = await work;
    const cost = performance.now() - begin;
    used += cost;
    return { result, cost };
  };
  const costs = (active: readonly number[]): number => active.reduce((sum, index) => sum + runners[index]!.cost, 0);
  try {
    await allTaken(xErrors, yErrors);
    const waiting = candidates(job, findingsOf(device));
    // Compile and test some, and run each once to warm it up, until the budget is half used or the compiler took too long.
    while (
      waiting.length > 0 &&
      (runners.length === 0 || (used < job.budgetMs / 2 && performance.now() - started < COMPILING * job.budgetMs))
    ) {
      const batch = await usable(device, waiting.splice(0, BATCH));
      await whileAlive(device, device.queue.onSubmittedWorkDone()); // earlier work is not on the budget
      for (const candidate of batch) {
        if (used >= job.budgetMs) break;
        const recording = record(device, candidate.plan.dispatches, find(candidate.plan));
        watch ??= (await spend(makeStopwatch(device, recording))).result;
        const first = await spend(watch.time(recording, 1));
        const count = Math.max(1, Math.min(MOST_EXECUTIONS, Math.ceil(SAMPLE / first.result)));
        runners.push({ candidate, recording, count, cost: first.cost + (count - 1) * first.result });
        times.push([]);
      }
    }
    let active = runners.map((_, index) => index);
    for (let round = 0; round < MOST_ROUNDS && used + costs(active) <= job.budgetMs; round++) {
      // Back and forth, so that no candidate always follows the same one.
      for (const index of round % 2 === 0 ? active : [...active].reverse()) {
        const runner = runners[index]!;
        const { result, cost } = await spend(watch!.time(runner.recording, runner.count));
        times[index]!.push(result / runner.count);
        runner.cost = cost;
      }
      active = survivors(times, active);
      if (active.length === 1 && round + 1 >= LEAST_ROUNDS) break;
    }
    if (runners.length === 0) return undefined;
    const won = decide(times);
    const { candidate } = runners[won?.index ?? 0]!;
    return {
      kernel: candidate.kernel,
      tile: candidate.tile,
      ratio: won?.ratio ?? 1,
      candidates: runners.length,
      date: new Date().toISOString().slice(0, 10),
      ...((!won || waiting.length > 0) && { short: job.budgetMs }),
    };
  } finally {
    for (const { recording } of runners) recording.uniforms.destroy();
    watch?.destroy();
    x.destroy();
    y.destroy();
  }
}

/** The candidates that compile and pass their self-test. */
async function usable(device: GPUDevice, some: readonly Candidate[]): Promise<Candidate[]> {
  const compiled = some.map(({ plan }) =>
    preparePipelines(device, plan.dispatches).catch((error) => {
      if (!(error instanceof ShaderError)) throw error;
    }),
  );
  await Promise.all(compiled);
  await selfTest(
    device,
    some.map(({ plan }) => plan),
  );
  const { disabled } = findingsOf(device);
  return some.filter(({ plan }) => !disabled.has(variantId(plan.kernel, plan.params)));
}
