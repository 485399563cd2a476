// A sequence on the GPU: its buffers, its cache, and what a prompt and a token submit. Steps are recorded once for a size of the cache and
// replayed; between tokens the host writes nothing and makes no GPU object but the command buffer.
import { BUFFER, makeBuffer, makeBuffers, USAGE } from '../gpu/buffers.js';
import { capsOf, whileAlive } from '../gpu/device.js';
import { guarded } from '../gpu/guard.js';
import { loadOwn } from '../gpu/own-file.js';
import type { Config } from '../llm/config.js';
import type { KvDType } from '../llm-kernels/attention.js';
import type { Choosing } from '../llm-kernels/pick.js';
import { addLlmShaders, stepWords } from '../llm-kernels/shaders.js';
import { CANDIDATES, STATE } from '../llm-kernels/state.js';
import { Choices } from './choices.js';
import { copyCache, isCache, makeCache } from './grow-cache.js';
import { codesIn, codesNames, notIntegers } from './integers.js';
import {
  bufferSizes,
  CLASSES,
  type CodesName,
  cacheRead,
  cacheTotal,
  capacityFor,
  chunksOf,
  codesBytes,
  INTEGER_CLASSES,
  keeps,
} from './memory.js';
import { type Dispatched, Recordings, type StepPass } from './recordings.js';
import { STAGINGS, STATE_BYTES, type Steps, Submissions } from './submissions.js';
import { rowTensors, tokenTensors } from './tensors.js';
import type { Times } from './time-tokens.js';
import type { ModelWeights } from './weights.js';

/** Where a sequence stands, as the host reads it. */
export interface Chosen {
  readonly count: number;
  readonly flags: number;
  /** Keys and values so far that no half holds. */
  readonly clamped: number;
  /** The n-th id, of the last 64. */
  id(n: number): number;
}

/** What a host chooses from: logits and ids, the largest first; undefined if a logit is NaN. */
export interface Offered {
  readonly candidates: readonly { readonly id: number; readonly logit: number }[] | undefined;
  readonly clamped: number;
}

export interface RunnerOptions {
  readonly context: number;
  readonly kv: KvDType;
  /** Are rows of a prompt multiplied as integers? Default: no. */
  readonly integers?: boolean | undefined;
}

export class Runner {
  readonly #device: GPUDevice;
  readonly #config: Config;
  readonly #weights: ModelWeights;
  readonly #options: RunnerOptions;
  /** Of the rows of a prompt, if they are multiplied as integers. */
  readonly #codes: ReadonlySet<CodesName>;
  readonly #buffers: Map<string, GPUBuffer>;
  readonly #submissions: Submissions;
  readonly #recordings: Recordings;
  readonly #choices: Choices;
  #capacity = 0;
  /** Positions below may be in the cache since it began at position 0. */
  #written = 0;
  #destroyed = false;

  /** @throws UnsupportedError */
  private constructor(device: GPUDevice, config: Config, weights: ModelWeights, options: RunnerOptions) {
    this.#device = device;
    this.#config = config;
    this.#weights = weights;
    this.#options = options;
    const names = options.integers ? codesNames(weights) : new Set<CodesName>();
    this.#codes = names;
    const buffers = makeOwn(device, config, weights, { ...options, names });
    for (const [name, tensor] of weights.tensors) buffers.set(name, tensor.buffer);
    const [token, rows] = [tokenTensors(device, config, buffers), rowTensors(device, config, buffers)];
    const submissions = new Submissions(device, buffers, token.byName.get('logits')!, [token.byName.get('x')!, rows.byName.get('x')!]);
    const planning = { config, kv: options.kv, caps: capsOf(device), apart: weights.apart, integers: options.integers };
    const codes = codesIn(config, rows, buffers, names);
    this.#buffers = buffers;
    this.#submissions = submissions;
    this.#recordings = new Recordings(submissions, planning, { weights, buffers, epsilon: config.epsilon, codes }, { token, rows });
    this.#choices = new Choices(submissions);
  }

  /**
   * Makes the buffers, and records and tests the steps of a token.
   * @param options.from a sequence whose cache is copied
   * @throws UnsupportedError, ShaderError, GpuError, DeviceLostError
   */
  static async make(
    device: GPUDevice,
    config: Config,
    weights: ModelWeights,
    { from, ...options }: RunnerOptions & { readonly from?: Runner },
  ): Promise<Runner> {
    addLlmShaders();
    const { result: runner, errors } = guarded(device, 'buffers of a language model', () => new Runner(device, config, weights, options));
    try {
      await whileAlive(device, errors);
      await runner.reserve(from?.capacity ?? 1, 0);
      if (from) runner.#copy(from);
      await runner.#recordings.prepare('token');
      await runner.#recordings.prepare('head');
      return runner;
    } catch (error) {
      runner.destroy();
      throw error;
    }
  }

  /** A sequence of the same weights, that stands where this one does. @throws as `make` */
  fork(): Promise<Runner> {
    return Runner.make(this.#device, this.#config, this.#weights, { ...this.#options, from: this });
  }

  /** Copies a cache of as many positions, whole: rings have no beginning. */
  #copy(from: Runner): void {
    this.#written = from.#written;
    this.#submissions.encode('the cache', (encoder) => {
      for (const [name, buffer] of this.#buffers)
        if (isCache(name)) encoder.copyBufferToBuffer(from.#buffers.get(name)!, 0, buffer, 0, buffer.size);
    });
  }

  /** Records and tests the steps of prompts of any length. @throws UnsupportedError, ShaderError, GpuError, DeviceLostError */
  async prepare(): Promise<void> {
    for (const rows of this.#classes) await this.#recordings.prepare(rows);
  }

  get #classes(): readonly number[] {
    return this.#options.integers ? INTEGER_CLASSES : CLASSES;
  }

  /** Encodes a token without its choice. */
  token(pass: StepPass): void {
    this.#recordings.replay(pass, 'token');
  }

  /** The dispatches of a token, without its choice. */
  dispatches(): readonly Dispatched[] {
    return this.#recordings.ofToken();
  }

  // ---------------------------------------------------------------------------------------------------------------- memory

  get capacity(): number {
    return this.#capacity;
  }

  /** What integers were asked for and are not, and where they are slow. */
  notes(): readonly string[] {
    if (!this.#options.integers) return [];
    const { software, dot4 } = capsOf(this.#device);
    const exact = notIntegers(this.#weights);
    return [
      ...(software || !dot4 ? ['this adapter makes integer products one by one: prompts are faster with innerPrecise 0'] : []),
      ...(exact.length > 0 ? [`rows of prompts are not rounded to integers for ${exact.join(', ')}`] : []),
    ];
  }

  /** Bytes by use. */
  memory(): Readonly<Record<'cache' | 'rows' | 'logits', number>> {
    const { logits, ...rest } = bufferSizes(this.#config, this.#options.context, this.#weights.apart.size > 0);
    const { cache, parts } = cacheTotal(this.#config, this.#options.kv, this.#capacity);
    const added = ['bias', 'counts', 'candidates'].reduce((sum, name) => sum + (this.#buffers.get(name)?.size ?? 0), 0);
    const codes = [...this.#codes].map((name) => codesBytes(this.#config, name));
    return { cache, rows: [...Object.values(rest), ...codes].reduce((a, b) => a + b, parts), logits: logits + added };
  }

  /** Bytes of keys and values that the query behind so many positions meets. */
  cacheRead(position: number): number {
    return cacheRead(this.#config, this.#options.kv, position);
  }

  /**
   * Makes room in the cache, and keeps its first `used` positions.
   * @throws UnsupportedError if there is no memory; the cache is then as it was
   */
  async reserve(positions: number, used: number): Promise<void> {
    this.#written = Math.max(this.#written, positions);
    if (positions <= this.#capacity) return;
    const { kv, context } = this.#options;
    const device = this.#device;
    const capacities = [this.#capacity, capacityFor(positions, context)] as const;
    const [from, to] = capacities;
    await this.#recordings.testLarger(to);
    const made = await makeCache(device, this.#config, { kv, capacities, caps: capsOf(device) });
    if (this.#destroyed) return destroyAll(made.values());
    try {
      if (from > 0) this.#submissions.take(copyCache(device, this.#config, { from: this.#buffers, to: made, kv, used, capacities }));
    } catch (error) {
      destroyAll(made.values());
      throw error;
    }
    for (const [name, buffer] of made) {
      this.#buffers.get(name)?.destroy();
      this.#buffers.set(name, buffer);
    }
    this.#capacity = to;
    this.#recordings.recache(to);
  }

  /** Can a sequence go on at a position, with the cache as it is up to there? Not if windows before have lost what they met. */
  keeps(position: number): boolean {
    return keeps(this.#config, position, { capacity: this.#capacity, written: this.#written });
  }

  // ------------------------------------------------------------------------------------------------------------------ prompt

  /** Errors of calls before are theirs. */
  begin(): void {
    this.#submissions.begin();
  }

  /**
   * Waits until the GPU has done what was submitted.
   * @throws what was wrong with it: UnsupportedError, ShaderError, GpuError, DeviceLostError
   */
  settled(): Promise<void> {
    return this.#submissions.settled();
  }

  /** Chunks of a prompt, as `rows` takes them. */
  chunks(rows: number): ReturnType<typeof chunksOf> {
    return chunksOf(rows, capsOf(this.#device), this.#classes);
  }

  /**
   * Takes rows of a prompt into the cache, at most 64: their residuals are then in `x`, and the last one's in `stream`.
   * @param of the class of rows that runs them
   */
  async rows(ids: readonly number[], { position, of }: { readonly position: number; readonly of: number }): Promise<void> {
    if (position === 0) this.#written = 0;
    await this.reserve(position + ids.length, position);
    await this.#recordings.prepare(of);
    const padded = new Uint32Array(of);
    padded.set(ids);
    this.#submissions.write('ids', padded);
    this.#submissions.write('now', stepWords({ running: 1, position, rows: ids.length }));
    this.#submissions.submit(
      (pass) => this.#recordings.replay(pass, of),
      (encoder) => (of === 1 ? this.#copyStream(encoder) : this.#copyRow(encoder, ids.length - 1)),
    );
  }

  /** The residual of a row that was computed alone, to where rows have it. */
  #copyStream(encoder: GPUCommandEncoder): void {
    encoder.copyBufferToBuffer(this.#buffers.get('stream')!, 0, this.#buffers.get('x')!, 0, 4 * this.#config.width);
  }

  #copyRow(encoder: GPUCommandEncoder, row: number): void {
    const size = 4 * this.#config.width;
    encoder.copyBufferToBuffer(this.#buffers.get('x')!, row * size, this.#buffers.get('stream')!, 0, size);
  }

  /** Logits behind rows of the last chunk, each (vocabulary). */
  async logits(rows: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    const device = this.#device;
    const size = 4 * this.#config.vocabulary;
    const { result: staging } = this.#submissions.make('logits', () =>
      makeBuffer(device, { label: 'llm logits', usage: BUFFER.staging, size: rows.length * size }),
    );
    try {
      this.#submissions.encode('logits', (encoder) => {
        rows.forEach((row, i) => {
          this.#copyRow(encoder, row);
          const pass = encoder.beginComputePass();
          this.#recordings.replay(pass, 'head');
          pass.end();
          encoder.copyBufferToBuffer(this.#buffers.get('logits')!, 0, staging, i * size, size);
        });
      });
      const mapped = staging.mapAsync(1 /* GPUMapMode.READ */);
      mapped.catch(() => {}); // the error scope says more
      await this.settled();
      await whileAlive(device, mapped);
      return new Float32Array(staging.getMappedRange().slice(0));
    } finally {
      staging.destroy();
    }
  }

  // ------------------------------------------------------------------------------------------------------------------ tokens

  /**
   * Begins to choose ids behind the last row of a prompt, which are all its ids.
   * @throws ArgumentError, ShaderError, GpuError, DeviceLostError
   */
  choose(how: Choosing, prompt: readonly number[]): Promise<void> {
    return this.#choices.choose(how, prompt);
  }

  /** The same for a host that chooses. @throws ArgumentError, ShaderError, GpuError, DeviceLostError */
  offer(how: Choosing, prompt: readonly number[]): Promise<void> {
    return this.#choices.offer(how, prompt);
  }

  #first(pass: GPUComputePassEncoder): void {
    this.#recordings.replay(pass, 'head');
    this.#choices.replay(pass);
  }

  /**
   * Times tokens at a position for which there is room, one after the other; their ids are of no matter. A choice must have begun.
   * @param check throws if it is to end
   * @throws UnsupportedError without timestamps, or with those that no clock agrees with; GpuError, DeviceLostError
   */
  async timed(tokens: number, position: number, check: () => void): Promise<Times> {
    const submissions = this.#submissions;
    const timing = {
      submissions,
      dispatches: [...this.#recordings.ofToken(), ...this.#choices.dispatched()],
      token: (pass: StepPass) => this.#token(pass),
      begin: () => {
        check();
        submissions.write('now', stepWords({ running: 1, position, rows: 1 }));
      },
    };
    const { timeTokens } = await loadOwn('what times tokens', () => import('./time-tokens.js'));
    return timeTokens(timing, tokens);
  }

  #token(pass: StepPass): void {
    this.#recordings.replay(pass, 'token');
    this.#choices.replay(pass);
  }

  /** The id behind the last row of a prompt. */
  first(): Promise<Chosen> {
    return this.#chosen((pass) => this.#first(pass));
  }

  /** The next ids, in one pass. There must be room for them, and at most three submits that are not awaited. */
  more(count: number): Promise<Chosen> {
    return this.#chosen((pass) => {
      for (let i = 0; i < count; i++) this.#token(pass);
    });
  }

  async #chosen(steps: Steps): Promise<Chosen> {
    const state = await this.#submissions.read(steps, 'state', STATE_BYTES);
    return {
      count: state[STATE.count]!,
      flags: state[STATE.flags]!,
      clamped: state[STATE.list]!,
      id: (n) => state[STATE.ring + (n % STATE.ringSize)]!,
    };
  }

  /**
   * What the host may choose from: behind the last row of a prompt, or behind an id that it has chosen. There must be room for it.
   * @param counts of ids whose penalties have changed
   */
  async offered(taken?: {
    readonly id: number;
    readonly position: number;
    readonly counts: ReadonlyMap<number, number>;
  }): Promise<Offered> {
    const submissions = this.#submissions;
    if (taken) {
      const { id, position, counts } = taken;
      submissions.write('state', Uint32Array.of(id), 4 * STATE.id);
      submissions.write('now', stepWords({ running: 1, position, rows: 1 }));
      for (const [of, count] of counts) submissions.write('counts', Uint32Array.of(count), 4 * of);
    }
    const words = await submissions.read((pass) => (taken ? this.#token(pass) : this.#first(pass)), 'candidates', CANDIDATES.bytes);
    const floats = new Float32Array(words.buffer);
    const at = (i: number): number => CANDIDATES.begin + 2 * i;
    const candidates = Array.from({ length: words[CANDIDATES.count]! }, (_, i) => ({ id: words[at(i) + 1]!, logit: floats[at(i)]! }));
    return {
      candidates: words[CANDIDATES.notANumber] ? undefined : candidates.sort((a, b) => b.logit - a.logit || a.id - b.id),
      clamped: words[CANDIDATES.bytes / 4]!,
    };
  }

  /** Frees all but the weights. */
  destroy(): void {
    this.#destroyed = true;
    this.#recordings.destroy();
    this.#choices.destroy();
    destroyAll([...this.#buffers].filter(([name]) => !this.#weights.tensors.has(name)).map(([, buffer]) => buffer));
    this.#buffers.clear();
  }
}

/** The buffers that no growth changes, by name. @throws UnsupportedError */
function makeOwn(
  device: GPUDevice,
  config: Config,
  { apart }: ModelWeights,
  { context, names }: RunnerOptions & { readonly names: Iterable<CodesName> },
): Map<string, GPUBuffer> {
  const { angles, localAngles, ...sizes } = bufferSizes(config, context, apart.size > 0); // angles are tensors of the weights
  const usages: Readonly<Record<string, number>> = { now: BUFFER.output | USAGE.UNIFORM };
  return makeBuffers(device, [
    ...Object.entries(sizes).map(
      ([name, size]) => [name, { label: `llm ${name}`, usage: usages[name] ?? BUFFER.output, size: size as number }] as const,
    ),
    ...Array.from(names, (name) => [name, { label: `llm ${name}`, usage: BUFFER.output, size: codesBytes(config, name) }] as const),
    ...STAGINGS,
    ['choosing', { label: 'llm choosing', usage: USAGE.UNIFORM | USAGE.COPY_DST, size: 256 }],
  ]);
}

function destroyAll(buffers: Iterable<GPUBuffer>): void {
  for (const buffer of buffers) buffer.destroy();
}
