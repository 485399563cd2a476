// One token: the likeliest ids behind a sequence, by the library's logits.
import type { JobContext } from '../../../worker/rpc.js';
import { alive } from './held.js';

export interface LookArgs {
  readonly model: number;
  /** What stands before the token. */
  readonly ids: readonly number[];
  /** The token itself, which is listed even if it is not among the likeliest. */
  readonly chosen: number;
  readonly count: number;
}

export interface Candidate {
  readonly id: number;
  /** As it stands in a text; a part of a character as its bytes. */
  readonly text: string;
  readonly logit: number;
  /** Of softmax(logits). */
  readonly probability: number;
  /** From 1, of the whole vocabulary. */
  readonly rank: number;
}

export interface Looked {
  /** The likeliest first; the chosen one last if it is none of them. */
  readonly candidates: readonly Candidate[];
  readonly vocabulary: number;
}

/** The likeliest ids, of equal logits the lower id first, and the chosen one. Pure. */
export function likeliest(logits: ArrayLike<number>, count: number, chosen: number): Omit<Candidate, 'text'>[] {
  const before = (a: number, b: number): number => logits[b]! - logits[a]! || a - b;
  const order = Array.from({ length: logits.length }, (_, id) => id).sort(before);
  const top = logits[order[0]!]!;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id]! - top);
  const shown = order.slice(0, count);
  if (!shown.includes(chosen)) shown.push(chosen);
  return shown.map((id) => ({
    id,
    logit: logits[id]!,
    probability: Math.exp(logits[id]! - top) / sum,
    rank: order.indexOf(id) + 1,
  }));
}

/** @throws what Llm.logits throws */
export async function look({ model, ids, chosen, count }: LookArgs, context: JobContext): Promise<Looked> {
  const { llm } = await alive(model, context);
  const tokenizer = await llm.tokenizer();
  const logits = await llm.logits(ids);
  const textOf = (id: number): string => {
    if (id >= tokenizer.size) return '';
    return tokenizer.decode([id]);
  };
  const candidates = likeliest(logits, count, chosen).map((one) => ({ ...one, text: textOf(one.id) }));
  return { candidates, vocabulary: logits.length };
}
