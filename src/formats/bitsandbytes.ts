// bitsandbytes' int8 layers (Linear8bitLt): rows of int8, each with a scale. bitsandbytes4.ts has NF4 and FP4.
// Rules: github.com/bitsandbytes-foundation/bitsandbytes, nn/modules.py (Linear8bitLt), utils.py, functional.py (int8_vectorwise_dequant).

import { FormatError } from '../errors.js';
import { asFloats, at, elementsIn, type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { codesOfInt8 } from './code-words.js';
import { checkImport, checkLayer } from './given.js';
import type { WeightFormat } from './layer-format.js';
import { asWholeNumbers, bytesOf, granularityOf, headersOf, type LayerName, present } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { requireMatrix } from './sizes.js';

/** Tensors of a Linear8bitLt, by the format's names. */
export interface BitsAndBytesInt8<T> {
  /** I8 (N, K). */
  readonly weight: T;
  /** F32 (N): the row's largest |W|, which is the value of code 127. */
  readonly SCB: T;
  /** U8 (): 0 for rows; 1 to 3, tiles for old GPUs, are refused. */
  readonly weight_format?: T | undefined;
}

/**
 * Imports an int8 layer: W = q · SCB / 127. `scale` is SCB / 127, rounded once to float32.
 *
 * Rule: bitsandbytes' int8_vectorwise_dequant; LINEAR_8BIT_WEIGHTS_FORMAT_MAPPING.
 * @throws FormatError
 * @example importBitsAndBytesInt8({ weight, SCB })
 */
export function importBitsAndBytesInt8(tensors: BitsAndBytesInt8<RawTensor>): QuantizedMatrix {
  checkImport('bitsAndBytesInt8', tensors, {});
  const { weight, SCB, weight_format: format } = tensors;
  const [n, k] = planInt8(weight, SCB);
  const order = format ? asWholeNumbers(format)[0] : 0;
  if (order !== 0) throw new FormatError(at(format!, 'value'), '0, rows (1 to 3 are tiles of bitsandbytes before 0.45)', String(order));
  return {
    n,
    k,
    bits: 8,
    codes: codesOfInt8(bytesOf(weight), n, k),
    groupSize: k,
    scale: asFloats(SCB).map((largest) => largest / 127) as Float32Array<ArrayBuffer>,
    scaleDtype: 'float32',
  };
}

function planInt8(weight: RawTensor, scb: RawTensor): readonly [number, number] {
  requireDtype(weight, 'I8');
  requireDtype(scb, 'F32', 'F16', 'BF16');
  const [n, k] = requireMatrix(weight);
  const { groups } = granularityOf(scb, n, { flat: true });
  if (groups !== 1 || elementsIn(scb.shape) !== n) requireShape(scb, [n], 'one for each output');
  return [n, k];
}

/** A layer of a file, read in pieces along n. @throws FormatError */
export function bitsAndBytesInt8Layer(tensors: BitsAndBytesInt8<TensorInfo>, options: LayerName): LayerSource {
  checkLayer('bitsAndBytesInt8', tensors, options);
  const { name, bias } = options;
  const { weight, SCB } = headersOf({ ...tensors });
  const [n, k] = planInt8(weight, SCB);
  const { weight_format } = tensors;
  return {
    name,
    format: 'bitsandbytes int8',
    n,
    k,
    bits: 8,
    groupSize: k,
    tensors: present({ ...tensors, SCB: { ...tensors.SCB, shape: [n] } }),
    cut: { axis: 'n', unit: 4, perRow: { weight: 1, SCB: 1, ...(weight_format && { weight_format: 0 }) } },
    bias,
    make: (part) => importBitsAndBytesInt8(part as unknown as BitsAndBytesInt8<RawTensor>),
  };
}

export const bitsAndBytesFormat: WeightFormat = {
  rows: [{ format: 'bitsandbytes int8', tensors: '`weight`, `SCB`, `weight_format`', read: 'int8, a scale for each output', exact: '1' }],
  layers: [
    {
      name: 'bitsandbytes int8',
      importer: 'importBitsAndBytesInt8',
      methods: ['bitsandbytes'],
      required: ['weight', 'SCB'],
      optional: ['weight_format'],
      make: ({ weight, SCB, weight_format }, { name, bias }) =>
        bitsAndBytesInt8Layer({ weight: weight!, SCB: SCB!, weight_format }, { name, bias }),
    },
  ],
};
