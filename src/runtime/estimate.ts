// What a model takes on the GPU, told from its headers before a byte of its weights is read; and whether a device holds it.
import { UnsupportedError } from '../errors.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { LayerSource } from '../formats/layer-source.js';
import { BUFFER, makeBuffers } from '../gpu/buffers.js';
import { whileAlive } from '../gpu/device.js';
import { guarded } from '../gpu/guard.js';
import { isTensor } from '../layer/piece-source.js';
import type { Config } from '../llm/config.js';
import type { KvDType } from '../llm-kernels/attention.js';
import { type ExpertMatrices, isFloat, type LanguageModel, type Matrix, matrixBytes } from '../model/language-model.js';
import type { Caps } from '../problem/caps.js';
import { rowsOfWords } from '../problem/code-width.js';
import { heldBits } from '../problem/weight-format.js';
import { type QuantizeForm, settingsFor } from '../quantize/gpu-form.js';
import { bufferSizes, cacheSizes, cacheTotal, codesBytes, codesOf } from '../sequence/memory.js';
import type { LlmOptions } from './options.js';

/** Bytes on the GPU, by use. */
export interface LlmEstimate {
  /** Matrices as they are held, and norms: within a few percent, since headers do not say how scales are held. */
  readonly weights: number;
  /** Keys and values of the whole context; a sequence begins with less, and its cache grows. */
  readonly cache: number;
  /** Rows of a prompt, and all else that no growth changes. */
  readonly rows: number;
  readonly logits: number;
  /** While it is loaded: gate and up of a layer a second time, and pieces of the file on their way. */
  readonly loading: number;
  readonly total: number;
  /** Positions that the cache is for. */
  readonly context: number;
}

/** Pieces of weights that the GPU has not taken yet (src/loading/traffic.ts). */
const IN_FLIGHT = 2 ** 25;
/** The largest buffer of a probe. */
const PROBE = 2 ** 30;

/** How matrices are held. */
interface Held {
  /** Are codes of 3 and of 6 bits held wider, as software adapters do? */
  readonly wide: boolean;
  /** What float matrices become. */
  readonly quantize: QuantizeForm;
}

/** Its sizes, and the bits of its codes. @throws ArgumentError if floats cannot be quantized so */
function heldAs(matrix: Matrix, { wide, quantize }: Held) {
  const [n, k] = isFloat(matrix) ? (matrix.weight.shape as [number, number]) : [matrix.n, matrix.k];
  const made = isFloat(matrix) ? settingsFor(quantize, { n, k }) : undefined;
  const { bits, groupSize } = made ?? (matrix as LayerSource);
  return { n, k, made, bits, groupSize, held: heldBits(bits, { groupSize, whole: groupSize >= k, wide }) };
}

/**
 * Bytes of a matrix in the packed layout: codes by their width, scales and the like as in the file, but at least 2 bytes a group. Those of floats
 * are what quantizing makes.
 * @throws ArgumentError if floats cannot be quantized so
 */
function packedBytes(matrix: Matrix, how: Held): number {
  const { n, k, made, groupSize, bits, held } = heldAs(matrix, how);
  const columns = 4 * Math.ceil(n / 4);
  const beside = isFloat(matrix) ? 0 : matrixBytes(matrix) - (n * k * bits) / 8;
  const ofGroup = made ? (made.scaleDtype === 'float32' ? 4 : 2) + (made.symmetric ? 0 : 1) : 2;
  return 4 * columns * (rowsOfWords(k, held) + 1) + Math.max(beside, ofGroup * columns * Math.ceil(k / groupSize));
}

/** Scales of inputs, in formats that have them. */
const INPUT_SCALES = ['pre_quant_scale', 'act_pre_scale'];

/** May gate and up be two products, as far as headers tell: of two formats, or with inputs that may have an order or scales? */
function apart(gate: Matrix, up: Matrix): boolean {
  const form = (matrix: Matrix) => (isFloat(matrix) ? 'floats' : [matrix.format, matrix.bits, matrix.groupSize].join());
  const ofInputs = (matrix: Matrix): boolean =>
    !isFloat(matrix) && ((matrix.tensors.g_idx !== undefined && !matrix.cut) || INPUT_SCALES.some((name) => name in matrix.tensors));
  return form(gate) !== form(up) || ofInputs(gate) || ofInputs(up);
}

/**
 * @param options.quantize what float matrices become; default: int8 in groups of 32
 * @throws ArgumentError, also if floats cannot be quantized so; UnsupportedError for heads that no kernel has
 */
export function estimateOf(
  { config, matrices, experts, vectors }: LanguageModel,
  {
    context,
    kv,
    wide,
    quantize = 'int8',
    innerPrecise,
  }: Partial<Pick<LlmOptions, 'quantize' | 'innerPrecise'>> & { readonly context: number; readonly kv: KvDType; readonly wide: boolean },
): LlmEstimate {
  const bytesOf = (matrix: Matrix): number => packedBytes(matrix, { wide, quantize });
  let weights = 0;
  for (const matrix of matrices.values()) weights += bytesOf(matrix);
  const ofExperts = ({ source }: ExpertMatrices): number =>
    source.reduce((sum: number, one: LayerSource | TensorInfo) => sum + bytesOf(isTensor(one) ? { weight: one } : one), 0);
  for (const one of experts.values()) weights += ofExperts(one);
  for (const { shape } of vectors.values()) weights += 4 * shape.reduce((a, b) => a * b, 1);
  const pairs = Array.from({ length: config.layers }, (_, i) => [matrices.get(`gate.${i}`), matrices.get(`up.${i}`)]).filter(
    (pair): pair is [Matrix, Matrix] => pair.every((one) => one !== undefined),
  );
  const { logits, ...rest } = bufferSizes(
    config,
    context,
    pairs.some(([gate, up]) => apart(gate, up)),
  );
  const { cache, parts } = cacheTotal(config, kv, context);
  const codes = codesOf(
    innerPrecise ? [...matrices].map(([role, matrix]) => [role, heldAs(matrix, { wide, quantize }).held] as const) : [],
  );
  const ofRows = [...Object.values(rest), ...[...codes].map((name) => codesBytes(config, name))];
  const rows = ofRows.reduce((sum, size) => sum + size, parts);
  const twice = [...matrices].flatMap(([role, matrix]) => (role.startsWith('gateUp.') ? [bytesOf(matrix)] : []));
  for (let i = 0; config.experts && i < config.layers; i++)
    twice.push(ofExperts(experts.get(`gates.${i}`)!) + ofExperts(experts.get(`ups.${i}`)!));
  for (const [gate, up] of pairs) twice.push(bytesOf(gate) + bytesOf(up));
  const loading = twice.reduce((a, b) => Math.max(a, b), 0) + Math.min(IN_FLIGHT, weights);
  return { weights, cache, rows, logits, loading, total: weights + cache + rows + logits + loading, context };
}

/** Buffers that are larger than the device allows, in words. */
function tooLarge(
  config: Config,
  { context, kv, caps }: { readonly context: number; readonly kv: KvDType; readonly caps: Caps },
): string[] {
  const largest = Math.min(caps.maxStorageBufferBindingSize, caps.maxBufferSize);
  const layers = Array.from({ length: config.layers }, (_, layer) => cacheSizes(config, kv, context, layer));
  const [k, parts] = (['k', 'parts'] as const).map((part) => layers.reduce((most, one) => Math.max(most, one[part]), 0)) as [
    number,
    number,
  ];
  const sizes = { [`keys of a layer at ${context} positions`]: k, 'parts of the attention': parts, ...bufferSizes(config, context) };
  return Object.entries(sizes)
    .filter(([, size]) => size > largest)
    .map(([name, size]) => `${name} need ${size} bytes, the largest binding has ${largest}`);
}

const mib = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;

/** The parts of an estimate in words. */
export function partsOf({ weights, cache, rows, logits, loading, total, context }: LlmEstimate): readonly string[] {
  const all = { weights, [`a cache of ${context} positions`]: cache, 'rows of prompts': rows + logits, loading };
  return [...Object.entries(all).map(([name, bytes]) => `${name} ${mib(bytes)}`), `together ${mib(total)}`];
}

/**
 * Asks the device for all that the model will take, and gives it back.
 * @throws UnsupportedError with the parts if a buffer is too large, or there is no memory; DeviceLostError
 */
export async function checkRoom(
  device: GPUDevice,
  { file, config }: LanguageModel,
  estimate: LlmEstimate,
  { kv, caps }: { readonly kv: KvDType; readonly caps: Caps },
): Promise<void> {
  const refuse = (why: readonly string[]): never => {
    throw new UnsupportedError(`${file.name}: memory`, [...why, ...partsOf(estimate)]);
  };
  const large = tooLarge(config, { context: estimate.context, kv, caps });
  if (large.length > 0) refuse(large);
  const each = Math.min(PROBE, caps.maxBufferSize);
  const count = Math.ceil(estimate.total / each);
  const sizes = Array.from({ length: count }, (_, i) => 4 * Math.ceil(Math.min(each, estimate.total - i * each) / 4));
  let made: ReadonlyMap<string, GPUBuffer> = new Map();
  try {
    const { result, errors } = guarded(device, 'a probe of memory', () =>
      makeBuffers(
        device,
        sizes.map((size, i) => [String(i), { label: 'probe', usage: BUFFER.scratch, size }] as const),
      ),
    );
    made = result;
    await whileAlive(device, errors);
  } catch (error) {
    if (error instanceof UnsupportedError) refuse(error.reasons);
    throw error;
  } finally {
    for (const buffer of made.values()) buffer.destroy();
  }
}
