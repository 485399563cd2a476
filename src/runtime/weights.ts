// The weights of a model on the GPU: matrices as layers of the operator, joined as the steps take them; norms and angles as float32.
import { joinGateUp } from '../epilogues/join-gate-up.js';
import { leaveTwin } from '../epilogues/leave-twin.js';
import { UnsupportedError } from '../errors.js';
import { readTensor } from '../files/open-file.js';
import { asFloats } from '../files/raw-tensor.js';
import type { TensorFile, TensorInfo } from '../files/tensor-file.js';
import { findLayers } from '../formats/find-layers.js';
import type { LayerSource } from '../formats/layer-source.js';
import { whileAlive } from '../gpu/device.js';
import { Tensor } from '../gpu/tensor.js';
import type { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import { isTensor } from '../layer/piece-source.js';
import type { Config, Rope } from '../llm/config.js';
import { findTensors } from '../llm/model-tensors.js';
import { matrixName, type Role } from '../llm/names.js';
import { frequencies, ropeTables } from '../llm/rope.js';
import { loadLayers } from '../loading/load-layers.js';
import type { Progress } from '../progress.js';
import type { ProductName } from './step-plan.js';

export interface ModelWeights {
  /** Its rows are looked up; a tied model's is its head. */
  readonly embedding: LinearWeightQuant;
  /** The layers of a product, side by side: three for `qkv` that is not joined in the file, one for any other. */
  readonly products: ReadonlyMap<ProductName, readonly LinearWeightQuant[]>;
  /** `outputNorm`, `attentionNorm.3`, `feedForwardNorm.3` and such (d); `norms.3` (2, e), of q and then of k; `angles`, `localAngles`. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Names of float matrices, which became int8 in groups of 32. */
  readonly quantized: readonly string[];
  /** Of the file: what the matrices take there. */
  readonly bytes: number;
  destroy(): void;
}

export interface LoadWeightsOptions {
  /** Positions that there are angles for. */
  readonly context: number;
  /** Do products leave the twins that the next product takes? */
  readonly fused: boolean;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is loaded so far; all of it is freed together. */
interface Loaded {
  readonly layers: Set<LinearWeightQuant>;
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
export async function loadWeights(device: GPUDevice, file: TensorFile, config: Config, options: LoadWeightsOptions): Promise<ModelWeights> {
  const { context, fused, onProgress, signal } = options;
  const found = findTensors(file, config, 'gguf');
  const sourceOf = await sourcesIn(file, found, signal);
  const all = Array.from({ length: config.layers }, (_, i) => i);
  const { joined: both, activation = 'silu' } = config;
  if (!both) for (const i of all) checkAlike(file.name, found.get(`gate.${i}`)!, found.get(`up.${i}`)!);
  const ofLayer = (i: number) => [
    both ? [sourceOf(`qkv.${i}`)] : [sourceOf(`q.${i}`), sourceOf(`k.${i}`), sourceOf(`v.${i}`)],
    sourceOf(`o.${i}`),
    sourceOf(`down.${i}`),
    ...(both ? [sourceOf(`gateUp.${i}`)] : [sourceOf(`gate.${i}`), sourceOf(`up.${i}`)]),
  ];
  const sources = [sourceOf('embedding'), ...all.flatMap(ofLayer), ...(config.tied ? [] : [sourceOf('head')])];
  const floats = sources.flat().filter(isTensor);
  const loaded: Loaded = { layers: new Set(), tensors: new Map() };
  try {
    const made = await loadLayers(device, sources, {
      dtype: 'float32',
      ...(floats.length > 0 && { quantize: 'int8' as const }),
      ...(onProgress && { onProgress }),
      ...(signal && { signal }),
    });
    for (const layer of made.flat()) loaded.layers.add(layer as LinearWeightQuant);
    for (const [name, values] of await vectorsIn(found, config, context, signal))
      loaded.tensors.set(name, Tensor.from(device, values, { shape: [values.length], dtype: 'float32' }));
    const [embedding, ...rest] = made as [LinearWeightQuant, ...(LinearWeightQuant | LinearWeightQuant[])[]];
    const products = new Map<ProductName, readonly LinearWeightQuant[]>();
    const count = both ? 4 : 5;
    for (const i of all) {
      const [qkv, o, down, ...gateAndUp] = rest.slice(count * i, count * (i + 1)) as [LinearWeightQuant[], ...LinearWeightQuant[]];
      const next = i + 1 < config.layers ? `attentionNorm.${i + 1}` : 'outputNorm';
      if (fused) {
        leaveTwin(o!, loaded.tensors.get(`feedForwardNorm.${i}`)!);
        leaveTwin(down!, loaded.tensors.get(next)!);
      }
      const gateUp = joinGateUp(gateAndUp, { glu: activation });
      for (const one of gateAndUp) loaded.layers.delete(one);
      loaded.layers.add(gateUp);
      products.set(`qkv.${i}`, qkv);
      for (const [name, layer] of Object.entries({ o: o!, gateUp, down: down! })) products.set(`${name}.${i}` as ProductName, [layer]);
    }
    products.set('head', [config.tied ? embedding : (rest.at(-1) as LinearWeightQuant)]);
    await whileAlive(device, Promise.all([...loaded.layers].map((layer) => layer.loaded.done)));
    signal?.throwIfAborted();
    return {
      embedding,
      products,
      tensors: loaded.tensors,
      quantized: floats.map(({ name }) => name),
      bytes: sources.flat().reduce((sum, source) => sum + bytesOf(source), 0),
      destroy: () => free(loaded),
    };
  } catch (error) {
    free(loaded);
    throw error;
  }
}

/** Gate and up become one layer, so their blocks are of one type. @throws UnsupportedError */
function checkAlike(file: string, gate: TensorInfo, up: TensorInfo): void {
  if (gate.dtype !== up.dtype)
    throw new UnsupportedError(`${file}: ${gate.name}`, [`it is ${gate.dtype}, and ${up.name} is ${up.dtype}: expected one type for both`]);
}

type Source = LayerSource | TensorInfo;

const bytesOf = (source: Source): number =>
  (isTensor(source) ? [source] : Object.values(source.tensors)).reduce((sum, { begin, end }) => sum + end - begin, 0);

/** The source of a role's matrix. @throws FormatError, UnsupportedError */
async function sourcesIn(
  file: TensorFile,
  found: ReadonlyMap<Role, TensorInfo>,
  signal: AbortSignal | undefined,
): Promise<(role: Role) => Source> {
  const { layers, floats, refused, notYet } = await findLayers(file, signal ? { signal } : {});
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  const matrices = new Set(floats);
  return (role) => {
    const info = found.get(role)!;
    const name = matrixName(role, 'gguf')!;
    const layer = byName.get(name);
    if (layer) return layer;
    const error = refused.find((one) => one.name === name)?.error;
    if (error) throw error;
    if (!matrices.has(info)) {
      const why = notYet.find(({ tensors }) => tensors.includes(info))?.why ?? `no format has ${info.dtype}`;
      throw new UnsupportedError(`${file.name}: ${info.name}`, [why]);
    }
    if (role.includes('.') && found.has(role.replace('.', 'Bias.') as Role))
      throw new UnsupportedError(`${file.name}: ${info.name}`, [
        `a matrix of ${info.dtype} with a bias: quantize the model, to Q8_0 at least`,
      ]);
    return info;
  };
}

/** Norms, and the angles of positions, by name. @throws FormatError, ReadError */
async function vectorsIn(
  found: ReadonlyMap<Role, TensorInfo>,
  config: Config,
  context: number,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Float32Array<ArrayBuffer>>> {
  const read = async (role: Role): Promise<Float32Array<ArrayBuffer>> =>
    asFloats(await readTensor(found.get(role)!, signal ? { signal } : {}));
  const vectors = new Map<string, Float32Array<ArrayBuffer>>([['outputNorm', await read('outputNorm')]]);
  for (let i = 0; i < config.layers; i++) {
    for (const name of normsOf(config)) vectors.set(`${name}.${i}`, await read(`${name}.${i}`));
    if (config.qkNorms) vectors.set(`norms.${i}`, joined(await read(`qNorm.${i}`), await read(`kNorm.${i}`)));
  }
  const { rope, localRope } = config;
  const role = divisorsOf(rope, context);
  const divisors = role && (await read(role));
  const anglesOf = (of: Rope): Float32Array<ArrayBuffer> => {
    const { fine, coarse } = ropeTables(frequencies(of, divisors), context, of.magnitude);
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
