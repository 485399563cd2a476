// Layouts of quantized weights that are known and not read, by names of their tensors. A file in such a layout is named, and its tensors
// are not taken for floats.
import type { TensorInfo } from '../files/tensor-file.js';
import { isGgufType } from './gguf-layer.js';
import type { Found } from './layer-format.js';

export interface Layout {
  readonly name: string;
  /** Tensors of a layer NAME: NAME.weight and so on. */
  readonly required: readonly string[];
  readonly optional: readonly string[];
  recognise?(tensors: Found): boolean;
}

const FLOATS = ['F16', 'BF16', 'F32', 'F64'];
const isFloat8 = ({ dtype }: TensorInfo): boolean => dtype.startsWith('F8_');
const weightIs =
  (...dtypes: readonly string[]) =>
  ({ weight }: Found): boolean =>
    dtypes.includes(weight!.dtype) || (dtypes.includes('F8') && isFloat8(weight!));
const inputs = ['input_scale', 'output_scale', 'input_global_scale'];

/** The layouts in the order of trying, after all formats. */
export const LAYOUTS: readonly Layout[] = [
  {
    name: 'EXL2',
    required: ['q_weight', 'q_scale'],
    optional: ['q_groups', 'q_group_map', 'q_scale_max', 'q_invperm', 'q_perm'],
    recognise: ({ q_scale }) => !FLOATS.includes(q_scale!.dtype),
  },
  { name: 'EXL3', required: ['trellis'], optional: ['suh', 'svh', 'su', 'sv', 'mcg', 'mul1'] },
  { name: 'NVFP4', required: ['weight', 'weight_scale', 'weight_scale_2'], optional: inputs },
  { name: 'NVFP4', required: ['weight_packed', 'weight_scale', 'weight_global_scale'], optional: inputs },
  { name: 'FP4 of compressed-tensors', required: ['weight_packed', 'weight_scale'], optional: inputs },
  { name: 'FP8', required: ['weight', 'weight_scale_inv'], optional: inputs, recognise: weightIs('F8') },
  { name: 'FP8', required: ['weight', 'weight_scale'], optional: inputs, recognise: weightIs('F8') },
  { name: 'FP8', required: ['weight', 'scale'], optional: inputs, recognise: weightIs('F8') },
  { name: 'FP8', required: ['weight'], optional: [], recognise: weightIs('F8') },
  { name: 'EETQ', required: ['weight', 'weight_scales'], optional: [], recognise: weightIs('I8') },
  {
    name: 'Quanto',
    required: ['weight._data', 'weight._scale'],
    optional: ['weight._shift', 'input_scale', 'output_scale'],
  },
  { name: 'AQLM', required: ['codes', 'codebooks', 'scales'], optional: [] },
  { name: 'VPTQ', required: ['indices', 'centroids.weight'], optional: ['res_centroids.weight', 'perm', 'weight_scale', 'weight_bias'] },
  { name: 'QuIP#', required: ['Qidxs'], optional: ['SU', 'SV', 'Wscale', 'codebook_id'] },
  { name: 'Marlin', required: ['B', 's'], optional: ['workspace', 'zeros', 'meta'] },
  {
    name: 'Nunchaku',
    required: ['qweight', 'wscales'],
    optional: [
      'wzeros',
      'wcscales',
      'wtscale',
      'smooth_factor',
      'smooth_factor_orig',
      'lora_down',
      'lora_up',
      'proj_down',
      'proj_up',
      'smooth',
    ],
  },
  {
    name: 'torchao Intx',
    required: ['_weight_qdata', '_weight_scale'],
    optional: ['_weight_zero_point', '_weight_act_pre_scale'],
  },
  { name: 'HIGGS', required: ['weight', 'scales'], optional: ['tables', 'tables2'], recognise: weightIs('U8', 'I16') },
];

/** The message about a layer in such a layout. */
export const whyNotRead = (name: string): string =>
  `${name} is not read yet; take a file of it in another format, or quantize the floats that it was made of`;

/** Dtypes of indices, masks and counters, which are not weights. */
const COUNTERS = ['BOOL', 'I64', 'U64', 'I16', 'U16', 'F64', 'C64'];

/** Describes a tensor of no known layout that has the dtype and shape of quantized weights; undefined for others. */
export function unknownWeights({ name, dtype, shape }: TensorInfo): string | undefined {
  const sizes = shape.filter((size) => size !== 1).length;
  if (
    FLOATS.includes(dtype) ||
    COUNTERS.includes(dtype) ||
    sizes < 2 ||
    shape.includes(0) ||
    /bias$|mask$|(^|[._])(ids|position_ids)$/.test(name)
  )
    return undefined;
  if (isGgufType(dtype)) return `${dtype} of ${shape.length} dimensions`;
  return /^[UIF]\d/.test(dtype) ? `${dtype} of an unknown layout` : dtype;
}
