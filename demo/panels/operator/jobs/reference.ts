// Runs the library's CPU reference over a few columns at a time, for progress and cancelling, and multiplies with the unquantized weights.
import type { Accuracy } from '../../../../src/problem/accuracy.js';
import type { HostTensor } from '../../../../src/reference/reference.js';
import { reference } from '../../../../src/reference/reference.js';
import type { ReferenceResult } from '../../../../src/reference/sums.js';
import type { JobContext } from '../../../worker/rpc.js';
import { type Choice, groupSizeOf } from './choice.js';
import type { Source } from './data.js';
import type { Inputs } from './inputs.js';

type Breathe = Pick<JobContext, 'breathe'>;
type Output = Omit<ReferenceResult, 'shape'>;

/** Multiply-adds between two pauses: some 20 ms. */
const STRETCH = 8e6;
const stretch = (m: number, k: number): number => Math.max(1, Math.floor(STRETCH / Math.max(1, m * k)));

/** Rows [begin, end) of a tensor with a row for each column of y, transposed: the functional form has (K, N) and (G, N). */
function part(tensor: HostTensor, n: number, begin: number, end: number): HostTensor {
  const { shape, data } = tensor;
  if (shape[0] !== n || (n === 1 && shape.length === 1)) return tensor; // one value for all columns
  const width = shape[1] ?? 1;
  const cut = data.subarray(begin * width, end * width);
  return shape.length === 1
    ? { ...tensor, data: cut, shape: [end - begin] }
    : { ...tensor, data: cut, shape: [width, end - begin], strides: [1, width] };
}

export async function referenceOf(
  choice: Choice,
  { x, tensors }: Inputs,
  accuracy: Accuracy | undefined,
  { breathe }: Breathe,
  done: (share: number) => void,
): Promise<Output & { readonly milliseconds: number }> {
  const { m, n, k, int8Output, innerPrecise } = choice;
  const make = () => (int8Output ? new Int8Array(m * n) : new Float32Array(m * n));
  const [data, low, high, exact] = [make(), make(), make(), new Float64Array(m * n)];
  const columns = stretch(m, k);
  let milliseconds = 0;
  let dtype: ReferenceResult['dtype'] = choice.dtype;
  for (let begin = 0; begin < n; begin += columns) {
    const end = Math.min(n, begin + columns);
    const { weight, antiquantScale, ...rest } = Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => [name, part(tensor as HostTensor, n, begin, end)]),
    ) as unknown as Inputs['tensors'];
    const started = performance.now();
    const options = { ...rest, antiquantGroupSize: groupSizeOf(choice), innerPrecise, ...(accuracy && { accuracy }) };
    const some = reference(x, weight, antiquantScale, options);
    milliseconds += performance.now() - started;
    dtype = some.dtype;
    for (let row = 0; row < m; row++) {
      const [from, to] = [row * (end - begin), (row + 1) * (end - begin)];
      data.set(some.data.subarray(from, to), row * n + begin);
      low.set(some.low.subarray(from, to), row * n + begin);
      high.set(some.high.subarray(from, to), row * n + begin);
      exact.set(some.exact.subarray(from, to), row * n + begin);
    }
    done(end / n);
    await breathe();
  }
  return { data, low, high, exact, dtype, milliseconds };
}

/** x · Wᵀ + bias of the unquantized numbers, summed in float64. */
export async function plainProduct(
  { m, n, k, bias: biased }: Choice,
  { weights, x, bias }: Source,
  { breathe }: Breathe,
  done: (share: number) => void,
): Promise<Float64Array> {
  const y = new Float64Array(m * n);
  const columns = stretch(m, k);
  for (let begin = 0; begin < n; begin += columns) {
    const end = Math.min(n, begin + columns);
    for (let c = begin; c < end; c++)
      for (let row = 0; row < m; row++) {
        let sum = biased ? bias[c]! : 0;
        for (let i = row * k, j = c * k; j < (c + 1) * k; i++, j++) sum += x[i]! * weights[j]!;
        y[row * n + c] = sum;
      }
    done(end / n);
    await breathe();
  }
  return y;
}
