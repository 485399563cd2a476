// The type of a format's entry: the tensors of a layer by name, how to recognize them, the importer, and the rows in docs/importing.md.
// Each importer's file has its entry; layer-formats.ts lists them.
import { FormatError } from '../errors.js';
import { at, type RawTensor } from '../files/raw-tensor.js';
import type { GraphNode, TensorFile, TensorInfo } from '../files/tensor-file.js';
import type { Neighbours, Use } from './graph-values.js';
import { headerOf } from './layer-parts.js';
import type { LayerSource } from './layer-source.js';
import type { QuantizationConfig } from './quantization-config.js';

/** Tensors of a layer by their parts' names: weight, scales, … */
export type Found = Readonly<Record<string, TensorInfo>>;

/** A caller's settings of layers, where the file has none. */
export interface LayerHints {
  /** For torch_npu's layers. */
  readonly torchNpu?:
    | {
        readonly groupSize?: number | undefined;
        readonly transposed?: boolean | undefined;
        readonly format?: 'ND' | 'FRACTAL_NZ' | undefined;
        readonly n?: number | undefined;
        readonly k?: number | undefined;
      }
    | undefined;
  /** For torchao's plain int4, where the file's metadata does not say that it is Int4Tensor. */
  readonly torchao?: { readonly nibbleOrder: 'even-high' | 'even-low'; readonly groupSize?: number | undefined } | undefined;
}

/** The context in which a format makes a layer, beside its tensors. */
export interface LayerContext extends LayerHints {
  readonly name: string;
  readonly bias: TensorInfo | undefined;
  readonly config: QuantizationConfig;
  readonly metadata: TensorFile['metadata'];
  /** The layer's tensors of `settings`, read. */
  readonly settings: Readonly<Record<string, RawTensor>>;
}

export interface LayerFormat {
  /** The first words of LayerSource.format. */
  readonly name: string;
  /** Name of the importer of tensors in memory. */
  readonly importer: string;
  /** Values of quant_method for the format. With another method, a layer is refused. */
  readonly methods: readonly string[];
  /** Tensors of a layer NAME: NAME.weight and so on. */
  readonly required: readonly string[];
  /** What stands between a layer's name and a tensor's; a dot without this. */
  readonly separator?: string;
  /** Axes of a layer's first tensor, if its tensors may have an axis of experts in front of these. */
  readonly expertRank?: number;
  /** A layer is one tensor of any name, the first of `required`. */
  readonly anyName?: boolean;
  readonly optional: readonly string[];
  /** Tensors that are read before the layer is made: sizes and text of a few bytes. */
  readonly settings?: readonly string[];
  /** Further tensors of a layer that do not change its weights. With any other NAME.* the layer is refused. */
  readonly ignored?: readonly string[];
  /** Are these tensors of this format, by dtypes and shapes? Without it, names decide. Settings are not read yet. */
  recognise?(tensors: Found, context: Omit<LayerContext, 'settings'>): boolean;
  /** @throws FormatError */
  make(tensors: Found, context: LayerContext): LayerSource;
}

/** A row of the table of formats in docs/importing.md. */
export interface FormatRow {
  readonly format: string;
  readonly tensors: string;
  readonly read: string;
  /** `=`: dequantized values equal the format's definition in float32; `1`: they differ by one rounding at most. */
  readonly exact: string;
}

/** A node of an ONNX graph, with its constants and its use. */
export interface FoundNode {
  readonly file: string;
  readonly node: GraphNode;
  /** Name of the layer. */
  readonly name: string;
  /** The constant of input `i`, that of Identity, Reshape and Transpose too. */
  constant(i: number): TensorInfo | undefined;
  /** Is input `i` a Transpose of its constant? */
  turned(i: number): boolean;
  /** Use of its output as a weight: as (K, N), as (N, K), or not. */
  readonly used: Use | undefined;
  /** The nodes around it, and constants by the names of values. */
  readonly graph: Neighbours & { constant(name: string): TensorInfo | undefined };
}

export interface NodeFormat {
  readonly op: string;
  /** The first words of LayerSource.format. */
  readonly name: string;
  readonly importer: string;
  /** Names of its inputs that may be constants of a layer, in order; `''` for others. */
  readonly inputs: readonly string[];
  /** The input that may be a Transpose of a constant. */
  readonly turns?: string;
  /** Its first named input may be computed: the node is then no layer. */
  readonly computed?: boolean;
  /** Undefined if it is not a layer. @throws FormatError */
  make(tensors: Found, found: FoundNode): LayerSource | undefined;
}

export interface WeightFormat {
  readonly rows: readonly FormatRow[];
  readonly layers: readonly LayerFormat[];
  readonly nodes?: readonly NodeFormat[];
}

/** A FormatError about a tensor's header. */
export const wrong = (info: TensorInfo, field: string, expected: string, got: string): FormatError =>
  new FormatError(at(headerOf(info), field), expected, got);

/** An attribute of a node, a whole number of at least 0. @throws FormatError */
export function attribute(
  { file, node, name: tensor }: Pick<FoundNode, 'file' | 'node' | 'name'>,
  name: string,
  fallback?: number,
): number {
  const value = node.ints.get(name) ?? fallback;
  if (value === undefined || !Number.isSafeInteger(value) || value < 0)
    throw new FormatError({ file, tensor, field: name }, 'a whole number', String(value ?? 'none'));
  return value;
}
