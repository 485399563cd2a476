// The types of an open file: tensors by name, with bytes that are read on demand.

/** A source of bytes that can be read in parts: memory, a Blob, a URL, a file on disk (byte-source.ts). */
export interface ByteSource {
  /** For messages. */
  readonly name: string;
  readonly size: number;
  /** Reads bytes [begin, end) into new memory. @throws FormatError if there are fewer, ReadError, the reason of `signal` */
  read(begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
}

/** A tensor of a file: dtype, shape and the position of its bytes. */
export interface TensorInfo {
  readonly name: string;
  /** safetensors' name, e.g. F16; or GGUF's, e.g. Q4_K. */
  readonly dtype: string;
  /** Row-major, outermost first: (N, K) for a linear layer. (GGUF lists dimensions innermost first.) */
  readonly shape: readonly number[];
  readonly source: ByteSource;
  /** Position of its bytes in the source. */
  readonly begin: number;
  readonly end: number;
  /** A matrix that lies as (K, N). `findLayers` says so in `floats`, where the graph of an ONNX model does. */
  readonly transposed?: boolean | undefined;
}

/** A node of an ONNX graph. */
export interface GraphNode {
  readonly name: string;
  /** E.g. MatMul; of domains but ONNX's own and com.microsoft, with the domain and a dot in front. */
  readonly op: string;
  /** Names of other nodes' outputs, of the graph's inputs, and of constants; empty for an absent input. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Attributes that are whole numbers. */
  readonly ints: ReadonlyMap<string, number>;
  /** Attributes that are lists of whole numbers. */
  readonly lists?: ReadonlyMap<string, readonly number[]> | undefined;
}

/** An open model in one or several files: its tensors by name. Their bytes are read on demand. */
export interface TensorFile {
  readonly kind: 'safetensors' | 'gguf' | 'mlc' | 'onnx';
  readonly name: string;
  /** GGUF's key-values, safetensors' __metadata__, or MLC's. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** In the order of the file; of shards, in the order of the index. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The graph's nodes, for ONNX. */
  readonly nodes?: readonly GraphNode[] | undefined;
  /** Faults of the files that did not prevent reading the model. */
  readonly notes?: readonly string[] | undefined;
}
