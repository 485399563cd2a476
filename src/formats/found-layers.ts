// What is found in a file: its layers, and what every other tensor is.
import type { FormatError } from '../errors.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { LayerSource } from './layer-source.js';

/** A weight in a layout that is known and not read yet. */
export interface NotYet {
  readonly name: string;
  /** E.g. MLX, EXL2, FP8; or what is known of the tensor. */
  readonly format: string;
  readonly why: string;
  readonly tensors: readonly TensorInfo[];
}

/** The layers of a file, and what its other tensors are. */
export interface FoundLayers {
  /** In the order of the file. */
  readonly layers: readonly LayerSource[];
  /** Tensors of no layer: norms, biases of other layers, and those of layers that were refused. */
  readonly rest: readonly TensorInfo[];
  /** Those of the rest that are float matrices: linear layers or embeddings that are not quantized. */
  readonly floats: readonly TensorInfo[];
  /** Layers that have a format's tensors, and are not what it says. */
  readonly refused: readonly { readonly name: string; readonly format: string; readonly error: FormatError }[];
  /** Quantized weights of layouts that are known by their names and not read, and tensors that can be nothing else. Theirs are in the rest. */
  readonly notYet: readonly NotYet[];
  /** Of each tensor of the file, what it is, in a few words. */
  readonly roles: ReadonlyMap<string, string>;
  /** Of ONNX: names of float matrices that lie as (K, N), and of all that are multiplied with. */
  readonly transposed?: ReadonlySet<string> | undefined;
  readonly multiplied?: ReadonlySet<string> | undefined;
}
