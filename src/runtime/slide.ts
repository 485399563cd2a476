// What stays of a sequence that has no more room: its first ids, and the last half of the others. They are then a sequence of their own, which is
// computed anew: what is chosen behind them is what a sequence that never was longer would choose.
import { ArgumentError } from '../errors.js';

/** What is to be done where the context is full: the answer ends there, or the sequence slides. */
export type Overflow = 'end' | 'slide';

/** What a call does where the context is full. */
export interface SlideOptions {
  /**
   * Where the context is full. end, the default: the answer ends with the reason `length`, and a prompt that is longer is refused. slide: the first
   * `keep` ids stay, and the last half of the others; they are computed anew, and the answer goes on behind them up to `maxTokens`.
   */
  readonly overflow?: Overflow | undefined;
  /**
   * Ids from the first on that stay when the sequence slides, at most `context` - 2. Default: 0; of `chat`: those of the leading system messages, if the
   * template takes these alone.
   */
  readonly keep?: number | undefined;
}

/** How a sequence slides. */
export interface Slide {
  readonly keep: number;
  readonly context: number;
}

/** Undefined: it does not. @throws ArgumentError */
export function slideOf({ overflow = 'end', keep }: SlideOptions, context: number): Slide | undefined {
  if (overflow === 'end' && keep !== undefined) throw new ArgumentError('keep', "none without overflow: 'slide'", String(keep));
  if (overflow === 'end') return undefined;
  if (context < 2 || (keep ?? 0) > context - 2)
    throw new ArgumentError('keep', `at most ${context - 2}: the context is ${context}`, String(keep ?? 0));
  return { keep: keep ?? 0, context };
}

/** The ids that stay of more than there is room for: at least one behind those that are kept, so that the next has a place. */
export function slid(ids: readonly number[], { keep, context }: Slide): readonly number[] {
  if (ids.length <= context) return ids;
  return [...ids.slice(0, keep), ...ids.slice(-Math.floor((context - keep) / 2))];
}
