// The documents that commands make. --json prints them; texts are made from them.
import type { QuantizeReport } from '../src/formats.js';
import type { CodeBits } from '../src/problem/code-width.js';

export interface InspectedLayer {
  readonly name: string;
  readonly format: string;
  readonly n: number;
  readonly k: number;
  readonly bits: CodeBits;
  readonly groupSize: number;
  readonly bytes: number;
  /** Bits a weight of the file, and of a GPU's buffers; null if a piece could not be imported. */
  readonly bitsInFile: number;
  readonly bitsInMemory: number | null;
  readonly bias: boolean;
  readonly importer: string;
  /** Axis along which it is loaded in pieces; null: in one piece. */
  readonly cut: 'n' | 'k' | null;
  /** Null if a piece of such a layer could not be imported; `why` has the reason. */
  readonly inMemory: object | null;
  readonly why: string | null;
  readonly what: string;
}

/** The experts of a block. Bytes and bits are those of all of them. */
export interface InspectedExperts extends Omit<InspectedLayer, 'bias'> {
  /** E. */
  readonly experts: number;
  /** They are among `layers` too: numbers in names make them experts, not an axis of a tensor. */
  readonly numbered: boolean;
}

export interface InspectedTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  /** Its part in a layer, or the verdict on it. */
  readonly what: string;
}

/** The document of inspect. */
export interface Inspection {
  readonly command: 'inspect';
  readonly file: string;
  readonly kind: string;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  readonly bytes: number;
  readonly config: string | null;
  readonly layers: readonly InspectedLayer[];
  readonly experts: readonly InspectedExperts[];
  readonly refused: readonly { readonly name: string; readonly format: string; readonly bytes: number; readonly why: string }[];
  /** Quantized weights of layouts that are not read; their tensors are `unsupported`. */
  readonly notYet: readonly { readonly name: string; readonly format: string; readonly bytes: number; readonly why: string }[];
  /** Faults of the files that did not prevent reading. */
  readonly notes: readonly string[];
  /** Tensors of no layer, by verdict. */
  readonly float: readonly InspectedTensor[];
  readonly unsupported: readonly InspectedTensor[];
  readonly other: readonly InspectedTensor[];
  readonly totals: readonly { readonly format: string; readonly count: number; readonly bytes: number }[];
  /** With --tensors. */
  readonly tensors?: readonly InspectedTensor[];
}

export interface LayerReport extends QuantizeReport {
  readonly name: string;
  readonly n: number;
  readonly k: number;
}

/** The document of quantize. SQNR is null if every weight is exact. */
export interface QuantizeDocument {
  readonly command: 'quantize';
  readonly input: string;
  readonly output: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly shards: readonly { readonly name: string; readonly bytes: number; readonly resumed: boolean }[];
  readonly layers: readonly LayerReport[];
  readonly notes: readonly string[];
  /** Every float tensor that is copied. */
  readonly copied: readonly { readonly name: string; readonly shape: readonly number[]; readonly why: string }[];
  /** Tensors of other dtypes, which are copied too. */
  readonly otherTensors: number;
  readonly bytesBefore: number;
  readonly bytes: number;
  /** quantization_config of config.json; null for torch_npu, which has none. */
  readonly quantizationConfig: Readonly<Record<string, unknown>> | null;
  readonly seconds: number;
}

export interface Agreement {
  /** Elements of y outside their intervals. */
  readonly outside: number;
  readonly elements: number;
  /** Largest |y - exact| divided by the allowed error. */
  readonly worst: number;
  /** The element of that error. */
  readonly at: { readonly row: number; readonly output: number; readonly got: number; readonly low: number; readonly high: number };
}

export interface VerifiedLayer {
  readonly name: string;
  readonly format: string;
  readonly n: number;
  readonly k: number;
  readonly ok: boolean;
  /** Weights that are not finite. */
  readonly notFinite: number;
  /** Null: no writer takes such a matrix. */
  readonly rewritten: boolean | null;
  /** Null without a GPU. */
  readonly gpu: (Agreement & { readonly kernel: string }) | null;
}

/** The document of verify. */
export interface VerifyDocument {
  readonly command: 'verify';
  readonly file: string;
  /** The adapter; null without one. */
  readonly gpu: string | null;
  readonly noGpu: string | null;
  readonly notes: readonly string[];
  readonly rows: number;
  readonly seed: number;
  readonly dtype: string;
  readonly layers: readonly VerifiedLayer[];
  /** Layers that contradict their format. */
  readonly refused: readonly { readonly name: string; readonly format: string; readonly why: string }[];
  readonly ok: boolean;
}

/** The document of run. */
export interface RunDocument {
  readonly command: 'run';
  readonly file: string;
  /** The adapter. */
  readonly gpu: string;
  readonly prompt: string;
  /** Was it rendered by the chat template of the file? */
  readonly chat: boolean;
  readonly text: string;
  readonly ids: readonly number[];
  readonly reason: 'stop' | 'length';
  readonly promptTokens: number;
  readonly seconds: { readonly load: number; readonly prompt: number; readonly answer: number };
  readonly dispatchesPerToken: number;
  /** Bytes by use. */
  readonly memory: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
}

/** The document of bench-llm. */
export interface BenchLlmDocument {
  readonly command: 'bench-llm';
  readonly file: string;
  /** The adapter. */
  readonly gpu: string;
  /** Tokens of the prompt and of the answer, and rounds. */
  readonly prompt: number;
  readonly tokens: number;
  readonly rounds: number;
  readonly loadSeconds: number;
  readonly promptTokensPerSecond: { readonly median: number; readonly least: number; readonly most: number };
  readonly tokensPerSecond: { readonly median: number; readonly least: number; readonly most: number };
  readonly dispatchesPerToken: number;
  /** Bytes by use. */
  readonly memory: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
}

/** The document of doctor. */
export interface DoctorDocument {
  readonly command: 'doctor';
  /** Of this package, and of Node. */
  readonly version: string;
  readonly node: string;
  /** Node's names of the system and the processor. */
  readonly platform: string;
  /** Optional packages; the version is null where one is not installed. */
  readonly packages: readonly { readonly name: string; readonly version: string | null; readonly for: string }[];
  /** Null without a GPU; `noGpu` has the reason. */
  readonly gpu: {
    readonly adapter: string;
    readonly vendor: string;
    readonly architecture: string;
    readonly device: string;
    readonly description: string;
    /** It runs on the CPU. */
    readonly software: boolean;
    readonly features: readonly string[];
    /** Lanes of a subgroup; null without subgroups. */
    readonly subgroups: { readonly least: number; readonly most: number } | null;
    readonly subgroupMatrices: readonly string[];
    readonly limits: Readonly<Record<string, number>>;
  } | null;
  readonly noGpu: string | null;
  /** Null without a GPU. */
  readonly selfTest: {
    /** How many variants of each tile: one, four, or all. */
    readonly subset: 'quick' | 'normal' | 'all';
    readonly variants: number;
    /** Variants by kernel. */
    readonly kernels: Readonly<Record<string, number>>;
    readonly failed: readonly { readonly variant: string; readonly where: string; readonly expected: string; readonly got: string }[];
    readonly seconds: number;
  } | null;
  /** Bytes that the GPU copies in its memory in a second; each is read once and written once. */
  readonly copyBytesPerSecond: number | null;
  /** What is missing, and how to get it. */
  readonly missing: readonly { readonly what: string; readonly how: string }[];
}
