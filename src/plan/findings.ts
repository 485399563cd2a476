// Findings about a device, as plain data for planning: variants that failed their self-test, and measured choices for classes of problems.
// Pure.

import { type Kernel, variantId } from '../kernels/kernel.js';
import { operandParams } from '../kernels/operands.js';
import type { Accuracy } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import { keyOf } from '../problem/key.js';
import type { Problem } from '../problem/problem.js';
import type { Params } from '../wgsl/preprocess.js';

/** The measured choice for a class of problems. */
export interface Tuned {
  readonly kernel: string;
  readonly tile: Params;
  /** Its time divided by that of the planner's choice; 1 if it is that choice. */
  readonly ratio: number;
  /** How many kernels and tiles were compared. */
  readonly candidates: number;
  /** YYYY-MM-DD */
  readonly date: string;
  /** Milliseconds of a budget that was too short to decide; a larger budget measures again. */
  readonly short?: number;
}

export interface Findings {
  /** variantId → why it may not be used. */
  readonly disabled: ReadonlyMap<string, string>;
  /** problemClass → measured choice. */
  readonly tuned: ReadonlyMap<string, Tuned>;
}
export const NO_FINDINGS: Findings = { disabled: new Map(), tuned: new Map() };

const MANY_ROWS = 1024;

/**
 * The key of problems that share a measured choice. It holds all of the problem and the device, with four exceptions. Rows up to the same
 * power of two are one class, because tiles have 1, 2, 4, 8 … rows; all from 513 on are one. The position of x and y counts only through
 * the operand params. Whether y itself is asked for or the best of its rows does not count. Whether x came quantized does not count: such calls are not measured.
 */
export function problemClass(problem: Problem, caps: Caps): string {
  const { m, x: _x, yOffset: _yOffset, yPitch: _yPitch, layers: _layers, best: _best, xDigits: _xDigits, ...rest } = problem;
  const rows = Math.min(MANY_ROWS, 2 ** Math.ceil(Math.log2(m)));
  return `m<=${rows} ${variantId('', operandParams(problem, caps))} ${keyOf({ ...rest, caps })}`;
}

/** May a layer use a kernel with this accuracy? With innerPrecise 0 neither x nor weights may be rounded. */
export const accurateEnough = ({ innerPrecise }: Problem, accuracy: Accuracy): boolean =>
  innerPrecise === 1 || (accuracy.xStep === 0 && accuracy.weightStep === 0);

/** The tile among a variant's params; undefined if the kernel has no such tile. */
export const tileOf = (kernel: Kernel, params: Params): Params | undefined =>
  kernel.tiles.find((tile) => Object.entries(tile).every(([name, value]) => params[name] === value));
