// antiquant/formats: weights of every common format, from files or from tensors in memory, and weights that are quantized here.

export { FormatError } from '../errors.js';
export type { Cut, LayerSource } from './layer-source.js';
export { type LoadOptions, loadLayer } from './load.js';
export { dequantize, packCodes, type QuantizedMatrix, simplify } from './matrix.js';
export type { RawTensor } from './raw-tensor.js';
export { layerBytes, type Piece, type ReadOptions, readBias, readMatrix, readPieces } from './read-layer.js';
export type { ByteSource, TensorFile, TensorInfo } from './tensor-file.js';
