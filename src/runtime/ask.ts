// The ids behind a prompt, chosen by a function of the caller's: one readback a token.
import { GpuError } from '../errors.js';
import type { Choosing } from '../llm-kernels/pick.js';
import { countsOf, penaltyUniforms } from '../llm-kernels/sampling.js';
import { checkSampled, type Sampler } from '../llm-kernels/sampling-options.js';
import type { Runner } from '../sequence/runner.js';
import type { Sequence } from './choose.js';
import type { GeneratedId } from './options.js';

/** How often ids are in the window behind a sequence of them, as far as it has changed. */
function windowOf(ids: readonly number[], { vocabulary, context, adjusting }: Choosing) {
  if (!adjusting) return () => new Map<number, number>();
  const { window } = penaltyUniforms(adjusting, context);
  const counts = countsOf(ids, { window, length: vocabulary });
  const all = [...ids];
  return (id: number): ReadonlyMap<number, number> => {
    const gone = all[all.length - window];
    all.push(id);
    counts[id]!++;
    if (gone !== undefined) counts[gone]!--;
    return new Map([id, gone ?? id].map((of) => [of, counts[of]!]));
  };
}

/** What a function of the caller's gives, unless the signal comes before; whatever the function does then is not awaited. */
function untilAborted<T>(work: T | Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal!.reason);
    if (signal?.aborted) stop(); // by the function itself
    signal?.addEventListener('abort', stop);
    Promise.resolve(work)
      .then(resolve, reject)
      .finally(() => signal?.removeEventListener('abort', stop));
  });
}

/**
 * Asks for ids until a stop id or the limit. The last chunk of the prompt is what the runner did last.
 * @throws ArgumentError for an id that is none; GpuError if a logit is NaN, UnsupportedError without memory for the cache; what `sampler` and
 *   `check` throw
 */
export async function* askForIds(
  runner: Runner,
  { sampler, ...choosing }: Choosing & { readonly sampler: Sampler },
  { prompt, under, stats, signal, took, check }: Omit<Sequence, 'under'> & { readonly under: Promise<unknown>[] },
): AsyncGenerator<GeneratedId, void> {
  const { limit, stops, vocabulary, adjusting } = choosing;
  const counted = windowOf(prompt, choosing);
  let taken: Parameters<Runner['offered']>[0];
  await runner.offer(choosing, prompt);
  for (let count = 1; ; count++) {
    const began = performance.now();
    if (taken) await runner.reserve(taken.position + 1, taken.position);
    check();
    const work = runner.offered(taken);
    work.catch(() => {}); // it is awaited
    under.push(work);
    stats.submits++;
    const { candidates, clamped } = await work;
    under.length = 0;
    if (taken) took(taken.id);
    check();
    stats.clamped = clamped;
    if (!candidates) throw new GpuError('logits', 'NaN among them');
    const id = checkSampled(await untilAborted(sampler(candidates), signal), vocabulary, adjusting);
    check();
    stats.tokens++;
    stats.decodeMs += performance.now() - began;
    const reason = stops.includes(id) ? 'stop' : count === limit ? 'length' : undefined;
    yield reason ? { id, reason } : { id };
    check();
    if (reason) return;
    taken = { id, position: prompt.length + count - 1, counts: counted(id) };
  }
}
