// The jobs of the panel "Chat": a model is loaded, speaks, shows the candidates of one token and what it took, and is compared with itself in fewer
// bits.

import { type CachedModel, Llm, type LlmExplanation } from '../../../../src/llm.js';
import type { Job, JobContext } from '../../../worker/rpc.js';
import { heldNow, type LoadArgs, load } from './held.js';
import { look } from './look.js';
import { copying, profile } from './profile.js';
import { speak } from './speak.js';
import { widths } from './widths.js';

/** A model that is loaded, as the page shows it. */
export interface LoadedModel {
  readonly id: number;
  readonly name: string;
  readonly bytes: number;
  readonly architecture: string;
  readonly layers: number;
  readonly width: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly loadMs: number;
  /** Does it answer messages? Else it goes on with a text. */
  readonly chats: boolean;
  readonly explanation: LlmExplanation;
}

export const jobs = {
  load: async (args: LoadArgs, context: JobContext): Promise<LoadedModel> => {
    // What texts need is fetched beside the model. If it cannot be, the tokenizer says so.
    for (const ahead of [import('@huggingface/tokenizers'), import('@huggingface/jinja')]) ahead.catch(() => {});
    const { id, name, llm } = await load(args, context);
    const { architecture, layers, width, vocabulary } = llm.config;
    context.progress(1, 'The tokenizer is made.');
    await llm.tokenizer(); // it throws what the first text would, and the first text need not wait for it
    const chats = await llm.hasTemplate();
    const explanation = llm.explain();
    return {
      ...{ id, name, bytes: explanation.memory.weights, architecture, layers, width, vocabulary },
      ...{ context: llm.context, loadMs: llm.stats.loadMs, chats, explanation },
    };
  },
  /** The model that is held; undefined if loading another one has failed after this one was gone. */
  holds: async (_: undefined): Promise<number | undefined> => heldNow(),
  /** The models of URLs that this browser keeps. */
  kept: async (_: undefined): Promise<readonly CachedModel[]> => Llm.cached(),
  /** Deletes one of them. */
  forget: async ({ url }: { readonly url: string }): Promise<boolean> => Llm.evict(url),
  speak,
  look,
  profile,
  copying,
  widths,
} as const satisfies Record<string, Job>;
