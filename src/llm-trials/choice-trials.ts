// Trials of the choice of an id, and of the candidates for a host that chooses. Pure.
import { candidatesDispatch, pickDispatch } from '../llm-kernels/pick.js';
import { adjusted, choiceOf } from '../llm-kernels/sampling.js';
import { CANDIDATES, FLAGS, MOST_CANDIDATES, STATE, stateBytes } from '../llm-kernels/state.js';
import type { Params } from '../wgsl/preprocess.js';
import { type Buffer, floatsOf, type LlmTrial, noise, poison, trial, untouched } from './trial.js';

export function ofPick({ NOISE, LOGITS, ADJUST, CUT }: Params): LlmTrial {
  const [vocabulary, context, position, count] = [VOCABULARY, 16, 5, 3];
  const { logits, adjusting, counts } = wordsOf(ADJUST);
  const cut = CUT === 1 ? { topK: 90, topP: 0.75, minP: 0.01 } : {};
  const how = { ...{ vocabulary, context, limit: 9, seed: 4, temperature: NOISE === 1 ? 1.5 : 0 }, adjusting, ...cut };
  const id = choiceOf(logits.subarray(0, vocabulary), { ...how, ...adjusting, counts, position: position + 1 })!;
  const stops = [2, id];
  const state = poison(stateBytes(context));
  state[STATE.count] = count;
  const after = untouched(state.length);
  const words: readonly (readonly [number, number])[] = [
    [STATE.count, count + 1],
    [STATE.flags, FLAGS.stopped],
    [STATE.id, id],
    [STATE.ring + count, id],
    [STATE.list + position + 1, id],
  ];
  for (const [at, value] of words) after[at] = value;
  const dispatch = pickDispatch({ ...how, stops }, LOGITS === 1 ? 'logits' : 'best');
  return trial(
    dispatch,
    { running: 1, position, rows: 1 },
    {
      given: {
        ...{ state, ...(LOGITS === 1 ? { logits: floatsOf(logits) } : { best: bestOf(logits, vocabulary) }) },
        ...(adjusting && { bias: floatsOf(adjusting.bias), counts: Uint32Array.from(counts) }),
      },
      wanted: {
        state: { of: 'u32', values: after },
        now: { of: 'u32', values: Float64Array.of(0, position + 1, 1) },
        ...(adjusting && { counts: { of: 'u32', values: Float64Array.from(counts, (times, at) => times + (at === id ? 1 : 0)) } }),
      },
    },
  );
}

const VOCABULARY = 1003;
/** Logits, of which two are the largest and as large, but for those of padding; and what changes them. */
function wordsOf(adjust: number | undefined) {
  const logits = noise(1, 1004);
  for (const [at, value] of [
    [700, 3],
    [901, 3],
    [VOCABULARY, 99],
  ] as const)
    logits[at] = value;
  const bias = Float32Array.from(noise(2, 1004));
  bias[700] = -Infinity; // a ban
  const counts = Uint32Array.from({ length: 1004 }, (_, i) => (i % 5 === 0 && i < VOCABULARY ? 2 : 0));
  const adjusting = { bias, repetitionPenalty: 1.25, presencePenalty: 0.5, frequencyPenalty: 0.25 };
  return { logits, counts, adjusting: adjust === 1 ? adjusting : undefined };
}

/** The largest logits: those above the last first, by id, and of those that are as large the lowest ids. */
export function ofCandidates({ ADJUST }: Params): LlmTrial {
  const { logits, adjusting, counts } = wordsOf(ADJUST);
  const words = adjusted(logits.subarray(0, VOCABULARY), adjusting ?? {}, adjusting && counts);
  const ids = [...words.keys()].sort((a, b) => words[b]! - words[a]! || a - b).slice(0, MOST_CANDIDATES);
  const last = words[ids.at(-1)!]!;
  const inOrder = [ids.filter((id) => words[id]! > last), ids.filter((id) => words[id] === last)].flatMap((some) =>
    some.sort((a, b) => a - b),
  );
  const pairs = inOrder.flatMap((id) => [floatsOf([words[id]!])[0]!, id]);
  return trial(
    candidatesDispatch({ vocabulary: VOCABULARY, context: 16, adjusting }),
    { running: 1, position: 5, rows: 1 },
    {
      given: {
        ...{ logits: floatsOf(logits), candidates: poison(CANDIDATES.bytes) },
        ...(adjusting && { bias: floatsOf(adjusting.bias), counts: Uint32Array.from(counts) }),
      },
      wanted: { candidates: { of: 'u32', values: Float64Array.of(MOST_CANDIDATES, 0, 0, 0, ...pairs) } },
    },
  );
}

/** The largest of every four, and its id; padded to two pairs. */
function bestOf(logits: Float64Array, vocabulary: number): Buffer {
  const pairs = Array.from({ length: 2 * Math.ceil(vocabulary / 8) }, (_, quad) => {
    const four = [0, 1, 2, 3].map((i) => 4 * quad + i).filter((id) => id < vocabulary);
    const id = four.reduce((best, one) => (logits[one]! > logits[best]! ? one : best), four[0] ?? vocabulary);
    return [new Uint32Array(Float32Array.of(logits[id] ?? 99).buffer)[0]!, id];
  });
  return Uint32Array.from(pairs.flat());
}
