// Settings of the panel "Your GPU, measured" as plain data, which page and jobs share. Pure.
import type { Session } from '../../../../bench/shapes.js';
import type { Bits } from '../../../../src/problem/code-width.js';
import type { OrtFiles } from '../../../ort.js';

/** onnxruntime-web's providers on offer; each is a separate build. */
export type OrtBuild = keyof OrtFiles;
export const ORT_BUILDS: readonly OrtBuild[] = ['webgpu', 'wasm'];

declare const __ORT_FILES__: OrtFiles;
export const ORT_FILES: OrtFiles = __ORT_FILES__;

export interface Settings {
  /** Ascending; one product for each, all with the same weights. */
  readonly rows: readonly number[];
  readonly k: number;
  readonly n: number;
  readonly bits: Bits;
  /** 0: per channel. */
  readonly group: number;
  readonly dtype: 'float32' | 'float16';
  readonly offset: boolean;
  readonly rounds: number;
  /** Milliseconds of a sample. */
  readonly sample: number;
  readonly peers: readonly OrtBuild[];
  readonly dense: boolean;
}

export const sessionOf = ({ rows, k, n, bits, group, dtype, offset }: Settings): Session => ({
  rows: [...rows].sort((a, b) => a - b),
  k,
  n,
  bits,
  group,
  dtype,
  offset,
  extras: [],
});
