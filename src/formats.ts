// antiquant/formats: reads quantized weights from files or memory, and quantizes weights.

export type { FloatDType } from './dtype.js';
export { ArgumentError, type FileLocation, FormatError, ReadError, UnsupportedError } from './errors.js';
export { type LoadExpertsOptions, loadExperts } from './experts/load-experts.js';
export { type ByteSourceOptions, type BytesFrom, byteSource } from './files/byte-source.js';
export { type GgufOptions, openGguf } from './files/gguf.js';
export { type GgufArray, isGgufArray, readGgufArray } from './files/gguf-values.js';
export { parseConfig } from './files/json.js';
export { openMlc } from './files/mlc-cache.js';
export { openOnnx } from './files/onnx.js';
export {
  type OpenOptions,
  openModel,
  type PartsOptions,
  type ReadTensorOptions,
  readTensor,
  type TensorPart,
  tensorParts,
} from './files/open-file.js';
export { asFloats, asWords, type RawTensor } from './files/raw-tensor.js';
export { openSafetensors } from './files/safetensors.js';
export { openSafetensorsIndex, type ShardOptions } from './files/safetensors-index.js';
export { among, type Resolver, siblings } from './files/shards.js';
export type { ByteSource, GraphNode, TensorFile, TensorInfo } from './files/tensor-file.js';
export {
  type Bytes,
  madeTogether,
  type Sink,
  safetensorsHeader,
  type TensorOutline,
  type TensorToWrite,
  type WriteOptions,
  writeSafetensors,
} from './files/write-safetensors.js';
export { type AwqOptions, type AwqTensors, awqLayer, importAwq } from './formats/awq.js';
export { type BitNetClass, type BitNetOptions, type BitNetTensors, bitNetLayer, importBitNet } from './formats/bitnet.js';
export { type BitsAndBytesInt8, bitsAndBytesInt8Layer, importBitsAndBytesInt8 } from './formats/bitsandbytes.js';
export { type BitsAndBytes4, BNB4_CODES, bitsAndBytes4Layer, importBitsAndBytes4, importMatMulBnb4 } from './formats/bitsandbytes4.js';
export {
  type CompressedTensors,
  type CompressedTensorsOptions,
  compressedTensorsLayer,
  importCompressedTensors,
} from './formats/compressed-tensors.js';
export { type ExpertSource, partsOf } from './formats/experts.js';
export { type FindLayersOptions, findLayers } from './formats/find-layers.js';
export type { FoundLayers, NotYet } from './formats/found-layers.js';
export { type Fp4Tensors, fp4Layer, importFp4 } from './formats/fp4.js';
export { type Fp8Options, type Fp8Tensors, fp8Layer, importFp8 } from './formats/fp8.js';
export { ggufLayer, ggufTypes, importGguf } from './formats/gguf-blocks.js';
export { type GgufType, type GgufTypeName, isGgufType } from './formats/gguf-layer.js';
export type { BlockShape } from './formats/gguf-words.js';
export { type GptqLayerOptions, type GptqOptions, type GptqTensors, gptqLayer, importGptq } from './formats/gptq.js';
export { type Hqq, type HqqMeta, hqqLayer, hqqMeta, importHqq } from './formats/hqq.js';
export type { LayerHints } from './formats/layer-format.js';
export type { LayerName } from './formats/layer-parts.js';
export type { Cut, LayerSource } from './formats/layer-source.js';
export { importMatMulNBits, type MatMulNBitsAttributes, type MatMulNBitsTensors } from './formats/matmul-nbits.js';
export { importMlc, MLC_KINDS, type MlcOptions, type MlcTensors, mlcLayer } from './formats/mlc-weights.js';
export { importMlx, type MlxOptions, type MlxTensors, mlxLayer } from './formats/mlx.js';
export type { MlxFloats } from './formats/mlx-floats.js';
export { importModelOptInt4, type ModelOptInt4, modelOptInt4Layer } from './formats/modelopt.js';
export { importMxfp4, type Mxfp4Tensors, mxfp4Layer } from './formats/mxfp4.js';
export { type DequantizeLinearOptions, type DequantizeLinearTensors, importDequantizeLinear } from './formats/qdq.js';
export { parseQuantState, type QuantState } from './formats/quant-state.js';
export { type QuantizationConfig, quantizationOf } from './formats/quantization-config.js';
export { layerBytes, type Piece, type ReadOptions, readBias, readMatrix, readPieces } from './formats/read-layer.js';
export { importTorchNpu, type TorchNpu, type TorchNpuOptions, torchNpuLayer } from './formats/torch-npu.js';
export {
  importTorchaoInt4,
  importTorchaoTinygemm,
  type TorchaoInt4,
  type TorchaoInt4Options,
  type TorchaoTinygemm,
  type TorchaoTinygemmOptions,
  torchaoInt4Layer,
  torchaoTinygemmLayer,
} from './formats/torchao-int4.js';
export { importTorchaoInt8, type TorchaoInt8, type TorchaoInt8Options, torchaoInt8Layer } from './formats/torchao-int8.js';
export { compressedTensorsConfig, compressedTensorsOutlines, compressedTensorsTensors } from './formats/write-compressed-tensors.js';
export type { LayerForm, LayerToWrite } from './formats/write-layer.js';
export { torchNpuOutlines, torchNpuTensors } from './formats/write-torch-npu.js';
export { type LoadOptions, loadLayer } from './layer/load-file.js';
export { quantizeOnGpu } from './layer/quantize-weights.js';
export { loadLayers } from './loading/load-layers.js';
export type { FloatLayer, LayersOf, LayersToLoad, LoadedLayers, LoadLayersOptions } from './loading/load-layers-options.js';
export { type LoadModelOptions, loadModel, type ModelLayers, type SkippedLayer } from './loading/load-model.js';
export type { Bits } from './problem/code-width.js';
export { checkMatrix, dequantize, packCodes, type QuantizedMatrix, type ScaleForm, simplify } from './problem/matrix.js';
export type { NarrowScale } from './problem/narrow-scales.js';
export type { CodeForm } from './problem/weight-format.js';
export type { Phase, Progress } from './progress.js';
export type { GpuQuantizeOptions, QuantizeForm } from './quantize/gpu-form.js';
export { type InWorkerOptions, type QuantizedInWorker, quantizeInWorker } from './quantize/in-worker.js';
export type { Activations, Method, Mode, QuantizeOptions, Weights } from './quantize/options.js';
export { quantize } from './quantize/quantize.js';
export type { QuantizeReport } from './quantize/report.js';
export type { Quantized } from './quantize/slices.js';
