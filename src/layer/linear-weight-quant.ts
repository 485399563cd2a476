// LinearWeightQuant, the module: load() repacks the weights once; then forward() and encode() run any number of times.

import { anything, type Check, dictionary, fields, finiteNumber, flag, onlyFields, optional, text } from '../arguments/check.js';
import { markOf, notOurs } from '../arguments/copies.js';
import { checkDevice, checkPass } from '../arguments/gpu-objects.js';
import { ArgumentError } from '../errors.js';
import { assertAlive, capsOf } from '../gpu/device.js';
import { findingsOf } from '../gpu/device-findings.js';
import { allTaken } from '../gpu/guard.js';
import { pipelineOf, variantText } from '../gpu/pipeline.js';
import { encodeInto } from '../gpu/recording.js';
import { Tensor } from '../gpu/tensor.js';
import { type Force, survey, type Verdict } from '../plan/choose.js';
import type { Dispatch } from '../plan/dispatch.js';
import { loadSteps, outputSteps } from '../plan/load-steps.js';
import { packedLayout } from '../plan/packed-layout.js';
import { whyOf } from '../plan/why.js';
import type { Accuracy } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import { checkOptions, checkOutputs, checkWeights, checkX, checkY } from '../problem/checks.js';
import type { CodeBits } from '../problem/code-width.js';
import { checkMatrix, inFixedMemory, type QuantizedMatrix } from '../problem/matrix.js';
import { contiguousX, type LinearOptions, type LinearSpec, makeProblem, type WeightTensors, yDtypeOf } from '../problem/problem.js';
import { showShape } from '../problem/view.js';
import type { WeightFormat } from '../problem/weight-format.js';
import { VERSION } from '../version.js';
import type { Params } from '../wgsl/preprocess.js';
import { callInto, callWithOutput, run, sharesBuffer } from './calls.js';
import { allocate, type Buffers, beginLoad, fill, finishLoad, type Load, loadPiece, orAbandon } from './load.js';
import {
  freeLoaded,
  type LoadedWeights,
  makeLoaded,
  outputBytes,
  type PlanSettings,
  planFor,
  recycle,
  takeOutput,
} from './loaded-weights.js';
import { checkPrepare, checkRows, type PrepareOptions, prepareWeights } from './prepare.js';
import { inputOf, type QuantizedRows } from './quantize-x.js';
import { checkNames, fromStateDict, type NamedTensors, OUTPUT_NAMES } from './tensors-by-name.js';

/** The options of torch_npu's LinearWeightQuant, and settings of planning for tests and comparisons. */
export interface LinearWeightQuantOptions extends LinearOptions {
  readonly plan?: {
    /** Use this kernel, before the planner's and any measured choice. For tests, benches and comparisons. */
    readonly force?: Force;
    /** Overrides of the device's caps, to do without an ability. */
    readonly caps?: Partial<Caps>;
    /** Test each variant of a kernel once on each device before its results count; default true, false with a `force`. */
    readonly selfTest?: boolean;
  };
}

/** A layer's weights in GPU memory (docs/format.md). */
export interface HeldWeights extends WeightFormat {
  /** Bits a weight of codes, scales and what is added, from the sizes of their buffers: padding counts. */
  readonly bitsPerWeight: number;
}

/** How a layer multiplies x of some number of rows: the kernel, the reasons for it, its text, and every dispatch. */
export interface Explanation {
  readonly kernel: string;
  readonly params: Params;
  readonly workgroups: readonly [number, number];
  /** What the kernel rounds; the reference's interval takes it. */
  readonly accuracy: Accuracy;
  /** The WGSL that runs. */
  readonly wgsl: string;
  /** Each kernel's verdict on these rows, in planning's order. One is chosen or tuned. */
  readonly verdicts: readonly Verdict[];
  /** The verdicts in words: why this kernel runs, which helpers run around it, and why kernels asked before it do not run. */
  readonly why: readonly string[];
  /** Every dispatch of the call, in order. */
  readonly dispatches: readonly Dispatch[];
  /** How the weights are held. */
  readonly weights: HeldWeights;
  /** Problems of this device that make no product wrong, e.g. measured choices that could not be stored. Each is listed once. */
  readonly notes: readonly string[];
}

const PLAN = onlyFields({
  force: optional(fields({ kernel: text, tile: optional(dictionary(finiteNumber)) })),
  caps: anything,
  selfTest: optional(flag),
}) as Check<NonNullable<LinearWeightQuantOptions['plan']>>;

/**
 * A linear layer with quantized weights: y = x · ((weight + antiquantOffset) · antiquantScale)ᵀ + bias, or its int8 requantization.
 * Rules and names are those of torch_npu.contrib.module.LinearWeightQuant.
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
  readonly #settings: PlanSettings;
  #loaded: LoadedWeights | undefined;
  #destroyed = false;

  /** @throws ArgumentError, DeviceLostError */
  constructor(device: GPUDevice, options: LinearWeightQuantOptions) {
    checkDevice(device);
    const { plan: asked, ...rest } = dictionary(anything)(options, 'options');
    this.#spec = checkOptions(rest as unknown as LinearOptions);
    const { force, caps, selfTest = force === undefined } = optional(PLAN)(asked, 'plan') ?? {};
    assertAlive(device);
    this.device = device;
    this.#settings = { caps: capsOf(device, caps), force, selfTest };
  }

  /**
   * Repacks the weights on the GPU into the layer's buffers. Enqueues; the caller's tensors may be destroyed afterwards.
   * @throws ArgumentError, UnsupportedError if the device cannot hold them, DeviceLostError
   */
  load(tensors: NamedTensors): this {
    this.#assertUsable();
    const given = checkNames(this.#spec, this.device, tensors);
    const operands = checkWeights(this.#spec, given);
    const { caps } = this.#settings;
    const packed = packedLayout(operands, caps);
    const dispatches = loadSteps({ operands, packed, caps }, { ...given });
    for (const one of dispatches) pipelineOf(this.device, one); // throws, before anything is allocated, if one is known not to compile
    const made = allocate(this.device, { weights: operands, packed });
    orAbandon(made, () => this.#fill(made, dispatches, given));
    this.#adopt(made);
    return this;
  }

  /**
   * `load` for an imported matrix (`antiquant/formats`) of any bits and groups, with zero points, minimums or a codebook. It ignores the
   * options antiquantOffset and antiquantGroupSize. bias may be float32 beside x of any dtype.
   * @throws ArgumentError, UnsupportedError if the device cannot hold it, DeviceLostError
   * @example layer.loadMatrix(importGguf(tensor));
   */
  loadMatrix(matrix: QuantizedMatrix, outputs: NamedTensors = {}): this {
    const { inFeatures: k, outFeatures: n } = this.#spec;
    checkMatrix(matrix);
    const fixed = inFixedMemory(matrix);
    if (matrix.n !== n || matrix.k !== k) throw new ArgumentError('matrix', showShape([n, k]), showShape([matrix.n, matrix.k]));
    const load = this.beginMatrix(fixed, outputs);
    orAbandon(load, () => loadPiece(load, fixed));
    this.endMatrix(load);
    return this;
  }

  /** @internal Allocates the buffers of a matrix, whose first piece is `first`, and fills in bias and output scale. */
  beginMatrix(first: QuantizedMatrix, outputs: NamedTensors, groupSize = first.groupSize): Load {
    this.#assertUsable();
    const { inFeatures: k, outFeatures: n, dtype } = this.#spec;
    const given = checkNames(this.#spec, this.device, outputs, OUTPUT_NAMES);
    const columns = checkOutputs({ outFeatures: n, dtype: given.bias?.dtype === 'float32' ? 'float32' : dtype }, given);
    const { device } = this;
    const of = { size: { n, k, groupSize }, biased: columns.bias !== undefined, requantized: columns.quant !== undefined };
    const { caps } = this.#settings;
    const load = beginLoad(device, first, { caps, ...of });
    const dispatches = outputSteps({ n, ...columns }, caps, { ...given });
    if (dispatches.length > 0) orAbandon(load, () => this.#fill(load, dispatches, given));
    return load;
  }

  /** @internal Ends a load after its last piece. */
  endMatrix(load: Load): void {
    this.#assertUsable();
    this.#adopt(finishLoad(load));
  }

  /**
   * `load` by torch's names: weight, antiquant_scale, antiquant_offset, quant_scale, quant_offset, bias.
   * @throws as `load`
   */
  loadStateDict(dict: NamedTensors): this {
    return this.load(fromStateDict(dict));
  }

  /**
   * Compiles all shaders for products of these numbers of rows, in parallel, and tests each variant once on this device. Variants that fail
   * are not used (`selfTestReports`). Reads stored choices of an earlier `tune`. With `tune` it measures choices that are not known yet, on
   * this layer's weights; layers of the same shapes and dtypes share them.
   * @throws ArgumentError, UnsupportedError if no kernel works or there was no memory, GpuError, ShaderError, DeviceLostError, ReadError if
   *   the files of self-tests or tuning cannot be loaded
   * @example await layer.prepare([1, 128], { tune: true });
   */
  async prepare(rows: readonly number[], options: PrepareOptions = {}): Promise<void> {
    await prepareWeights(this.#assertLoaded(), ...checkPrepare(rows, options));
  }

  /**
   * x (…, K), or its codes → y (…, N). y has x's dtype, is float32 with `outputDtype`, or int8 with a quantScale. Enqueues and does not
   * wait; errors that only the GPU can find reach `read`. Destroying y gives its buffer back to the layer, so that the next call of this
   * size allocates nothing.
   * @throws ArgumentError, UnsupportedError, DeviceLostError
   */
  forward(given: Tensor | QuantizedRows): Tensor {
    const loaded = this.#assertLoaded();
    const input = inputOf(given, loaded);
    const { x } = input;
    const { spec, weights } = loaded;
    const rows = checkX(spec, x);
    const form = { shape: [...x.shape.slice(0, -1), weights.n], dtype: yDtypeOf(spec, weights) };
    const size = outputBytes(loaded, rows);
    if (rows.m === 0) {
      const y = takeOutput(loaded, size);
      return Tensor.own(this.device, y.buffer, { ...form, release: () => recycle(loaded, y), written: allTaken(y.ready, input.written) });
    }
    const { call, y } = callWithOutput(loaded, { input, rows, y: {} }, size);
    const written = allTaken(y.ready, run(this.device, 'forward', { calls: [call], input }));
    return Tensor.own(this.device, y.buffer, { ...form, release: () => recycle(loaded, y), written });
  }

  /**
   * Records y = forward(x) into the caller's pass. With the same buffers and shapes as before it allocates nothing. x and y may not share
   * a buffer. It sets the pass's pipeline and bind group 0, and does not set them back: set your own
   * again before your next dispatch.
   * @throws ArgumentError, UnsupportedError, DeviceLostError
   */
  encode(pass: GPUComputePassEncoder, given: Tensor | QuantizedRows, y: Tensor): void {
    const loaded = this.#assertLoaded();
    const input = inputOf(given, loaded);
    const output = Tensor.given(y, 'y', this.device);
    const rows = checkX(loaded.spec, input.x);
    const place = checkY(loaded.spec, rows.m, output);
    if (sharesBuffer(input, output)) throw new ArgumentError('y', 'another buffer than x', 'the same one');
    const into = checkPass(pass);
    if (rows.m === 0) return;
    const { recording, sound } = callInto(loaded, { input, rows, y: place }, output.buffer);
    encodeInto(into, recording);
    output.writtenBy(allTaken(input.written, sound));
  }

  /** Bits of a code in the file; known once the layer is loaded. @throws ArgumentError */
  get bits(): CodeBits {
    return this.#assertLoaded().weights.bits;
  }

  /** Bits that a code is held in; known once the layer is loaded. @throws ArgumentError */
  get held(): CodeBits {
    return this.#assertLoaded().weights.held;
  }

  /** How the layer multiplies a contiguous x of `rows` rows, and why. No GPU work. @throws ArgumentError, UnsupportedError */
  explain(rows: number): Explanation {
    const loaded = this.#assertLoaded();
    const problem = makeProblem(loaded, { m: checkRows(rows), x: contiguousX(rows, loaded.weights.k) });
    const plan = planFor(loaded, problem);
    const { kernel, params, accuracy, main, dispatches } = plan;
    const findings = findingsOf(this.device);
    const verdicts = survey({ problem, ...loaded.settings, findings }, plan);
    const wgsl = variantText(main).code;
    const notes = [...findings.notes];
    const weights = heldOf(loaded);
    return { kernel, params, accuracy, workgroups: main.workgroups, wgsl, verdicts, why: whyOf(plan), dispatches, weights, notes };
  }

  /** Frees the layer's buffers. Its outputs stay. */
  destroy(): void {
    this.#free();
    this.#destroyed = true;
  }

  /** @internal The version of the copy of this library that made it. */
  get [markOf('LinearWeightQuant')](): string {
    return VERSION;
  }

  /** @internal Checks that a caller's value is a layer. @throws ArgumentError */
  static given(value: unknown, argument: string): LinearWeightQuant {
    if (typeof value === 'object' && value !== null && #loaded in value) return value;
    throw notOurs(argument, { what: 'LinearWeightQuant', expected: 'a LinearWeightQuant' }, value);
  }

  /** @internal The loaded weights. @throws ArgumentError, DeviceLostError */
  get loaded(): LoadedWeights {
    return this.#assertLoaded();
  }

  /** @internal The same, or undefined for a layer that is destroyed or not loaded. */
  get current(): LoadedWeights | undefined {
    return this.#loaded;
  }

  /** @internal Replaces the weights by the same weights in other buffers, and frees the old buffers. */
  move(to: LoadedWeights): void {
    freeLoaded(this.loaded, to);
    this.#loaded = to;
  }

  // ------------------------------------------------------------------------------------------------------------- inside

  /** Fills a layer's buffers from the caller's tensors. */
  #fill(made: Buffers, dispatches: readonly Dispatch[], given: WeightTensors<Tensor>): void {
    const sources = (role: string): GPUBuffer => given[role as keyof typeof given]!.buffer;
    const written = Object.values(given).map((tensor: Tensor | undefined) => tensor?.written);
    fill(this.device, made, { dispatches, sources, written });
  }

  #adopt({ weights, packed, buffers, done: pending }: Buffers): void {
    this.#free();
    const done = allTaken(...pending); // reported by prepare() and by reading an output
    const spec = { ...this.#spec, quantScale: weights.requantized }; // false if quantScale was an empty tensor
    const { device } = this;
    this.#loaded = makeLoaded({ device, spec, weights, packed, settings: this.#settings, buffers, shared: undefined, done });
  }

  #free(): void {
    if (this.#loaded) freeLoaded(this.#loaded);
    this.#loaded = undefined;
  }

  #assertUsable(): void {
    if (this.#destroyed) throw new ArgumentError('layer', 'a live layer', 'a destroyed one');
    assertAlive(this.device);
  }

  #assertLoaded(): LoadedWeights {
    this.#assertUsable();
    if (!this.#loaded) throw new ArgumentError('layer', 'loaded weights: call load() first', 'none');
    return this.#loaded;
  }
}

function heldOf({ weights, packed }: LoadedWeights): HeldWeights {
  const { n, k, bits, held, scaleDtype, shift, codebook } = weights;
  const bytes = packed.slabs.reduce((sum, { w, scale, offset }) => sum + w.size + scale.size + (offset?.size ?? 0), 0);
  return { bits, held, scaleDtype, shift, codebook, bitsPerWeight: (8 * bytes) / (n * k) };
}
