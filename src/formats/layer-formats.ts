// The list of formats. A format is one file with its entry, and one line here.
import { awqFormat } from './awq.js';
import { bitNetFormat } from './bitnet.js';
import { bitsAndBytesFormat } from './bitsandbytes.js';
import { bitsAndBytes4Format } from './bitsandbytes4.js';
import { compressedTensorsFormat } from './compressed-tensors.js';
import { fp4Format } from './fp4.js';
import { fp8Format } from './fp8.js';
import { ggufFormat } from './gguf-blocks.js';
import { gptqFormat } from './gptq.js';
import { hqqFormat } from './hqq.js';
import type { LayerFormat, NodeFormat, WeightFormat } from './layer-format.js';
import { matMulIntegerFormat } from './matmul-integer.js';
import { matMulNBitsFormat } from './matmul-nbits.js';
import { mlcFormat } from './mlc-weights.js';
import { mlxFormat } from './mlx.js';
import { modelOptFormat } from './modelopt.js';
import { mxfp4Format } from './mxfp4.js';
import { qdqFormat } from './qdq.js';
import { quantoFormat } from './quanto.js';
import { torchNpuFormat } from './torch-npu.js';
import { torchaoInt4Format } from './torchao-int4.js';
import { torchaoInt8Format } from './torchao-int8.js';

/** The formats in the order of trying. */
export const WEIGHT_FORMATS: readonly WeightFormat[] = [
  bitsAndBytes4Format,
  bitsAndBytesFormat,
  awqFormat,
  gptqFormat,
  torchNpuFormat,
  compressedTensorsFormat,
  modelOptFormat,
  fp4Format,
  fp8Format,
  bitNetFormat,
  hqqFormat,
  torchaoInt4Format,
  torchaoInt8Format,
  quantoFormat,
  mlcFormat,
  mlxFormat,
  mxfp4Format,
  matMulNBitsFormat,
  qdqFormat,
  matMulIntegerFormat,
  ggufFormat,
];

/** The first entry whose required tensors exist, and that recognises them, takes them. */
export const LAYER_FORMATS: readonly LayerFormat[] = WEIGHT_FORMATS.flatMap(({ layers }) => layers);

export const NODE_FORMATS: readonly NodeFormat[] = WEIGHT_FORMATS.flatMap(({ nodes = [] }) => nodes);

/** Name of the importer of a layer. @param format LayerSource.format */
export function importerOf(format: string): string {
  const named = [...LAYER_FORMATS, ...NODE_FORMATS]
    .filter(({ name }) => format.startsWith(name))
    .sort((a, b) => b.name.length - a.name.length);
  return named[0]?.importer ?? 'its LayerSource';
}
