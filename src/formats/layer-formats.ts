// The formats of layers in a file, as data: which tensors, by name, a layer of each consists of, how it is told from others, and who makes it.
// find-layers.ts looks the table up; a format is added here by one entry.
import { bitsAndBytesInt8Layer } from './bitsandbytes.js';
import { ggufLayer, isGgufType } from './gguf-blocks.js';
import {
  awq,
  bitsAndBytes4,
  compressedTensors,
  type Found,
  gptq,
  hqq,
  isAwq,
  type LayerContext,
  mlc,
  torchaoInt4,
  torchNpu,
} from './layer-makers.js';
import type { LayerSource } from './layer-source.js';
import { torchaoInt8Layer } from './torchao.js';

export interface LayerFormat {
  readonly name: string;
  /** Tensors of a layer NAME: NAME.weight and so on. */
  readonly required: readonly string[];
  readonly optional: readonly string[];
  /** Tensors that a layer has beside those it is made of: settings that are of no use here. */
  readonly ignored?: readonly string[];
  /** Whether such tensors are of this format, by dtypes and shapes. Without it, their names say it. */
  recognise?(tensors: Found, context: LayerContext): boolean;
  /** @throws FormatError */
  make(tensors: Found, context: LayerContext): LayerSource | Promise<LayerSource>;
}

const hqqSettings = ['nbits', 'view_as_float', 'unpack_view_dtype', 'compute_dtype', 'quant_zero', 'quant_scale', 'channel_wise'];

const bnb4 = (type: 'nf4' | 'fp4'): LayerFormat => {
  const state = `weight.quant_state.bitsandbytes__${type}`;
  return {
    name: `bitsandbytes ${type.toUpperCase()}`,
    required: ['weight', 'weight.absmax', 'weight.quant_map', state],
    optional: ['weight.nested_absmax', 'weight.nested_quant_map'],
    make: bitsAndBytes4(state),
  };
};

/** The first whose names are all there, and that recognises the tensors, takes them. */
export const LAYER_FORMATS: readonly LayerFormat[] = [
  bnb4('nf4'),
  bnb4('fp4'),
  {
    name: 'bitsandbytes int8',
    required: ['weight', 'SCB'],
    optional: ['weight_format'],
    make: ({ weight, SCB, weight_format }, { name, bias }) =>
      bitsAndBytesInt8Layer({ weight: weight!, SCB: SCB!, weight_format }, { name, bias }),
  },
  { name: 'AWQ', required: ['qweight', 'qzeros', 'scales'], optional: [], recognise: isAwq, make: awq },
  { name: 'GPTQ', required: ['qweight', 'scales'], optional: ['qzeros', 'g_idx'], make: gptq },
  {
    name: 'compressed-tensors pack-quantized',
    required: ['weight_packed', 'weight_scale'],
    optional: ['weight_shape', 'weight_zero_point', 'weight_g_idx'],
    make: compressedTensors,
  },
  {
    name: 'compressed-tensors int-quantized',
    required: ['weight', 'weight_scale'],
    optional: ['weight_zero_point', 'weight_g_idx'],
    recognise: ({ weight }) => weight!.dtype === 'I8',
    make: compressedTensors,
  },
  {
    name: 'HQQ',
    required: ['W_q', 'scale', 'zero', 'shape', 'packing'],
    optional: ['group_size', 'axis'],
    ignored: [...hqqSettings, 'optimize', 'round_zero', 'offload_meta', 'encoded_state_dict', 'stores_quant_config'],
    make: hqq,
  },
  {
    name: 'torchao int4',
    required: ['_weight_qdata', '_weight_scale', '_weight_zero_point'],
    optional: ['_weight_act_pre_scale'],
    make: torchaoInt4,
  },
  { name: 'torchao int4', required: ['_weight_qdata', '_weight_scale_and_zero'], optional: ['_weight_act_pre_scale'], make: torchaoInt4 },
  {
    name: 'torchao int8',
    required: ['_weight_qdata', '_weight_scale'],
    optional: [],
    recognise: ({ _weight_qdata: qdata }) => qdata!.dtype === 'I8',
    make: ({ _weight_qdata: qdata, _weight_scale: scale }, { name, bias }) =>
      torchaoInt8Layer({ qdata: qdata!, scale: scale! }, { name, bias }),
  },
  {
    name: 'torch_npu',
    required: ['weight', 'antiquant_scale'],
    optional: ['antiquant_offset', 'quant_scale', 'quant_offset'],
    make: torchNpu,
  },
  { name: 'MLC', required: ['q_weight', 'q_scale'], optional: [], make: mlc },
  {
    name: 'GGUF',
    required: ['weight'],
    optional: [],
    recognise: ({ weight }) => isGgufType(weight!.dtype) && weight!.shape.length === 2,
    make: ({ weight }, { bias }) => ggufLayer(weight!, bias)!,
  },
];
