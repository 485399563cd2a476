// The result of findLayers: a file's layers, and descriptions of its other tensors.
import type { FormatError } from '../errors.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { ExpertSource } from './experts.js';
import type { LayerSource } from './layer-source.js';

/** A weight in a layout that is known and not read yet. */
export interface NotYet {
  readonly name: string;
  /** E.g. EXL2, FP8; or a description of the tensor. */
  readonly format: string;
  readonly why: string;
  readonly tensors: readonly TensorInfo[];
}

/** The layers of a file, and descriptions of its other tensors. */
export interface FoundLayers {
  /** In the order of the file. */
  readonly layers: readonly LayerSource[];
  /** Experts of blocks: tensors with an axis of experts in front, and numbered layers, which are among `layers` too. */
  readonly experts: readonly ExpertSource[];
  /** Tensors of no layer: norms, biases of other layers, and tensors of refused layers. */
  readonly rest: readonly TensorInfo[];
  /** The float matrices of the rest: linear layers or embeddings that are not quantized. */
  readonly floats: readonly TensorInfo[];
  /** Layers that have a format's tensors and contradict the format. */
  readonly refused: readonly { readonly name: string; readonly format: string; readonly error: FormatError }[];
  /** Quantized weights in layouts that are known and not read, and other tensors that must be quantized. Their tensors are in the rest. */
  readonly notYet: readonly NotYet[];
  /** A description of each tensor of the file in a few words. */
  readonly roles: ReadonlyMap<string, string>;
  /** For ONNX: names of float matrices stored as (K, N), and of all matrices of MatMul and Gemm. */
  readonly transposed?: ReadonlySet<string> | undefined;
  readonly multiplied?: ReadonlySet<string> | undefined;
}
