// What a kernel is: one table of bindings and uniforms, and one pure function that says how it would do a problem.

import type { FloatDType } from '../dtype.js';
import type { Accuracy } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import type { Problem } from '../problem/problem.js';
import type { Codebook } from '../problem/weight-format.js';
import type { Params } from '../wgsl/preprocess.js';

export interface Binding {
  readonly name: string;
  readonly binding: number;
  readonly access: 'uniform' | 'read' | 'write';
  /** The binding exists only in variants where this holds. */
  readonly when?: (params: Params) => boolean;
}

/** A compute shader of shaders/ and what TypeScript must know of it; a test holds both against each other. */
export interface Shader {
  /** shaders/<name>.wgsl */
  readonly name: string;
  readonly bindings: readonly Binding[];
  /** Members of `Params`, all u32, in order. */
  readonly uniforms: readonly string[];
}

/** Rows and quads (four columns) of y that one workgroup makes. */
export interface Extent {
  readonly rows: number;
  readonly quads: number;
}

/** The helper that a kernel may want before it. */
export type Before = 'quantize-rows';

/** What one round of a kernel's inner loop, as it is written, does for one lane. `npm run static` divides a compiled loop by it. */
export interface Cost {
  /** Rows and columns of y, and k: `rows · columns · k` multiply-adds on `columns · k` weights. */
  readonly rows: number;
  readonly columns: number;
  readonly k: number;
  /** k in a round of the loop around it: a group of 32, or a tile. */
  readonly around: number;
  /** Multiply-adds of the round, where they are others than those. A matrix instruction counts as as many as it does. */
  readonly macs?: number;
}

/** Beside each kernel, and not part of it: pages do without. costs.ts has all. */
export type CostOf = (params: Params) => Cost;

/** Features of WebGPU that a text may `enable`. float16 x and y are read as bits where there is no shader-f16. */
export type Feature = 'shader-f16' | 'subgroups' | 'chromium-experimental-subgroup-matrix';

export interface Kernel extends Shader {
  /** What a helper makes of x in the same call, for this kernel to read; see plan/x-steps.ts. */
  readonly before?: Before;
  /** What codes may mean; numbers alone without this. */
  readonly codebooks?: readonly Codebook[];
  /** Can its weights be those of many matrices (the param EXPERTS)? */
  readonly experts?: boolean;
  /** And a row of y the weighted sum of several pairs (EXPERTS 2)? One row of them, at a time, in a tile of one row. */
  readonly sumsPairs?: boolean;
  /** It never adds to what y holds, and leaves no twin: its text includes lib/no-residual.wgsl. */
  readonly overwrites?: boolean;
  /** It multiplies the sums of one row by a factor that x's binding gives (lib/row-factor.wgsl). */
  readonly scalesRows?: boolean;
  /** Does it round dequantized weights where that is asked for? Only kernels that make weights before they meet x can. */
  readonly rounds?: boolean;
  /** The dtypes of x that it takes; all without this. */
  readonly x?: readonly FloatDType[];
  /** Groups that a tile takes: of whole low words, of whole blocks of 32 k, or halves of one. Words without this. */
  groups?(tile: Params): 'words' | 'blocks' | 'halves';
  /** Does its text refuse these operands with this tile? Such variants do not exist; without this there are none. */
  excludes?(params: Params): boolean;
  /** What a tile's text needs of a device, whatever x is; nothing without this. */
  needs?(tile: Params): readonly Feature[];
  /** The params that only this kernel has, in every combination that `choose` or a caller may take. */
  readonly tiles: readonly Params[];
  /** The tile for this problem and adapter, and why; a string says why another kernel should serve. A preference, not an ability. */
  choose(problem: Problem, caps: Caps): { readonly tile: Params; readonly why: string } | string;
  /** What a workgroup makes with `tile`; a string says what the problem or the device lacks for it. */
  fit(problem: Problem, caps: Caps, tile: Params): Extent | string;
  /** Was a tile made for such devices? Where not, it is not measured for them, though it would be right; without this all are. */
  suits?(tile: Params, caps: Caps): boolean;
  /** Into how many parts k goes, each for workgroups of its own that leave f32 sums in scratch memory; 1 without this. */
  splits?(problem: Problem, caps: Caps, tile: Params): number;
  /** How it sums, where that is not plain float32. */
  accuracy?(problem: Problem, params: Params): Accuracy;
}

/** The one name of a variant: cache key, WebGPU label, test name and error text, e.g. `matmul-rows[BITS=4,ROWS=1]`. */
export function variantId(kernel: string, params: Params): string {
  const list = Object.keys(params)
    .sort()
    .map((name) => `${name}=${params[name]}`);
  return `${kernel}[${list.join(',')}]`;
}
