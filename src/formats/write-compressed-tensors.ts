// Writes a quantized layer as compressed-tensors' pack-quantized, which vLLM and Transformers load, with its configuration.
// Rules: github.com/vllm-project/compressed-tensors, compressors/quantized_compressors/pack_quantized.py, quantization/quant_args.py.
import { fields, list, optional, text } from '../arguments/check.js';
import { ArgumentError } from '../errors.js';
import type { RawTensor } from '../files/raw-tensor.js';
import type { TensorOutline } from '../files/write-safetensors.js';
import { widthOf, wordsOf } from '../problem/code-width.js';
import { packCodes, type QuantizedMatrix } from '../problem/matrix.js';
import { checkForm, checkToWrite } from './given.js';
import {
  checkWritable,
  FLOAT_NAMES,
  floatBytes,
  formOf,
  groupsOf,
  inSlots,
  type LayerForm,
  type LayerToWrite,
  withBytes,
} from './write-layer.js';

const SCHEME = 'pack-quantized';

/**
 * Names, dtypes and shapes of a layer's tensors, known before quantizing:
 *
 * - `NAME.weight_packed`: I32 (N, ceil(K · bits / 32));
 * - `NAME.weight_scale`: (N, K / groupSize) of scaleDtype; one column without groups. Mode `tensor` is written as one scale a row, since
 *   readers of pack-quantized only know channels and groups;
 * - `NAME.weight_zero_point`, unless symmetric: I32 (ceil(N · bits / 32), K / groupSize), packed along N;
 * - `NAME.weight_shape`: I64 (2).
 * @throws ArgumentError for groups that do not divide K
 */
export function compressedTensorsOutlines(name: string, form: LayerForm): TensorOutline[] {
  text(name, 'name');
  checkForm(form, 'all');
  const { n, k, bits, mode, groupSize, symmetric, scaleDtype } = form;
  if (mode === 'group' && k % groupSize! !== 0)
    throw new ArgumentError('matrix.groupSize', `a divisor of K = ${k}: ${SCHEME} has no short groups`, String(groupSize));
  const groups = groupsOf(form);
  return [
    { name: `${name}.weight_packed`, dtype: 'I32', shape: [n, wordsOf(k, bits)] },
    { name: `${name}.weight_scale`, dtype: FLOAT_NAMES[scaleDtype], shape: [n, groups] },
    ...(symmetric ? [] : [{ name: `${name}.weight_zero_point`, dtype: 'I32', shape: [wordsOf(n, bits), groups] }]),
    { name: `${name}.weight_shape`, dtype: 'I64', shape: [2] },
  ];
}

/** zero_point + 2^(bits-1), which is zeroPoint, of consecutive outputs in a word. */
function zeroWords({ n, bits }: QuantizedMatrix, zeroPoint: Float32Array): Uint32Array {
  const { mask: top } = widthOf(bits);
  const bad = zeroPoint.findIndex((zero) => !(Number.isInteger(zero) && zero >= 0 && zero <= top));
  if (bad >= 0)
    throw new ArgumentError(`matrix.zeroPoint[${bad}]`, `a whole number of 0 … ${top}: ${SCHEME} has no others`, String(zeroPoint[bad]));
  const groups = zeroPoint.length / n;
  const byGroup = zeroPoint.map((_, i) => zeroPoint[(i % n) * groups + Math.floor(i / n)]!);
  const packed = packCodes(byGroup, groups, n, bits);
  const rows = wordsOf(n, bits);
  return packed.map((_, i) => packed[(i % groups) * rows + Math.floor(i / groups)]!);
}

/**
 * The tensors of compressedTensorsOutlines with the bytes of a quantized layer, without rounding. The words are those of the matrix, since
 * the format stores q + 2^(bits-1). A bias is written separately and unchanged.
 * @param name of the layer, before `.weight_packed`
 * @param layer the result of `quantize`, or { matrix }
 * @throws ArgumentError for a codebook, a minimum, a permutation, scales of inputs, zero points that are not codes (`hqq`), groups that do not divide K, or
 *   scales that scaleDtype does not hold
 * @example compressedTensorsTensors('model.layers.0.mlp.up_proj', quantize(weights, options))
 */
export function compressedTensorsTensors(name: string, layer: LayerToWrite): RawTensor[] {
  checkToWrite(name, layer);
  checkWritable(SCHEME, layer);
  const matrix = inSlots(layer.matrix);
  const { n, k, codes, scale, scaleDtype, zeroPoint } = matrix;
  const outlines = compressedTensorsOutlines(name, formOf(layer));
  const bytesOf = (words: Uint32Array | BigInt64Array): Uint8Array => new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  return withBytes(outlines, [
    bytesOf(codes),
    floatBytes(scale, scaleDtype, 'scale'),
    ...(zeroPoint ? [bytesOf(zeroWords(matrix, zeroPoint))] : []),
    bytesOf(BigInt64Array.of(BigInt(n), BigInt(k))),
  ]);
}

/**
 * `quantization_config` of config.json for layers that were quantized with the same settings.
 * @param options.ignore names of linear layers that stay floats, e.g. lm_head; `re:` before a regular expression
 * @example config.quantization_config = compressedTensorsConfig({ bits: 4, mode: 'group', groupSize: 128, symmetric: true }, { ignore: ['lm_head'] });
 */
export function compressedTensorsConfig(
  form: Pick<LayerForm, 'bits' | 'mode' | 'groupSize' | 'symmetric'>,
  options: { readonly ignore?: readonly string[] } = {},
): Readonly<Record<string, unknown>> {
  checkForm(form, 'settings');
  const { ignore = [] } = fields({ ignore: optional(list(text)) })(options, 'options');
  const { bits, mode, groupSize, symmetric } = form;
  return {
    quant_method: 'compressed-tensors',
    format: 'pack-quantized',
    quantization_status: 'compressed',
    config_groups: {
      group_0: {
        targets: ['Linear'],
        weights: {
          num_bits: bits,
          type: 'int',
          symmetric,
          strategy: mode === 'group' ? 'group' : 'channel',
          group_size: mode === 'group' ? groupSize : null,
          dynamic: false,
        },
        input_activations: null,
        output_activations: null,
      },
    },
    ignore: [...ignore],
  };
}
