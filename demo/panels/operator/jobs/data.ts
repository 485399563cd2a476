// Makes the data of the panel "Operator": weights (N, K), x (M, K) and bias (N) as floats. They are a seeded random matrix, the basis of
// the discrete cosine transform, or a trained layer with inputs of its model (scripts/train-demo-model.mjs).
import { decode16 } from '../../../../src/dtype.js';
import type { JobContext } from '../../../worker/rpc.js';
import type { Choice } from './choice.js';

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

interface Model {
  readonly characters: string;
  readonly context: number;
  readonly width: number;
  readonly hidden: number;
  readonly text: string;
}
let loaded: Promise<{ readonly model: Model; readonly values: Float32Array }> | undefined;
const fetchModel = (): NonNullable<typeof loaded> =>
  (loaded ??= (async () => {
    const get = async (url: URL): Promise<Response> => {
      const response = await fetch(url);
      if (!response.ok) throw new Error(`The embedded matrix could not be loaded: the server answered ${response.status}`);
      return response;
    };
    const [facts, bits] = await Promise.all([get(new URL('./model.json', import.meta.url)), get(new URL('./model.bin', import.meta.url))]);
    const model: Model = await facts.json();
    return { model, values: decode16(new Uint16Array(await bits.arrayBuffer()), 'float16') };
  })().catch((error: unknown) => {
    loaded = undefined;
    throw error;
  }));

/** The first rows and columns of the trained layer, and its inputs for a text that was not in its training data. */
async function trained({ m, k, n }: Choice): Promise<Source> {
  const { model, values } = await fetchModel();
  const { characters, context, width, hidden, text } = model;
  const all = context * width;
  const embedding = values.subarray(0, characters.length * width);
  const [weights, x] = [new Float32Array(n * k), new Float32Array(m * k)];
  for (let row = 0; row < n; row++) weights.set(values.subarray(embedding.length + row * all, embedding.length + row * all + k), row * k);
  for (let row = 0; row < m; row++)
    for (let i = 0; i < k; i++) x[row * k + i] = embedding[characters.indexOf(text[row + Math.floor(i / width)]!) * width + (i % width)]!;
  const biases = embedding.length + hidden * all;
  return { weights, x, bias: values.slice(biases, biases + n) };
}

/** @throws Error if the trained layer cannot be loaded */
export const sourceOf = (choice: Choice, context: Breathe): Promise<Source> =>
  ({ random, dct, model: trained })[choice.data](choice, context);
