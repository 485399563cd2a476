// A layer in a file: which tensors it is, what the matrix will be, and its pieces. formats/find-layers.ts makes them, load.ts takes them.

import type { RawTensor } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { Bits } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';

/** A run of whole rows of every tensor of a layer is the same format for a part of the matrix. This says how to cut. */
export interface Cut {
  /** The axis of the matrix that the tensors' first axis walks. */
  readonly axis: 'n' | 'k';
  /** n or k that stay together: whole words, groups and blocks. A multiple of 4 for n, of groupSize and 32 / bits for k. */
  readonly unit: number;
  /** n or k in a row of each tensor, e.g. 8 for words packed along this axis, groupSize for scales; 0: the tensor is read whole each time. */
  readonly perRow: Readonly<Record<string, number>>;
}

/** A layer of a file: what is known before its bytes are read, and how to read them, whole or in pieces. */
export interface LayerSource {
  /** E.g. model.layers.0.self_attn.q_proj: the tensors' common prefix. */
  readonly name: string;
  /** E.g. `GPTQ`, `GGUF Q4_K`. */
  readonly format: string;
  readonly n: number;
  readonly k: number;
  /** Of the codes as they are in memory after import. */
  readonly bits: Bits;
  readonly groupSize: number;
  /** By the format's own names: qweight, scales, … */
  readonly tensors: Readonly<Record<string, TensorInfo>>;
  /** Undefined where a part of the tensors is no matrix of the format (act-order, tiles): the layer is then read whole. */
  readonly cut: Cut | undefined;
  /** A bias (N,), if the file has one for this layer. */
  readonly bias: TensorInfo | undefined;
  /**
   * Its tensors, or a run of rows of each, → the matrix, or that part of it. `size` is the part's (n, k).
   * @throws FormatError
   */
  make(tensors: Readonly<Record<string, RawTensor>>, size: { readonly n: number; readonly k: number }): QuantizedMatrix;
}
