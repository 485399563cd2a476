// The results of a bench run as plain data, which is the form of the JSON file. report.ts computes from it.
import type { Bits } from '../src/problem/code-width.js';

/** The family of a contender. `ours` is the planner's choice; other contenders of the library are `ours-other`. */
export type Family = 'ours' | 'ours-other' | 'ort-gpu' | 'ort-wasm' | 'dense' | 'copy' | 'multiply-add';

export interface Timing {
  readonly name: string;
  readonly family: Family;
  /** The variant that ran, or the peer's settings. */
  readonly detail: string;
  /** Calls in each sample. */
  readonly count: number;
  /** Milliseconds a call, by round; an index is the same round for every contender of a cell. */
  readonly ms: readonly number[];
  /** Why some rounds have no time: far slower than others, or wrong. */
  readonly dropped?: string;
  /** Largest |y - reference| / largest |reference|, over the checked rows. */
  readonly error?: number;
  /** The fault of its answer; a wrong contender is not compared. */
  readonly wrong?: string;
  /** For limits: bytes, or multiply-adds, of a call. */
  readonly work?: number;
}

/** One product, with the times of all contenders. */
export interface Cell {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly bits: Bits;
  /** 0: per channel. */
  readonly group: number;
  readonly dtype: 'float32' | 'float16';
  readonly offset: boolean;
  /** Bytes of weights, scales, offsets, x and y: the least to read and write. */
  readonly bytes: number;
  readonly timings: readonly Timing[];
}

/** Microseconds of JavaScript for one call, the median of several batches of 500. */
export interface Overhead {
  readonly encode: number;
  readonly forward: number;
}

/** The adapter. swiftshader and lavapipe run on CPU cores; others are GPUs. */
export type AdapterKind = 'swiftshader' | 'lavapipe' | 'gpu';

export interface HostResult {
  readonly host: string;
  readonly kind: AdapterKind;
  readonly adapter: { readonly vendor: string; readonly architecture: string; readonly device: string; readonly description: string };
  readonly features: readonly string[];
  /** Browser or Node with Dawn. */
  readonly engine: string;
  readonly cells: readonly Cell[];
  readonly overhead?: Overhead;
  /** Peers that did not load, and failed sessions. */
  readonly notes: readonly string[];
  readonly seconds: number;
}

export interface BenchResult {
  readonly schema: 1;
  readonly date: string;
  readonly mode: 'quick' | 'full' | 'custom';
  readonly machine: { readonly cpu: string; readonly cores: number; readonly memoryGiB: number; readonly system: string };
  readonly versions: Readonly<Record<string, string>>;
  readonly hosts: readonly HostResult[];
}

export const cellName = (c: Pick<Cell, 'm' | 'k' | 'n' | 'bits' | 'group' | 'dtype' | 'offset'>): string =>
  `q${c.bits} ${c.group === 0 ? 'channel' : `g${c.group}`}${c.offset ? ' offset' : ''} ${c.dtype === 'float32' ? 'f32' : 'f16'} ${c.k}x${c.n} M=${c.m}`;
