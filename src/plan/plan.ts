// Problem + Caps → Plan: which kernel with which numbers, and every dispatch that makes y. Pure, synchronous, plain data.

import { BYTES } from '../dtype.js';
import { ArgumentError, UnsupportedError } from '../errors.js';
import { kernels } from '../kernels/index.js';
import { type Extent, type Kernel, variantId } from '../kernels/kernel.js';
import { operandParams, placeUniforms, readsInPlace, writesInPlace, Y } from '../kernels/operands.js';
import { type Accuracy, PRECISE } from '../problem/accuracy.js';
import type { Caps } from '../problem/caps.js';
import type { Problem } from '../problem/problem.js';
import type { Params } from '../wgsl/preprocess.js';
import { GIVEN, gather, gatheredBytes, type Made, makers, type Rows, round, rowsOf, sumsPitch } from './around.js';
import { fitting, pieces, type Window, window } from './binding.js';
import { accurateEnough, type Findings, NO_FINDINGS, problemClass, type Tuned } from './findings.js';
import { groupWords, type Packed, whole } from './packed-layout.js';
import { type Step, step } from './step.js';

/** Take this kernel, and these of its tiles; for tests, benches and comparisons. */
export interface Force {
  readonly kernel: string;
  readonly tile?: Params;
}

export interface Plan {
  readonly kernel: string;
  readonly params: Params;
  readonly accuracy: Accuracy;
  /** Why this kernel and tile, and why not the ones asked before it. */
  readonly why: readonly string[];
  /** In the order of execution. The first that runs `kernel` is `main`. */
  readonly steps: readonly Step[];
  readonly main: Step;
  /** Bytes of the device's scratch buffers that the steps use, by role. */
  readonly scratch: Readonly<Record<string, number>>;
}

interface Choice {
  readonly kernel: Kernel;
  readonly params: Params;
  readonly extent: Extent;
  /** Parts of k that different workgroups take. */
  readonly splits: number;
  readonly why: readonly string[];
}

/** Into how many parts a tile's workgroups cut k, and all its params: sums that are parts of y are f32. */
function variantOf(problem: Problem, caps: Caps, kernel: Kernel, tile: Params): Pick<Choice, 'splits' | 'params'> {
  // Several layers' columns fill a device sooner, and their y has no place in scratch memory.
  const splits = problem.parts ? 1 : (kernel.splits?.(problem, caps, tile) ?? 1);
  return { splits, params: { ...operandParams(problem, caps), ...(splits > 1 && { Y: Y.float32! }), ...tile } };
}

/** The faster kernel that measuring found, if this device can still do it. */
function measured(problem: Problem, caps: Caps, found: Tuned, disabled: Findings['disabled']): Choice | undefined {
  const kernel = kernels.find(({ name }) => name === found.kernel);
  if (!kernel?.tiles.some((tile) => variantId('', tile) === variantId('', found.tile))) return undefined;
  const extent = kernel.fit(problem, caps, found.tile);
  const { splits, params } = variantOf(problem, caps, kernel, found.tile);
  const fair = accurateEnough(problem, kernel.accuracy?.(problem, params) ?? PRECISE);
  if (typeof extent === 'string' || !fair || disabled.has(variantId(kernel.name, params))) return undefined;
  const share = `tuned: ${found.ratio.toFixed(2)} of the default's time`;
  return {
    kernel,
    params,
    extent,
    splits,
    why: [`${kernel.name}: ${share}, measured on ${found.date} among ${found.candidates} candidates`],
  };
}

/** The first tile that fits; one that does not says why. */
const anyTile = (kernel: Kernel, problem: Problem, caps: Caps): Params =>
  kernel.tiles.find((tile) => typeof kernel.fit(problem, caps, tile) !== 'string') ?? kernel.tiles[0]!;

function choose(problem: Problem, caps: Caps, force: Force | undefined, findings: Findings): Choice {
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
  const found = force || problem.xDigits || findings.tuned.size === 0 ? undefined : findings.tuned.get(problemClass(problem, caps));
  const faster = found && found.ratio < 1 ? measured(problem, caps, found, findings.disabled) : undefined;
  if (faster) return faster;
  const stays = found && found.ratio === 1 ? [`tuned: none of ${found.candidates} candidates was faster on ${found.date}`] : [];
  for (const kernel of candidates) {
    const chosen = force?.tile ? { tile: force.tile, why: 'this tile was asked for' } : kernel.choose(problem, caps);
    const preferred =
      typeof chosen === 'string'
        ? force
          ? { tile: anyTile(kernel, problem, caps), why: `asked for, although: ${chosen}` }
          : undefined
        : chosen;
    const extent = preferred ? kernel.fit(problem, caps, preferred.tile) : (chosen as string);
    if (!preferred || typeof extent === 'string') {
      refused.push(`${kernel.name}: ${extent}`);
      continue;
    }
    const { splits, params } = variantOf(problem, caps, kernel, preferred.tile);
    const broken = findings.disabled.get(variantId(kernel.name, params));
    if (broken) {
      refused.push(`${kernel.name}: ${broken}`);
      continue;
    }
    const why = [`${kernel.name}: ${preferred.why}`, ...stays, ...refused.map((reason) => `not ${reason}`)];
    return { kernel, params, extent, splits, why };
  }
  throw new UnsupportedError(`y (${problem.m}, ${problem.n}) from K = ${problem.k}`, refused);
}

/**
 * @param findings what is known of the device beyond `caps`; with a `force` only what is disabled counts
 * @throws UnsupportedError naming the limit, its value and the need; ArgumentError if `force` names no kernel
 */
export function makePlan(problem: Problem, packed: Packed, caps: Caps, force?: Force, findings: Findings = NO_FINDINGS): Plan {
  const choice = choose(problem, caps, force, findings);
  const { m, n } = problem;
  const { splits } = choice;
  const direct = { x: readsInPlace(problem), y: writesInPlace(problem) && splits === 1 };
  const maker = choice.kernel.before && makers[choice.kernel.before];
  const made = maker?.bytes(problem, packed, choice.params) ?? {};
  const xRow = gatheredBytes(problem);
  const rowBytes = [
    direct.x ? problem.k * BYTES[problem.xDtype] : xRow,
    n * BYTES[problem.yDtype],
    ...(direct.y ? [] : [splits * sumsPitch(n) * 4]),
    ...Object.values(made),
  ];
  const rows = Math.min(m, ...rowBytes.map((bytes) => fitting(caps, `y (${m}, ${n}) from K = ${problem.k}`, bytes)));
  if (problem.parts && (rows < m || !direct.y)) {
    throw new UnsupportedError(`y (${m}, ${n}) in ${problem.parts.length} parts`, ['one window of whole quads is all that parts can have']);
  }
  const steps: Step[] = [];
  let main: Step | undefined;
  for (const chunk of pieces(m, rows)) {
    if (!direct.x) steps.push(...gather(problem, caps, chunk.begin, chunk.count, packed));
    const x = rowsOf(problem, caps, chunk);
    const extra = maker?.make(problem, caps, packed, x, choice.params);
    steps.push(...(extra?.steps ?? []));
    const products = multiply(problem, caps, packed, choice, x, chunk.begin, direct.y, extra);
    main ??= products[0];
    steps.push(...products);
    if (!direct.y) steps.push(round(problem, caps, packed, chunk.begin, chunk.count, splits));
  }
  return {
    kernel: choice.kernel.name,
    params: choice.params,
    accuracy: choice.kernel.accuracy?.(problem, choice.params) ?? PRECISE,
    why: [
      ...choice.why,
      ...(direct.x
        ? []
        : problem.permuted
          ? ['gather-rows first: the inputs are in another order than those of x']
          : ['gather-rows first: x is transposed, or its rows are not whole words, or it does not start on a vec4']),
      ...(splits > 1
        ? [`round-rows last: workgroups share k in ${splits} parts, since rows and columns alone do not fill the device`]
        : []),
      ...(writesInPlace(problem) ? [] : ['round-rows last: rows of y do not start on whole words']),
    ],
    steps,
    main: main!,
    scratch: {
      ...(!direct.x && { rows: rows * xRow }),
      ...(!direct.y && { sums: rows * splits * sumsPitch(n) * 4 }),
      ...Object.fromEntries(
        Object.entries(made).flatMap(([role, bytes]) => (problem.xDigits && role === GIVEN ? [] : [[role, rows * bytes]])),
      ),
    },
  };
}

/** Where a dispatch writes y: what it binds, and the places of up to four parts, of which most products have one. */
interface Place {
  readonly window: Window;
  readonly uniforms: Readonly<Record<string, number>>;
}

function yInPlace(problem: Problem, caps: Caps, begin: number, count: number): Place {
  const parts = problem.parts ?? [{ begin: 0, count: problem.n, yOffset: problem.yOffset + begin * problem.n }];
  const first = Math.min(...parts.map(({ yOffset }) => yOffset));
  const end = Math.max(...parts.map((part) => part.yOffset + count * part.count));
  const y = window(caps, 'y', 8 * BYTES[problem.yDtype], first, end - first);
  return { window: y, uniforms: placeUniforms(parts.map((part) => ({ ...part, yOffset: y.base + part.yOffset }))) };
}

/** Rows of whole quads for each of `splits`. */
function yInScratch(problem: Problem, caps: Caps, count: number, splits: number): Place {
  const pitch = sumsPitch(problem.n);
  const y = window(caps, 'sums', 32, 0, splits * count * pitch);
  return { window: y, uniforms: placeUniforms([{ begin: 0, count: pitch, yOffset: y.base }]) };
}

/** The products of rows x, the first of which is row `begin` of y, with every slab. */
function multiply(
  problem: Problem,
  caps: Caps,
  packed: Packed,
  { kernel, params, extent, splits }: Choice,
  x: Rows,
  begin: number,
  direct: boolean,
  extra: Made | undefined,
): Step[] {
  const { k } = problem;
  const { count } = x;
  const y = direct ? yInPlace(problem, caps, begin, count) : yInScratch(problem, caps, count, splits);
  return packed.slabs.map((slab, i) => {
    const tilesN = Math.ceil(slab.quads / extent.quads);
    const tiles = tilesN * Math.ceil(count / extent.rows) * splits;
    return step(caps, kernel, params, tiles, {
      uniforms: {
        m: count,
        n: slab.count,
        k,
        words: packed.words,
        group_words: groupWords(problem, packed),
        w_pitch: slab.pitch,
        x_base: (x.window.base + x.first) / 4,
        x_pitch: x.pitch / 4,
        column: slab.begin,
        ...y.uniforms,
        tiles_n: tilesN,
        tiles,
        ...extra?.uniforms,
      },
      bindings: {
        x: x.window,
        ...extra?.bindings,
        w: whole(packed, `w${i}`),
        scale: whole(packed, `scale${i}`),
        ...(params.OFFSET! > 0 && { offset: whole(packed, `offset${i}`) }),
        ...(params.CODEBOOK === 1 && { codebook: whole(packed, 'codebook') }),
        bias: whole(packed, 'columnBias'),
        ...(params.Y === 3 && { quant: whole(packed, 'columnQuant') }),
        y: y.window,
      },
    });
  });
}
