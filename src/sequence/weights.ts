// The weights of a model on the GPU: matrices as layers of the operator, joined as the steps take them; norms and angles as float32.
import { joinGateUp } from '../epilogues/join-gate-up.js';
import { leaveTwin } from '../epilogues/leave-twin.js';
import { UnsupportedError } from '../errors.js';
import type { ExpertLayers } from '../experts/expert-layers.js';
import { leaveExpertTwin } from '../experts/join-experts.js';
import { readTensor } from '../files/open-file.js';
import { asFloats } from '../files/raw-tensor.js';
import { whileAlive } from '../gpu/device.js';
import { Tensor } from '../gpu/tensor.js';
import type { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import type { Rope } from '../llm/attention-config.js';
import type { Config } from '../llm/config.js';
import type { Role } from '../llm/names.js';
import { frequencies, ropeTables } from '../llm/rope.js';
import { loadLayers } from '../loading/load-layers.js';
import { isFloat, type LanguageModel, type Matrix, matrixBytes } from '../model/language-model.js';
import type { Progress } from '../progress.js';
import type { QuantizeForm } from '../quantize/gpu-form.js';
import { expertBytes, floatExperts, loadExpertsOf, teller } from './expert-weights.js';
import type { ExpertsName, ProductName } from './step-plan.js';

export interface ModelWeights {
  /** Its rows are looked up; a tied model's is its head. */
  readonly embedding: LinearWeightQuant;
  /** The layers of a product, side by side: three for `qkv` that is not joined in the file, two for `gateAndUp`, one for any other. */
  readonly products: ReadonlyMap<ProductName, readonly LinearWeightQuant[]>;
  /** Those of each layer, if there are many. */
  readonly experts: ReadonlyMap<ExpertsName, ExpertLayers>;
  /**
   * `outputNorm`, `attentionNorm.3`, `feedForwardNorm.3` and such (d); `norms.3` (2, e), of q and then of k; `sinks.3` (H); `router.3` (E, d), and behind
   * it biases (E), in whole quads; `angles`, `localAngles`.
   */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Names of float matrices, which were quantized. */
  readonly quantized: readonly string[];
  /** Layers whose gate and up are two products. */
  readonly apart: ReadonlySet<number>;
  /** Why, and what else is other than in the file. */
  readonly notes: readonly string[];
  /** Of the file: what the matrices take there. */
  readonly bytes: number;
  /** Of these, what a token is multiplied with. */
  readonly read: number;
  destroy(): void;
}

export interface LoadWeightsOptions {
  /** Positions that there are angles for. */
  readonly context: number;
  /** Do products leave the twins that the next product takes? */
  readonly fused: boolean;
  /** What float matrices become, those of experts too. Default: int8, groups of 32. */
  readonly quantize?: QuantizeForm | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is loaded so far; all of it is freed together. */
interface Loaded {
  readonly layers: Set<LinearWeightQuant | ExpertLayers>;
  readonly tensors: Map<string, Tensor>;
}

function free({ layers, tensors }: Loaded): void {
  for (const one of [...layers, ...tensors.values()]) one.destroy();
}

/**
 * Loads a model's weights. If a step fails, all of them are freed.
 * @throws FormatError, ReadError, UnsupportedError for what the operator cannot multiply, or no memory; GpuError, DeviceLostError; the reason of
 *   `signal`
 */
export async function loadWeights(device: GPUDevice, model: LanguageModel, options: LoadWeightsOptions): Promise<ModelWeights> {
  const { context, fused, quantize = 'int8', onProgress, signal } = options;
  const { config, matrices } = model;
  await checkZeros(model, signal);
  const all = Array.from({ length: config.layers }, (_, i) => i);
  const { joined: both, activation = 'silu' } = config;
  const of = (role: Role): Matrix => matrices.get(role)!;
  const ofLayer = (i: number) => [
    both ? [of(`qkv.${i}`)] : [of(`q.${i}`), of(`k.${i}`), of(`v.${i}`)],
    of(`o.${i}`),
    ...(config.experts ? [] : [of(`down.${i}`), ...(both ? [of(`gateUp.${i}`)] : [of(`gate.${i}`), of(`up.${i}`)])]),
  ];
  const sources = [of('embedding'), ...all.flatMap(ofLayer), ...(config.tied ? [] : [of('head')])];
  const floats = sources.flat().filter(isFloat);
  const { top, count: many } = config.experts ?? { top: 0, count: 1 };
  const ofExperts = [...model.experts.values()].reduce((sum, one) => sum + expertBytes(one), 0);
  const bytes = sources.flat().reduce((sum, one) => sum + matrixBytes(one), ofExperts);
  // A row of the embedding is brought; only where it is the head, too, all of it is read.
  const read = bytes - (config.tied ? 0 : matrixBytes(of('embedding'))) - ofExperts * (1 - top / many);
  const told = teller(bytes, onProgress);
  const loaded: Loaded = { layers: new Set(), tensors: new Map() };
  try {
    const made = await loadLayers(device, sources, {
      dtype: 'float32',
      ...(floats.length > 0 && { quantize }),
      ...(onProgress && { onProgress: told.first }),
      ...(signal && { signal }),
    });
    for (const layer of made.flat()) loaded.layers.add(layer as LinearWeightQuant);
    for (const [name, values] of await vectorsIn(model, context, signal))
      loaded.tensors.set(name, Tensor.from(device, values, { shape: [values.length], dtype: 'float32' }));
    const [embedding, ...rest] = made as [LinearWeightQuant, ...(LinearWeightQuant | LinearWeightQuant[])[]];
    const products = new Map<ProductName, readonly LinearWeightQuant[]>();
    /** The weight of the norm behind a layer. */
    const nextNorm = (i: number): Tensor => loaded.tensors.get(i + 1 < config.layers ? `attentionNorm.${i + 1}` : 'outputNorm')!;
    const apart = new Map<number, string>();
    const count = config.experts ? 2 : both ? 4 : 5;
    for (const i of all) {
      const [qkv, o, down, ...gateAndUp] = rest.slice(count * i, count * (i + 1)) as [LinearWeightQuant[], ...LinearWeightQuant[]];
      products.set(`qkv.${i}`, qkv);
      products.set(`o.${i}`, [o!]);
      if (config.experts) continue;
      if (fused) {
        leaveTwin(o!, loaded.tensors.get(`feedForwardNorm.${i}`)!);
        leaveTwin(down!, nextNorm(i));
      }
      const joined = joinedOr(gateAndUp, { glu: activation }, (why) => apart.set(i, why));
      if (joined) {
        for (const one of gateAndUp) loaded.layers.delete(one);
        loaded.layers.add(joined);
        products.set(`gateUp.${i}`, [joined]);
        await whileAlive(device, device.queue.onSubmittedWorkDone()); // their memory is free before the next takes as much
      } else products.set(`gateAndUp.${i}`, gateAndUp);
      products.set(`down.${i}`, [down!]);
    }
    products.set('head', [config.tied ? embedding : (rest.at(-1) as LinearWeightQuant)]);
    const experts = await loadExpertsOf(device, model, { keep: loaded.layers, told, quantize, signal });
    if (fused && config.experts) for (const i of all) leaveExpertTwin(experts.get(`down.${i}`)!, nextNorm(i));
    await whileAlive(device, Promise.all([...loaded.layers].map((layer) => layer.loaded.done)));
    signal?.throwIfAborted();
    return {
      embedding,
      products,
      experts,
      tensors: loaded.tensors,
      quantized: [...floats.map(({ weight }) => weight), ...floatExperts(model.experts)].map(({ name }) => name),
      apart: new Set(apart.keys()),
      notes: [...model.notes, ...notesOf(apart)],
      bytes,
      read,
      destroy: () => free(loaded),
    };
  } catch (error) {
    free(loaded);
    throw error;
  }
}

/** Gate and up as one layer; undefined, with the reason told, where they stay two. @throws UnsupportedError if they are one that cannot be */
function joinedOr(
  layers: readonly LinearWeightQuant[],
  how: Parameters<typeof joinGateUp>[1],
  tell: (why: string) => void,
): LinearWeightQuant | undefined {
  try {
    return joinGateUp(layers, how);
  } catch (error) {
    if (!(error instanceof UnsupportedError) || layers.length < 2) throw error;
    tell(error.reasons.join('; '));
    return undefined;
  }
}

/** One line for each reason. */
function notesOf(apart: ReadonlyMap<number, string>): readonly string[] {
  const byReason = new Map<string, number[]>();
  for (const [layer, why] of apart) byReason.set(why, [...(byReason.get(why) ?? []), layer]);
  return [...byReason].map(
    ([why, layers]) => `gate and up are two products in layers ${layers.join(', ')}: ${why.replace(': use two products', '')}`,
  );
}

/** @throws UnsupportedError for a bias that the model would leave out */
async function checkZeros({ file, config, zeros }: LanguageModel, signal: AbortSignal | undefined): Promise<void> {
  for (const info of zeros) {
    const values = asFloats(await readTensor(info, signal ? { signal } : {}));
    const bad = values.findIndex((value) => value !== 0);
    if (bad >= 0)
      throw new UnsupportedError(`${file.name}: ${info.name}`, [
        `${config.architecture} has no such bias: expected zeros, got ${values[bad]} at ${bad}`,
      ]);
  }
}

/** Norms, routers, and the angles of positions, by name. @throws FormatError, ReadError */
async function vectorsIn(
  { config, vectors: found, divisors, normOffset = 0 }: LanguageModel,
  context: number,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Float32Array<ArrayBuffer>>> {
  const read = async (role: Role): Promise<Float32Array<ArrayBuffer>> =>
    asFloats(await readTensor(found.get(role)!, signal ? { signal } : {}));
  const norm = async (role: Role): Promise<Float32Array<ArrayBuffer>> => (await read(role)).map((weight) => weight + normOffset);
  const vectors = new Map<string, Float32Array<ArrayBuffer>>([['outputNorm', await norm('outputNorm')]]);
  for (let i = 0; i < config.layers; i++) {
    for (const name of normsOf(config)) vectors.set(`${name}.${i}`, await norm(`${name}.${i}`));
    if (config.sinks) vectors.set(`sinks.${i}`, await read(`sinks.${i}`));
    if (config.experts) {
      const biases = new Float32Array(4 * Math.ceil(config.experts.count / 4));
      if (config.biases.includes('routerBias')) biases.set(await read(`routerBias.${i}`));
      vectors.set(`router.${i}`, joined(await read(`router.${i}`), biases));
    }
    if (config.qkNorms) vectors.set(`norms.${i}`, joined(await norm(`qNorm.${i}`), await norm(`kNorm.${i}`)));
  }
  const { rope, localRope } = config;
  const role = divisorsOf(rope, context);
  const divided = role && (divisors?.[role] ?? (await read(role)));
  const anglesOf = (of: Rope): Float32Array<ArrayBuffer> => {
    const { fine, coarse } = ropeTables(frequencies(of, divided), context, of.magnitude);
    return joined(fine, coarse);
  };
  if (localRope) vectors.set('localAngles', anglesOf(localRope));
  return vectors.set('angles', anglesOf(rope));
}

/** Of the residual, or of what is added to it. */
const normsOf = ({ postNorms }: Config) =>
  ['attentionNorm', 'feedForwardNorm', ...(postNorms ? (['postAttentionNorm', 'postFeedForwardNorm'] as const) : [])] as const;

/** The tensor that frequencies are divided by, for sequences of so many positions. */
function divisorsOf({ divisors, original }: Rope, context: number): 'ropeDivisors' | 'ropeShort' | 'ropeLong' | undefined {
  if (original !== undefined) return context > original ? 'ropeLong' : 'ropeShort';
  return divisors ? 'ropeDivisors' : undefined;
}

function joined(a: Float32Array, b: Float32Array): Float32Array<ArrayBuffer> {
  const both = new Float32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
