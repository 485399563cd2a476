// What readers of files give: tensors by name, and their bytes when asked for. Nothing here reads; safetensors.ts, gguf.ts and mlc.ts do.

/** Bytes that can be read in parts: memory, a Blob, a URL, a file on disk (byte-source.ts). */
export interface ByteSource {
  /** For messages. */
  readonly name: string;
  readonly size: number;
  /** Bytes [begin, end), in memory of their own. @throws FormatError if there are fewer, what `signal` was aborted with */
  read(begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
}

/** A tensor of a file: its header, and where its bytes lie. */
export interface TensorInfo {
  readonly name: string;
  /** safetensors' name for it, e.g. F16; or GGUF's, e.g. Q4_K. */
  readonly dtype: string;
  /** Row-major, outermost first: (N, K) for a linear layer. (GGUF itself lists them innermost first.) */
  readonly shape: readonly number[];
  readonly source: ByteSource;
  /** Where its bytes lie in the source. */
  readonly begin: number;
  readonly end: number;
}

/** A node of an ONNX graph. */
export interface GraphNode {
  readonly name: string;
  readonly op: string;
  /** Names of what other nodes make, of the graph's inputs, and of constants; empty for none. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Attributes that are whole numbers. */
  readonly ints: ReadonlyMap<string, number>;
}

/** An open file of weights, or several that make one model: its tensors by name. Their bytes are read later. */
export interface TensorFile {
  readonly kind: 'safetensors' | 'gguf' | 'mlc' | 'onnx';
  readonly name: string;
  /** GGUF's key-values, safetensors' __metadata__, or MLC's. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** In the order of the file; of shards, in the order of the index. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Of ONNX. */
  readonly nodes?: readonly GraphNode[] | undefined;
  /** What was not as it should be, and did not keep the model from being read. */
  readonly notes?: readonly string[] | undefined;
}
