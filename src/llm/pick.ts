// The choice of the next token as a dispatch, and the buffer that the host reads. Pure.
import { ArgumentError } from '../errors.js';
import { type LlmDispatch, pick, uniformsOf } from './shaders.js';

/** Where things lie in the state, in u32 (shaders/llm/pick.wgsl). A host that reads count to ring reads all it needs of up to 64 ids. */
export const STATE = {
  /** Ids that were chosen since the state was zeroed. */
  count: 0,
  /** Why the sequence has ended: FLAGS. */
  flags: 1,
  /** The last id; the embedding's ids are this one. */
  id: 2,
  /** The last 64 ids: the n-th at n % 64. */
  ring: 16,
  ringSize: 64,
  /** Ids by position. */
  list: 80,
} as const;

/** Bits of the state's flags. */
export const FLAGS = {
  /** The last id is a stop id. */
  stopped: 1,
  /** As many ids as were asked for, or as the sequence has positions. */
  full: 2,
  /** A logit is NaN: no id was chosen. */
  notANumber: 4,
} as const;

export const MOST_STOPS = 16;

/** Bytes of the state of a sequence of `context` positions, and the id that follows it. */
export const stateBytes = (context: number): number => 4 * (STATE.list + context + 1);

/** How ids are chosen. */
export interface Choosing {
  /** Ids below are words; those of the head beyond are padding. */
  readonly vocabulary: number;
  /** Positions of the sequence. */
  readonly context: number;
  /** The most ids of this sequence. */
  readonly limit: number;
  /** Ids that end it, at most 16. */
  readonly stops: readonly number[];
  /** 0: the largest logit. */
  readonly temperature: number;
  /** u32; the same seed gives the same ids at the same positions. */
  readonly seed: number;
}

/**
 * Chooses an id and moves the sequence on. Bindings: `now` the Step, as storage; `best` (value float32, id u32) of every four ids, or
 * `logits` float32; `state`.
 * @param from what is read; with a temperature always logits
 * @throws ArgumentError
 */
export function pickDispatch(
  { vocabulary, context, limit, stops, temperature, seed }: Choosing,
  from: 'best' | 'logits' = 'best',
): LlmDispatch {
  for (const [name, value] of Object.entries({ vocabulary, context, limit }))
    if (!Number.isSafeInteger(value) || value < 1) throw new ArgumentError(name, 'a whole number of at least 1', String(value));
  if (stops.length > MOST_STOPS) throw new ArgumentError('stops', `at most ${MOST_STOPS} ids`, String(stops.length));
  if (!(temperature >= 0) || temperature === Infinity)
    throw new ArgumentError('temperature', 'a number of at least 0', String(temperature));
  const inverse_temperature = temperature > 0 ? 1 / temperature : 1;
  if (!Number.isFinite(Math.fround(inverse_temperature)))
    throw new ArgumentError('temperature', '0, or one whose inverse float32 holds', String(temperature));
  const noise = temperature > 0;
  const reads = noise || from === 'logits';
  const bytes = reads ? { logits: 16 * Math.ceil(vocabulary / 4) } : { best: 16 * Math.ceil(vocabulary / 8) };
  return {
    shader: pick,
    params: { NOISE: noise ? 1 : 0, LOGITS: reads ? 1 : 0 },
    workgroups: [1, 1],
    uniforms: uniformsOf(pick, { vocabulary, limit, context, seed, inverse_temperature, stops: stops.length }, stops),
    bytes: { ...bytes, state: stateBytes(context) },
  };
}
