// The calls of one sequence, one at a time: what its cache holds, and what reads ids and chooses those behind them.
import { ArgumentError, UnsupportedError } from '../errors.js';
import type { Config } from '../llm/config.js';
import { type Sampling, samplingOf } from '../llm-kernels/sampling-options.js';
import type { Chosen, Runner } from '../sequence/runner.js';
import { askForIds } from './ask.js';
import { chooseIds, type Sequence } from './choose.js';
import type { LlmProfile, LlmStats } from './explanation.js';
import { checkStops, type GeneratedId, type GenerateOptions, type ProfileOptions } from './options.js';
import { type Slide, slid } from './slide.js';

/** @throws UnsupportedError if there is no memory */
function logitsOf(rows: number, vocabulary: number): Float32Array<ArrayBuffer> {
  try {
    return new Float32Array(rows * vocabulary);
  } catch {
    throw new UnsupportedError('logits', [`${rows} × ${vocabulary} numbers of 4 bytes are more than there is memory for`]);
  }
}

/** How ids are chosen, checked. */
interface Asked extends Required<Pick<GenerateOptions, 'signal' | 'tokensPerSubmit'>>, Sampling {
  readonly limit: number;
  readonly stops: readonly number[];
  /** Undefined: the sequence does not slide. */
  readonly slide: Slide | undefined;
}

/** What a sequence is of. */
export interface CallsOf {
  readonly runner: Runner;
  readonly config: Config;
  /** The most positions. */
  readonly context: number;
  readonly stats: LlmStats;
}

export class Calls {
  readonly #runner: Runner;
  readonly #config: Config;
  readonly #context: number;
  readonly #stats: LlmStats;
  /** Ids whose keys and values are in the cache. */
  #kept: number[];
  /** Rows of the chunk that was read last. */
  #lastRows: number | undefined;
  #busy = false;
  #destroyed = false;

  /** @param kept what the runner's cache holds */
  constructor({ runner, config, context, stats }: CallsOf, kept: readonly number[] = []) {
    this.#runner = runner;
    this.#config = config;
    this.#context = context;
    this.#stats = stats;
    this.#kept = [...kept];
  }

  get position(): number {
    return this.#kept.length;
  }

  /** Forgets the sequence. @throws ArgumentError while a call is under way */
  reset(): void {
    this.assertFree();
    this.#kept = [];
  }

  /** @returns was it alive? */
  destroy(): boolean {
    if (this.#destroyed) return false;
    this.#destroyed = true;
    this.#runner.destroy();
    return true;
  }

  /** @throws ArgumentError */
  assertAlive(): void {
    if (this.#destroyed) throw new ArgumentError('llm', 'a live Llm', 'a destroyed one');
  }

  /** Compiles and tests the kernels of prompts. @throws as Llm.prepare */
  async prepare(): Promise<void> {
    await this.#alone((runner) => runner.prepare());
  }

  /** Ids behind a prompt. @throws ArgumentError at once; the rest as Llm.generate */
  generate(prompt: readonly number[], given: GenerateOptions, slide: Slide | undefined): AsyncGenerator<GeneratedId, void> {
    return this.#generate(prompt, this.#asked(prompt, given, slide));
  }

  /** Logits behind the last id of a prompt, or behind each. @throws as Llm.logits */
  logits(prompt: readonly number[], all: boolean): Promise<Float32Array<ArrayBuffer>> {
    const { vocabulary } = this.#config;
    return this.#alone(async (runner) => {
      if (!all) {
        await this.#read(prompt, undefined);
        return await runner.logits([(this.#lastRows ?? 1) - 1]);
      }
      this.#kept = [];
      const out = logitsOf(prompt.length, vocabulary);
      await this.#read(prompt, undefined, async (begin, rows) => {
        out.set(await runner.logits([...Array(rows).keys()]), begin * vocabulary);
      });
      return out;
    });
  }

  /** Where the time of tokens goes. @throws as Llm.profile */
  profile({ tokens = 32, signal, ...given }: ProfileOptions): Promise<LlmProfile> {
    const { vocabulary } = this.#config;
    const { sampler: _, ...how } = samplingOf(given, vocabulary);
    return this.#alone(async (runner) => {
      const position = Math.min(this.#kept.length, this.#context - 1);
      this.#kept.length = position;
      runner.begin();
      await runner.reserve(position + 1, position);
      await runner.choose({ ...how, stops: [], limit: 1, vocabulary, context: this.#context }, this.#kept);
      const times = await runner.timed(tokens, position, () => {
        signal?.throwIfAborted();
        this.assertAlive();
      });
      return { tokens, position, ...times };
    });
  }

  /**
   * A runner that stands where this sequence does, and the ids that its cache holds. What fails leaves this sequence as it was.
   * @throws as Llm.fork
   */
  async fork(): Promise<{ readonly runner: Runner; readonly kept: readonly number[] }> {
    this.assertFree();
    this.#busy = true;
    let runner: Runner | undefined;
    try {
      runner = await this.#runner.fork();
      this.assertAlive();
      return { runner, kept: this.#kept };
    } catch (error) {
      runner?.destroy();
      throw this.#asEnded(error);
    } finally {
      this.#busy = false;
    }
  }

  /** @throws ArgumentError */
  assertFree(): void {
    this.assertAlive();
    if (this.#busy) throw new ArgumentError('llm', 'one call at a time', 'a call while another is under way');
  }

  /** A call that no other may meet. */
  async #alone<T>(work: (runner: Runner) => Promise<T>): Promise<T> {
    this.assertFree();
    this.#busy = true;
    try {
      const result = await work(this.#runner);
      this.assertAlive(); // steps that were destroyed end early
      return result;
    } catch (error) {
      throw this.#endedBy(error);
    } finally {
      this.#busy = false;
    }
  }

  /** What a call that is under way ends with: work on destroyed buffers fails in many ways. After an error the cache may hold anything. */
  #endedBy(error: unknown, signal?: AbortSignal): unknown {
    if (!signal?.aborted) this.#kept = [];
    return this.#asEnded(error);
  }

  /** What a call ends with, if the sequence was destroyed meanwhile. */
  #asEnded(error: unknown): unknown {
    if (!this.#destroyed) return error;
    const ended = new ArgumentError('llm', 'a live Llm', 'one that was destroyed meanwhile');
    ended.cause = error;
    return ended;
  }

  /** @throws ArgumentError */
  #asked(prompt: readonly number[], given: GenerateOptions, slide: Slide | undefined): Asked {
    this.assertAlive();
    const { maxTokens, stops, tokensPerSubmit, signal } = given;
    const { vocabulary } = this.#config;
    const room = this.#roomBehind(slide ? slid(prompt, slide) : prompt);
    const limit = slide ? (maxTokens ?? room) : Math.min(maxTokens ?? room, room);
    return { ...samplingOf(given, vocabulary), limit, stops: checkStops(stops, vocabulary), tokensPerSubmit, signal, slide };
  }

  /** The id behind the last position needs no place. */
  #roomBehind(ids: readonly number[]): number {
    return this.#context - ids.length + 1;
  }

  /** Brings ids into the cache, but those at the beginning that are there. The last is computed anyway: its logits are asked for. */
  async #read(
    prompt: readonly number[],
    signal: AbortSignal | undefined,
    each?: (begin: number, rows: number) => Promise<void>,
  ): Promise<void> {
    const runner = this.#runner;
    const began = performance.now();
    runner.begin();
    let position = 0;
    while (position < prompt.length - 1 && prompt[position] === this.#kept[position]) position++;
    if (!runner.keeps(position)) position = 0;
    this.#kept = prompt.slice(0, position);
    const chunks = runner.chunks(prompt.length - position);
    for (const [i, { rows, of }] of chunks.entries()) {
      signal?.throwIfAborted();
      this.assertAlive();
      const end = position + rows;
      await runner.rows(prompt.slice(position, end), { position, of });
      this.#kept = prompt.slice(0, end);
      this.#lastRows = rows;
      await each?.(position, rows);
      position = end;
      // So that a signal comes to an end soon.
      if (i < chunks.length - 1) await runner.settled();
      this.#stats.promptTokens += rows;
    }
    this.#stats.promptMs += performance.now() - began;
  }

  async *#generate(prompt: readonly number[], asked: Asked): AsyncGenerator<GeneratedId, void> {
    this.assertFree();
    const { limit, signal, sampler, slide, ...how } = asked;
    if (limit === 0) return;
    this.#busy = true;
    const under: Promise<Chosen>[] = [];
    try {
      const check = (): void => {
        signal?.throwIfAborted();
        this.assertAlive();
      };
      let ids = slide ? slid(prompt, slide) : prompt;
      for (let left = limit; ; ) {
        signal?.throwIfAborted();
        await this.#read(ids, signal);
        const choosing = {
          ...how,
          limit: Math.min(left, this.#roomBehind(ids)),
          vocabulary: this.#config.vocabulary,
          context: this.#context,
        };
        const sequence: Sequence = {
          ...{ prompt: ids, under, stats: this.#stats, signal, check },
          took: (id) => this.#kept.push(id),
        };
        const chosen = sampler ? askForIds(this.#runner, { ...choosing, sampler }, sequence) : chooseIds(this.#runner, choosing, sequence);
        const all = [...ids];
        for await (const one of chosen) {
          all.push(one.id);
          const goesOn = one.reason === 'length' && choosing.limit < left;
          yield goesOn ? { id: one.id } : one;
          if (one.reason && !goesOn) return;
        }
        left -= choosing.limit;
        ids = slid(all, slide!); // there is less room than limit only where it slides
        this.#kept = [];
      }
    } catch (error) {
      throw this.#endedBy(error, signal);
    } finally {
      await Promise.allSettled(under); // their buffers are then free for the next call
      this.#busy = false;
    }
  }
}
