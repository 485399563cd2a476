// The module: options checked once, weights repacked once by load(), then forward() or encode() any number of times.

import { ArgumentError } from '../errors.js';
import { assertAlive, capsOf } from '../gpu/device.js';
import { encodeInto, submit } from '../gpu/dispatch.js';
import { pipelineOf, variantText } from '../gpu/pipeline.js';
import { Tensor } from '../gpu/tensor.js';
import { packedLayout, packOutputs, packSteps } from '../plan/packed-layout.js';
import type { Force } from '../plan/plan.js';
import type { Step } from '../plan/step.js';
import type { Accuracy } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import { checkOptions, checkOutputs, checkWeights, checkX, checkY } from '../problem/checks.js';
import { checkMatrix, type QuantizedMatrix } from '../problem/matrix.js';
import { type LinearOptions, type LinearSpec, showShape, type Weights } from '../problem/problem.js';
import type { Params } from '../wgsl/preprocess.js';
import { allocate, type Buffers, beginLoad, fill, finishLoad, type Load, loadPiece } from './load.js';
import {
  callOf,
  callWithOutput,
  freeProduct,
  makeProduct,
  outputBytes,
  type Product,
  planOf,
  recycle,
  sharesBuffer,
} from './loaded-weights.js';
import { checkRows, type PrepareOptions, prepareProduct } from './prepare.js';
import { inputOf, type QuantizedRows } from './quantize-x.js';
import { checkNames, fromStateDict, type NamedTensors, OUTPUT_NAMES } from './tensors-by-name.js';

/** The options of torch_npu's LinearWeightQuant, and what tests and comparisons may ask of planning. */
export interface LinearWeightQuantOptions extends LinearOptions {
  readonly plan?: {
    /** For tests, benches and comparisons: a kernel to use whatever the planner thinks, or measuring found. */
    readonly force?: Force;
    /** Abilities of the device to do without. */
    readonly caps?: Partial<Caps>;
    /** Test each variant of a kernel once on each device before its results count; default true, false with a `force`. */
    readonly selfTest?: boolean;
  };
}

/** How a product of so many rows is made: the kernel, why it was chosen, its text, and every dispatch. */
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
  readonly #selfTest: boolean;
  #product: Product | undefined;
  #destroyed = false;

  /** @throws ArgumentError, DeviceLostError */
  constructor(device: GPUDevice, { plan, ...options }: LinearWeightQuantOptions) {
    this.#spec = checkOptions(options);
    assertAlive(device);
    this.device = device;
    this.#force = plan?.force;
    this.#caps = capsOf(device, plan?.caps);
    this.#selfTest = plan?.selfTest ?? plan?.force === undefined;
  }

  /**
   * Repacks the weights on the GPU into the layer's own buffers. Enqueues; the caller's tensors may be destroyed afterwards.
   * @throws ArgumentError, UnsupportedError if the device cannot hold them, DeviceLostError
   */
  load(tensors: NamedTensors): this {
    this.#assertUsable();
    const given = checkNames(this.#spec, this.device, tensors);
    const operands = checkWeights(this.#spec, given);
    const packed = packedLayout(operands, this.#caps);
    const steps = packSteps(operands, packed, this.#caps, { ...given });
    for (const step of steps) pipelineOf(this.device, step); // throws, if one did not compile before, while nothing is allocated
    const made = allocate(this.device, packed);
    fill(this.device, made, steps, (role) => given[role as keyof typeof given]!.buffer);
    this.#adopt(operands, made);
    return this;
  }

  /**
   * `load` for a matrix of another format (`antiquant/formats`), whatever its bits, groups, zero points, minimums or codebook: what the
   * options say of antiquantOffset and antiquantGroupSize is for `load` only. bias may be float32 beside x of any dtype.
   * @throws ArgumentError, UnsupportedError if the device cannot hold it, DeviceLostError
   * @example layer.loadMatrix(importGguf(tensor));
   */
  loadMatrix(matrix: QuantizedMatrix, outputs: NamedTensors = {}): this {
    const { inFeatures: k, outFeatures: n } = this.#spec;
    checkMatrix(matrix);
    if (matrix.n !== n || matrix.k !== k) throw new ArgumentError('matrix', showShape([n, k]), showShape([matrix.n, matrix.k]));
    const load = this.beginMatrix(matrix, outputs);
    loadPiece(load, matrix);
    this.endMatrix(load);
    return this;
  }

  /** @internal The buffers of a matrix, of which `first` is the first piece; its bias and output scale are in them. */
  beginMatrix(first: QuantizedMatrix, outputs: NamedTensors, groupSize = first.groupSize): Load {
    this.#assertUsable();
    const { inFeatures: k, outFeatures: n, dtype } = this.#spec;
    const given = checkNames(this.#spec, this.device, outputs, OUTPUT_NAMES);
    const columns = checkOutputs({ outFeatures: n, dtype: given.bias?.dtype === 'float32' ? 'float32' : dtype }, given);
    const { device } = this;
    const of = { size: { n, k, groupSize }, biased: columns.bias !== undefined, requantized: columns.quant !== undefined };
    const load = beginLoad(device, this.#caps, first, of);
    const steps = packOutputs({ n, ...columns }, load.packed, this.#caps, { ...given });
    if (steps.length > 0) fill(device, load, steps, (role) => given[role as keyof typeof given]!.buffer);
    return load;
  }

  /** @internal All pieces are there. */
  endMatrix(load: Load): void {
    this.#assertUsable();
    const { weights, ...made } = finishLoad(load);
    this.#adopt(weights, made);
  }

  /** `load` by torch's names: weight, antiquant_scale, antiquant_offset, quant_scale, quant_offset, bias. */
  loadStateDict(dict: NamedTensors): this {
    return this.load(fromStateDict(dict));
  }

  /**
   * Compiles, in parallel and off the main path, all that products of these numbers of rows will need, and tests each variant once on
   * this device; what fails is not used (`selfTestReports`). Brings stored choices of an earlier `tune` into memory. With `tune` it
   * measures what is not known yet, on this layer's weights; layers of the same shapes and types share what comes of it.
   * @throws ArgumentError, UnsupportedError if nothing is left that works, ShaderError, DeviceLostError
   * @example await layer.prepare([1, 128], { tune: true });
   */
  async prepare(rows: readonly number[], options: PrepareOptions = {}): Promise<void> {
    await prepareProduct(this.#assertLoaded(), rows, options);
  }

  /**
   * x (…, K), or its codes → y (…, N), of x's dtype, or int8 with a quantScale. Enqueues and does not wait; errors that only the GPU
   * can find reach `read`. Destroying y gives its buffer back to the layer, so that the next call of this size allocates nothing.
   * @throws ArgumentError, UnsupportedError, DeviceLostError
   */
  forward(given: Tensor | QuantizedRows): Tensor {
    const product = this.#assertLoaded();
    const input = inputOf(given, product);
    const { x } = input;
    const rows = checkX(product.spec, x);
    const dtype = product.weights.requantized ? 'int8' : product.spec.dtype;
    const shape = [...x.shape.slice(0, -1), product.weights.n];
    const size = outputBytes(product, rows.m);
    const { call, y } = callWithOutput(product, input, rows, 0, size);
    submit(this.device, 'antiquant forward', (pass) => encodeInto(pass, call.recording));
    return Tensor.own(this.device, y, { shape, dtype }, () => recycle(product, y), call.written);
  }

  /**
   * Records the product into the caller's own pass: y = forward(x), with y given. With the same buffers and shapes as before it
   * allocates nothing. x and y may not share a buffer.
   * @throws ArgumentError, UnsupportedError, DeviceLostError
   */
  encode(pass: GPUComputePassEncoder, given: Tensor | QuantizedRows, y: Tensor): void {
    const product = this.#assertLoaded();
    const input = inputOf(given, product);
    y.assertUsable('y', this.device);
    const rows = checkX(product.spec, input.x);
    checkY(product.spec, rows.m, y);
    if (sharesBuffer(input, y)) throw new ArgumentError('y', 'another buffer than x', 'the same one');
    encodeInto(pass, callOf(product, input, rows, y.offset, y.buffer, () => y.buffer).call.recording);
  }

  /** Bits of a weight, known from `load` on. @throws ArgumentError */
  get bits(): 4 | 8 {
    return this.#assertLoaded().weights.bits;
  }

  /** How a contiguous x of `rows` rows would be multiplied, and why so. No GPU work. @throws ArgumentError, UnsupportedError */
  explain(rows: number): Explanation {
    const { kernel, params, accuracy, main, why, steps } = planOf(this.#assertLoaded(), checkRows(rows));
    return { kernel, params, accuracy, workgroups: main.workgroups, wgsl: variantText(main).code, why, steps };
  }

  /** Frees the layer's buffers; outputs that were given out stay. */
  destroy(): void {
    this.#free();
    this.#destroyed = true;
  }

  /** @internal What the layer multiplies with. @throws ArgumentError, DeviceLostError */
  get product(): Product {
    return this.#assertLoaded();
  }

  /** @internal The same weights in another place; the buffers that they leave are freed. */
  move(to: Product): void {
    freeProduct(this.product, to);
    this.#product = to;
  }

  // ------------------------------------------------------------------------------------------------------------- inside

  #adopt(weights: Weights, { packed, buffers, done: pending }: Buffers): void {
    this.#free();
    const done = Promise.all(pending).then(() => {});
    done.catch(() => {}); // reported by prepare() and by reading an output
    const spec = { ...this.#spec, quantScale: weights.requantized }; // as the options, less what came as an empty tensor
    const { device } = this;
    const { caps, force, selfTest } = { caps: this.#caps, force: this.#force, selfTest: this.#selfTest };
    this.#product = makeProduct({ device, spec, weights, packed, caps, force, selfTest, buffers, home: undefined, done });
  }

  #free(): void {
    if (this.#product) freeProduct(this.#product);
    this.#product = undefined;
  }

  #assertUsable(): void {
    if (this.#destroyed) throw new ArgumentError('layer', 'a live layer', 'a destroyed one');
    assertAlive(this.device);
  }

  #assertLoaded(): Product {
    this.#assertUsable();
    if (!this.#product) throw new ArgumentError('layer', 'loaded weights: call load() first', 'none');
    return this.#product;
  }
}
