// A sequence on the GPU: its buffers, the recordings of its steps, and what is submitted. A step is recorded once for a size of the cache and
// replayed; between tokens the host writes nothing and makes no GPU object but the command buffer.
import { ShaderError } from '../errors.js';
import { BUFFER, makeBuffer, makeBuffers, USAGE } from '../gpu/buffers.js';
import { assertAlive, capsOf, whileAlive } from '../gpu/device.js';
import { allTaken, guarded, guardedSubmit, type Taken } from '../gpu/guard.js';
import { loadOwn } from '../gpu/own-file.js';
import { variantId } from '../kernels/kernel.js';
import type { Config } from '../llm/config.js';
import type { KvDType } from '../llm-kernels/attention.js';
import { CANDIDATES, type Choosing, candidatesDispatch, pickDispatch, STATE } from '../llm-kernels/pick.js';
import { countsOf, penaltyUniforms } from '../llm-kernels/sampling.js';
import { addLlmShaders, type LlmDispatch, stepWords } from '../llm-kernels/shaders.js';
import { recordSteps, replay } from '../recorded/record-steps.js';
import { type Bound, bindDispatch, bindSteps, free } from './bind-steps.js';
import { copyCache, makeCache } from './grow-cache.js';
import { bufferSizes, CLASSES, cacheTotal, capacityFor, chunksOf, keeps } from './memory.js';
import { headSteps, type Planning, type PlanStep, promptSteps, tokenSteps } from './step-plan.js';
import { rowTensors, type Tensors, tokenTensors } from './tensors.js';
import type { ModelWeights } from './weights.js';

/** Buffers that states are read through, in turn: so many submits can be under way. */
const RING = 3;
/** What the host reads after a submit: all but the list of ids by position. */
const STATE_BYTES = 4 * STATE.list;
/** Or the candidates; and how many values no half could hold. */
const READ_BYTES = Math.max(STATE_BYTES, CANDIDATES.bytes) + 4;
/** A variant that fails its self-test is replaced by the next. */
const MOST_TRIES = 8;

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
}

export class Runner {
  readonly #device: GPUDevice;
  readonly #config: Config;
  readonly #weights: ModelWeights;
  readonly #options: RunnerOptions;
  readonly #planning: Omit<Planning, 'capacity'>;
  readonly #buffers: Map<string, GPUBuffer>;
  readonly #stagings: readonly GPUBuffer[];
  #next = 0;
  /** Tensors of a token, and of rows of a prompt. */
  readonly #ofToken: Tensors;
  readonly #ofRows: Tensors;
  #capacity = 0;
  /** Positions below may be in the cache since it began at position 0. */
  #written = 0;
  /** By what it is: `token`, `head`, and rows of a prompt. The first and the last are of this capacity. */
  readonly #bound = new Map<'token' | 'head' | number, Bound>();
  /** Choices by their variant, and the one that is under way. */
  readonly #choices = new Map<string, Bound>();
  #choice: Bound | undefined;
  /** Rejects with the first error of what was submitted. */
  #sound: Taken = Promise.resolve();
  #destroyed = false;

  /** @throws UnsupportedError */
  private constructor(device: GPUDevice, config: Config, weights: ModelWeights, options: RunnerOptions) {
    this.#device = device;
    this.#config = config;
    this.#weights = weights;
    this.#options = options;
    this.#planning = { config, kv: options.kv, caps: capsOf(device), apart: weights.apart };
    const { angles, localAngles, ...sizes } = bufferSizes(config, options.context, weights.apart.size > 0);
    const usages: Readonly<Record<string, number>> = { now: BUFFER.output | USAGE.UNIFORM };
    const made = makeBuffers(device, [
      ...Object.entries(sizes).map(
        ([name, size]) => [name, { label: `llm ${name}`, usage: usages[name] ?? BUFFER.output, size: size as number }] as const,
      ),
      ...[...Array(RING).keys()].map((i) => [`staging ${i}`, { label: 'llm staging', usage: BUFFER.staging, size: READ_BYTES }] as const),
      ['choosing', { label: 'llm choosing', usage: USAGE.UNIFORM | USAGE.COPY_DST, size: 256 }],
    ]);
    for (const [name, tensor] of weights.tensors) made.set(name, tensor.buffer);
    this.#buffers = made;
    this.#stagings = [...Array(RING).keys()].map((i) => made.get(`staging ${i}`)!);
    this.#ofToken = tokenTensors(device, config, made);
    this.#ofRows = rowTensors(device, config, made);
  }

  /** Makes the buffers, and records and tests the steps of a token. @throws UnsupportedError, ShaderError, GpuError, DeviceLostError */
  static async make(device: GPUDevice, config: Config, weights: ModelWeights, options: RunnerOptions): Promise<Runner> {
    addLlmShaders();
    const { result: runner, errors } = guarded(device, 'buffers of a language model', () => new Runner(device, config, weights, options));
    try {
      await whileAlive(device, errors);
      await runner.reserve(1, 0);
      await runner.#prepared('token');
      await runner.#prepared('head');
      return runner;
    } catch (error) {
      runner.destroy();
      throw error;
    }
  }

  // ------------------------------------------------------------------------------------------------------------- recording

  #planOf(what: 'token' | 'head' | number, capacity = this.#capacity): readonly PlanStep[] {
    const planning = { ...this.#planning, capacity };
    if (what === 'token') return tokenSteps(planning);
    return what === 'head' ? headSteps(this.#config, planning.caps) : promptSteps(planning, what);
  }

  /** Tests the kernels of shaders/llm that steps dispatch; the operator tests its own. @throws ShaderError, which names the kernel */
  async #tested(dispatches: readonly LlmDispatch[]): Promise<void> {
    const { testKernels } = await loadOwn('the self-test', () => import('./test-kernels.js'));
    await testKernels(this.#device, dispatches);
  }

  async #testedSteps(what: 'token' | 'head' | number, capacity?: number): Promise<void> {
    await this.#tested(this.#planOf(what, capacity).flatMap((step) => ('dispatch' in step ? [step.dispatch] : [])));
  }

  /**
   * The recorded steps. At first they run once while no sequence does, which changes nothing but tests their kernels: planning replaces what
   * fails.
   * @throws UnsupportedError, ShaderError, GpuError, DeviceLostError
   */
  async #prepared(what: 'token' | 'head' | number): Promise<void> {
    if (this.#bound.has(what)) return;
    await this.#testedSteps(what);
    if (this.#destroyed) return;
    for (let tries = 1; ; tries++) {
      const bound = this.#bind(what);
      try {
        this.#write('now', stepWords({ running: 0, position: 0, rows: 0 }));
        this.#submit((pass) => this.#replay(pass, bound, what));
        await this.settled();
        if (this.#destroyed) return free(bound);
        this.#bound.set(what, bound);
        return;
      } catch (error) {
        this.#sound = Promise.resolve();
        free(bound);
        if (!(error instanceof ShaderError) || tries === MOST_TRIES) throw error;
      }
    }
  }

  /** Records and tests the steps of prompts of any length. @throws UnsupportedError, ShaderError, GpuError, DeviceLostError */
  async prepare(): Promise<void> {
    for (const rows of CLASSES) await this.#prepared(rows);
  }

  #bind(what: 'token' | 'head' | number): Bound {
    const rows = typeof what === 'number' ? what : undefined;
    const tensors = rows === undefined ? this.#ofToken : this.#ofRows;
    const names = { tensors, weights: this.#weights, buffers: this.#buffers, epsilon: this.#config.epsilon };
    const { result, errors } = guarded(this.#device, 'steps of a language model', () => bindSteps(this.#planOf(what), names, rows));
    this.#take(errors);
    return result;
  }

  #replay(pass: GPUComputePassEncoder, { recorded }: Bound, what: 'token' | 'head' | number): void {
    replay(pass, recorded, typeof what === 'number' ? what : undefined);
  }

  /** Encodes a token without its choice. */
  token(pass: Pick<GPUComputePassEncoder, 'setPipeline' | 'setBindGroup' | 'dispatchWorkgroups'>): void {
    this.#replay(pass as GPUComputePassEncoder, this.#bound.get('token')!, 'token');
  }

  /** The pipelines of a token's dispatches, without its choice. */
  dispatches(): readonly string[] {
    const labels: string[] = [];
    let label = '';
    this.token({
      setPipeline: (pipeline) => {
        label = pipeline.label;
      },
      setBindGroup() {},
      dispatchWorkgroups: () => {
        labels.push(label);
      },
    });
    return labels;
  }

  // ---------------------------------------------------------------------------------------------------------------- memory

  get capacity(): number {
    return this.#capacity;
  }

  /** Bytes by use. */
  memory(): Readonly<Record<'cache' | 'rows' | 'logits', number>> {
    const { logits, ...rest } = bufferSizes(this.#config, this.#options.context, this.#weights.apart.size > 0);
    const { cache, parts } = cacheTotal(this.#config, this.#options.kv, this.#capacity);
    const added = ['bias', 'counts', 'candidates'].reduce((sum, name) => sum + (this.#buffers.get(name)?.size ?? 0), 0);
    return { cache, rows: Object.values(rest).reduce((a, b) => a + b, parts), logits: logits + added };
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
    const again = this.#bound.has('token');
    if (again) await this.#testedSteps('token', to); // a larger cache may have other kernels
    const made = await makeCache(device, this.#config, { kv, capacities, caps: this.#planning.caps });
    if (this.#destroyed) return destroyAll(made.values());
    try {
      if (from > 0) this.#take(copyCache(device, this.#config, { from: this.#buffers, to: made, kv, used, capacities }));
    } catch (error) {
      destroyAll(made.values());
      throw error;
    }
    for (const [name, buffer] of made) {
      this.#buffers.get(name)?.destroy();
      this.#buffers.set(name, buffer);
    }
    this.#capacity = to;
    for (const [what, bound] of this.#bound)
      if (what !== 'head') {
        free(bound);
        this.#bound.delete(what);
      }
    if (again) this.#bound.set('token', this.#bind('token'));
  }

  /** Can a sequence go on at a position, with the cache as it is up to there? Not if windows before have lost what they met. */
  keeps(position: number): boolean {
    return keeps(this.#config, position, { capacity: this.#capacity, written: this.#written });
  }

  // ------------------------------------------------------------------------------------------------------------- submitting

  #write(name: string, data: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>, offset = 0): void {
    this.#device.queue.writeBuffer(this.#buffers.get(name)!, offset, data);
  }

  #take(taken: Taken): void {
    this.#sound = allTaken(this.#sound, taken);
  }

  #submit(steps: (pass: GPUComputePassEncoder) => void, after?: (encoder: GPUCommandEncoder) => void): void {
    const device = this.#device;
    assertAlive(device);
    const encoder = device.createCommandEncoder({ label: 'antiquant llm' });
    const pass = encoder.beginComputePass();
    steps(pass);
    pass.end();
    after?.(encoder);
    this.#take(guardedSubmit(device, 'a language model', () => device.queue.submit([encoder.finish()])));
  }

  /** Errors of calls before are theirs. */
  begin(): void {
    this.#sound = Promise.resolve();
  }

  /**
   * Waits until the GPU has done what was submitted.
   * @throws what was wrong with it: UnsupportedError, ShaderError, GpuError, DeviceLostError
   */
  async settled(): Promise<void> {
    const written = [this.#ofToken, this.#ofRows].flatMap(({ byName }) => [byName.get('x')!.written, byName.get('logits')?.written]);
    await whileAlive(this.#device, allTaken(this.#sound, ...written));
    await whileAlive(this.#device, this.#device.queue.onSubmittedWorkDone());
  }

  /**
   * Takes rows of a prompt into the cache, at most 64: their residuals are then in `x`, and the last one's in `stream`.
   * @param of the class of rows that runs them
   */
  async rows(ids: readonly number[], { position, of }: { readonly position: number; readonly of: number }): Promise<void> {
    if (position === 0) this.#written = 0;
    await this.reserve(position + ids.length, position);
    await this.#prepared(of);
    const padded = new Uint32Array(of);
    padded.set(ids);
    this.#write('ids', padded);
    this.#write('now', stepWords({ running: 1, position, rows: ids.length }));
    this.#submit(
      (pass) => this.#replay(pass, this.#bound.get(of)!, of),
      (encoder) => this.#copyRow(encoder, ids.length - 1),
    );
  }

  /** Chunks of a prompt, as `rows` takes them. */
  chunks(rows: number): ReturnType<typeof chunksOf> {
    return chunksOf(rows, this.#planning.caps);
  }

  #copyRow(encoder: GPUCommandEncoder, row: number): void {
    const size = 4 * this.#config.width;
    encoder.copyBufferToBuffer(this.#buffers.get('x')!, row * size, this.#buffers.get('stream')!, 0, size);
  }

  /** Logits behind rows of the last chunk, each (vocabulary). */
  async logits(rows: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    const device = this.#device;
    const size = 4 * this.#config.vocabulary;
    const { result: staging, errors } = guarded(device, 'logits', () =>
      makeBuffer(device, { label: 'llm logits', usage: BUFFER.staging, size: rows.length * size }),
    );
    try {
      const encoder = device.createCommandEncoder({ label: 'antiquant logits' });
      rows.forEach((row, i) => {
        this.#copyRow(encoder, row);
        const pass = encoder.beginComputePass();
        this.#replay(pass, this.#bound.get('head')!, 'head');
        pass.end();
        encoder.copyBufferToBuffer(this.#buffers.get('logits')!, 0, staging, i * size, size);
      });
      this.#take(
        allTaken(
          errors,
          guardedSubmit(device, 'logits', () => device.queue.submit([encoder.finish()])),
        ),
      );
      const mapped = staging.mapAsync(1 /* GPUMapMode.READ */);
      mapped.catch(() => {}); // the error scope says more
      await this.settled();
      await whileAlive(device, mapped);
      return new Float32Array(staging.getMappedRange().slice(0));
    } finally {
      staging.destroy();
    }
  }

  /**
   * Begins to choose ids behind the last row of a prompt, which are all its ids.
   * @throws ArgumentError, ShaderError, GpuError, DeviceLostError
   */
  async choose(how: Choosing, prompt: readonly number[]): Promise<void> {
    const dispatch = pickDispatch(how, 'logits');
    await this.#tested([dispatch]);
    if (this.#destroyed) return;
    this.#write('state', new Uint32Array(STATE.ring));
    this.#begin(dispatch, how, prompt);
  }

  /** The same for a host that chooses. @throws ArgumentError, ShaderError, GpuError, DeviceLostError */
  async offer(how: Choosing, prompt: readonly number[]): Promise<void> {
    const dispatch = candidatesDispatch(how);
    await this.#tested([dispatch]);
    if (this.#destroyed) return;
    this.#begin(dispatch, how, prompt);
  }

  #begin(dispatch: LlmDispatch, { vocabulary, context, adjusting }: Choosing, prompt: readonly number[]): void {
    this.#addBuffers(dispatch);
    this.#write('choosing', new Uint32Array(dispatch.uniforms));
    if (adjusting) {
      const { window } = penaltyUniforms(adjusting, context);
      const { errors } = guarded(this.#device, 'buffers of a language model', () => {
        this.#write('bias', adjusting.bias ?? new Float32Array(vocabulary));
        this.#write('counts', countsOf(prompt, { window, length: vocabulary }));
        this.#write('state', Uint32Array.from(prompt), 4 * STATE.list); // ids leave the window by their positions
      });
      this.#take(errors);
    }
    const id = variantId(dispatch.shader.name, dispatch.params);
    this.#choice = this.#choices.get(id) ?? this.#boundChoice(id, dispatch);
  }

  /** Makes the buffers that only some choices need. */
  #addBuffers({ bytes }: LlmDispatch): void {
    for (const [name, size] of Object.entries(bytes)) {
      if (this.#buffers.has(name)) continue;
      const { result, errors } = guarded(this.#device, 'buffers of a language model', () =>
        makeBuffer(this.#device, { label: `llm ${name}`, usage: BUFFER.output, size }),
      );
      this.#take(errors);
      this.#buffers.set(name, result);
      errors.catch(() => {
        if (this.#buffers.get(name) === result) this.#buffers.delete(name); // made anew at the next try
        result.destroy();
      });
    }
  }

  #boundChoice(id: string, dispatch: LlmDispatch): Bound {
    const { result, errors } = guarded(this.#device, 'the choice of a token', () => {
      const step = bindDispatch(this.#device, dispatch, this.#buffers.get('choosing')!, (name) => this.#buffers.get(name)!);
      return { recorded: recordSteps(this.#device, [step]), uniforms: [] };
    });
    this.#take(errors);
    this.#choices.set(id, result);
    errors.catch(() => {
      if (this.#choices.get(id) !== result) return;
      this.#choices.delete(id); // its buffers may be those that failed
      free(result);
    });
    return result;
  }

  #choose(pass: GPUComputePassEncoder): void {
    replay(pass, this.#choice!.recorded);
  }

  #first(pass: GPUComputePassEncoder): void {
    this.#replay(pass, this.#bound.get('head')!, 'head');
    this.#choose(pass);
  }

  #token(pass: GPUComputePassEncoder): void {
    this.#replay(pass, this.#bound.get('token')!, 'token');
    this.#choose(pass);
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

  async #chosen(steps: (pass: GPUComputePassEncoder) => void): Promise<Chosen> {
    const state = await this.#read(steps, 'state', STATE_BYTES);
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
    if (taken) {
      const { id, position, counts } = taken;
      this.#write('state', Uint32Array.of(id), 4 * STATE.id);
      this.#write('now', stepWords({ running: 1, position, rows: 1 }));
      for (const [of, count] of counts) this.#write('counts', Uint32Array.of(count), 4 * of);
    }
    const words = await this.#read((pass) => (taken ? this.#token(pass) : this.#first(pass)), 'candidates', CANDIDATES.bytes);
    const floats = new Float32Array(words.buffer);
    const at = (i: number): number => CANDIDATES.begin + 2 * i;
    const candidates = Array.from({ length: words[CANDIDATES.count]! }, (_, i) => ({ id: words[at(i) + 1]!, logit: floats[at(i)]! }));
    return {
      candidates: words[CANDIDATES.notANumber] ? undefined : candidates.sort((a, b) => b.logit - a.logit || a.id - b.id),
      clamped: words[CANDIDATES.bytes / 4]!,
    };
  }

  /** Submits steps, and reads so many bytes of a buffer and the count of values that no half holds. */
  async #read(steps: (pass: GPUComputePassEncoder) => void, name: string, bytes: number): Promise<Uint32Array<ArrayBuffer>> {
    const staging = this.#stagings[this.#next++ % RING]!;
    this.#submit(steps, (encoder) => {
      encoder.copyBufferToBuffer(this.#buffers.get(name)!, 0, staging, 0, bytes);
      encoder.copyBufferToBuffer(this.#buffers.get('clamped')!, 0, staging, bytes, 4);
    });
    const written = this.#ofToken.byName.get('logits')!.written;
    const sound = allTaken(this.#sound, written);
    const mapped = staging.mapAsync(1 /* GPUMapMode.READ */);
    mapped.catch(() => {}); // what is not sound says more
    return whileAlive(this.#device, allTaken(sound, mapped))
      .then(() => new Uint32Array(staging.getMappedRange().slice(0)))
      .finally(() => staging.unmap()); // whatever has happened, the next submit may use it
  }

  /** Frees all but the weights. */
  destroy(): void {
    this.#destroyed = true;
    for (const bound of [...this.#bound.values(), ...this.#choices.values()]) free(bound);
    this.#bound.clear();
    this.#choices.clear();
    destroyAll([...this.#buffers].filter(([name]) => !this.#weights.tensors.has(name)).map(([, buffer]) => buffer));
    this.#buffers.clear();
  }
}

function destroyAll(buffers: Iterable<GPUBuffer>): void {
  for (const buffer of buffers) buffer.destroy();
}
