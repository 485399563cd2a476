// LayerSource: a layer of a file with its tensors, the sizes of its matrix, and its cuts into pieces. findLayers makes them, loadLayer
// takes them.

import type { RawTensor } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { CodeBits } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';

/** How to cut a layer: a run of whole rows of every tensor is a part of the matrix in the same format. */
export interface Cut {
  /** The axis of the matrix that corresponds to the tensors' first axis. */
  readonly axis: 'n' | 'k';
  /** n or k that stay together: whole words, groups and blocks. A multiple of 4 for n, of groupSize for k. */
  readonly unit: number;
  /** n or k in a row of each tensor, e.g. 8 for words packed along this axis, groupSize for scales; 0: the tensor is not cut. */
  readonly perRow: Readonly<Record<string, number>>;
}

/** A layer of a file: its description, and how to read it, at once or in pieces. */
export interface LayerSource {
  /** E.g. model.layers.0.self_attn.q_proj: the tensors' common prefix. */
  readonly name: string;
  /** E.g. `GPTQ`, `GGUF Q4_K`. */
  readonly format: string;
  readonly n: number;
  readonly k: number;
  /** Bits of the codes: those of the file, but 2 for 1 and 8 for 7. */
  readonly bits: CodeBits;
  readonly groupSize: number;
  /** By the format's names: qweight, scales, … */
  readonly tensors: Readonly<Record<string, TensorInfo>>;
  /** Undefined if a part of the tensors is not a matrix of the format (act-order, tiles): the layer is then read in one piece. */
  readonly cut: Cut | undefined;
  /** A bias (N,), if the file has one for this layer. */
  readonly bias: TensorInfo | undefined;
  /**
   * Imports its tensors, or a run of rows of each, as the matrix or a part of it. `size` is the part's (n, k).
   * @throws FormatError
   */
  make(tensors: Readonly<Record<string, RawTensor>>, size: { readonly n: number; readonly k: number }): QuantizedMatrix;
}
