// A layer of tensors in memory, read piece by piece as its `cut` says: what loading does, without files.

import type { LayerSource } from '../../../src/formats/layer-source.js';
import { dequantize } from '../../../src/formats/matrix.js';
import { elementsIn, type RawTensor } from '../../../src/formats/raw-tensor.js';
import type { TensorInfo } from '../../../src/formats/tensor-file.js';

const nowhere = { name: 'nowhere', size: 0, read: () => Promise.reject(new Error('nothing is read here')) };
/** What a reader would say of a tensor. */
export const infoOf = ({ name, dtype, shape, bytes }: RawTensor): TensorInfo => ({
  name,
  dtype,
  shape,
  source: nowhere,
  begin: 0,
  end: bytes.length,
});

/** Rows of a tensor that hold n or k from `from` to `to`. */
function rowsOf(tensor: RawTensor, { perRow, from, to }: { perRow: number; from: number; to: number }): RawTensor {
  if (perRow === 0) return tensor;
  const [rows = 0, ...rest] = tensor.shape;
  const rowBytes = (tensor.bytes.length / elementsIn(tensor.shape)) * elementsIn(rest);
  const [first, last] = [from / perRow, Math.min(rows, Math.ceil(to / perRow))];
  return { ...tensor, shape: [last - first, ...rest], bytes: tensor.bytes.subarray(first * rowBytes, last * rowBytes) };
}

/** The weights (N, K), put together from pieces of `units` units of the cut. */
export function weightsInPieces(source: LayerSource, tensors: Readonly<Record<string, RawTensor>>, units: number): Float32Array {
  const { n, k, cut } = source;
  if (!cut) throw new Error(`${source.name} is read whole`);
  const out = new Float32Array(n * k).fill(Number.NaN);
  const end = cut.axis === 'n' ? n : k;
  for (let from = 0; from < end; from += cut.unit * units) {
    const to = Math.min(end, from + cut.unit * units);
    const size = cut.axis === 'n' ? { n: to - from, k } : { n, k: to - from };
    const part = Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => [name, rowsOf(tensor, { perRow: cut.perRow[name]!, from, to })]),
    );
    const weights = dequantize(source.make(part, size));
    for (let row = 0; row < size.n; row++) {
      const at = cut.axis === 'n' ? (from + row) * k : row * k + from;
      out.set(weights.subarray(row * size.k, (row + 1) * size.k), at);
    }
  }
  return out;
}
