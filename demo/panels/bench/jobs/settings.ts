// What the panel "Your GPU, measured" asks for, as plain data that its page and its jobs share. Pure.

import type { Session } from '../../../../bench/shapes.js';
import type { Bits } from '../../../../src/problem/code-width.js';
import type { OrtFiles } from '../../../ort.js';

/** onnxruntime-web's providers that can be asked for; each is a build of its own. */
export type OrtBuild = keyof OrtFiles;
export const ORT_BUILDS: readonly OrtBuild[] = ['webgpu', 'wasm'];

declare const __ORT_FILES__: OrtFiles;
export const ORT_FILES: OrtFiles = __ORT_FILES__;

export interface Settings {
  /** One product each, all on the same weights; ascending. */
  readonly rows: readonly number[];
  readonly k: number;
  readonly n: number;
  readonly bits: Bits;
  /** 0 is per-channel. */
  readonly group: number;
  readonly dtype: 'float32' | 'float16';
  readonly offset: boolean;
  readonly rounds: number;
  /** Milliseconds that a sample should last. */
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
