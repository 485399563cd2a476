// The module: options checked once, weights repacked once by load(), then forward() or encode() any number of times.
import type { Accuracy } from './accuracy.js';
import type { Caps } from './caps.js';
import { checkOptions, checkWeights, checkX, checkY } from './checks.js';
import { BYTES, wholeWords } from './dtype.js';
import { ArgumentError, UnsupportedError } from './errors.js';
import { present } from './functional.js';
import { assertAlive, capsOf } from './gpu/device.js';
import { encodeInto, type Recording, record, submit } from './gpu/dispatch.js';
import { pipelineErrors, pipelineOf, preparePipelines, variantText } from './gpu/pipeline.js';
import { scratch } from './gpu/scratch.js';
import { type Packed, packedLayout, packSteps } from './packed.js';
import { type Force, makePlan, type Plan } from './plan.js';
import {
  contiguousX,
  type LinearOptions,
  type LinearSpec,
  makeProblem,
  type Operands,
  type Problem,
  type WeightTensors,
} from './problem.js';
import type { Step } from './step.js';
import { Tensor } from './tensor.js';
import type { Params } from './wgsl/preprocess.js';

export interface LinearWeightQuantOptions extends LinearOptions {
  /** For tests, benches and comparisons: a kernel to use whatever the planner thinks, and abilities of the device to do without. */
  readonly plan?: { readonly force?: Force; readonly caps?: Partial<Caps> };
}

export interface Explanation {
  readonly kernel: string;
  readonly params: Params;
  readonly workgroups: readonly [number, number];
  /** How it sums; the reference's interval takes it. */
  readonly accuracy: Accuracy;
  /** The text that runs. */
  readonly wgsl: string;
  /** Why this kernel, and why not the ones that were asked before it. */
  readonly why: readonly string[];
  /** Every dispatch of the call, in order. */
  readonly steps: readonly Step[];
}

/** torch's names for what `load` takes. */
const STATE_DICT: Readonly<Record<string, keyof WeightTensors<Tensor>>> = {
  weight: 'weight',
  antiquant_scale: 'antiquantScale',
  antiquant_offset: 'antiquantOffset',
  quant_scale: 'quantScale',
  quant_offset: 'quantOffset',
  bias: 'bias',
};
const NAMES = Object.values(STATE_DICT);

/** The layer's packed weights on the GPU. */
interface Loaded {
  /** As the options, less what came as an empty tensor. */
  readonly spec: LinearSpec;
  readonly operands: Operands;
  readonly packed: Packed;
  readonly buffers: ReadonlyMap<string, GPUBuffer>;
  /** Rejects if repacking failed: a shader that does not compile, or no memory. */
  readonly done: Promise<void>;
}

/** What a call with the same rows, layouts and buffers uses again. */
interface Call {
  readonly problem: Problem;
  readonly plan: Plan;
  readonly recording: Recording;
  readonly scratch: ReadonlyMap<string, GPUBuffer>;
  /** Rejects if a shader of the call, or the repacking before it, failed. */
  readonly written: Promise<void>;
}

const STORAGE = 0x80; // GPUBufferUsage.STORAGE
const OUTPUT = 0x80 | 0x4; // STORAGE | COPY_SRC
const KEPT_OUTPUTS = 4; // of each size

const sameLayout = (a: Problem, b: Problem): boolean =>
  a.m === b.m &&
  a.yOffset === b.yOffset &&
  a.x.offset === b.x.offset &&
  a.x.batchRows === b.x.batchRows &&
  a.x.strideM === b.x.strideM &&
  a.x.strideK === b.x.strideK;

/**
 * A linear layer with quantized weights: y = x · ((weight + antiquantOffset) · antiquantScale)ᵀ + bias, or its int8 requantization.
 * The counterpart of torch_npu.contrib.module.LinearWeightQuant.
 *
 * weight (N, K) int8, or int32 (N, K/8) holding eight int4; antiquantScale and antiquantOffset (1,), (N,), (N, 1), (1, N), or (N, G)
 * with G = ceil(K / antiquantGroupSize); quantScale (1,), (N,), (1, N) float32 or int64; bias (1,), (N,), (1, N).
 *
 * @example
 * const layer = new LinearWeightQuant(device, { inFeatures: 64, outFeatures: 8, bias: false, dtype: 'float32' });
 * layer.load({ weight, antiquantScale });
 * const y = await layer.forward(x).read();
 */
export class LinearWeightQuant {
  readonly device: GPUDevice;
  readonly #spec: LinearSpec;
  readonly #force: Force | undefined;
  readonly #caps: Caps;
  #loaded: Loaded | undefined;
  #destroyed = false;
  // Weakly by x's and y's buffers, so that a call is forgotten with either.
  #calls = new WeakMap<GPUBuffer, WeakMap<GPUBuffer, Call>>();
  readonly #outputs = new Map<number, GPUBuffer[]>();

  /** @throws ArgumentError, DeviceLostError */
  constructor(device: GPUDevice, { plan, ...options }: LinearWeightQuantOptions) {
    this.#spec = checkOptions(options);
    assertAlive(device);
    this.device = device;
    this.#force = plan?.force;
    this.#caps = capsOf(device, plan?.caps);
  }

  /**
   * Repacks the weights on the GPU into the layer's own buffers. Enqueues; the caller's tensors may be destroyed afterwards.
   * @throws ArgumentError, UnsupportedError if the device cannot hold them, DeviceLostError
   */
  load(tensors: Readonly<Record<string, Tensor>>): this {
    this.#assertUsable();
    const given = this.#checkNames(tensors);
    const operands = checkWeights(this.#spec, given);
    const packed = packedLayout(operands, this.#caps);
    const steps = packSteps(operands, packed, this.#caps, { ...given });
    const { device } = this;
    for (const step of steps) pipelineOf(device, step); // throws, if one did not compile before, while nothing is allocated

    device.pushErrorScope('out-of-memory');
    const buffers = new Map<string, GPUBuffer>();
    for (const [role, size] of Object.entries(packed.sizes)) {
      buffers.set(role, device.createBuffer({ label: `antiquant ${role}`, size, usage: STORAGE }));
    }
    const total = Object.values(packed.sizes).reduce((a, b) => a + b, 0);
    const memory = device.popErrorScope().then((error) => {
      if (error) throw new UnsupportedError('weights', [`need ${total} bytes of GPU memory: ${error.message}`]);
    });
    const recording = record(device, steps, (role) => buffers.get(role) ?? given[role as keyof typeof given]!.buffer);
    submit(device, 'antiquant load', (pass) => encodeInto(pass, recording));
    recording.uniforms.destroy();
    this.#free();
    const done = Promise.all([memory, pipelineErrors(device, steps)]).then(() => {});
    done.catch(() => {}); // reported by prepare() and by reading an output
    this.#loaded = { spec: { ...this.#spec, quantScale: operands.quant !== undefined }, operands, packed, buffers, done };
    return this;
  }

  /** `load` by torch's names: weight, antiquant_scale, antiquant_offset, quant_scale, quant_offset, bias. */
  loadStateDict(dict: Readonly<Record<string, Tensor>>): this {
    const entries = Object.entries(dict).map(([name, tensor]) => {
      const own = STATE_DICT[name];
      if (!own) throw new ArgumentError(name, Object.keys(STATE_DICT).join(' or '), 'an unknown name');
      return [own, tensor];
    });
    return this.load(Object.fromEntries(entries));
  }

  /** Compiles, in parallel and off the main path, all that products of these numbers of rows will need. @throws ShaderError */
  async prepare(rows: readonly number[]): Promise<void> {
    const steps = rows.flatMap((m) => this.#plan(m).steps);
    await preparePipelines(this.device, steps);
    await this.#loaded?.done;
  }

  /**
   * x (…, K) → y (…, N), of x's dtype, or int8 with a quantScale. Enqueues and does not wait; errors that only the GPU can find reach
   * `read`. Destroying y gives its buffer back to the layer, so that the next call of this size allocates nothing.
   * @throws ArgumentError, UnsupportedError, DeviceLostError
   */
  forward(x: Tensor): Tensor {
    const loaded = this.#assertLoaded();
    x.assertUsable('x', this.device);
    const rows = checkX(this.#spec, x);
    const { m } = rows;
    const dtype = loaded.operands.quant ? 'int8' : this.#spec.dtype;
    const size = wholeWords(m * loaded.operands.n * BYTES[dtype]);
    if (size > this.#caps.maxBufferSize) {
      throw new UnsupportedError(`y (${m}, ${loaded.operands.n})`, [`needs ${size} bytes, maxBufferSize is ${this.#caps.maxBufferSize}`]);
    }
    const kept = this.#outputs.get(size);
    const { call, y } = this.#call(x, rows, 0, kept?.at(-1), () => this.device.createBuffer({ label: 'antiquant y', size, usage: OUTPUT }));
    kept?.pop();
    submit(this.device, 'antiquant forward', (pass) => encodeInto(pass, call.recording));
    const shape = [...x.shape.slice(0, -1), loaded.operands.n];
    return Tensor.own(this.device, y, { shape, dtype }, () => this.#recycle(y, size), call.written);
  }

  /**
   * Records the product into the caller's own pass: y = forward(x), with y given. With the same buffers and shapes as before it
   * allocates nothing. x and y may not share a buffer.
   * @throws ArgumentError, UnsupportedError, DeviceLostError
   */
  encode(pass: GPUComputePassEncoder, x: Tensor, y: Tensor): void {
    const { spec } = this.#assertLoaded();
    x.assertUsable('x', this.device);
    y.assertUsable('y', this.device);
    const rows = checkX(spec, x);
    checkY(spec, rows.m, y);
    if (x.buffer === y.buffer) throw new ArgumentError('y', 'another buffer than x', 'the same one');
    encodeInto(pass, this.#call(x, rows, y.offset, y.buffer, () => y.buffer).call.recording);
  }

  /** How a contiguous x of `rows` rows would be multiplied, and why so. No GPU work. @throws ArgumentError, UnsupportedError */
  explain(rows: number): Explanation {
    const { kernel, params, accuracy, main, why, steps } = this.#plan(rows);
    return { kernel, params, accuracy, workgroups: main.workgroups, wgsl: variantText(main).code, why, steps };
  }

  /** Frees the layer's buffers; outputs that were given out stay. */
  destroy(): void {
    this.#free();
    this.#destroyed = true;
  }

  // ------------------------------------------------------------------------------------------------------------- inside

  #free(): void {
    for (const buffer of this.#loaded?.buffers.values() ?? []) buffer.destroy();
    for (const buffer of [...this.#outputs.values()].flat()) buffer.destroy();
    this.#outputs.clear();
    this.#calls = new WeakMap();
    this.#loaded = undefined;
  }

  #assertUsable(): void {
    if (this.#destroyed) throw new ArgumentError('layer', 'a live layer', 'a destroyed one');
    assertAlive(this.device);
  }

  #assertLoaded(): Loaded {
    this.#assertUsable();
    if (!this.#loaded) throw new ArgumentError('layer', 'loaded weights: call load() first', 'none');
    return this.#loaded;
  }

  /** The given tensors by name, each usable, exactly those that the options announce. */
  #checkNames(tensors: Readonly<Record<string, Tensor>>): WeightTensors<Tensor> {
    const unknown = Object.keys(tensors).find((name) => !NAMES.includes(name as never));
    if (unknown) throw new ArgumentError(unknown, NAMES.join(' or '), 'an unknown name');
    // undefined and null (torch's None) are none.
    const given: Record<string, Tensor | undefined> = Object.fromEntries(Object.entries(tensors).filter(([, tensor]) => tensor ?? false));
    for (const [name, tensor] of Object.entries(given)) {
      if (!(tensor instanceof Tensor)) throw new ArgumentError(name, 'a Tensor', Object.prototype.toString.call(tensor));
      tensor.assertUsable(name, this.device);
    }
    // Empty tensors stand for absent ones here, whatever the options say.
    const empty = ['quantScale', 'bias'].filter((name) => given[name] && !present(given[name]));
    for (const name of empty) given[name] = undefined;
    const { bias, antiquantOffset, quantScale, quantOffset } = this.#spec;
    for (const [name, wanted] of Object.entries({ weight: true, antiquantScale: true, antiquantOffset, quantScale, quantOffset, bias })) {
      if (wanted && !given[name] && !empty.includes(name)) throw new ArgumentError(name, 'a Tensor', 'none');
      if (!wanted && given[name]) throw new ArgumentError(name, `none, for a layer made with ${name}: false`, 'a Tensor');
    }
    return given as unknown as WeightTensors<Tensor>;
  }

  #plan(rows: number): Plan {
    const { operands, packed } = this.#assertLoaded();
    if (!Number.isSafeInteger(rows) || rows < 1) throw new ArgumentError('rows', 'a whole number of at least 1', String(rows));
    const problem = makeProblem(this.#spec, operands, rows, contiguousX(rows, operands.k), 0);
    return makePlan(problem, packed, this.#caps, this.#force);
  }

  /** The recorded call for x and y's buffer, made if there is none. Without a y it is made last: what cannot be planned allocates nothing. */
  #call(
    x: Tensor,
    { m, view }: ReturnType<typeof checkX>,
    yOffset: number,
    known: GPUBuffer | undefined,
    makeY: () => GPUBuffer,
  ): { readonly call: Call; readonly y: GPUBuffer } {
    const { operands, packed, buffers, done } = this.#loaded!;
    const problem = makeProblem(this.#spec, operands, m, view, yOffset);
    const before = known && this.#calls.get(x.buffer)?.get(known);
    if (before && sameLayout(before.problem, problem) && this.#scratchStands(before)) return { call: before, y: known };
    const plan = makePlan(problem, packed, this.#caps, this.#force);
    const y = known ?? makeY();
    const temporary = new Map(Object.entries(plan.scratch).map(([role, size]) => [role, scratch(this.device, role, size)]));
    const find = (role: string): GPUBuffer => (role === 'x' ? x.buffer : role === 'y' ? y : (temporary.get(role) ?? buffers.get(role)!));
    const recording = record(this.device, plan.steps, find);
    const written = Promise.all([done, pipelineErrors(this.device, plan.steps)]).then(() => {});
    written.catch(() => {}); // reported by reading an output
    const call: Call = { problem, plan, recording, scratch: temporary, written };
    const calls = this.#calls.get(x.buffer) ?? new WeakMap<GPUBuffer, Call>();
    this.#calls.set(x.buffer, calls.set(y, call));
    return { call, y };
  }

  /** Scratch buffers are shared: another call may have grown them, which replaces them. */
  #scratchStands({ scratch: used }: Call): boolean {
    for (const [role, buffer] of used) if (scratch(this.device, role, 1) !== buffer) return false;
    return true;
  }

  #recycle(buffer: GPUBuffer, size: number): void {
    const kept = this.#outputs.get(size) ?? [];
    if (this.#destroyed || kept.length >= KEPT_OUTPUTS) {
      buffer.destroy();
      return;
    }
    kept.push(buffer);
    this.#outputs.set(size, kept);
  }
}
