// Reads the weights of a chosen layer or float matrix, as codes or as floats of some rows at a time, and quantizes them again with pauses.
// The last result stays in memory if it is not too large, since looking, quantizing and running use the same.
import { asFloats, dequantize, type QuantizedMatrix, type QuantizeReport, readMatrix, readTensor } from '../../../../src/formats.js';
import { rowsOf } from '../../../../src/problem/matrix.js';
import type { QuantizeOptions } from '../../../../src/quantize/options.js';
import { slices } from '../../../../src/quantize/slices.js';
import type { JobContext } from '../../../worker/rpc.js';
import { type Model, sizesOf } from './open.js';

export interface Target {
  /** OpenedModel.id */
  readonly model: number;
  readonly kind: 'layer' | 'float';
  readonly index: number;
}
export interface Size {
  readonly n: number;
  readonly k: number;
}
/** Some rows of weights, (n, K) from row `begin` on. */
export interface Rows {
  readonly begin: number;
  readonly n: number;
  readonly weights: Float32Array<ArrayBuffer>;
}
export type Settings = Pick<QuantizeOptions, 'bits' | 'mode' | 'groupSize' | 'symmetric' | 'method' | 'scaleDtype'>;

/** Most float weights in memory at once. */
const AT_ONCE = 2 ** 22;
/** Most bytes of codes that stay in memory. */
const KEPT = 2 ** 28;

interface Kept {
  readonly key: string;
  readonly matrix: QuantizedMatrix;
}
let kept: Kept | undefined;
const keep = (key: string, matrix: QuantizedMatrix): void => {
  kept = matrix.codes.byteLength <= KEPT ? { key, matrix } : undefined;
};
export const forget = (): void => {
  kept = made = undefined;
};

export function sizeOf(model: Model, { kind, index }: Target): Size {
  if (kind === 'float') return sizesOf(model.floats[index]!, model.transposed);
  const { n, k } = model.layers[index]!;
  return { n, k };
}

/** Reads the matrix of a layer; it takes `share` of the job's progress. @throws FormatError */
export async function matrixOf(model: Model, target: Target, context: JobContext, share = 1): Promise<QuantizedMatrix> {
  const key = JSON.stringify(target);
  if (kept?.key === key) return kept.matrix;
  const { signal, progress } = context;
  const matrix = await readMatrix(model.layers[target.index]!, {
    signal,
    onProgress: ({ done, total }) => progress((share * done) / total, 'The file is read.'),
  });
  signal.throwIfAborted();
  keep(key, matrix);
  return matrix;
}

/** Columns [begin, end) of a matrix (rows, columns), as rows. */
function columnsOf(values: Float32Array, { n, k }: Size, begin: number, end: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array((end - begin) * k);
  for (let row = 0; row < k; row++)
    for (let column = begin; column < end; column++) out[(column - begin) * k + row] = values[row * n + column]!;
  return out;
}

/** The weights from the first row to the last. @throws FormatError */
export async function* weightsOf(model: Model, target: Target, context: JobContext, most = AT_ONCE): AsyncGenerator<Rows> {
  const { n, k } = sizeOf(model, target);
  const count = Math.max(4, Math.floor(most / k / 4) * 4);
  if (target.kind === 'layer') {
    const matrix = await matrixOf(model, target, context, 0.3);
    for (const { matrix: part, begin } of rowsOf(matrix, (count * k * matrix.bits) / 8)) {
      yield { begin, n: part.n, weights: dequantize(part) };
      await context.breathe();
    }
    return;
  }
  const info = model.floats[target.index]!;
  const whole = model.transposed.has(info.name) ? asFloats(await readTensor(info, { signal: context.signal })) : undefined;
  const row = (info.end - info.begin) / n;
  for (let begin = 0; begin < n; begin += count) {
    const end = Math.min(n, begin + count);
    const weights = whole
      ? columnsOf(whole, { n, k }, begin, end)
      : asFloats(await readTensor(info, { begin: begin * row, end: end * row, signal: context.signal }));
    yield { begin, n: end - begin, weights };
    await context.breathe();
  }
}

export interface Made {
  readonly matrix: QuantizedMatrix;
  readonly report: QuantizeReport;
  /** Milliseconds of quantizing, without reading. */
  readonly milliseconds: number;
}
let made: (Made & { readonly key: string }) | undefined;

/** Milliseconds of work between pauses. */
const TURN = 30;

/** Quantizes the weights as `quantize` does. @throws ArgumentError, FormatError */
export async function quantized(model: Model, target: Target, settings: Settings, context: JobContext, share = 1): Promise<Made> {
  const key = JSON.stringify([target, settings]);
  if (made?.key === key) return made;
  const size = sizeOf(model, target);
  const parts: { readonly begin: number; readonly n: number; readonly matrix: QuantizedMatrix; readonly report: QuantizeReport }[] = [];
  let [squares, milliseconds] = [0, 0];
  // One scale for the matrix needs all weights at once.
  for await (const { begin, n, weights } of weightsOf(
    model,
    target,
    context,
    settings.mode === 'tensor' ? Number.POSITIVE_INFINITY : AT_ONCE,
  )) {
    for (const w of weights) squares += w * w;
    const work = slices(weights, { ...settings, n, k: size.k });
    for (let began = performance.now(); ; ) {
      const step = work.next();
      const now = performance.now();
      if (!step.done && now - began < TURN) continue;
      milliseconds += now - began;
      if (step.done) {
        parts.push({ begin, n, ...step.value });
        break;
      }
      const done = (begin + step.value.done) / size.n;
      context.progress(share * (0.3 + 0.7 * done), `Row ${begin + step.value.done} of ${size.n} is quantized.`);
      await context.breathe();
      began = performance.now();
    }
  }
  const result = { key, milliseconds, ...(parts.length === 1 ? parts[0]! : joined(parts, size, squares)) };
  if (result.matrix.codes.byteLength <= KEPT) made = result;
  return result;
}

/** Runs of rows as one matrix, and their reports as one. */
function joined(
  parts: readonly { readonly begin: number; readonly matrix: QuantizedMatrix; readonly report: QuantizeReport }[],
  { n, k }: Size,
  squares: number,
): Pick<Made, 'matrix' | 'report'> {
  const { matrix: first } = parts[0]!;
  const perRow = (values: { readonly length: number }): number => values.length / first.n;
  const codes = new Uint32Array(n * perRow(first.codes));
  const scale = new Float32Array(n * perRow(first.scale));
  const zeroPoint = first.zeroPoint && new Float32Array(scale.length);
  let [errors, maxError, bytes, bytesBefore] = [0, 0, 0, 0];
  for (const { begin, matrix, report } of parts) {
    codes.set(matrix.codes, begin * perRow(first.codes));
    scale.set(matrix.scale, begin * perRow(first.scale));
    if (zeroPoint && matrix.zeroPoint) zeroPoint.set(matrix.zeroPoint, begin * perRow(first.scale));
    errors += report.rmse ** 2 * matrix.n * k;
    maxError = Math.max(maxError, report.maxError);
    bytes += report.bytes;
    bytesBefore += report.bytesBefore;
  }
  const sqnr = errors === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(squares / errors);
  return {
    matrix: { ...first, n, codes, scale, ...(zeroPoint && { zeroPoint }) },
    report: { sqnr, maxError, rmse: Math.sqrt(errors / (n * k)), bytes, bytesBefore, bitsPerWeight: (8 * bytes) / (n * k) },
  };
}
