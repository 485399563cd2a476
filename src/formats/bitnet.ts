// BitNet in the names of Transformers: weights of -1, 0 and 1 in 2 bits, four outputs to a byte, one scale for all.
// Rule: github.com/huggingface/transformers, integrations/bitnet.py (pack_weights, BitLinear, AutoBitLinear), utils/quantization_config.py.

import { FormatError } from '../errors.js';
import { asFloats, at, floatDtypeOf, type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { widthFor, wordsOf } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { checkImport, checkLayer } from './given.js';
import { type Found, type LayerContext, type WeightFormat, wrong } from './layer-format.js';
import { bytesOf, headersOf, type LayerName } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import { requireMatrix } from './sizes.js';

/** Tensors of a layer, by the format's names. */
export interface BitNetTensors<T> {
  /** U8 (N / 4, K): bits 2i and 2i + 1 of row r are 1 + W of output r + i · N / 4. */
  readonly weight: T;
  /** F32, BF16 or F16 (1). */
  readonly weight_scale: T;
}

/** What a layer does with its scale. */
export type BitNetClass = 'bitlinear' | 'autobitlinear';
/** Settings that BitNet's tensors leave open. */
export interface BitNetOptions {
  /** `linear_class` of the configuration: bitlinear divides by weight_scale, autobitlinear multiplies with it. */
  readonly linearClass: BitNetClass;
}
const CLASSES: readonly BitNetClass[] = ['bitlinear', 'autobitlinear'];

/** Outputs in a byte. */
const PARTS = 4;
const { bits: BITS, inWord: IN_WORD, slot: SLOT, zero: MIDDLE } = widthFor(2);

/** The sizes, after all checks of headers. */
function planOf({ weight, weight_scale: scale }: BitNetTensors<RawTensor>) {
  requireDtype(weight, 'U8');
  requireDtype(scale, 'F32', 'BF16', 'F16');
  const [rows, k] = requireMatrix(weight);
  if (scale.shape.length > 0) requireShape(scale, [1], 'one for all weights');
  return { rows, n: PARTS * rows, k };
}

/**
 * Imports BitNet's weights: W = t · weight_scale, or t / weight_scale rounded once to float32; t is -1, 0 or 1.
 * @throws FormatError if dtypes or shapes differ from BitNetTensors, or two bits are 3
 * @example importBitNet({ weight, weight_scale }, { linearClass: 'autobitlinear' })
 */
export function importBitNet(tensors: BitNetTensors<RawTensor>, options: BitNetOptions): QuantizedMatrix {
  checkImport('bitNet', tensors, options);
  const { rows, n, k } = planOf(tensors);
  const { weight, weight_scale } = tensors;
  const divides = options.linearClass === 'bitlinear';
  const bytes = bytesOf(weight);
  const words = wordsOf(k, BITS);
  const codes = new Uint32Array(n * words);
  for (let row = 0, at4 = 0; row < rows; row++)
    for (let column = 0; column < k; column++, at4++)
      for (let part = 0; part < PARTS; part++) {
        const t = (bytes[at4]! >>> (2 * part)) & 3;
        if (t === 3) throw new FormatError(at(weight, `element ${at4}`), 'four of 0, 1 and 2 in two bits each', `byte ${bytes[at4]}`);
        codes[(row + part * rows) * words + Math.floor(column / IN_WORD)]! |= (t + MIDDLE - 1) << (SLOT * (column % IN_WORD));
      }
  const [value] = asFloats(weight_scale);
  const scale = divides ? Math.fround(1 / value!) : value!;
  if (!Number.isFinite(scale)) throw new FormatError(at(weight_scale, 'value'), 'a number other than 0', String(value));
  const scaleDtype = divides ? 'float32' : floatDtypeOf(weight_scale.dtype);
  return { n, k, bits: BITS, codes, groupSize: k, scale: new Float32Array(n).fill(scale), scaleDtype };
}

/**
 * A layer of a file. It is read in one piece, since the outputs of a run of bytes are no run.
 * @throws FormatError
 * @example bitNetLayer({ weight, weight_scale }, { name: 'model.layers.0.mlp.up_proj', linearClass: 'autobitlinear' })
 */
export function bitNetLayer(tensors: BitNetTensors<TensorInfo>, given: BitNetOptions & LayerName): LayerSource {
  checkLayer('bitNet', tensors, given);
  const { name, bias, linearClass } = given;
  const { n, k } = planOf(headersOf({ ...tensors }));
  return {
    ...{ name, format: 'BitNet', n, k, bits: BITS, groupSize: k, bias },
    tensors: { ...tensors },
    cut: undefined,
    make: (read) => importBitNet(read as unknown as BitNetTensors<RawTensor>, { linearClass }),
  };
}

function make({ weight, weight_scale }: Found, { name, bias, config }: LayerContext): LayerSource {
  // Transformers' default, for a configuration of BitNet; without one nothing tells.
  const said = config.linearClass ?? (config.method === 'bitnet' ? 'bitlinear' : undefined);
  const linearClass = CLASSES.find((one) => one === said);
  if (!linearClass) throw wrong(weight_scale!, 'linear_class', `${CLASSES.join(' or ')} in the configuration`, said ?? 'none');
  return bitNetLayer({ weight: weight!, weight_scale: weight_scale! }, { name, bias, linearClass });
}

export const bitNetFormat: WeightFormat = {
  rows: [
    {
      format: 'BitNet of Transformers',
      tensors: '`weight`, `weight_scale`',
      read: '−1, 0 and 1 in 2 bits; x is not rounded to int8',
      exact: '=',
    },
  ],
  layers: [
    {
      name: 'BitNet',
      importer: 'importBitNet',
      methods: ['bitnet'],
      required: ['weight', 'weight_scale'],
      optional: [],
      recognise: ({ weight, weight_scale }) =>
        weight!.dtype === 'U8' && weight!.shape.length === 2 && ['F32', 'BF16', 'F16'].includes(weight_scale!.dtype),
      make,
    },
  ],
};
