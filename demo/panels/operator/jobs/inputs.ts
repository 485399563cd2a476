// Quantizes the weights of a choice, and makes the tensors of the layer and the reference as host tensors in the layer's orientation:
// weight (N, K), scales (1,), (N,), (N, 1) or (N, G).

import { formatCast } from '../../../../src/ascend/fractal-nz.js';
import { transQuantParam } from '../../../../src/ascend/quant-param.js';
import { BYTES, type FloatDType } from '../../../../src/dtype.js';
import { torchNpuTensors } from '../../../../src/formats/write-torch-npu.js';
import { widthOf } from '../../../../src/problem/code-width.js';
import type { WeightTensors } from '../../../../src/problem/problem.js';
import type { QuantizeOptions } from '../../../../src/quantize/options.js';
import { type Quantized, slices } from '../../../../src/quantize/slices.js';
import type { HostTensor } from '../../../../src/reference/reference.js';
import type { JobContext } from '../../../worker/rpc.js';
import { type Choice, type Form, forms } from './choice.js';
import type { Source } from './data.js';

/** `quantize` with pauses after some milliseconds. */
export async function quantized(
  weights: Float32Array,
  options: QuantizeOptions,
  { breathe }: Pick<JobContext, 'breathe'>,
  done: (share: number) => void = () => {},
): Promise<Quantized> {
  const work = slices(weights, options);
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    done(step.value.done / step.value.total);
    await breathe();
  }
}

/** Dtype of the scales: a 64-bit packed scale has 10 bits of mantissa, like float16. */
export const scaleDtype = ({ scales, dtype }: Choice): FloatDType => (scales === 'int64' ? 'float16' : dtype);

export const quantizeOptions = (choice: Choice): QuantizeOptions => ({
  n: choice.n,
  k: choice.k,
  bits: choice.bits,
  mode: choice.mode,
  ...(choice.mode === 'group' && { groupSize: choice.groupSize }),
  symmetric: !choice.offset,
  scaleDtype: scaleDtype(choice),
});

export interface Inputs {
  readonly x: HostTensor;
  /** By the names of `load`. The weight is ND for any format of the choice. */
  readonly tensors: WeightTensors<HostTensor>;
}

/** Largest |y| of each column of the unquantized product; it calibrates an int8 output. */
function largestOf(plain: Float64Array, n: number): Float64Array {
  const largest = new Float64Array(n);
  for (let i = 0; i < plain.length; i++) largest[i % n] = Math.max(largest[i % n]!, Math.abs(plain[i]!));
  return largest;
}

export function inputsOf(choice: Choice, { x, bias }: Source, layer: Quantized, plain: Float64Array): Inputs {
  const { n, bits, mode, scales } = choice;
  const { x: formOfX, tensors: form } = forms(choice);
  const { scale, zeroPoint } = layer.matrix;
  const count = mode === 'tensor' ? 1 : scale.length;
  const packed = scales === 'int64';
  const code = widthOf(bits);
  const offsets = zeroPoint?.slice(0, count).map((zero) => code.zero - zero) ?? new Float32Array(count);
  const { bytes } = torchNpuTensors('layer', layer)[0]!;
  // An int8 output should use most of its range; an offset shifts the codes of all columns.
  const room = choice.quantOffset ? 100 : 120;
  const data: Readonly<Record<keyof WeightTensors<unknown>, () => HostTensor['data']>> = {
    weight: () => new code.array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength / code.array.BYTES_PER_ELEMENT),
    antiquantScale: () => (packed ? transQuantParam(scale.slice(0, count)) : scale.slice(0, count)),
    antiquantOffset: () => (packed ? Int32Array.from(offsets) : offsets),
    bias: () => bias,
    quantScale: () => Float32Array.from(largestOf(plain, n), (largest) => room / (largest || 1)),
    quantOffset: () => Float32Array.from({ length: n }, (_, i) => (i % 2 === 0 ? 20 : -20)),
  };
  const entries = Object.entries(form).map(([name, one]) => [
    name,
    { ...(one as Form), format: 'ND', data: data[name as keyof typeof data]() },
  ]);
  return { x: { ...formOfX, data: x }, tensors: Object.fromEntries(entries) as WeightTensors<HostTensor> };
}

/** The weight in the format of the choice. */
export function inFormat({ format }: Choice, { weight }: Inputs['tensors']): HostTensor {
  const { data, shape, dtype } = weight;
  if (format === 'ND') return weight;
  return { ...weight, format, data: formatCast(data as Int8Array, { shape, dtype, from: 'ND', to: format }) };
}

export interface Bytes {
  readonly codes: number;
  readonly scales: number;
  readonly offsets: number;
  readonly float16: number;
  readonly float32: number;
}
/** Bytes of the tensors of `load`, and of the matrix in floats. */
export function bytesOf({ n, k }: Choice, { weight, antiquantScale, antiquantOffset }: WeightTensors<HostTensor>): Bytes {
  const size = (tensor: HostTensor | undefined): number => (tensor ? tensor.data.length * BYTES[tensor.dtype] : 0);
  return { codes: size(weight), scales: size(antiquantScale), offsets: size(antiquantOffset), float16: 2 * n * k, float32: 4 * n * k };
}
