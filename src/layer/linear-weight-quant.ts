// LinearWeightQuant, the module: load() repacks the weights once; then forward() and encode() run any number of times.

import { anything, dictionary } from '../arguments/check.js';
import { markOf, notOurs } from '../arguments/copies.js';
import { checkDevice, checkPass } from '../arguments/gpu-objects.js';
import { ArgumentError } from '../errors.js';
import { assertAlive } from '../gpu/device.js';
import { allTaken } from '../gpu/guard.js';
import { pipelineOf } from '../gpu/pipeline.js';
import { Tensor } from '../gpu/tensor.js';
import { loadSteps, outputSteps } from '../plan/load-steps.js';
import { packedLayout } from '../plan/packed-layout.js';
import { checkOptions, checkOutputs, checkWeights, checkX, checkY } from '../problem/checks.js';
import type { CodeBits } from '../problem/code-width.js';
import { columnsOfY } from '../problem/glu.js';
import { checkMatrix, inFixedMemory, type QuantizedMatrix } from '../problem/matrix.js';
import { contiguousX, type LinearOptions, type LinearSpec, makeProblem, yDtypeOf } from '../problem/problem.js';
import { showShape } from '../problem/view.js';
import {
  askedOf,
  FORWARD_TO,
  type ForwardOptions,
  type OutputOptions,
  type ProductOptions,
  type Scales,
  scalesOf,
  sharesBuffer,
} from '../product/options.js';
import type { QuantizeReport } from '../quantize/report.js';
import { VERSION } from '../version.js';
import { callWithOutput, encodeProduct, type Product, run } from './calls.js';
import { type Explanation, explain } from './explain.js';
import { allocate, type Buffers, beginLoad, fillFrom, finishLoad, type Load, loadPiece, orAbandon, type Place } from './load.js';
import { freeLoaded, type LoadedWeights, makeLoaded, outputBytes, type PlanSettings, recycle, takeOutput } from './loaded-weights.js';
import { type PackedWeights, packedOf } from './packed-weights.js';
import { checkPlan, type PlanningOptions, settingsOf } from './planning-options.js';
import { checkPrepare, checkRows, type PrepareOptions, prepareWeights } from './prepare.js';
import { inputOf, type QuantizedRows } from './quantize-x.js';
import { checkNames, fromStateDict, type NamedTensors, OUTPUT_NAMES } from './tensors-by-name.js';

/** The options of torch_npu's LinearWeightQuant, and settings of planning for tests and comparisons. */
export interface LinearWeightQuantOptions extends LinearOptions {
  readonly plan?: PlanningOptions;
}

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
    const plan = checkPlan(asked);
    assertAlive(device);
    this.device = device;
    this.#settings = settingsOf(device, plan);
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
    orAbandon(made, () => fillFrom(this.device, made, { dispatches, given }));
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
  beginMatrix(first: QuantizedMatrix, outputs: NamedTensors, groupSize = first.groupSize, place: Place = {}): Load {
    this.#assertUsable();
    const { inFeatures: k, outFeatures: n, dtype } = this.#spec;
    const given = checkNames(this.#spec, this.device, outputs, OUTPUT_NAMES);
    const columns = checkOutputs({ outFeatures: n, dtype: given.bias?.dtype === 'float32' ? 'float32' : dtype }, given);
    const { device } = this;
    const of = { size: { n, k, groupSize }, biased: columns.bias !== undefined, requantized: columns.quant !== undefined };
    const { caps } = this.#settings;
    const load = beginLoad(device, first, { caps, ...of, ...place });
    const dispatches = outputSteps({ n, ...columns }, load.packed, { caps, views: { ...given } });
    if (dispatches.length > 0) orAbandon(load, () => fillFrom(this.device, load, { dispatches, given }));
    return load;
  }

  /** @internal Ends a load after its last piece. */
  endMatrix(load: Load, report?: QuantizeReport): void {
    this.#assertUsable();
    this.#adopt(finishLoad(load, report));
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
   * size allocates nothing; with `ownBuffer` it frees it.
   * @throws ArgumentError, UnsupportedError, DeviceLostError
   */
  forward(given: Tensor | QuantizedRows, options: ForwardOptions & OutputOptions = {}): Tensor {
    const { ownBuffer, ...scaling } = FORWARD_TO(options, 'options');
    const loaded = this.#assertLoaded();
    const input = inputOf(given, loaded);
    const { x } = input;
    const { spec, weights } = loaded;
    const rows = checkX(spec, x);
    const form = { shape: [...x.shape.slice(0, -1), columnsOfY(weights)], dtype: yDtypeOf(spec, weights) };
    const size = outputBytes(loaded, rows);
    if (rows.m === 0) {
      const y = takeOutput(loaded, size, ownBuffer);
      return Tensor.own(this.device, y.buffer, { ...form, release: () => recycle(loaded, y), written: allTaken(y.ready, input.written) });
    }
    const scales: Scales = scalesOf(scaling, { input, m: rows.m });
    const { call, y } = callWithOutput(loaded, { input, rows, y: {}, ...scales }, size, ownBuffer);
    const taken = run(this.device, 'forward', { calls: [call], input });
    const written = allTaken(y.ready, scales.scaled?.tensor.written, scales.inputScale?.written, taken);
    return Tensor.own(this.device, y.buffer, { ...form, release: () => recycle(loaded, y), written });
  }

  /**
   * Records y = forward(x), or what `options` make of it, into the caller's pass. With the same buffers and shapes as before it allocates nothing.
   * x and y may not share a buffer. It sets the pass's pipeline and bind group 0, and does not set them back: set your own
   * again before your next dispatch.
   * @throws ArgumentError, UnsupportedError, DeviceLostError
   */
  encode(pass: GPUComputePassEncoder, given: Tensor | QuantizedRows, y: Tensor, options?: ProductOptions): void {
    const product = this.product(given, y, options);
    const into = checkPass(pass);
    if (product) encodeProduct(into, product);
  }

  /** Bits of a code in the file; known once the layer is loaded. @throws ArgumentError */
  get bits(): CodeBits {
    return this.#assertLoaded().weights.bits;
  }

  /** Bits that a code is held in; known once the layer is loaded. @throws ArgumentError */
  get held(): CodeBits {
    return this.#assertLoaded().weights.held;
  }

  /**
   * The weights in GPU memory, for kernels of your own that read them (docs/format.md). It is the same object for as long as the weights lie
   * where they do: a load, or `forwardMany` and `prepareMany`, may move them, and `layer.packed` is then another; the old buffers are destroyed.
   * @throws ArgumentError if nothing is loaded or the layer is destroyed, DeviceLostError
   */
  get packed(): PackedWeights {
    return packedOf(this.#assertLoaded());
  }

  /** Errors and bytes of the weights, if `loadLayer` quantized them; else undefined. */
  get report(): QuantizeReport | undefined {
    return this.#loaded?.report;
  }

  /** How the layer multiplies a contiguous x of `rows` rows, and why. No GPU work. @throws ArgumentError, UnsupportedError */
  explain(rows: number): Explanation {
    const loaded = this.#assertLoaded();
    const problem = makeProblem(loaded, { m: checkRows(rows), x: contiguousX(rows, loaded.weights.k) });
    return explain(loaded, problem);
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

  /** @internal The product that `encode` records; undefined for no rows. @throws ArgumentError, DeviceLostError */
  product(given: Tensor | QuantizedRows, y: Tensor, options?: ProductOptions): Product | undefined {
    const loaded = this.#assertLoaded();
    const input = inputOf(given, loaded);
    const output = Tensor.given(y, 'y', this.device);
    const rows = checkX(loaded.spec, input.x);
    const place = checkY(loaded.spec, rows.m, output);
    const { adds, twin, ...scales } = askedOf(options, { input, m: rows.m, y: output });
    if (adds && loaded.weights.glu) throw new ArgumentError('add', 'none beside a gated linear unit', 'one');
    if (twin && !loaded.weights.twinned) throw new ArgumentError('twin', 'a layer that leaves one: call leaveTwin() first', 'another');
    if (sharesBuffer(input, output)) throw new ArgumentError('y', 'another buffer than x', 'the same one');
    return rows.m === 0
      ? undefined
      : { loaded, request: { input, rows, y: place, adds, twin, ...scales }, writes: twin ? [output, twin] : [output] };
  }

  /** @internal Replaces the weights by the same weights in other buffers, and frees the old buffers. */
  move(to: LoadedWeights): void {
    freeLoaded(this.loaded, to);
    this.#loaded = to;
  }

  /** @internal Takes weights that were packed elsewhere. */
  adopt(made: Buffers): void {
    this.#assertUsable();
    this.#adopt(made);
  }

  // ------------------------------------------------------------------------------------------------------------- inside

  #adopt({ weights, packed, buffers, done: pending, codebook, report }: Buffers): void {
    this.#free();
    const done = allTaken(...pending); // reported by prepare() and by reading an output
    const spec = { ...this.#spec, quantScale: weights.requantized }; // false if quantScale was an empty tensor
    const { device } = this;
    this.#loaded = makeLoaded({
      device,
      spec,
      weights,
      packed,
      settings: this.#settings,
      buffers,
      shared: undefined,
      done,
      codebook,
      report,
    });
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
