// What a run of the bench leaves behind, as plain data: the JSON file's shape. Nothing here measures or judges; report.ts judges.
import type { Bits } from '../src/problem/code-width.js';

/** Who made a time. `ours` is the planner's choice; the rest of the library's ways are `ours-other`. */
export type Family = 'ours' | 'ours-other' | 'ort-gpu' | 'ort-wasm' | 'dense' | 'copy' | 'multiply-add';

export interface Timing {
  readonly name: string;
  readonly family: Family;
  /** The variant that ran, or the peer's settings. */
  readonly detail: string;
  /** Calls in each sample. */
  readonly count: number;
  /** Milliseconds a call, one for each round; the same index is the same round for every contender of a cell. */
  readonly ms: readonly number[];
  /** Why there is no time for each round: slower than others by far, or wrong. */
  readonly dropped?: string;
  /** Largest |y - reference| / largest |reference|, over the rows that were checked. */
  readonly error?: number;
  /** What is wrong with its answer; it is then no one's rival. */
  readonly wrong?: string;
  /** For limits: bytes, or multiply-adds, of a call. */
  readonly work?: number;
}

/** One product, and everyone's times for it. */
export interface Cell {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly bits: Bits;
  /** 0 is per-channel. */
  readonly group: number;
  readonly dtype: 'float32' | 'float16';
  readonly offset: boolean;
  /** Of weights, scales, offsets, x and y: what must be read and written at least. */
  readonly bytes: number;
  readonly timings: readonly Timing[];
}

/** Microseconds of JavaScript for one call, the median of several batches of 500. */
export interface Overhead {
  readonly encode: number;
  readonly forward: number;
}

/** swiftshader and lavapipe run on the CPU's cores; anything else is a GPU. */
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
  /** Peers that did not load, sessions that failed. */
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
