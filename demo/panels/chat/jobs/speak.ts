// An answer: a prompt as ids, and the pieces of text that follow it. The page keeps the ids, so that an answer that a lost device or a stop has
// ended goes on behind them: noise depends on the position in the sequence, and the text is the same as if nothing had happened.
import { capsOf } from '../../../../src/gpu/device.js';
import type { GenerateOptions, LlmStats, Message, Piece, Reason, Tokenizer } from '../../../../src/llm.js';
import type { GeneratedId } from '../../../../src/runtime/options.js';
import { piecesOf } from '../../../../src/runtime/pieces.js';
import type { JobContext } from '../../../worker/rpc.js';
import { alive, type Held } from './held.js';

/** A text to go on with, or a conversation whose last message is to be answered. */
export type Prompt = { readonly text: string } | { readonly messages: readonly Message[] };

export interface SpeakArgs {
  readonly model: number;
  readonly prompt: Prompt;
  /** Ids of the answer so far, which it goes on behind. */
  readonly before: readonly number[];
  /** How ids are chosen; maxTokens counts those of `before`, too. */
  readonly options: Omit<GenerateOptions, 'signal' | 'stops' | 'tokensPerSubmit'>;
}

/** What the library counted for this answer, in milliseconds and ids. */
export type Spent = Pick<LlmStats, 'promptTokens' | 'promptMs' | 'tokens' | 'decodeMs'>;

export type SpeakPart =
  | { readonly kind: 'prompt'; readonly ids: readonly number[] }
  | {
      readonly kind: 'piece';
      readonly piece: Piece;
      /** From the call of the library until this piece. */
      readonly ms: number;
      readonly spent: Spent;
    };

export interface Spoken {
  readonly reason: Reason;
  readonly spent: Spent;
  readonly memory: Readonly<Record<string, number>>;
  /** Bytes that the last token read. */
  readonly reads: number;
}

/** @throws what the tokenizer and the template throw */
export async function promptIds({ llm }: Pick<Held, 'llm'>, prompt: Prompt): Promise<{ tokenizer: Tokenizer; ids: readonly number[] }> {
  const tokenizer = await llm.tokenizer();
  if ('text' in prompt) return { tokenizer, ids: tokenizer.encode(prompt.text) };
  return { tokenizer, ids: tokenizer.encode(await llm.render(prompt.messages), { special: true }) };
}

async function* behind(before: readonly number[], rest: AsyncIterable<GeneratedId>): AsyncGenerator<GeneratedId, void> {
  for (const id of before) yield { id };
  yield* rest;
}

/** Rows up to which one after the other is sooner done than compiling. */
const SHORT = 8;

/**
 * Reads a short prompt row by row, on a software adapter. A row alone runs in the shaders that tokens have; there it takes seconds to compile those of
 * more rows, and a first answer would wait for them.
 */
export async function readShort({ llm, device }: Pick<Held, 'llm' | 'device'>, ids: readonly number[], signal: AbortSignal): Promise<void> {
  if (ids.length > SHORT || !capsOf(device).software) return;
  for (let count = 1; count < ids.length; count++) {
    signal.throwIfAborted();
    await llm.logits(ids.slice(0, count));
  }
}

const KEYS = ['promptTokens', 'promptMs', 'tokens', 'decodeMs'] as const;
const spentSince = (now: LlmStats, then: LlmStats): Spent =>
  Object.fromEntries(KEYS.map((key) => [key, now[key] - then[key]])) as Record<(typeof KEYS)[number], number>;

/** Sends the ids of the prompt, then pieces; those of `before` come again. @throws what Llm.generate throws */
export async function speak({ model, prompt, before, options }: SpeakArgs, context: JobContext<SpeakPart>): Promise<Spoken> {
  const { signal, part } = context;
  const held = await alive(model, context);
  const { llm } = held;
  const { tokenizer, ids } = await promptIds(held, prompt);
  part({ kind: 'prompt', ids });
  const { maxTokens } = options;
  const asked = {
    ...options,
    ...(maxTokens !== undefined && { maxTokens: maxTokens - before.length }),
    stops: [...tokenizer.stops],
    signal,
  };
  const [began, then] = [performance.now(), { ...llm.stats }];
  if (before.length === 0) await readShort(held, ids, signal);
  let reason: Reason = 'length';
  const source = behind(before, llm.generate([...ids, ...before], asked));
  for await (const piece of piecesOf(source, { tokenizer, begins: 'messages' in prompt, stop: [] })) {
    part({ kind: 'piece', piece, ms: performance.now() - began, spent: spentSince(llm.stats, then) });
    if (piece.reason) ({ reason } = piece);
  }
  const { memory, reads } = llm.explain();
  return { reason, spent: spentSince(llm.stats, then), memory, reads: reads.weights + reads.cache };
}
