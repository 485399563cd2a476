// Problem + Caps → Plan: which kernel with which numbers, and every dispatch that makes y. Pure, synchronous, plain data.
import type { Caps } from './caps.js';
import { BYTES } from './dtype.js';
import { ArgumentError, UnsupportedError } from './errors.js';
import { gatherRows, roundRows } from './kernels/helpers.js';
import { kernels } from './kernels/index.js';
import { type Extent, type Kernel, variantId } from './kernels/kernel.js';
import { operandParams, readsInPlace, writesInPlace, Y } from './kernels/operands.js';
import { type Packed, whole } from './packed.js';
import type { Problem } from './problem.js';
import { type Step, step } from './step.js';
import type { Params } from './wgsl/preprocess.js';
import { fitting, pieces, window, windowBytes } from './window.js';

/** Take this kernel, and these of its tiles; for tests, benches and comparisons. */
export interface Force {
  readonly kernel: string;
  readonly tile?: Params;
}

export interface Plan {
  readonly kernel: string;
  readonly params: Params;
  /** Why this kernel and tile, and why not the ones asked before it. */
  readonly why: readonly string[];
  /** In the order of execution. The first that runs `kernel` is `main`. */
  readonly steps: readonly Step[];
  readonly main: Step;
  /** Bytes of the device's scratch buffers that the steps use, by role. */
  readonly scratch: Readonly<Record<string, number>>;
}

/** Elements in a row of scratch `sums`: whole quads. */
const sumsPitch = (n: number): number => Math.ceil(n / 4) * 4;

interface Choice {
  readonly kernel: Kernel;
  readonly params: Params;
  readonly extent: Extent;
  readonly why: readonly string[];
}

function choose(problem: Problem, caps: Caps, force: Force | undefined): Choice {
  const refused: string[] = [];
  const candidates = force ? kernels.filter(({ name }) => name === force.kernel) : kernels;
  if (force && candidates.length === 0) {
    throw new ArgumentError('force.kernel', kernels.map(({ name }) => name).join(' or '), force.kernel);
  }
  if (force?.tile) {
    const known = candidates[0]!.tiles.map((tile) => variantId(force.kernel, tile));
    const asked = variantId(force.kernel, force.tile);
    if (!known.includes(asked)) throw new ArgumentError('force.tile', known.join(' or '), asked);
  }
  for (const kernel of candidates) {
    const chosen = force?.tile ? { tile: force.tile, why: 'this tile was asked for' } : kernel.choose(problem, caps);
    const preferred =
      typeof chosen === 'string' ? (force ? { tile: kernel.tiles[0]!, why: `asked for, although: ${chosen}` } : undefined) : chosen;
    const extent = preferred ? kernel.fit(problem, caps, preferred.tile) : (chosen as string);
    if (!preferred || typeof extent === 'string') {
      refused.push(`${kernel.name}: ${extent}`);
      continue;
    }
    const params = { ...operandParams(problem, caps), ...preferred.tile };
    return { kernel, params, extent, why: [`${kernel.name}: ${preferred.why}`, ...refused.map((reason) => `not ${reason}`)] };
  }
  throw new UnsupportedError(`y (${problem.m}, ${problem.n}) from K = ${problem.k}`, refused);
}

/** @throws UnsupportedError naming the limit, its value and the need; ArgumentError if `force` names no kernel */
export function makePlan(problem: Problem, packed: Packed, caps: Caps, force?: Force): Plan {
  const choice = choose(problem, caps, force);
  const { m, n } = problem;
  const direct = { x: readsInPlace(problem), y: writesInPlace(problem) };
  const xRow = packed.words * (32 / problem.bits) * 4; // bytes of a gathered row
  const rowBytes = [
    direct.x ? problem.k * BYTES[problem.xDtype] : xRow,
    n * BYTES[problem.yDtype],
    ...(direct.y ? [] : [sumsPitch(n) * 4]),
  ];
  const rows = Math.min(m, ...rowBytes.map((bytes) => fitting(caps, `y (${m}, ${n}) from K = ${problem.k}`, bytes)));
  const steps: Step[] = [];
  let main: Step | undefined;
  for (const chunk of pieces(m, rows)) {
    if (!direct.x) steps.push(...gather(problem, caps, packed, chunk.begin, chunk.count));
    const products = multiply(problem, caps, packed, choice, chunk.begin, chunk.count, direct);
    main ??= products[0];
    steps.push(...products);
    if (!direct.y) steps.push(round(problem, caps, packed, chunk.begin, chunk.count));
  }
  return {
    kernel: choice.kernel.name,
    params: choice.params,
    why: [
      ...choice.why,
      ...(direct.x ? [] : ['gather-rows first: x is transposed, or its rows are not whole words, or it does not start on a vec4']),
      ...(direct.y ? [] : ['round-rows last: rows of y do not start on whole words']),
    ],
    steps,
    main: main!,
    scratch: { ...(!direct.x && { rows: rows * xRow }), ...(!direct.y && { sums: rows * sumsPitch(n) * 4 }) },
  };
}

/** The products of rows [begin, begin + count) with every slab. */
function multiply(
  problem: Problem,
  caps: Caps,
  packed: Packed,
  { kernel, params, extent }: Choice,
  begin: number,
  count: number,
  direct: { readonly x: boolean; readonly y: boolean },
): Step[] {
  const { n, k } = problem;
  const codes = 32 / problem.bits;
  const pitch = direct.x ? k : packed.words * codes;
  const xBits = direct.x ? 8 * BYTES[problem.xDtype] : 32;
  const xFirst = direct.x ? problem.x.offset + begin * k : 0;
  const x = window(caps, direct.x ? 'x' : 'rows', xBits, xFirst, count * pitch);
  const yPitch = direct.y ? n : sumsPitch(n);
  const yFirst = direct.y ? problem.yOffset + begin * n : 0;
  const y = window(caps, direct.y ? 'y' : 'sums', 8 * (direct.y ? BYTES[problem.yDtype] : 4), yFirst, count * yPitch);
  return packed.slabs.map((slab, i) => {
    const tilesN = Math.ceil(slab.quads / extent.quads);
    const tiles = tilesN * Math.ceil(count / extent.rows);
    return step(caps, kernel, params, tiles, {
      uniforms: {
        m: count,
        n: slab.count,
        k,
        words: packed.words,
        group_words: problem.groupSize >= k ? packed.words : problem.groupSize / codes,
        w_pitch: slab.quads,
        x_base: (x.base + xFirst) / 4,
        x_pitch: pitch / 4,
        column: slab.begin,
        y_base: y.base + yFirst,
        y_pitch: yPitch,
        tiles_n: tilesN,
        tiles,
      },
      bindings: {
        x,
        w: whole(packed, `w${i}`),
        scale: whole(packed, `scale${i}`),
        ...(params.OFFSET === 1 && { offset: whole(packed, `offset${i}`) }),
        bias: whole(packed, 'columnBias'),
        ...(params.Y === 3 && { quant: whole(packed, 'columnQuant') }),
        y,
      },
    });
  });
}

/** x rows [begin, begin + count) → scratch `rows`, in as many windows of x as it takes. */
function gather(problem: Problem, caps: Caps, packed: Packed, begin: number, count: number): Step[] {
  const { x, k, xDtype } = problem;
  const bits = 8 * BYTES[xDtype];
  const pitch = (packed.words * (32 / problem.bits)) / 4;
  const whole = { buffer: 'rows', offset: 0, size: count * pitch * 16 };
  const at = (m: number, kk: number): number => {
    const batch = Math.floor(m / x.batchRows);
    return x.offset + batch * x.strideB + (m - batch * x.batchRows) * x.strideM + kk * x.strideK;
  };
  const part = (firstM: number, rows: number, firstK: number, quads: number): Step => {
    const lastK = Math.min(k, firstK + 4 * quads) - 1;
    // Batches follow each other, so the corners are the first and the last element.
    const [low, high] = [at(firstM, firstK), at(firstM + rows - 1, lastK)];
    const source = window(caps, 'x', bits, low, high - low + 1);
    return step(
      caps,
      gatherRows,
      { X: problem.xDtype === 'float32' ? 0 : problem.xDtype === 'float16' ? 1 : 2 },
      Math.ceil((rows * quads) / 64),
      {
        uniforms: {
          m: rows,
          first_m: firstM,
          first_k: firstK,
          quads,
          k,
          base: source.base + x.offset,
          batch_rows: x.batchRows,
          stride_b: x.strideB,
          stride_m: x.strideM,
          stride_k: x.strideK,
          rows_base: (firstM - begin) * pitch,
          pitch,
        },
        bindings: { x: source, rows: whole },
      },
    );
  };
  const one = part(begin, count, 0, pitch);
  if (one.bindings.x!.size <= windowBytes(caps)) return [one];
  // Too wide for one binding (a long transposed x): one batch at a time, and as many k as fit.
  const steps: Step[] = [];
  for (let m = begin; m < begin + count; ) {
    const rows = Math.min(x.batchRows - (m % x.batchRows), begin + count - m);
    const fit = fitting(caps, 'x', (4 * Math.max(x.strideK, x.strideM) * bits) / 8);
    const quads = x.strideK > x.strideM ? fit : pitch;
    for (const piece of pieces(pitch, quads)) steps.push(part(m, rows, 4 * piece.begin, piece.count));
    m += rows;
  }
  return steps;
}

/** Scratch `sums` → y rows [begin, begin + count). */
function round(problem: Problem, caps: Caps, packed: Packed, begin: number, count: number): Step {
  const { n, yDtype } = problem;
  const bits = 8 * BYTES[yDtype];
  const y = window(caps, 'y', bits, problem.yOffset + begin * n, count * n);
  const first = y.base + problem.yOffset + begin * n;
  const firstWord = Math.floor((first * bits) / 32);
  const lastWord = Math.floor(((first + count * n - 1) * bits) / 32);
  return step(caps, roundRows, { Y: Y[yDtype]! }, Math.ceil((lastWord - firstWord + 1) / 64), {
    uniforms: { count: count * n, n, pitch: sumsPitch(n), first, first_word: firstWord, quant_pitch: sumsPitch(n) },
    bindings: {
      sums: { buffer: 'sums', offset: 0, size: count * sumsPitch(n) * 4 },
      ...(yDtype === 'int8' && { quant: whole(packed, 'columnQuant') }),
      y,
    },
  });
}
