// A sequence on the GPU: its buffers, the recordings of its steps, and what is submitted. A step is recorded once for a size of the cache and
// replayed; between tokens the host writes nothing and makes no GPU object but the command buffer.
import { ShaderError, UnsupportedError } from '../errors.js';
import { BUFFER, makeBuffer, makeBuffers, USAGE } from '../gpu/buffers.js';
import { assertAlive, capsOf, whileAlive } from '../gpu/device.js';
import { allTaken, guarded, guardedSubmit, type Taken } from '../gpu/guard.js';
import { pipelineOf } from '../gpu/pipeline.js';
import { Tensor } from '../gpu/tensor.js';
import { type Recorded, recordSteps, replay } from '../recorded/record-steps.js';
import type { Step as RecordedStep } from '../recorded/steps.js';
import type { Config } from './config.js';
import {
  bufferSizes,
  CLASSES,
  cacheSizes,
  capacityFor,
  chunksOf,
  growth,
  type KvDType,
  MOST_ROWS,
  qkvWidth,
  twinOffset,
} from './memory.js';
import { type Choosing, pickDispatch, STATE } from './pick.js';
import { addLlmShaders, type LlmDispatch, STEP_BYTES, stepWords } from './shaders.js';
import { headSteps, type Planning, type PlanStep, promptSteps, type TensorName, tokenSteps } from './step-plan.js';
import type { ModelWeights } from './weights.js';

/** Buffers that states are read through, in turn: so many submits can be under way. */
const RING = 3;
/** What the host reads after a submit: all but the list of ids by position. */
const STATE_BYTES = 4 * STATE.list;
/** And how many values no half could hold. */
const READ_BYTES = STATE_BYTES + 4;
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

export interface RunnerOptions {
  readonly context: number;
  readonly kv: KvDType;
}

/** Steps that a pass replays, and the buffers of their own uniforms. */
interface Bound {
  readonly recorded: Recorded;
  readonly uniforms: readonly GPUBuffer[];
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
  readonly #ofToken: ReadonlyMap<TensorName, Tensor>;
  readonly #ofRows: ReadonlyMap<TensorName, Tensor>;
  #capacity = 0;
  /** By what it is: `token`, `head`, and rows of a prompt. The first and the last are of this capacity. */
  readonly #bound = new Map<'token' | 'head' | number, Bound>();
  /** The choice, by its params: greedy, or with noise. */
  readonly #picks: [greedy?: Bound, noisy?: Bound] = [];
  #noise: 0 | 1 = 0;
  /** Rejects with the first error of what was submitted. */
  #sound: Taken = Promise.resolve();

  /** @throws UnsupportedError */
  private constructor(device: GPUDevice, config: Config, weights: ModelWeights, options: RunnerOptions) {
    this.#device = device;
    this.#config = config;
    this.#weights = weights;
    this.#options = options;
    this.#planning = { config, kv: options.kv, caps: capsOf(device) };
    const { angles, ...sizes } = bufferSizes(config, options.context);
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
    this.#ofToken = this.#tensors(1, 'stream');
    this.#ofRows = this.#tensors(MOST_ROWS, 'x');
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

  #tensors(rows: number, x: 'stream' | 'x'): ReadonlyMap<TensorName, Tensor> {
    const { width, heads, headWidth, feedForward, vocabulary } = this.#config;
    const of = (buffer: string, shape: readonly number[], byteOffset = 0, dtype: 'float32' | 'int32' = 'float32'): Tensor =>
      Tensor.wrap(this.#device, this.#buffers.get(buffer)!, { shape, dtype, byteOffset });
    return new Map<TensorName, Tensor>([
      ['x', of(x, [rows, width])],
      ['h', of('h', [rows, width])],
      ['qkv', of('qkv', [rows, qkvWidth(this.#config)])],
      ['att', of('att', [rows, heads * headWidth])],
      ['act', of('act', [rows, feedForward])],
      ['ids', of('ids', [rows], 0, 'int32')],
      ...(rows > 1
        ? []
        : ([
            ['twin', of('stream', [1, width], twinOffset(this.#config))],
            ['logits', of('logits', [1, vocabulary])],
            ['id', of('state', [1], 4 * STATE.id, 'int32')],
          ] as const)),
    ]);
  }

  /** q, k and v of rows, one behind the other in `qkv`: of one row side by side. */
  #columns(qkv: Tensor): readonly Tensor[] {
    const { heads, kvHeads, headWidth } = this.#config;
    const rows = qkv.shape[0]!;
    let at = 0;
    return [heads, kvHeads, kvHeads].map((count) => {
      const shape = [rows, count * headWidth];
      const tensor = Tensor.wrap(this.#device, qkv.buffer, { shape, dtype: 'float32', byteOffset: 4 * at });
      at += rows * count * headWidth;
      return tensor;
    });
  }

  // ------------------------------------------------------------------------------------------------------------- recording

  /** Records steps of the plan. @throws UnsupportedError, ShaderError, DeviceLostError */
  #bind(plan: readonly PlanStep[], rows?: number): Bound {
    const tensors = rows === undefined ? this.#ofToken : this.#ofRows;
    const uniforms: GPUBuffer[] = [];
    const { embedding, products } = this.#weights;
    const columns = this.#columns(tensors.get('qkv')!);
    const x = tensors.get('x')!;
    const steps = plan.map((step): RecordedStep => {
      if ('gather' in step) return { gather: embedding, ids: tensors.get(step.ids)!, y: x };
      if ('dispatch' in step) return this.#own(step.dispatch, step.buffers, { x: x.buffer, uniforms });
      const layers = products.get(step.product)!;
      const rowScale = step.scaled && { rms: x, epsilon: this.#config.epsilon };
      const input = tensors.get(step.x)!;
      if (step.y === 'qkv') return { layers, x: input, ys: columns, rowScale };
      const y = tensors.get(step.y)!;
      return { layer: layers[0]!, x: input, y, rowScale, ...(step.add && { add: y }), ...(step.twin && { twin: tensors.get('twin')! }) };
    });
    try {
      return { recorded: recordSteps(this.#device, steps, rows === undefined ? {} : { rows: [rows] }), uniforms };
    } catch (error) {
      for (const buffer of uniforms) buffer.destroy();
      throw error;
    }
  }

  /** A dispatch of shaders/llm. Its bindings are the buffers of their names, but for those in `names`. */
  #own(
    { shader, params, workgroups, uniforms }: LlmDispatch,
    names: Readonly<Record<string, string>>,
    { x, uniforms: made, shared }: { readonly x: GPUBuffer; readonly uniforms: GPUBuffer[]; readonly shared?: GPUBuffer },
  ): RecordedStep {
    const device = this.#device;
    const pipeline = pipelineOf(device, { shader: shader.name, params });
    const own = shared ?? makeBuffer(device, { label: 'llm params', usage: BUFFER.uniforms, data: new Uint8Array(uniforms) });
    if (!shared) made.push(own);
    const bufferOf = (name: string): GPUBufferBinding => {
      if (name === 'params') return { buffer: own, size: uniforms.byteLength };
      if (name === 'now') return { buffer: this.#buffers.get('now')!, size: STEP_BYTES };
      return { buffer: name === 'x' ? x : this.#buffers.get(names[name] ?? name)! };
    };
    const entries = shader.bindings
      .filter(({ when }) => when?.(params) ?? true)
      .map(({ name, binding }): GPUBindGroupEntry => ({ binding, resource: bufferOf(name) }));
    const bindGroup = device.createBindGroup({ label: shader.name, layout: pipeline.getBindGroupLayout(0), entries });
    return { pipeline, bindGroups: [bindGroup], workgroups };
  }

  #planOf(what: 'token' | 'head' | number): readonly PlanStep[] {
    const planning = { ...this.#planning, capacity: this.#capacity };
    if (what === 'token') return tokenSteps(planning);
    return what === 'head' ? headSteps(this.#config) : promptSteps(planning, what);
  }

  /**
   * The recorded steps. At first they run once while no sequence does, which changes nothing but tests their kernels: planning replaces what
   * fails.
   * @throws UnsupportedError, ShaderError, GpuError, DeviceLostError
   */
  async #prepared(what: 'token' | 'head' | number): Promise<void> {
    if (this.#bound.has(what)) return;
    for (let tries = 1; ; tries++) {
      const bound = this.#bindGuarded(what);
      try {
        this.#write('now', stepWords({ running: 0, position: 0, rows: 0 }));
        this.#submit((pass) => this.#replay(pass, bound, what));
        await this.settled();
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

  #bindGuarded(what: 'token' | 'head' | number): Bound {
    const { result, errors } = guarded(this.#device, 'steps of a language model', () =>
      this.#bind(this.#planOf(what), typeof what === 'number' ? what : undefined),
    );
    this.#sound = allTaken(this.#sound, errors);
    return result;
  }

  #replay(pass: GPUComputePassEncoder, { recorded }: Bound, what: 'token' | 'head' | number): void {
    replay(pass, recorded, typeof what === 'number' ? what : undefined);
  }

  /** The pipelines of a token's dispatches, without its choice. */
  dispatches(): readonly string[] {
    const labels: string[] = [];
    let label = '';
    const pass = {
      setPipeline: (pipeline: GPUComputePipeline) => (label = pipeline.label),
      setBindGroup() {},
      dispatchWorkgroups: () => labels.push(label),
    };
    this.#replay(pass as unknown as GPUComputePassEncoder, this.#bound.get('token')!, 'token');
    return labels;
  }

  // ---------------------------------------------------------------------------------------------------------------- memory

  get capacity(): number {
    return this.#capacity;
  }

  /** Bytes by use. */
  memory(): Readonly<Record<'cache' | 'rows' | 'logits', number>> {
    const { logits, ...rest } = bufferSizes(this.#config, this.#options.context);
    const { k, v, parts } = cacheSizes(this.#config, this.#options.kv, this.#capacity);
    return { cache: this.#config.layers * (k + v), rows: Object.values(rest).reduce((a, b) => a + b, parts), logits };
  }

  /**
   * Makes room in the cache, and keeps its first `used` positions.
   * @throws UnsupportedError if there is no memory; the cache is then as it was
   */
  async reserve(positions: number, used: number): Promise<void> {
    if (positions <= this.#capacity) return;
    const { layers } = this.#config;
    const { kv, context } = this.#options;
    const device = this.#device;
    const [from, to] = [this.#capacity, capacityFor(positions, context)];
    const { parts, ...sizes } = cacheSizes(this.#config, kv, to);
    const { maxStorageBufferBindingSize: largest } = this.#planning.caps;
    if (Math.max(sizes.k, parts) > largest)
      throw new UnsupportedError(`a cache of ${to} positions`, [
        `a layer's keys need ${sizes.k} bytes, parts ${parts}, maxStorageBufferBindingSize is ${largest}`,
      ]);
    const names = Array.from({ length: layers }, (_, layer) =>
      (['k', 'v'] as const).map((what) => ({ what, name: `${what}.${layer}` })),
    ).flat();
    const { result: made, errors } = guarded(device, `a cache of ${to} positions`, () =>
      makeBuffers(device, [
        ...names.map(({ what, name }) => [name, { label: `llm ${name}`, usage: BUFFER.output, size: sizes[what] }] as const),
        ...(parts > 0 ? [['parts', { label: 'llm parts', usage: BUFFER.output, size: parts }] as const] : []),
      ]),
    );
    try {
      await whileAlive(device, errors);
    } catch (error) {
      for (const buffer of made.values()) buffer.destroy();
      throw error;
    }
    const encoder = device.createCommandEncoder({ label: 'antiquant llm cache' });
    for (const { what, name } of names)
      for (const run of from === 0 ? [] : growth(this.#config, what, { kv, from, to, used }))
        encoder.copyBufferToBuffer(this.#buffers.get(name)!, run.from, made.get(name)!, run.to, run.size);
    this.#take(guardedSubmit(device, 'the cache', () => device.queue.submit([encoder.finish()])));
    for (const [name, buffer] of made) {
      this.#buffers.get(name)?.destroy();
      this.#buffers.set(name, buffer);
    }
    this.#capacity = to;
    const again = this.#bound.has('token');
    for (const [what, bound] of this.#bound)
      if (what !== 'head') {
        free(bound);
        this.#bound.delete(what);
      }
    if (again) this.#bound.set('token', this.#bindGuarded('token')); // its kernels were tested
  }

  // ------------------------------------------------------------------------------------------------------------- submitting

  #write(name: string, data: Uint32Array<ArrayBuffer>): void {
    this.#device.queue.writeBuffer(this.#buffers.get(name)!, 0, data);
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
    const written = [this.#ofToken, this.#ofRows].flatMap((tensors) => [tensors.get('x')!.written, tensors.get('logits')?.written]);
    await whileAlive(this.#device, allTaken(this.#sound, ...written));
    await whileAlive(this.#device, this.#device.queue.onSubmittedWorkDone());
  }

  /**
   * Takes rows of a prompt into the cache, at most 64: their residuals are then in `x`, and the last one's in `stream`.
   * @param of the class of rows that runs them
   */
  async rows(ids: readonly number[], { position, of }: { readonly position: number; readonly of: number }): Promise<void> {
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

  /** Begins to choose ids behind the last row of a prompt. @throws ArgumentError */
  choose(how: Choosing): void {
    const dispatch = pickDispatch(how, 'logits');
    this.#noise = how.temperature > 0 ? 1 : 0;
    this.#write('choosing', new Uint32Array(dispatch.uniforms));
    this.#write('state', new Uint32Array(STATE.ring));
    this.#picks[this.#noise] ??= this.#boundPick(dispatch);
  }

  #boundPick(dispatch: LlmDispatch): Bound {
    const { result, errors } = guarded(this.#device, 'the choice of a token', () => {
      const shared = this.#buffers.get('choosing')!;
      const step = this.#own(dispatch, {}, { x: shared, uniforms: [], shared });
      return { recorded: recordSteps(this.#device, [step]), uniforms: [] };
    });
    this.#take(errors);
    return result;
  }

  #pick(pass: GPUComputePassEncoder): void {
    replay(pass, this.#picks[this.#noise]!.recorded);
  }

  /** The id behind the last row of a prompt. */
  first(): Promise<Chosen> {
    return this.#chosen((pass) => {
      this.#replay(pass, this.#bound.get('head')!, 'head');
      this.#pick(pass);
    });
  }

  /** The next ids, in one pass. There must be room for them, and at most three submits that are not awaited. */
  more(count: number): Promise<Chosen> {
    const token = this.#bound.get('token')!;
    return this.#chosen((pass) => {
      for (let i = 0; i < count; i++) {
        this.#replay(pass, token, 'token');
        this.#pick(pass);
      }
    });
  }

  async #chosen(steps: (pass: GPUComputePassEncoder) => void): Promise<Chosen> {
    const staging = this.#stagings[this.#next++ % RING]!;
    this.#submit(steps, (encoder) => {
      encoder.copyBufferToBuffer(this.#buffers.get('state')!, 0, staging, 0, STATE_BYTES);
      encoder.copyBufferToBuffer(this.#buffers.get('clamped')!, 0, staging, STATE_BYTES, 4);
    });
    const written = this.#ofToken.get('logits')!.written;
    const sound = allTaken(this.#sound, written);
    const mapped = staging.mapAsync(1 /* GPUMapMode.READ */);
    mapped.catch(() => {}); // what is not sound says more
    const state = await whileAlive(this.#device, allTaken(sound, mapped))
      .then(() => new Uint32Array(staging.getMappedRange().slice(0)))
      .finally(() => staging.unmap()); // whatever has happened, the next submit may use it
    return {
      count: state[STATE.count]!,
      flags: state[STATE.flags]!,
      clamped: state[STATE.list]!,
      id: (n) => state[STATE.ring + (n % STATE.ringSize)]!,
    };
  }

  /** Frees all but the weights. */
  destroy(): void {
    for (const bound of [...this.#bound.values(), ...this.#picks]) if (bound) free(bound);
    this.#bound.clear();
    for (const [name, buffer] of this.#buffers) if (!this.#weights.tensors.has(name)) buffer.destroy();
    this.#buffers.clear();
  }
}

function free({ recorded, uniforms }: Bound): void {
  recorded.destroy();
  for (const buffer of uniforms) buffer.destroy();
}
