// ExpertLayers: many matrices of one shape and format in one buffer. forward-experts.ts multiplies rows of x with those that ids name.

import { anything, dictionary, flag, list, onlyFields, optional, wholeNumber } from '../arguments/check.js';
import { markOf, notOurs } from '../arguments/copies.js';
import { checkDevice } from '../arguments/gpu-objects.js';
import type { FloatDType } from '../dtype.js';
import { ArgumentError, UnsupportedError } from '../errors.js';
import { assertAlive } from '../gpu/device.js';
import { allTaken } from '../gpu/guard.js';
import { pipelineOf } from '../gpu/pipeline.js';
import type { Tensor } from '../gpu/tensor.js';
import { type Explanation, explain } from '../layer/explain.js';
import type { GpuPiece } from '../layer/float-pieces.js';
import { abandonLoad, allocate, type Buffers, beginLoad, fillFrom, finishLoad, type Load, loadPiece, orAbandon } from '../layer/load.js';
import { freeLoaded, type LoadedWeights, makeLoaded, type PlanSettings } from '../layer/loaded-weights.js';
import { checkPlan, type PlanningOptions, settingsOf } from '../layer/planning-options.js';
import { preparePlans } from '../layer/prepare.js';
import { checkNames, type NamedTensors } from '../layer/tensors-by-name.js';
import { type ExpertLayout, expertLayout } from '../plan/expert-layout.js';
import { loadSteps, outputSteps } from '../plan/load-steps.js';
import { checkOptions, checkOutputs, checkWeights } from '../problem/checks.js';
import { checkMatrix, inFixedMemory, type QuantizedMatrix } from '../problem/matrix.js';
import {
  contiguousX,
  type LinearOptions,
  type LinearSpec,
  makeProblem,
  type Problem,
  type Weights,
  type WeightTensors,
} from '../problem/problem.js';
import { showShape, type View } from '../problem/view.js';
import type { QuantizeReport } from '../quantize/report.js';
import { VERSION } from '../version.js';
import { addSortText } from '../wgsl/sort-text.js';

/** The options of a LinearWeightQuant that all experts share, and their number. */
export interface ExpertLayersOptions
  extends Pick<LinearOptions, 'inFeatures' | 'outFeatures' | 'bias' | 'antiquantOffset' | 'antiquantGroupSize'> {
  /** E. */
  readonly experts: number;
  /** Dtype of x and y; of the scales of `load`. Default float16. */
  readonly dtype?: FloatDType;
  /** Dtype of y: `dtype`, or float32. */
  readonly outputDtype?: FloatDType;
  readonly plan?: PlanningOptions;
}

/** A load of matrices, one after the other. */
export interface ExpertLoad {
  readonly load: Load;
  readonly layout: ExpertLayout;
}

const OPTIONS = onlyFields({ summed: optional(flag) });
const NOT_FOR_EXPERTS = ['quantScale', 'quantOffset', 'innerPrecise', 'weightRounding'];

/**
 * E linear layers (N, K) of one shape and format, the experts of a block: their weights lie under each other in one buffer, or in several
 * where a binding is too small. `forwardExperts` multiplies.
 *
 * @example
 * const experts = new ExpertLayers(device, { experts: 64, inFeatures: 2048, outFeatures: 1024, bias: false });
 * experts.loadMatrices(matrices);
 * const y = forwardExperts(experts, x, { ids }); // (tokens, 8, 1024)
 */
export class ExpertLayers {
  readonly device: GPUDevice;
  /** E. */
  readonly count: number;
  readonly #spec: LinearSpec;
  readonly #settings: PlanSettings;
  #loaded: LoadedWeights | undefined;
  #destroyed = false;

  /** @throws ArgumentError, DeviceLostError */
  constructor(device: GPUDevice, options: ExpertLayersOptions) {
    checkDevice(device);
    const { plan, experts, ...rest } = dictionary(anything)(options, 'options');
    const unknown = NOT_FOR_EXPERTS.find((name) => name in rest);
    if (unknown) throw new ArgumentError(unknown, 'no such option of experts', 'one');
    this.count = wholeNumber(1)(experts, 'experts');
    this.#spec = checkOptions(rest as unknown as LinearOptions);
    const asked = checkPlan(plan);
    addSortText();
    assertAlive(device);
    this.device = device;
    this.#settings = settingsOf(device, asked);
  }

  /**
   * Repacks torch's tensors on the GPU. Enqueues; the caller's tensors may be destroyed afterwards.
   * @param tensors those of `LinearWeightQuant.load` with an axis of E in front: weight (E, N, K), antiquantScale (E, …), bias (E, N). All are
   *   ND and contiguous along E
   * @throws ArgumentError, UnsupportedError if the device cannot hold them, DeviceLostError
   */
  load(tensors: NamedTensors): this {
    this.#assertUsable();
    const given = checkNames(this.#spec, this.device, tensors);
    return this.loadViews(given, (expert) => expertViews(given, expert, this.count));
  }

  /** @internal `load` from views of each expert's tensors, in the module's orientation. */
  loadViews(given: WeightTensors<Tensor>, viewsOf: (expert: number) => WeightTensors<View>): this {
    this.#assertUsable();
    const { caps } = this.#settings;
    const all = Array.from({ length: this.count }, (_, expert) => viewsOf(expert));
    const operands = checkWeights(this.#spec, all[0]!);
    const layout = expertLayout(operands, this.count, caps);
    const dispatches = all.flatMap((views, expert) => {
      const packed = layout.of(expert);
      return loadSteps({ operands: checkWeights(this.#spec, views), packed, caps }, { ...views });
    });
    for (const one of dispatches) pipelineOf(this.device, one); // throws before anything is allocated
    const made = allocate(this.device, { weights: operands, packed: layout.packed });
    orAbandon(made, () => fillFrom(this.device, made, { dispatches, given }));
    this.#adopt(made);
    return this;
  }

  /**
   * Loads an imported matrix for each expert (`antiquant/formats`). All have one format: bits, groups, dtypes, codebook.
   * @param outputs.bias (E, N), float32 or of `dtype`
   * @throws ArgumentError, UnsupportedError if the device cannot hold them or the inputs of a matrix are permuted, DeviceLostError
   */
  loadMatrices(matrices: readonly QuantizedMatrix[], outputs: NamedTensors = {}): this {
    const all = list<QuantizedMatrix>(anything as never)(matrices, 'matrices');
    if (all.length !== this.count) throw new ArgumentError('matrices', `${this.count}, one for each expert`, String(all.length));
    const fixed = all.map((matrix) => {
      checkMatrix(matrix);
      return inFixedMemory(matrix);
    });
    const load = this.beginMatrices(fixed[0]!, outputs);
    orAbandon(load.load, () => {
      for (const [expert, matrix] of fixed.entries()) this.addMatrix(load, expert, { matrix, n: 0, k: 0 });
    });
    this.endMatrices(load);
    return this;
  }

  /** @internal Allocates the buffers; `first` is a piece of the first matrix. */
  beginMatrices(first: QuantizedMatrix, outputs: NamedTensors, groupSize = first.groupSize): ExpertLoad {
    this.#assertUsable();
    const { inFeatures: k, outFeatures: n, dtype } = this.#spec;
    const given = checkNames(this.#spec, this.device, outputs, ['bias']);
    const biases = Array.from({ length: this.count }, (_, expert) => expertViews(given, expert, this.count));
    const columns = checkOutputs({ outFeatures: n, dtype: given.bias?.dtype === 'float32' ? 'float32' : dtype }, biases[0]!);
    const { caps } = this.#settings;
    let layout: ExpertLayout | undefined;
    const load = beginLoad(this.device, first, {
      caps,
      size: { n, k, groupSize },
      biased: columns.bias !== undefined,
      requantized: false,
      layout: (weights: Weights) => {
        layout = expertLayout(weights, this.count, caps);
        return layout.packed;
      },
    });
    const dispatches = biases.flatMap((views, expert) => outputSteps({ n, ...columns }, layout!.of(expert), { caps, views: { ...views } }));
    if (dispatches.length > 0) orAbandon(load, () => fillFrom(this.device, load, { dispatches, given }));
    return { load, layout: layout! };
  }

  /** @internal Enqueues a piece of an expert's matrix, which passed `checkMatrix`. @throws ArgumentError, UnsupportedError */
  addMatrix({ load, layout }: ExpertLoad, expert: number, { matrix, n, k, codes }: GpuPiece): void {
    const { inFeatures, outFeatures } = this.#spec;
    const what = `the matrix of expert ${expert}`;
    for (const [name, value] of Object.entries({ permutation: matrix.permutation, inputScale: matrix.inputScale }))
      if (value) throw new UnsupportedError(what, [`it has a ${name}: every expert would read another x`]);
    if (n + matrix.n > outFeatures || k + matrix.k > inFeatures)
      throw new ArgumentError(what, showShape([outFeatures, inFeatures]), showShape([n + matrix.n, k + matrix.k]));
    const { codebook } = load;
    if (matrix.codebook?.some((value, i) => value !== codebook?.[i]))
      throw new UnsupportedError(what, ['its codebook differs from the first one']);
    loadPiece(load, matrix, { n, k }, { packed: layout.of(expert), codes });
  }

  /** @internal Ends a load after its last piece. */
  endMatrices({ load }: ExpertLoad, report?: QuantizeReport): void {
    this.#assertUsable();
    this.#adopt(finishLoad(load, report));
  }

  /** @internal Frees the buffers of a load that is not ended. */
  abandon({ load }: ExpertLoad): void {
    abandonLoad(load);
  }

  /**
   * Compiles all shaders for products of these numbers of tokens, in parallel, and tests each variant once on this device.
   * @param top experts of a token
   * @param options.summed products with `weights`
   * @throws ArgumentError, UnsupportedError if no kernel works or there was no memory, GpuError, ShaderError, DeviceLostError, ReadError
   */
  async prepare(tokens: readonly number[], top: number, options: { readonly summed?: boolean } = {}): Promise<void> {
    const loaded = this.loaded;
    const problems = list(wholeNumber(1))(tokens, 'tokens').map((m) => this.#problem(loaded, m, wholeNumber(1)(top, 'top'), options));
    await preparePlans(loaded, problems);
  }

  /**
   * How `tokens` rows of x are multiplied with `top` experts each, and why. No GPU work.
   * @param options.summed with `weights`, a row of x for each pair
   * @throws ArgumentError, UnsupportedError
   */
  explain(tokens: number, top: number, options: { readonly summed?: boolean } = {}): Explanation {
    const loaded = this.loaded;
    return explain(loaded, this.#problem(loaded, wholeNumber(1)(tokens, 'tokens'), wholeNumber(1)(top, 'top'), options));
  }

  /** Errors and bytes of all experts' weights together, if `loadExperts` quantized them; else undefined. */
  get report(): QuantizeReport | undefined {
    return this.#loaded?.report;
  }

  /** Frees the buffers. Outputs stay. */
  destroy(): void {
    this.#replace(undefined);
    this.#destroyed = true;
  }

  /** @internal The version of the copy of this library that made it. */
  get [markOf('ExpertLayers')](): string {
    return VERSION;
  }

  /** @internal Checks that a caller's value is one. @throws ArgumentError */
  static given(value: unknown, argument: string): ExpertLayers {
    if (typeof value === 'object' && value !== null && #loaded in value) return value;
    throw notOurs(argument, { what: 'ExpertLayers', expected: 'ExpertLayers' }, value);
  }

  /** @internal The loaded weights. @throws ArgumentError, DeviceLostError */
  get loaded(): LoadedWeights {
    this.#assertUsable();
    if (!this.#loaded) throw new ArgumentError('experts', 'loaded weights: call load() first', 'none');
    return this.#loaded;
  }

  /** @internal The same, or undefined for experts that are destroyed or not loaded. */
  get current(): LoadedWeights | undefined {
    return this.#loaded;
  }

  // ------------------------------------------------------------------------------------------------------------- inside

  /** Of pairs that are summed, each has its row of x. */
  #problem(loaded: LoadedWeights, tokens: number, top: number, options: { readonly summed?: boolean }): Problem {
    const { summed = false } = OPTIONS(options, 'options');
    const [m, perRow] = summed ? [tokens * top, 1] : [tokens, top];
    const experts = { count: this.count, perRow, ids: 0, ...(summed && { summed: { top, weights: 0, by: 'rows' as const } }) };
    return makeProblem(loaded, { m, x: contiguousX(m, loaded.weights.k), experts });
  }

  /** @internal Takes buffers that are filled. */
  adopt(made: Buffers): void {
    this.#assertUsable();
    this.#adopt(made);
  }

  /** @internal Replaces the weights by the same weights in other buffers, and frees the old buffers. */
  move(to: LoadedWeights): void {
    this.#assertUsable();
    this.#replace(to);
  }

  #adopt({ weights, packed, buffers, done: pending, report, codebook }: Buffers): void {
    const { device } = this;
    const done = allTaken(...pending); // reported by prepare() and by reading an output
    const held = { spec: this.#spec, settings: this.#settings, shared: undefined };
    this.#replace(makeLoaded({ device, weights, packed, buffers, done, report, codebook, ...held }));
  }

  #replace(loaded: LoadedWeights | undefined): void {
    if (this.#loaded) freeLoaded(this.#loaded, loaded);
    this.#loaded = loaded;
  }

  #assertUsable(): void {
    if (this.#destroyed) throw new ArgumentError('experts', 'live ones', 'destroyed ones');
    assertAlive(this.device);
  }
}

/** An expert's part of tensors with an axis of `count` in front. @throws ArgumentError */
function expertViews(tensors: WeightTensors<View>, expert: number, count: number): WeightTensors<View> {
  const entries = Object.entries(tensors).filter(([, view]) => view !== undefined) as [string, View][];
  return Object.fromEntries(entries.map(([name, view]) => [name, part(name, view, { expert, count })])) as unknown as WeightTensors<View>;
}

function part(name: string, { shape, strides, dtype, format, offset }: View, { expert, count }: { expert: number; count: number }): View {
  if (format !== 'ND') throw new ArgumentError(name, 'format ND', format);
  if (shape.length < 2 || shape[0] !== count)
    throw new ArgumentError(name, `an axis of ${count} experts in front of at least one other`, showShape(shape));
  return { shape: shape.slice(1), strides: strides.slice(1), dtype, format, offset: offset + expert * strides[0]! };
}
