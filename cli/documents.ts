// The documents that commands make: what --json prints, and what texts are made of.

import type { QuantizeReport } from '../src/formats.js';
import type { Bits } from '../src/problem/code-width.js';

export interface InspectedLayer {
  readonly name: string;
  readonly format: string;
  readonly n: number;
  readonly k: number;
  readonly bits: Bits;
  readonly groupSize: number;
  readonly bytes: number;
  readonly bias: boolean;
  readonly importer: string;
  /** Along which axis it is loaded in pieces; null: whole. */
  readonly cut: 'n' | 'k' | null;
  /** Null if a piece of such a layer could not be imported: `why` says it. */
  readonly inMemory: object | null;
  readonly why: string | null;
  readonly what: string;
}

export interface InspectedTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  /** Of which layer it is what; or what can be done with it. */
  readonly what: string;
}

/** What --json prints. */
export interface Inspection {
  readonly command: 'inspect';
  readonly file: string;
  readonly kind: string;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  readonly bytes: number;
  readonly config: string | null;
  readonly layers: readonly InspectedLayer[];
  readonly refused: readonly { readonly name: string; readonly format: string; readonly bytes: number; readonly why: string }[];
  /** Quantized weights of layouts that are not read; their tensors are `unsupported`. */
  readonly notYet: readonly { readonly name: string; readonly format: string; readonly bytes: number; readonly why: string }[];
  /** What was not as it should be with the files. */
  readonly notes: readonly string[];
  /** Tensors of no layer, by what can be done with them. */
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

/** What --json prints. SQNR is null where every weight is exact. */
export interface QuantizeDocument {
  readonly command: 'quantize';
  readonly input: string;
  readonly output: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly shards: readonly { readonly name: string; readonly bytes: number; readonly resumed: boolean }[];
  readonly layers: readonly LayerReport[];
  readonly notes: readonly string[];
  /** Every tensor of floats that stays so. */
  readonly copied: readonly { readonly name: string; readonly shape: readonly number[]; readonly why: string }[];
  /** Tensors of other dtypes, which are copied too. */
  readonly otherTensors: number;
  readonly bytesBefore: number;
  readonly bytes: number;
  /** For config.json; null for torch_npu, whose state dicts have none. */
  readonly quantizationConfig: Readonly<Record<string, unknown>> | null;
  readonly seconds: number;
}

export interface Agreement {
  /** Elements of y outside of their intervals. */
  readonly outside: number;
  readonly elements: number;
  /** Largest |y - exact| as a part of what is allowed there. */
  readonly worst: number;
  /** Where that is, and what it is. */
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

/** What --json prints. */
export interface VerifyDocument {
  readonly command: 'verify';
  readonly file: string;
  /** The adapter; null without one, and why. */
  readonly gpu: string | null;
  readonly noGpu: string | null;
  readonly notes: readonly string[];
  readonly rows: number;
  readonly seed: number;
  readonly dtype: string;
  readonly layers: readonly VerifiedLayer[];
  /** Layers that are not what their format says. */
  readonly refused: readonly { readonly name: string; readonly format: string; readonly why: string }[];
  readonly ok: boolean;
}
