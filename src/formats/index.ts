// antiquant/formats: weights of every common format, from files or from tensors in memory, and weights that are quantized here.

export type { FloatDType } from '../dtype.js';
export { ArgumentError, FormatError, UnsupportedError } from '../errors.js';
export { type GpuQuantizeOptions, quantizeOnGpu } from '../quantize/gpu.js';
export { type InWorkerOptions, quantizeInWorker } from '../quantize/in-worker.js';
export type { Activations, Method, Mode, QuantizeOptions, Weights } from '../quantize/options.js';
export { quantize } from '../quantize/quantize.js';
export type { QuantizeReport } from '../quantize/report.js';
export type { Progress, Quantized } from '../quantize/slices.js';
export { type AwqOptions, type AwqTensors, awqLayer, importAwq } from './awq.js';
export { type BitsAndBytesInt8, bitsAndBytesInt8Layer, importBitsAndBytesInt8 } from './bitsandbytes.js';
export { type BitsAndBytes4, BNB4_CODES, bitsAndBytes4Layer, importBitsAndBytes4, importMatMulBnb4 } from './bitsandbytes4.js';
export { type ByteSourceOptions, type BytesFrom, byteSource } from './byte-source.js';
export {
  type CompressedTensors,
  type CompressedTensorsOptions,
  compressedTensorsLayer,
  importCompressedTensors,
} from './compressed-tensors.js';
export { type FindLayersOptions, type FoundLayers, findLayers } from './find-layers.js';
export { type GgufOptions, openGguf } from './gguf.js';
export { type GgufType, type GgufTypeName, ggufLayer, ggufTypes, importGguf, isGgufType } from './gguf-blocks.js';
export { type GgufArray, isGgufArray, readGgufArray } from './gguf-values.js';
export { type GptqLayerOptions, type GptqOptions, type GptqTensors, gptqLayer, importGptq } from './gptq.js';
export { type Hqq, type HqqMeta, hqqLayer, hqqMeta, importHqq } from './hqq.js';
export type { Cut, LayerSource } from './layer-source.js';
export { type LoadOptions, loadLayer } from './load.js';
export { checkMatrix, dequantize, packCodes, type QuantizedMatrix, simplify } from './matrix.js';
export { openMlc } from './mlc.js';
export { importMlc, MLC_KINDS, type MlcOptions, type MlcTensors, mlcLayer } from './mlc-weights.js';
export { importMatMulNBits, type MatMulNBitsAttributes, type MatMulNBitsTensors } from './onnx.js';
export {
  type OpenOptions,
  openModel,
  type PartsOptions,
  type ReadTensorOptions,
  readTensor,
  type TensorPart,
  tensorParts,
} from './open-file.js';
export { parseQuantState, type QuantState } from './quant-state.js';
export { type QuantizationConfig, quantizationOf } from './quantization-config.js';
export { asFloats, asWords, type RawTensor } from './raw-tensor.js';
export { layerBytes, type Piece, type ReadOptions, readBias, readMatrix, readPieces } from './read-layer.js';
export { openSafetensors } from './safetensors.js';
export { openSafetensorsIndex, type ShardOptions } from './safetensors-index.js';
export { among, type Resolver, siblings } from './shards.js';
export type { ByteSource, TensorFile, TensorInfo } from './tensor-file.js';
export { importTorchNpu, type TorchNpu, type TorchNpuOptions, torchNpuLayer } from './torch-npu.js';
export {
  importTorchaoInt4,
  importTorchaoInt8,
  importTorchaoTinygemm,
  type TorchaoInt4,
  type TorchaoInt4Options,
  type TorchaoInt8,
  type TorchaoTinygemm,
  type TorchaoTinygemmOptions,
  torchaoInt4Layer,
  torchaoInt8Layer,
  torchaoTinygemmLayer,
} from './torchao.js';
export { compressedTensorsConfig, compressedTensorsOutlines, compressedTensorsTensors } from './write-compressed-tensors.js';
export type { LayerForm, LayerToWrite } from './write-layer.js';
export {
  type Bytes,
  madeTogether,
  type Sink,
  safetensorsHeader,
  type TensorOutline,
  type TensorToWrite,
  type WriteOptions,
  writeSafetensors,
} from './write-safetensors.js';
export { torchNpuOutlines, torchNpuTensors } from './write-torch-npu.js';
