// Quantizes one layer from the input's floats to the output's tensors, some rows at a time. Codes are written at once; scales and zero
// points, a few per cent of the bytes, wait in memory.

import { floatDtypeOf } from '../src/files/raw-tensor.js';
import {
  type Activations,
  ArgumentError,
  compressedTensorsTensors,
  dequantize,
  FormatError,
  type Quantized,
  type QuantizeOptions,
  type RawTensor,
  readTensor,
  type TensorToWrite,
  torchNpuTensors,
  type Weights,
} from '../src/formats.js';
import { checkForm } from '../src/quantize/options.js';
import { reportOf, type Sums } from '../src/quantize/report.js';
import type { LayerReport } from './documents.js';
import type { Pool } from './pool.js';
import type { LayerItem } from './quantize-plan.js';
import { formOf, type Settings } from './quantize-settings.js';

/** Number of weights that are quantized at once. */
const WEIGHTS_AT_ONCE = 2 ** 20;
/** Zero points of as many outputs share a word. */
const ROWS = 8;

export interface Work {
  readonly settings: Settings;
  readonly activations: Activations | undefined;
  readonly pool: Pool;
  readonly signal: AbortSignal;
  /** Reports bytes of the input that were read. */
  readonly onRead: (bytes: number) => void;
  readonly onReport: (report: LayerReport) => void;
}

function weightsOf({ dtype, bytes }: RawTensor): Weights {
  const own = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return dtype === 'F32'
    ? new Float32Array(own.buffer, own.byteOffset, own.byteLength / 4)
    : new Uint16Array(own.buffer, own.byteOffset, own.byteLength / 2);
}

/** Turns an error about a weight into one about the file; `first` is the first row. */
function inFile(error: unknown, { weight }: LayerItem, first: number): unknown {
  const [, row, rest] = (error instanceof ArgumentError && /^weights\[(\d+)(.*)$/.exec(error.argument)) || [];
  if (row === undefined) return error;
  const { expected, got } = error as ArgumentError;
  return new FormatError({ file: weight.source.name, tensor: weight.name, field: `weights[${Number(row) + first}${rest}` }, expected, got);
}

function addTo(sums: Sums, { matrix, report: { sqnr, rmse, maxError } }: Quantized): void {
  const errors = rmse * rmse * matrix.n * matrix.k;
  sums.errors += errors;
  // Without any loss, the bits follow from the codes.
  sums.squares += errors === 0 ? dequantize(matrix).reduce((sum, value) => sum + value * value, 0) : errors * 10 ** (sqnr / 10);
  sums.largest = Math.max(sums.largest, maxError);
}

/** Yields pieces of `step` rows in order; later pieces are in work meanwhile. */
async function* inOrder(
  { n, step, ahead }: { readonly n: number; readonly step: number; readonly ahead: number },
  piece: (first: number) => Promise<Quantized>,
): AsyncGenerator<{ readonly first: number; readonly layer: Quantized }> {
  const pending: { first: number; layer: Promise<Quantized> }[] = [];
  for (let next = 0; next < n || pending.length > 0; ) {
    for (; next < n && pending.length < ahead; next += step) {
      const layer = piece(next);
      layer.catch(() => {}); // reported in order, or not at all after an earlier failure
      pending.push({ first: next, layer });
    }
    const { first, layer } = pending.shift()!;
    yield { first, layer: await layer };
  }
}

/** The layer's tensors, in the order of writing. */
export function layerToWrite(item: LayerItem, { settings, activations, pool, signal, onRead, onReport }: Work): TensorToWrite[] {
  const { name, n, k, weight, bias, outlines } = item;
  const { bits, method, symmetric, dtype: scaleDtype, scheme } = settings;
  const { mode, groupSize } = formOf(settings, item);
  const options: Omit<QuantizeOptions, 'n'> = {
    k,
    bits,
    mode,
    groupSize,
    symmetric,
    method,
    scaleDtype,
    dtype: floatDtypeOf(weight.dtype),
    activations,
  };
  const rowBytes = (weight.end - weight.begin) / n;
  // All rows share the factor of the Hessian, which is computed once.
  const step = activations?.hessian || activations?.x ? n : Math.max(ROWS, Math.floor(WEIGHTS_AT_ONCE / k / ROWS) * ROWS);
  const kept: Uint8Array[][] = outlines.map(() => []);

  let whole: Weights | undefined;
  /** Reads rows. A weight stored as (K, N) is read once, transposed, and stays in memory until the layer is written. */
  const rowsFrom = async (first: number, rows: number): Promise<Weights> => {
    if (!item.turned) return weightsOf(await readTensor(weight, { begin: first * rowBytes, end: (first + rows) * rowBytes, signal }));
    const from = (whole ??= weightsOf(await readTensor(weight, { signal })));
    const out = new (from.constructor as new (length: number) => Weights)(rows * k);
    for (let column = 0; column < k; column++) for (let row = 0; row < rows; row++) out[row * k + column] = from[column * n + first + row]!;
    return out;
  };
  /** Rows from `first`, quantized. */
  const piece = async (first: number): Promise<Quantized> => {
    const rows = Math.min(step, n - first);
    const weights = await rowsFrom(first, rows);
    try {
      return await pool.run(weights, { ...options, n: rows });
    } catch (error) {
      throw inFile(error, item, first);
    }
  };
  async function* codes(): AsyncGenerator<Uint8Array> {
    const biases = bias && (await readTensor(bias, { signal }));
    const sums: Sums = { squares: 0, errors: 0, largest: 0 };
    for await (const { first, layer } of inOrder({ n, step, ahead: pool.size }, piece)) {
      const rows = layer.matrix.n;
      addTo(sums, layer);
      const part =
        scheme === 'torch_npu'
          ? torchNpuTensors(name, layer, { bias: biases && rowsOf(biases, first, rows) })
          : compressedTensorsTensors(name, layer);
      for (let i = 1; i < part.length; i++) kept[i]!.push(part[i]!.bytes);
      yield part[0]!.bytes;
      onRead(rows * rowBytes);
      signal.throwIfAborted();
    }
    whole = undefined;
    onReport({ name, n, k, ...reportOf(sums, checkForm({ ...options, n })) });
  }
  return outlines.map((outline, i) => ({
    ...outline,
    bytes: () => (i === 0 ? codes() : outline.name.endsWith('.weight_shape') ? sizes(n, k) : kept[i]!.splice(0)),
  }));
}

const sizes = (n: number, k: number): Uint8Array => new Uint8Array(BigInt64Array.of(BigInt(n), BigInt(k)).buffer);

function rowsOf(tensor: RawTensor, first: number, rows: number): RawTensor {
  const width = tensor.bytes.byteLength / tensor.shape[0]!;
  return { ...tensor, shape: [rows], bytes: tensor.bytes.slice(first * width, (first + rows) * width) };
}
