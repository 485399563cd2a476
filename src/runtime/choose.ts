// The ids behind a prompt: submits that are always one ahead of what the host reads.
import { GpuError } from '../errors.js';
import type { Choosing } from '../llm-kernels/pick.js';
import { FLAGS } from '../llm-kernels/state.js';
import type { Chosen, Runner } from '../sequence/runner.js';
import type { LlmStats } from './explanation.js';
import type { GeneratedId, Reason } from './options.js';

/** More tokens a submit while one takes less. */
const SHORT_MS = 30;
const MOST_TOKENS = 8;
/** Submits under way: the next is in the queue while the host reads the last. */
const AHEAD = 2;

/** What the loop tells, and asks. */
export interface Sequence {
  /** Its ids, which are in the cache. */
  readonly prompt: readonly number[];
  /** Submits that are not awaited. */
  readonly under: Promise<Chosen>[];
  readonly stats: LlmStats;
  /** Ends the wait for a sampler. */
  readonly signal?: AbortSignal | undefined;
  /** An id whose keys and values are in the cache. */
  took(id: number): void;
  /** Throws if it is to end. */
  check(): void;
}

const reasonOf = (flags: number): Reason | undefined => (flags & FLAGS.stopped ? 'stop' : flags & FLAGS.full ? 'length' : undefined);

/**
 * Chooses ids until a stop id or the limit. The last chunk of the prompt is what the runner did last.
 * @throws GpuError if a logit is NaN, UnsupportedError without memory for the cache, what `check` throws
 */
export async function* chooseIds(
  runner: Runner,
  { tokensPerSubmit, ...choosing }: Choosing & { readonly tokensPerSubmit: number | undefined },
  { prompt, under, stats, took, check }: Sequence,
): AsyncGenerator<GeneratedId, void> {
  const { limit } = choosing;
  let resolved = performance.now();
  let each = tokensPerSubmit ?? 1;
  /** Ids that were asked for, and of these the ones that were read. */
  let planned = 1;
  let seen = 0;
  /** The last id, which has no keys and values yet. */
  let last: number | undefined;
  const submit = (work: Promise<Chosen>): void => {
    work.catch(() => {}); // it is awaited, unless another fails before
    under.push(work);
    stats.submits++;
  };
  await runner.choose(choosing, prompt);
  check();
  submit(runner.first());
  for (;;) {
    while (under.length < AHEAD && planned < limit) {
      const count = Math.min(each, limit - planned);
      const end = prompt.length + planned - 1;
      await runner.reserve(end + count, end);
      check();
      submit(runner.more(count));
      planned += count;
    }
    const { count, flags, clamped, id } = await under[0]!;
    under.shift();
    check();
    const now = performance.now();
    if (tokensPerSubmit === undefined && now - resolved < SHORT_MS) each = Math.min(MOST_TOKENS, 2 * each);
    stats.clamped = clamped;
    stats.tokens += count - seen;
    stats.decodeMs += now - resolved;
    resolved = now;
    while (seen < count) {
      if (last !== undefined) took(last);
      last = id(seen++);
      const reason = seen < count ? undefined : reasonOf(flags);
      yield reason ? { id: last, reason } : { id: last };
      check();
    }
    if (flags & FLAGS.notANumber) throw new GpuError('logits', 'NaN among them');
    if (flags !== 0) return;
  }
}
