// The problem of a trial: small, and with every kind of edge that the variant has. Pure.
import type { FloatDType } from '../dtype.js';
import { extentOf } from '../kernels/fits.js';
import type { Extent, Kernel } from '../kernels/kernel.js';
import { EXPERTS_SUMMED } from '../kernels/operands.js';
import type { Caps } from '../problem/caps.js';
import { columnsOfY } from '../problem/glu.js';
import { contiguousX, type Problem } from '../problem/problem.js';
import { CODEBOOKS, hasUnits, LEGAL_FORMATS, SCALE_FORMS, SHIFTS, type WeightFormat } from '../problem/weight-format.js';
import type { Params } from '../wgsl/preprocess.js';

/** Elements of poison before y. */
export const GUARD = 4;

const FLOATS: readonly FloatDType[] = ['float32', 'float16', 'bfloat16'];
/** Dtypes by the values of the params X, SCALE, ROUND and Y. */
const X: readonly FloatDType[] = ['float32', 'float16', 'float16', 'bfloat16'];

/** Has every param a dtype here? */
export const isKnown = (params: Params): boolean =>
  X[params.X!] !== undefined && FLOATS[params.ROUND!] !== undefined && params.Y! <= FLOATS.length;

/** Group sizes to try. The first is whole words but not a multiple of 32 k. */
const GROUP_SIZES = [48, 32, 64, 128, 256, Number.POSITIVE_INFINITY];
/** The same where groups share a unit of 256 k. */
const IN_UNITS = [16, 32, 64, 128, 256];
/** k past the last whole group; 0 for kernels that take only whole groups. */
const RAGGED = [16, 8, 32, 0];
const ROWS = [2, 1, 17, 65, 129];
/** Matrices, and pairs of a row of x, where a variant takes many. */
const EXPERTS = 3;
const PER_ROW = 2;

/** The format of weights that a variant reads. */
function formatOf({ BITS, SCALE, OFFSET, CODEBOOK }: Params): WeightFormat {
  const found = LEGAL_FORMATS.find(
    ({ held, scaleDtype, shift, codebook }) =>
      held === BITS && SCALE_FORMS[scaleDtype].param === SCALE && SHIFTS[shift] === OFFSET && CODEBOOKS[codebook] === CODEBOOK,
  )!;
  return { ...found, bits: found.held };
}

/** A small problem that the kernel accepts: more than one tile of rows and columns, several groups, the last one short. */
export function shape(kernel: Kernel, { tile, params, caps }: { tile: Params; params: Params; caps: Caps }): Problem | undefined {
  const format = formatOf(params);
  const make = (m: number, n: number, group: number, ragged: number): Problem => {
    const wanted = m * n <= 1024 ? 224 : 96; // k: smaller for a large y
    const whole = Number.isFinite(group) ? group * Math.max(ragged > 0 ? 1 : 2, Math.floor(wanted / group)) : 96;
    const k = whole + ragged;
    const groupSize = Math.min(group, k);
    const glu = params.ENDING === 1 ? 'silu' : undefined;
    return {
      m,
      weights: {
        n,
        k,
        ...format,
        mode: groupSize < k ? 'group' : 'channel',
        groupSize,
        groups: Math.ceil(k / groupSize),
        permuted: false,
        inputScaled: false,
        biased: true,
        requantized: params.Y === 3,
        glu,
      },
      xDtype: X[params.X!]!,
      yDtype: params.Y === 3 ? 'int8' : FLOATS[params.Y!]!,
      innerPrecise: 1,
      weightDtype: FLOATS[params.ROUND!]!,
      x: contiguousX(m, k),
      yOffset: GUARD,
      yPitch: columnsOfY({ n, glu }),
      adds: params.Y !== 3 && !glu && params.EXPERTS !== 1 && !kernel.overwrites,
      ...(params.EXPERTS === 1 && { experts: { count: EXPERTS, perRow: PER_ROW, ids: undefined } }),
      // One row of y, of as many pairs as x has rows.
      ...(params.EXPERTS === EXPERTS_SUMMED && {
        experts: { count: EXPERTS, perRow: 1, ids: undefined, summed: { top: m, weights: 0, by: 'kernel' as const } },
      }),
    };
  };
  const sizes = hasUnits(format.scaleDtype) ? IN_UNITS : GROUP_SIZES;
  for (const group of sizes)
    for (const ragged of RAGGED)
      for (const m of ROWS) {
        const extent = (problem: Problem) => extentOf(kernel, { problem, caps, tile });
        const first = extent(make(m, 260, group, ragged));
        if (typeof first === 'string') continue;
        const { rows, quads } = first as Extent;
        const larger = [
          make(rows + 1, 4 * quads + 4, group, ragged),
          make(rows + 1, 260, group, ragged),
          make(m, 4 * quads + 4, group, ragged),
        ];
        return larger.find((problem) => typeof extent(problem) !== 'string') ?? make(m, 260, group, ragged);
      }
  return undefined;
}
