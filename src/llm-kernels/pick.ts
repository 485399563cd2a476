// The choice of the next token as a dispatch. Pure.
import { ArgumentError } from '../errors.js';
import { checkWhole, quadBytes } from './checks.js';
import { type Adjusting, type Cut, cuts, cutUniforms, penaltyUniforms } from './sampling.js';
import { candidates, type LlmDispatch, pick, uniformsOf } from './shaders.js';
import { CANDIDATES, MOST_CANDIDATES, MOST_STOPS, stateBytes } from './state.js';

/** How ids are chosen. */
export interface Choosing extends Cut {
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
  /** What changes the logits before. */
  readonly adjusting?: Adjusting | undefined;
}

/** What is bound where logits are changed. */
const adjustBytes = (vocabulary: number, adjusting: Adjusting | undefined): Readonly<Record<string, number>> =>
  adjusting ? { bias: quadBytes(vocabulary), counts: quadBytes(vocabulary) } : {};

/** @throws ArgumentError */
function checkChoosing({ vocabulary, context, limit, stops, temperature }: Choosing): void {
  for (const [name, value] of Object.entries({ vocabulary, context, limit })) checkWhole(name, value);
  if (stops.length > MOST_STOPS) throw new ArgumentError('stops', `at most ${MOST_STOPS} ids`, String(stops.length));
  if (!(temperature >= 0) || temperature === Infinity)
    throw new ArgumentError('temperature', 'a number of at least 0', String(temperature));
  if (temperature > 0 && !Number.isFinite(Math.fround(1 / temperature)))
    throw new ArgumentError('temperature', '0, or one whose inverse float32 holds', String(temperature));
}

/**
 * Chooses an id and moves the sequence on. Bindings: `now` the Step, as storage; `best` (value float32, id u32) of every four ids, or
 * `logits` float32; `state`; `bias` float32 and `counts` u32 of each id where logits are changed.
 * @param from what is read; with a temperature, or where logits are changed, always logits
 * @throws ArgumentError
 */
export function pickDispatch(how: Choosing, from: 'best' | 'logits' = 'best'): LlmDispatch {
  checkChoosing(how);
  const { vocabulary, context, limit, stops, temperature, seed, adjusting } = how;
  const noise = temperature > 0;
  const reads = noise || adjusting !== undefined || from === 'logits';
  const bytes = reads ? { logits: quadBytes(vocabulary) } : { best: 16 * Math.ceil(vocabulary / 8) };
  const values = {
    ...{ vocabulary, limit, context, seed, inverse_temperature: noise ? 1 / temperature : 1, stops: stops.length },
    ...penaltyUniforms(adjusting ?? {}, context),
    ...cutUniforms(how, { vocabulary, temperature: noise ? temperature : 1 }),
  };
  const params = { NOISE: noise, LOGITS: reads, ADJUST: adjusting !== undefined, CUT: noise && cuts(how, vocabulary) };
  return {
    shader: pick,
    params: Object.fromEntries(Object.entries(params).map(([name, is]) => [name, is ? 1 : 0])),
    workgroups: [1, 1],
    uniforms: uniformsOf(pick, values, stops),
    bytes: { ...bytes, state: stateBytes(context), ...adjustBytes(vocabulary, adjusting) },
  };
}

/**
 * The 64 largest logits and their ids, fewer if fewer are not banned; the lowest ids of several. Bindings: `now` the Step; `logits` float32;
 * `candidates` (CANDIDATES); `bias` and `counts` where logits are changed.
 * @throws ArgumentError
 */
export function candidatesDispatch(how: Pick<Choosing, 'vocabulary' | 'context' | 'adjusting'>): LlmDispatch {
  const { vocabulary, context, adjusting } = how;
  checkChoosing({ ...how, limit: 1, stops: [], temperature: 0, seed: 0 });
  const values = {
    ...{ vocabulary, limit: 1, context, seed: 0, inverse_temperature: 1, stops: 0 },
    ...penaltyUniforms(adjusting ?? {}, context),
    // One word more than there are, so that of a small vocabulary the k largest are asked for, too.
    ...cutUniforms({ topK: Math.min(MOST_CANDIDATES, vocabulary) }, { vocabulary: vocabulary + 1, temperature: 1 }),
  };
  return {
    shader: candidates,
    params: { ADJUST: adjusting ? 1 : 0 },
    workgroups: [1, 1],
    uniforms: uniformsOf(candidates, values),
    bytes: { logits: quadBytes(vocabulary), candidates: CANDIDATES.bytes, ...adjustBytes(vocabulary, adjusting) },
  };
}
