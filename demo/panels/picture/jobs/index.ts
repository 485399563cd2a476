// The jobs of the panel "See quantization": read the page's or the visitor's picture as numbers; quantize it in each mode and multiply it
// with x on the GPU, or without one on the CPU reference.
import { ArgumentError, type Mode, type QuantizedMatrix, type QuantizeReport } from '../../../../src/formats.js';
import { LinearWeightQuant, referenceMatrix, Tensor, UnsupportedError } from '../../../../src/index.js';
import { codeAt } from '../../../../src/problem/matrix.js';
import { slices } from '../../../../src/quantize/slices.js';
import { type JobContext, moved } from '../../../worker/rpc.js';
import {
  BUILT_IN,
  type Distance,
  distance,
  exactProduct,
  LARGEST_SIDE,
  MODES,
  matrixOf,
  type Picture,
  type Settings,
  sizesFor,
  turned,
  weightsOf,
} from './data.js';
import { SCENE_SIZE, scene } from './scene.js';

export interface Wanted extends Settings {
  readonly picture: Picture;
  /** Modes to compute; the page has the others. */
  readonly modes: readonly Mode[];
}
/** The unquantized weights, and their product with x in float64. */
export interface Original {
  readonly weights: Float32Array;
  readonly exact: Float32Array;
}
export interface Variant extends Distance {
  readonly mode: Mode;
  readonly matrix: QuantizedMatrix;
  /** The report of quantize. */
  readonly report: QuantizeReport;
  /** The result, oriented like the picture. */
  readonly y: Float32Array;
  /** Number of codes between black and white. */
  readonly used: number;
  /** Milliseconds of quantize on the CPU, pauses included. */
  readonly quantizeTime: number;
  /** The kernel that ran; without a GPU, why not. */
  readonly ran: { readonly kernel: string } | { readonly noGpu: string };
}
export type Part = { readonly original: Original } | { readonly variant: Variant };

type Context = JobContext<Part>;

/** Runs a long loop with a pause for messages every 20 ms. */
async function through<Step, Result>(
  work: Generator<Step, Result>,
  context: JobContext<never>,
  said?: (step: Step) => void,
): Promise<Result> {
  let until = performance.now() + 20;
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    if (performance.now() < until) continue;
    said?.(step.value);
    await context.breathe();
    until = performance.now() + 20;
  }
}

// ---------------------------------------------------------------------------------------------------------------- pictures

let built: Picture | undefined;
async function builtIn(_: undefined, context: JobContext): Promise<Picture> {
  const say = (share: number): void => context.progress(share, 'The picture is traced.');
  built ??= { id: BUILT_IN, name: '', rows: SCENE_SIZE, columns: SCENE_SIZE, pixels: await through(scene(), context, say) };
  return built;
}

/** @throws ArgumentError for a file without a picture */
async function open({ file, id }: { readonly file: File; readonly id: number }, { progress, signal }: JobContext) {
  progress(undefined, 'The picture is read.');
  const image = await createImageBitmap(file).catch(() => {
    throw new ArgumentError('file', 'a picture that this browser can read, such as PNG, JPEG or WebP', file.name);
  });
  signal.throwIfAborted();
  const shrunk = Math.min(1, LARGEST_SIDE / Math.max(image.width, image.height));
  const [columns, rows] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * shrunk))) as [number, number];
  const paper = new OffscreenCanvas(columns, rows).getContext('2d')!;
  paper.fillStyle = '#fff'; // background of transparent pixels
  paper.fillRect(0, 0, columns, rows);
  paper.imageSmoothingQuality = 'high';
  paper.drawImage(image, 0, 0, columns, rows);
  image.close();
  const { data } = paper.getImageData(0, 0, columns, rows);
  // Luma of Rec. 709.
  const pixels = Float32Array.from({ length: rows * columns }, (_, i) => {
    const [red, green, blue] = [data[4 * i]!, data[4 * i + 1]!, data[4 * i + 2]!];
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255;
  });
  const picture: Picture = { id, name: file.name, rows, columns, pixels };
  return moved(picture, [pixels.buffer]);
}

// ------------------------------------------------------------------------------------------------------------ quantization

let known: { readonly key: string; readonly original: Original; readonly x: Float32Array<ArrayBuffer> } | undefined;
async function originalOf({ picture, spot, basis }: Wanted, context: Context): Promise<NonNullable<typeof known>> {
  const key = `${picture.id} ${spot} ${basis}`;
  if (known?.key === key) return known;
  const weights = weightsOf(picture, spot);
  const x = matrixOf(basis, picture.columns);
  const product = (): Promise<Float32Array> =>
    through(exactProduct(x, weights, picture.columns), context, (share) =>
      context.progress(0.2 * share, 'The CPU multiplies the original.'),
    );
  const exact = basis === 'identity' ? weights : await product();
  known = { key, x, original: { weights, exact } };
  return known;
}

function usedCodes(matrix: QuantizedMatrix, weights: Float32Array): number {
  const used = new Set<number>();
  for (let n = 0, i = 0; n < matrix.n; n++) for (let k = 0; k < matrix.k; k++, i++) if (weights[i]! <= 0.5) used.add(codeAt(matrix, n, k));
  return used.size;
}

type Product = Pick<Variant, 'y' | 'ran'>;

async function onGpu(device: GPUDevice, x: Tensor, matrix: QuantizedMatrix): Promise<Product> {
  const { n, k } = matrix;
  const layer = new LinearWeightQuant(device, { inFeatures: k, outFeatures: n, bias: false, dtype: 'float32' });
  try {
    layer.loadMatrix(matrix);
    await layer.prepare([k]);
    const result = layer.forward(x);
    const y = (await result.read()) as Float32Array;
    result.destroy();
    return { y: turned(y, k, n), ran: { kernel: layer.explain(k).kernel } };
  } finally {
    layer.destroy();
  }
}

/** Rows of x at a time, so that it can be cancelled. */
const ROWS = 8;
async function onCpu(
  x: Float32Array,
  matrix: QuantizedMatrix,
  noGpu: string,
  context: Context,
  say: (share: number) => void,
): Promise<Product> {
  const { n, k } = matrix;
  const y = new Float32Array(k * n);
  for (let m = 0; m < k; m += ROWS) {
    const data = x.subarray(m * k, Math.min(k, m + ROWS) * k);
    y.set(referenceMatrix({ data, shape: [data.length / k, k], dtype: 'float32' }, matrix).data as Float32Array, m * n);
    say(m / k);
    await context.breathe();
  }
  return { y: turned(y, k, n), ran: { noGpu } };
}

const WORDS: Readonly<Record<Mode, string>> = { tensor: 'per tensor', channel: 'per channel', group: 'in groups' };

async function run(wanted: Wanted, context: Context): Promise<void> {
  const { picture, bits, method, symmetric, groupSize, modes } = wanted;
  const { rows: n, columns: k } = picture;
  const { original, x } = await originalOf(wanted, context);
  context.part({ original });
  if (modes.length === 0) return;
  const all = [];
  for (const mode of MODES.filter((one) => modes.includes(one))) {
    context.progress(0.2 + (0.2 * all.length) / modes.length, `The CPU quantizes ${WORDS[mode]}.`);
    const options = { n, k, bits, mode, method, symmetric, ...(mode === 'group' && { groupSize: Math.min(k, groupSize) }) };
    const begin = performance.now();
    const { matrix, report } = await through(slices(original.weights, options), context);
    all.push({ mode, matrix, report, quantizeTime: performance.now() - begin, used: usedCodes(matrix, original.weights) });
    await context.breathe();
  }
  const device = await context.device().catch((error: unknown) => {
    if (error instanceof UnsupportedError) return error.message;
    throw error;
  });
  const given = typeof device === 'string' ? undefined : Tensor.from(device, x, { shape: [k, k], dtype: 'float32' });
  try {
    for (const [i, one] of all.entries()) {
      const { mode, matrix } = one;
      const who = given ? 'GPU' : 'CPU reference';
      const say = (share: number): void =>
        context.progress(0.4 + (0.6 * (i + share)) / all.length, `The ${who} multiplies ${WORDS[mode]}.`);
      say(0);
      const product = given ? await onGpu(device as GPUDevice, given, matrix) : await onCpu(x, matrix, device as string, context, say);
      context.part({ variant: { ...one, ...product, ...distance(product.y, original.exact) } });
      await context.breathe();
    }
  } finally {
    given?.destroy();
  }
}

/** The result of quantize() for one group size. */
export interface Point {
  readonly mode: Mode;
  readonly groupSize: number;
  readonly bitsPerWeight: number;
  /** Of the weights, in dB. */
  readonly psnr: number;
}
export type SweepOf = Pick<Wanted, 'picture' | 'spot' | 'bits' | 'method' | 'symmetric'>;

async function sweep({ picture, spot, ...how }: SweepOf, context: JobContext): Promise<readonly Point[]> {
  const { rows: n, columns: k } = picture;
  const weights = weightsOf(picture, spot);
  const all = [
    { mode: 'tensor' } as const,
    { mode: 'channel' } as const,
    ...sizesFor(k).map((groupSize) => ({ mode: 'group' as const, groupSize })),
  ];
  const points: Point[] = [];
  for (const one of all) {
    const { report, matrix } = await through(slices(weights, { n, k, ...how, ...one }), context);
    points.push({ mode: one.mode, groupSize: matrix.groupSize, bitsPerWeight: report.bitsPerWeight, psnr: -20 * Math.log10(report.rmse) });
    await context.breathe();
  }
  return points;
}

export const jobs = { builtIn, open, run, sweep };
