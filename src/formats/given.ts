// Checks of arguments of the formats' functions: which tensors there are, and the types of options. The rules of a format, with
// FormatErrors, follow later. A row is a public function.
import {
  type Check,
  callback,
  dictionary,
  fields,
  flag,
  number,
  object,
  oneOf,
  optional,
  sizes,
  text,
  wholeNumber,
} from '../arguments/check.js';
import { showValue } from '../arguments/show-value.js';
import { ArgumentError } from '../errors.js';
import { numbers, rawTensor, tensorInfo } from '../files/given.js';
import { BITS, CODE_BITS, FILE_BITS } from '../problem/code-width.js';

const ofN = optional(number);

interface Row {
  /** Required and optional tensors, by the format's names. */
  readonly tensors: readonly [required: readonly string[], optional: readonly string[]];
  readonly options: Readonly<Record<string, Check<unknown>>>;
}

const quantState = fields({
  quant_type: oneOf('nf4', 'fp4'),
  blocksize: wholeNumber(1),
  shape: sizes,
  nested_blocksize: optional(wholeNumber(1)),
  nested_offset: optional(number),
});
const hqqMeta = fields({ shape: numbers, packing: text, group_size: ofN, axis: number });

const gptq = { bits: number, groupSize: ofN, checkpointFormat: optional(text) };
const compressed = { bits: optional(oneOf(...FILE_BITS)), groupSize: ofN, n: ofN, k: ofN };
const npu = { groupSize: ofN, transposed: optional(flag), format: optional(text), n: ofN, k: ofN };
const int4 = { nibbleOrder: optional(text), groupSize: ofN };

/** A caller's settings of layers, where the file has none. */
export const HINTS = { torchNpu: optional(fields(npu)), torchao: optional(fields(int4)) };

const ROWS = {
  gptq: {
    tensors: [
      ['qweight', 'scales'],
      ['qzeros', 'g_idx'],
    ],
    options: { ...gptq, descAct: optional(flag), symmetric: optional(flag) },
  },
  awq: { tensors: [['qweight', 'qzeros', 'scales'], []], options: { groupSize: ofN } },
  bitNet: { tensors: [['weight', 'weight_scale'], []], options: { linearClass: oneOf('bitlinear', 'autobitlinear') } },
  bitsAndBytesInt8: { tensors: [['weight', 'SCB'], ['weight_format']], options: {} },
  bitsAndBytes4: {
    tensors: [
      ['weight', 'absmax', 'quant_map'],
      ['nested_absmax', 'nested_quant_map'],
    ],
    options: {},
  },
  compressedTensors: {
    tensors: [['weight_scale'], ['weight_packed', 'weight', 'weight_zero_point', 'weight_shape', 'weight_g_idx']],
    options: compressed,
  },
  fp4: { tensors: [['weight_scale'], ['weight_packed', 'weight', 'weight_scale_2', 'weight_global_scale']], options: {} },
  fp8: { tensors: [['weight'], ['weight_scale', 'weight_scale_inv']], options: { blockSize: optional(sizes), groupSize: ofN } },
  hqq: { tensors: [['W_q', 'scale', 'zero'], []], options: {} },
  hqqMeta: {
    tensors: [
      ['shape', 'packing'],
      ['group_size', 'axis'],
    ],
    options: {},
  },
  mlc: { tensors: [['q_weight', 'q_scale'], []], options: { format: text, k: ofN } },
  mlx: { tensors: [['weight', 'scales'], ['biases']], options: { bits: ofN, groupSize: ofN, mode: optional(text) } },
  mxfp4: { tensors: [['blocks', 'scales'], []], options: {} },
  matMulNBits: {
    tensors: [
      ['B', 'scales'],
      ['zero_points', 'g_idx'],
    ],
    options: { N: number, K: number, bits: ofN, block_size: number },
  },
  matMulBnb4: { tensors: [['B', 'absmax'], []], options: { N: number, K: number, quant_type: number, block_size: number } },
  dequantizeLinear: {
    tensors: [['x', 'x_scale'], ['x_zero_point']],
    options: { layout: oneOf('KN', 'NK'), axis: number, blockSize: ofN },
  },
  modelOptInt4: { tensors: [['weight', 'weight_scale'], ['pre_quant_scale']], options: {} },
  torchNpu: { tensors: [['weight', 'antiquant_scale'], ['antiquant_offset']], options: npu },
  torchaoInt8: {
    tensors: [
      ['qdata', 'scale'],
      ['zero_point', 'act_pre_scale'],
    ],
    options: { bits: ofN },
  },
  torchaoInt4: { tensors: [['qdata'], ['scale', 'zero_point', 'scale_and_zero', 'act_pre_scale']], options: int4 },
  torchaoTinygemm: { tensors: [['qdata', 'scale_and_zero'], ['act_pre_scale']], options: { n: ofN, k: ofN } },
} as const satisfies Readonly<Record<string, Row>>;
type Kind = keyof typeof ROWS;

function checkTensors(kind: Kind, tensors: unknown, each: Check<unknown>): void {
  const [required, more] = ROWS[kind].tensors;
  const checks = [...required.map((name) => [name, each]), ...[...more].map((name) => [name, optional(each)])];
  fields(Object.fromEntries(checks) as Record<string, Check<unknown>>)(tensors, 'tensors');
}

/** Checks tensors in memory and options. @throws ArgumentError */
export function checkImport(kind: Kind, tensors: unknown, options: unknown): void {
  checkTensors(kind, tensors, rawTensor);
  fields(ROWS[kind].options)(options, 'options');
}

/** Checks tensors of a file, a layer's name and bias, and options. @throws ArgumentError */
export function checkLayer(kind: Kind, tensors: unknown, options: unknown): void {
  checkTensors(kind, tensors, tensorInfo);
  fields({ bias: optional(tensorInfo) })(tensors, 'tensors');
  fields({ name: text, bias: optional(tensorInfo), ...ROWS[kind].options })(options, 'options');
}

/** Checks the settings of bitsandbytes and HQQ. @throws ArgumentError */
export const checkState: Check<unknown> = quantState;
export const checkMeta: Check<unknown> = hqqMeta;

const cut = fields({ axis: oneOf('n', 'k'), unit: wholeNumber(1), perRow: dictionary(wholeNumber(0)) });
const LAYER = fields({
  n: wholeNumber(1),
  k: wholeNumber(1),
  bits: oneOf(...CODE_BITS),
  groupSize: wholeNumber(1),
  tensors: dictionary(tensorInfo),
  cut: optional(cut),
  bias: optional(tensorInfo),
  make: callback,
});

/** Checks a layer of a file, which the caller may have made. @throws ArgumentError */
export function checkSource(source: unknown): void {
  LAYER(source, 'layer');
}

const FORM = {
  bits: oneOf(...BITS),
  mode: oneOf('tensor', 'channel', 'group'),
  groupSize: optional(wholeNumber(1)),
  symmetric: flag,
} as const;
const WHOLE_FORM = { ...FORM, n: wholeNumber(1), k: wholeNumber(1), scaleDtype: oneOf('float32', 'float16', 'bfloat16') };

/** Checks the form of a layer to write. @throws ArgumentError */
export function checkForm(form: unknown, parts: 'all' | 'settings'): void {
  const { mode, groupSize } = fields(parts === 'all' ? WHOLE_FORM : FORM)(form, 'form') as { mode: string; groupSize?: number };
  if (mode === 'group' && groupSize === undefined) throw new ArgumentError('form.groupSize', 'one, for mode group', showValue(groupSize));
}
/** Checks a layer to write, and its name. @throws ArgumentError */
export function checkToWrite(name: unknown, layer: unknown): void {
  text(name, 'name');
  fields({ matrix: object, mode: optional(FORM.mode) })(layer, 'layer');
}
