// The worker's side: one model, its sequences, and calls of them by message.
import { ArgumentError } from '../errors.js';
import type { LogRecord } from '../log.js';
import { Llm } from '../runtime/llm.js';
import { carriedError, errorOf } from './carried.js';
import { type Asked, type Call, carriesFunctions, type Port, READY, type Stream, type Told, WINDOW } from './messages.js';

/** A call that is under way. */
interface Running {
  readonly abort: AbortController;
  /** Pieces that may still be sent; a wait for more. */
  credit: number;
  more: (() => void) | undefined;
  ended: boolean;
  readonly turns: Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>;
}

type Given = readonly unknown[];
const CALLS: Readonly<Record<Exclude<Call, 'load' | 'fork' | 'destroy'>, (llm: Llm, given: Given) => unknown>> = {
  logits: (llm, given) => llm.logits(...(given as Parameters<Llm['logits']>)),
  prepare: (llm) => llm.prepare(),
  reset: (llm) => llm.reset(),
  explain: (llm) => llm.explain(),
  profile: (llm, given) => llm.profile(...(given as Parameters<Llm['profile']>)),
  stats: (llm) => ({ ...llm.stats }),
  position: (llm) => llm.position,
  render: (llm, given) => llm.render(...(given as Parameters<Llm['render']>)),
  hasTemplate: (llm) => llm.hasTemplate(),
  vocabulary: (llm) => llm.vocabulary(),
  encode: async (llm, [text, options]) => (await llm.tokenizer()).encode(text as string, options as object),
  decode: async (llm, [ids, options]) => (await llm.tokenizer()).decode(ids as number[], options as object),
};
const STREAMS: Readonly<Record<Stream, (llm: Llm, given: Given) => AsyncGenerator<unknown, void>>> = {
  generate: (llm, given) => llm.generate(...(given as Parameters<Llm['generate']>)),
  complete: (llm, given) => llm.complete(...(given as Parameters<Llm['complete']>)),
  chat: (llm, given) => llm.chat(...(given as Parameters<Llm['chat']>)),
};
const isStream = (call: Call | Stream): call is Stream => Object.hasOwn(STREAMS, call);

/** Answers a page's calls, until the worker ends. */
export function serve(port: Port): void {
  /** Sequences by the page's numbers. */
  const models = new Map<number, Llm>();
  const running = new Map<number, Running>();
  const tell = (message: Told, transfer: Transferable[] = []): void => port.postMessage(message, transfer);

  /** The options with the page's functions, and with the call's signal. */
  function optionsOf(id: number, own: Running, options: unknown, functions: readonly string[]): object {
    let turns = 0;
    const ask =
      (name: string) =>
      (...given: Given): Promise<unknown> => {
        const turn = turns++;
        const answer = new Promise((resolve, reject) => own.turns.set(turn, { resolve, reject }));
        answer.catch(() => {}); // of functions whose answer nobody waits for
        tell({ id, kind: 'ask', turn, name, given });
        return answer;
      };
    /** It outlives its call, and nobody waits for what it returns. */
    const logger = (record: LogRecord): void => tell({ id, kind: 'log', record });
    const given = functions.map((name) => [name, name === 'logger' ? logger : ask(name)]);
    return { ...(options as object), ...Object.fromEntries(given), signal: own.abort.signal };
  }

  async function stream(id: number, own: Running, pieces: AsyncGenerator<unknown, void>): Promise<void> {
    for await (const piece of pieces) {
      if (own.ended) break;
      tell({ id, kind: 'piece', piece });
      own.credit--;
      if (own.credit <= 0) await new Promise<void>((resolve) => (own.more = resolve));
      if (own.ended) break;
    }
  }

  async function answer(id: number, own: Running, { model, call, given, functions }: Extract<Asked, { call: unknown }>): Promise<void> {
    const withOptions = (): Given =>
      given.map((one, i) => (i === given.length - 1 && carriesFunctions(call) ? optionsOf(id, own, one, functions) : one));
    try {
      let value: unknown;
      if (call === 'load') {
        if (models.size > 0) throw new ArgumentError('worker', 'one model', 'a second one');
        const llm = await Llm.load(...(withOptions() as Parameters<typeof Llm.load>));
        models.set(model, llm);
        value = { config: llm.config, context: llm.context, kv: llm.kv };
      } else if (call === 'destroy') {
        models.get(model)?.destroy();
        models.delete(model);
      } else {
        const llm = models.get(model);
        if (!llm) throw new ArgumentError('worker', 'a loaded model', 'none');
        if (call === 'fork') models.set(given[0] as number, await llm.fork());
        else if (isStream(call)) await stream(id, own, STREAMS[call](llm, withOptions()));
        else value = await CALLS[call](llm, withOptions());
      }
      tell({ id, kind: 'value', value }, value instanceof Float32Array ? [value.buffer] : []);
    } catch (error) {
      tell({ id, kind: 'error', error: carriedError(error) });
    } finally {
      running.delete(id);
    }
  }

  port.onmessage = ({ data }) => {
    const asked = data as Asked;
    const { id } = asked;
    if ('call' in asked) {
      const own: Running = { abort: new AbortController(), credit: WINDOW, more: undefined, ended: false, turns: new Map() };
      running.set(id, own);
      void answer(id, own, asked);
      return;
    }
    const own = running.get(id);
    if (!own) return; // it has ended meanwhile
    if (asked.kind === 'abort') own.abort.abort();
    if (asked.kind === 'end') {
      own.ended = true;
      own.abort.abort(); // it may wait for a function of the page, which nobody waits for any more
    }
    if (asked.kind === 'taken') own.credit++;
    if (asked.kind === 'returned') {
      const turn = own.turns.get(asked.turn);
      own.turns.delete(asked.turn);
      if (asked.error) turn?.reject(errorOf(asked.error));
      else turn?.resolve(asked.value);
    } else own.more?.();
  };
  port.postMessage(READY, []);
}
