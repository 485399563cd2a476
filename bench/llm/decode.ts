// Decode and prompts of an Llm: what a round runs, whatever is measured of it.
import type { Llm } from '../../src/llm.js';
import { promptIds } from './prompt.js';

/** What a contender does, so that ours and peers' are timed in the same way. */
export interface Speaker {
  /** Takes a prompt that nothing is kept of, and chooses one id. */
  prompt(count: number): Promise<void>;
  /** Chooses so many ids more. */
  decode(count: number): Promise<void>;
}

/** @param context positions that decode may use before it begins again behind the prompt */
export function speaker(llm: Llm, context: number): Speaker {
  let seed = 0;
  let ids: number[] = [];
  let base = 0;
  return {
    async prompt(count) {
      llm.reset();
      ids = promptIds(count, seed++);
      base = count;
      for await (const { id } of llm.generate(ids, { maxTokens: 1 })) ids.push(id);
    },
    async decode(count) {
      if (ids.length + count > context) ids.length = base + 1;
      for await (const { id } of llm.generate(ids, { maxTokens: count })) ids.push(id);
    },
  };
}
