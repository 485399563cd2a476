// How codes become floats in the kernels that keep a tile of y in each lane's registers on a GPU: shaders/lib/lane.wgsl.
import type { Accuracy } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import type { Problem } from '../problem/problem.js';
import type { Params } from '../wgsl/preprocess.js';

/**
 * Is a code better made a float by the exponent of a half (TRICK)? It costs float32 digits, so not for float32. GPUs multiply halves
 * into f32 sums for nothing; Intel's convert them first, and there bytes are the shorter way.
 */
export const prefersTrick = (problem: Problem, caps: Caps): boolean =>
  problem.weights.codebook === 'none' && problem.xDtype !== 'float32' && caps.vendor !== 'intel';

/** Why TRICK may not be had; undefined if it may. */
export const trickRefused = (problem: Problem, tile: Params): string | undefined =>
  tile.TRICK !== 1
    ? undefined
    : problem.weights.codebook !== 'none'
      ? 'TRICK=1 is for codes that are numbers'
      : problem.xDtype === 'float32'
        ? 'TRICK=1 costs more digits than float32 has to spare'
        : undefined;

/** With TRICK, codes carry at most 1024 more. */
export const withTrick = (accuracy: Accuracy, { TRICK }: Params): Accuracy => (TRICK === 1 ? { ...accuracy, codeBias: 1024 } : accuracy);
