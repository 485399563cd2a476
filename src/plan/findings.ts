// What running on a device has taught, as plain data for planning: variants that may not be used there, and which kernel measuring
// chose for which class of problems. Pure.

import { type Kernel, variantId } from '../kernels/kernel.js';
import { operandParams } from '../kernels/operands.js';
import type { Accuracy } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import { keyOf } from '../problem/key.js';
import type { Problem } from '../problem/problem.js';
import type { Params } from '../wgsl/preprocess.js';

/** What measuring a class of problems came to. */
export interface Tuned {
  readonly kernel: string;
  readonly tile: Params;
  /** Its time as a share of that of the planner's own choice; 1 where it is that choice. */
  readonly ratio: number;
  /** How many kernels and tiles were compared. */
  readonly candidates: number;
  /** YYYY-MM-DD */
  readonly date: string;
  /** Milliseconds of a budget that ended before enough was known: a larger one measures again. */
  readonly short?: number;
}

export interface Findings {
  /** variantId → why it may not be used. */
  readonly disabled: ReadonlyMap<string, string>;
  /** problemClass → what was measured. */
  readonly tuned: ReadonlyMap<string, Tuned>;
}
export const NO_FINDINGS: Findings = { disabled: new Map(), tuned: new Map() };

const MANY_ROWS = 1024;

/**
 * Problems that share a measured choice: everything about them and the device, but for these. Rows up to the same power of two are one
 * (tiles have 1, 2, 4, 8 … rows, so they cost about the same number of tiles); from 513 rows on all are. Where x and y lie counts only
 * as far as the kernel is another for it, which the operand params say. Whether x came quantized does not count: it is not measured.
 */
export function problemClass(problem: Problem, caps: Caps): string {
  const { m, x: _x, yOffset: _yOffset, yPitch: _yPitch, layers: _layers, xDigits: _xDigits, ...rest } = problem;
  const rows = Math.min(MANY_ROWS, 2 ** Math.ceil(Math.log2(m)));
  return `m<=${rows} ${variantId('', operandParams(problem, caps))} ${keyOf({ ...rest, caps })}`;
}

/** May a layer use a kernel that sums like this? With innerPrecise 0 neither x nor weights may be rounded. */
export const accurateEnough = ({ innerPrecise }: Problem, accuracy: Accuracy): boolean =>
  innerPrecise === 1 || (accuracy.xStep === 0 && accuracy.weightStep === 0);

/** The params of a variant that only its kernel has; undefined if it has no such tile. */
export const tileOf = (kernel: Kernel, params: Params): Params | undefined =>
  kernel.tiles.find((tile) => Object.entries(tile).every(([name, value]) => params[name] === value));
