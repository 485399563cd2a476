// A language model of files, whatever container it is in: its configuration, where the weight of each role is, and how it is text.
import type { TensorFile, TensorInfo } from '../files/tensor-file.js';
import type { LayerSource } from '../formats/layer-source.js';
import { tensorBytes } from '../formats/read-layer.js';
import type { Config } from '../llm/config.js';
import type { Divisors } from '../llm/json-attention.js';
import type { Role } from '../llm/names.js';
import type { FloatLayer } from '../loading/load-layers-options.js';
import type { ChatTemplates } from '../text/template.js';
import type { Tokenizer } from '../text/tokenizer.js';

/** A matrix of the model: a layer of the file, or floats, which are quantized while they are loaded. */
export type Matrix = LayerSource | FloatLayer;

/** The matrices of all experts of a layer. */
export interface ExpertMatrices {
  /** The tensor with an axis of experts in front, or one of the first expert's. */
  readonly info: TensorInfo;
  /** In the order of their ids. */
  readonly source: readonly LayerSource[] | readonly TensorInfo[];
}

/** Where the weights of a model are. */
export interface ModelTensors {
  /** By role, each with its bias: `embedding`, `q.3`. */
  readonly matrices: ReadonlyMap<Role, Matrix>;
  /** Those of experts: `gates.3`. Without `ups.3` that is both, in pairs of columns: two of gate, two of up, and so on. */
  readonly experts: ReadonlyMap<Role, ExpertMatrices>;
  /** Norms, routers, and divisors of frequencies that are a tensor. */
  readonly vectors: ReadonlyMap<Role, TensorInfo>;
  /** Biases that the architecture does not have, and that must be zeros: packers of GPTQ write such. */
  readonly zeros: readonly TensorInfo[];
}

/** An open model. Its weights are not read yet. */
export interface LanguageModel extends ModelTensors {
  readonly file: TensorFile;
  readonly config: Config;
  /** Those that the configuration has, and no tensor. */
  readonly divisors?: Divisors | undefined;
  /** Is added to the weights of norms; 0 without it. */
  readonly normOffset?: number | undefined;
  /** What is other than in the files. */
  readonly notes: readonly string[];
  /** @throws FormatError, UnsupportedError without one, or without @huggingface/tokenizers; ReadError */
  tokenizer(): Promise<Tokenizer>;
  /** Chat templates by name; none where there are none. @throws FormatError, ReadError */
  templates(): Promise<ChatTemplates>;
}

export const isFloat = (matrix: Matrix): matrix is FloatLayer => 'weight' in matrix;

/** What a matrix takes in its file, without its bias. */
export const matrixBytes = (matrix: Matrix): number => (isFloat(matrix) ? matrix.weight.end - matrix.weight.begin : tensorBytes(matrix));
