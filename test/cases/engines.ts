// The cases of the tables that each engine runs. `npm run test:all` runs all. In `npm test` Dawn runs every tile and every pair of values
// that occurs in a case; other engines, which differ in compiler and driver only, run every kernel and every value. Each runs every format.
// Holds no test.
import { variantId } from '../../src/kernels/kernel.js';
import type { Caps } from '../../src/problem/caps.js';
import { LAVAPIPE, SWIFTSHADER } from '../support/devices.js';
import { type Case, cases, runsOn } from './cases.js';
import { type ExpertCase, expertCases } from './expert-cases.js';
import { type FormatCase, formatCases, type NodeCase, nodeCases } from './format-cases.js';
import { type LlmCase, llmCases } from './llm-cases.js';
import { type MatrixCase, matrixCases, matrixRunsOn } from './matrix-cases.js';
import { cover, whole, wordsOf } from './slice.js';

export const ENGINES = ['dawn', 'deno', 'chromium', 'chromium-f16', 'firefox'] as const;
export type Engine = (typeof ENGINES)[number];

export interface Cases {
  readonly numbers: readonly Case[];
  readonly matrices: readonly MatrixCase[];
  readonly experts: readonly ExpertCase[];
  readonly formats: readonly FormatCase[];
  readonly nodes: readonly NodeCase[];
  readonly models: readonly LlmCase[];
}

/** The software adapter that an engine has where there is no GPU: a slice must not rest on cases that it cannot run. */
export const SOFTWARE: Readonly<Record<Engine, Caps>> = {
  dawn: LAVAPIPE,
  deno: { ...LAVAPIPE, subgroups: false },
  chromium: SWIFTSHADER,
  'chromium-f16': LAVAPIPE,
  firefox: { ...LAVAPIPE, subgroups: false },
};
/** How a slice of an engine is made: see wordsOf. */
const MEETINGS: Readonly<Record<Engine, readonly ('tile' | 'pairs' | 'kernel pairs')[]>> = {
  dawn: ['tile', 'pairs'],
  deno: ['kernel pairs'],
  chromium: ['kernel pairs'],
  'chromium-f16': [],
  firefox: [],
};

/** The kernel that a case is about; what planning picks is what the software adapter would get. */
export const kernelOf = ({ force }: Pick<Case, 'force'>): string => force?.kernel ?? 'planned';

/** The values that make a case, by name; sizes in steps. */
export const valuesOf = (c: Case): Readonly<Record<string, unknown>> => ({
  kernel: kernelOf(c),
  bits: c.bits,
  dtype: c.dtype,
  mode: c.mode,
  offset: c.offset,
  bias: c.bias,
  output: c.quant,
  packedScale: c.packedScale,
  weight: c.weight + (c.nz ? ' NZ' : ''),
  x: c.x,
  batched: c.batch.length > 0,
  shifted: c.yOffset > 0,
  data: c.data,
  innerPrecise: c.innerPrecise,
  weightRounding: c.weightRounding,
  caps: Object.keys(c.caps).join(),
});
const matrixValuesOf = (c: MatrixCase): Readonly<Record<string, unknown>> => ({
  kernel: kernelOf(c),
  rows: c.m < 5 ? 'few' : 'many',
  bits: c.bits,
  groups: c.groupSize < 32 ? 'small' : c.groupSize < c.k ? 'large' : 'none',
  shift: c.shift,
  permuted: c.permuted,
  scaled: c.scaled,
  scaleDtype: c.scaleDtype,
  dtype: c.dtype,
  bias: c.bias,
  int8: c.int8,
  exact: c.exact,
  innerPrecise: c.innerPrecise,
  weightRounding: c.weightRounding,
  caps: Object.keys(c.caps).join(),
});

const expertValuesOf = (c: ExpertCase): Readonly<Record<string, unknown>> => ({
  kernel: kernelOf(c),
  bits: c.bits,
  shift: c.shift,
  dtype: c.dtype,
  bias: c.bias,
  own: c.own,
  ids: c.ids,
  sorted: c.sorted,
  exact: c.exact,
  many: c.experts > 256 || c.m * c.top > 256,
  caps: Object.keys(c.caps).join(),
});

function sliceOf<T extends Case | MatrixCase | ExpertCase>(
  engine: Engine,
  all: readonly T[],
  { runs, values }: { readonly runs: (c: T, caps: Caps) => boolean; readonly values: (c: T) => Readonly<Record<string, unknown>> },
): readonly T[] {
  const meetings = MEETINGS[engine];
  const words = (c: T): string[] => [
    ...wordsOf(values(c), 1),
    ...(meetings.includes('pairs') ? wordsOf(values(c), 2) : []),
    ...(meetings.includes('kernel pairs') ? wordsOf(values(c), 2).filter((word) => /^kernel=\S+ (bits|dtype|data|shift)=/.test(word)) : []),
    ...(meetings.includes('tile') && c.force?.tile ? [variantId(c.force.kernel, c.force.tile)] : []),
  ];
  const here = all.filter((c) => runs(c, SOFTWARE[engine]));
  const chosen = new Set(cover(here, words));
  // What only other devices can run costs nothing here, and is not left out there.
  return all.filter((c) => chosen.has(c) || !here.includes(c));
}

/**
 * Models: of Dawn every architecture, every block type, every kind of weights, of cache and of device; elsewhere those with few tokens. Of all
 * cases other engines leave out heavy tails, halves and devices with less, which are of numbers and plans, and not of compilers.
 */
function modelsOf(engine: Engine, all: boolean): readonly LlmCase[] {
  if (engine !== 'dawn')
    return llmCases.filter(
      ({ everywhere, device, model, kv }) => everywhere || (all && device === 'nothing' && model.weights === 'normal' && kv === 'f32'),
    );
  if (all) return llmCases;
  const everywhere = llmCases.filter((c) => c.everywhere);
  const chosen = new Set(cover(llmCases, ({ values }) => wordsOf(values, 1), everywhere));
  return llmCases.filter((c) => chosen.has(c));
}

export function casesOf(engine: Engine, all: boolean = whole): Cases {
  const formats = { formats: formatCases, nodes: nodeCases };
  if (all) return { numbers: cases, matrices: matrixCases, experts: expertCases, models: modelsOf(engine, true), ...formats };
  return {
    numbers: sliceOf(engine, cases, { runs: runsOn, values: valuesOf }),
    matrices: sliceOf(engine, matrixCases, { runs: matrixRunsOn, values: matrixValuesOf }),
    experts: sliceOf(engine, expertCases, { runs: runsOn, values: expertValuesOf }),
    models: modelsOf(engine, false),
    ...formats,
  };
}
