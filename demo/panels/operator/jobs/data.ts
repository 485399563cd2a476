// Makes the data of the panel "Operator": weights (N, K), x (M, K) and bias (N) as floats. They are a seeded random matrix, the basis of
// the discrete cosine transform, or a layer of the page's language model with its inputs.
import { readTensor } from '../../../../src/files/open-file.js';
import { asFloats } from '../../../../src/files/raw-tensor.js';
import { findLayers } from '../../../../src/formats/find-layers.js';
import { readMatrix } from '../../../../src/formats/read-layer.js';
import { readConfig } from '../../../../src/llm/config.js';
import { dequantize } from '../../../../src/problem/matrix.js';
import { ownModel } from '../../../worker/own-model.js';
import type { JobContext } from '../../../worker/rpc.js';
import { type Choice, MODEL } from './choice.js';

export interface Source {
  readonly weights: Float32Array;
  readonly x: Float32Array;
  readonly bias: Float32Array;
}
type Breathe = Pick<JobContext, 'breathe'>;

/** Uniform numbers of [0, 1): mulberry32. */
function uniform(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
/** Normal numbers by Box and Muller. */
const normal = (next: () => number): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());

/** A matrix of `number(row, column)`, with a pause for messages after every million. */
async function matrix(
  [rows, columns]: readonly [number, number],
  number: (row: number, column: number) => number,
  { breathe }: Breathe,
): Promise<Float32Array> {
  const out = new Float32Array(rows * columns);
  let next = 2 ** 20;
  for (let row = 0, i = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, i++) out[i] = number(row, column);
    if (i < next) continue;
    next = i + 2 ** 20;
    await breathe();
  }
  return out;
}

/** One weight in this many is an outlier, as in trained models. */
export const OUTLIERS = { one: 1000, times: 10, deviation: 0.04 } as const;

async function random({ m, k, n, seed }: Choice, context: Breathe): Promise<Source> {
  const next = uniform(seed);
  const weight = (): number => OUTLIERS.deviation * normal(next) * (next() * OUTLIERS.one < 1 ? OUTLIERS.times : 1);
  const x = await matrix([m, k], () => normal(next), context);
  const bias = Float32Array.from({ length: n }, () => normal(next));
  return { x, bias, weights: await matrix([n, k], weight, context) };
}

/** Row n of the weights is the cosine of frequency n. Row m of x is a cosine whose frequency rises with m, so y has a ridge. */
async function dct({ m, k, n }: Choice, context: Breathe): Promise<Source> {
  const cosines = Float64Array.from({ length: 4 * k }, (_, i) => Math.cos((Math.PI * i) / (2 * k)));
  const basis = (row: number, i: number): number => Math.sqrt((row === 0 ? 1 : 2) / k) * cosines[((2 * i + 1) * row) % (4 * k)]!;
  const step = Math.min(n, k) / m;
  const wave = (row: number, i: number): number => Math.cos((Math.PI * (2 * i + 1) * (row + 0.5) * step) / (2 * k));
  return { weights: await matrix([n, k], basis, context), x: await matrix([m, k], wave, context), bias: new Float32Array(n).fill(0.5) };
}

interface Trained {
  /** (MODEL.n, MODEL.k) */
  readonly weights: Float32Array;
  /** (vocabulary, MODEL.k): what the layer reads of each token. */
  readonly inputs: Float32Array;
}
let loaded: Promise<Trained> | undefined;
const fetchTrained = (): Promise<Trained> =>
  (loaded ??= readTrained().catch((error: unknown) => {
    loaded = undefined;
    throw error;
  }));

/** The first layer's q of the page's language model, and its input: the embedding of a token after RMSNorm (Zhang and Sennrich, 2019). */
async function readTrained(): Promise<Trained> {
  const file = await ownModel();
  const { layers } = await findLayers(file);
  const matrix = async (name: string): Promise<Float32Array> => dequantize(await readMatrix(layers.find((one) => one.name === name)!));
  const [weights, inputs] = [await matrix('blk.0.attn_q'), await matrix('token_embd')];
  const norm = asFloats(await readTensor(file.tensors.get('blk.0.attn_norm.weight')!));
  const { epsilon } = readConfig(file);
  for (let begin = 0; begin < inputs.length; begin += MODEL.k) {
    const row = inputs.subarray(begin, begin + MODEL.k);
    const factor = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / MODEL.k + epsilon);
    row.forEach((value, i) => {
      row[i] = value * factor * norm[i]!;
    });
  }
  return { weights, inputs };
}

/** The first tokens are single bytes, of which texts have few. */
const FIRST_TOKEN = 256;

/** The first rows and columns of the trained layer, and its inputs for one token after the other. The layer has no bias. */
async function trained({ m, k, n }: Choice): Promise<Source> {
  const { weights: all, inputs } = await fetchTrained();
  const tokens = inputs.length / MODEL.k;
  const [weights, x] = [new Float32Array(n * k), new Float32Array(m * k)];
  for (let row = 0; row < n; row++) weights.set(all.subarray(row * MODEL.k, row * MODEL.k + k), row * k);
  for (let row = 0; row < m; row++) {
    const begin = ((FIRST_TOKEN + row) % tokens) * MODEL.k;
    x.set(inputs.subarray(begin, begin + k), row * k);
  }
  return { weights, x, bias: new Float32Array(n) };
}

/** @throws Error if the trained layer cannot be loaded */
export const sourceOf = (choice: Choice, context: Breathe): Promise<Source> =>
  ({ random, dct, model: trained })[choice.data](choice, context);
