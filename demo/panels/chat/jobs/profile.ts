// Where the time of a token goes, by the library's timestamps; and how fast the adapter copies, which bounds it. Both are measured when they are asked
// for: nothing of it is fetched or run before.
import type { LlmProfile } from '../../../../src/llm.js';
import type { JobContext } from '../../../worker/rpc.js';
import { alive } from './held.js';
import type { SpeakArgs } from './speak.js';

export interface ProfileArgs {
  readonly model: number;
  /** What stands before the token. */
  readonly ids: readonly number[];
  /** How the answer was asked for; its choice is the one that is timed. */
  readonly options: SpeakArgs['options'];
}

/** The times of a token behind some ids; or undefined where the adapter has no timestamps. @throws what Llm.profile throws */
export async function profile({ model, ids, options }: ProfileArgs, context: JobContext): Promise<LlmProfile | undefined> {
  const { llm, device } = await alive(model, context);
  if (!device.features.has('timestamp-query')) return undefined;
  const { maxTokens: _, sampler: __, ...how } = options;
  await llm.logits(ids);
  return llm.profile({ ...how, signal: context.signal });
}

/** Bytes a second. */
export interface Copying {
  /** Read and written by the fastest of some kernels that copy. */
  readonly rate: number;
  /** Of one buffer that was copied: what a token reads, so that caches have the same effect. */
  readonly bytes: number;
}

/** The least time of a sample: browsers round clocks, and a submit takes a part of a millisecond. */
const SAMPLE_MS = 40;
const SAMPLES = 3;
const MOST_CALLS = 4096;

/** @throws DeviceLostError */
export async function copying({ model }: { readonly model: number }, context: JobContext): Promise<Copying> {
  const { llm, device } = await alive(model, context);
  const { copies } = await import('../../../../bench/limits.js');
  const wait = async (): Promise<void> => void (await device.queue.onSubmittedWorkDone());
  const engine = { device, wait, ort: () => Promise.reject(new Error('no onnxruntime-web')), browser: true };
  const { weights, cache } = llm.explain().reads;
  const bytes = weights + cache;
  let rate = 0;
  for (const contender of copies(engine, bytes)) {
    await context.breathe();
    const run = await contender.prepare(1);
    if (typeof run === 'string') continue;
    try {
      const time = async (calls: number): Promise<number> => {
        const began = performance.now();
        await run.call(calls);
        return performance.now() - began;
      };
      await time(1); // memory is cleared at its first use
      let calls = 1;
      while (calls < MOST_CALLS && (await time(calls)) < SAMPLE_MS) calls *= 2;
      for (let i = 0; i < SAMPLES; i++) rate = Math.max(rate, (1000 * calls * run.work!) / (await time(calls)));
    } finally {
      run.free();
    }
  }
  return { rate, bytes };
}
