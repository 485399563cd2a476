// Computes ratios, means, floors and verdicts from a run's results, as numbers and as text. Pure.
import { type BenchResult, type Cell, cellName, type Family, type HostResult, type Timing } from './results.js';
import { TARGETS, type Target } from './targets.js';

export function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
export const least = (list: readonly number[]): number => Math.min(...list);
export const geometricMean = (list: readonly number[]): number =>
  Math.exp(list.reduce((sum, value) => sum + Math.log(value), 0) / list.length);

/** Was it right, and timed in every round? */
const counts = (t: Timing): boolean => !t.wrong && !t.dropped;
const of = (cell: Cell, ...families: Family[]): Timing[] => cell.timings.filter((t) => families.includes(t.family) && counts(t));
const named = (cell: Cell, name: string): Timing | undefined => cell.timings.find((t) => t.name === name && counts(t));

export const ours = (cell: Cell): Timing | undefined => of(cell, 'ours')[0];

/** Time of the best of `rivals` divided by `mine` in the same round; the median over rounds. */
function perRound(
  rivals: readonly Timing[],
  mine: Timing | undefined,
  best: (list: number[]) => number,
  value: (t: Timing, ms: number) => number,
): number | undefined {
  if (!mine || rivals.length === 0) return undefined;
  return median(mine.ms.map((ms, round) => best(rivals.map((t) => value(t, t.ms[round]!))) / value(mine, ms)));
}
const time = (_: Timing, ms: number): number => ms;

/** Time of the fastest right peer divided by ours, by round; above 1 ours is faster. */
export const ratio = (cell: Cell, mine = ours(cell), family: Family = 'ort-gpu'): number | undefined =>
  perRound(of(cell, family), mine, least, time);

/** Our rate divided by the best rate of a limit's kernels in the same round. */
export function share(cell: Cell, limit: 'copy' | 'multiply-add', mine = ours(cell)): number | undefined {
  if (!mine) return undefined;
  const work = limit === 'copy' ? cell.bytes : cell.m * cell.k * cell.n;
  const limits = of(cell, limit);
  if (limits.length === 0) return undefined;
  return median(mine.ms.map((ms, round) => work / ms / Math.max(...limits.map((t) => t.work! / t.ms[round]!))));
}

/** The limit's rate in the cell: bytes or multiply-adds a second, the fastest kernel's median. */
export const limitRate = (cell: Cell, limit: 'copy' | 'multiply-add'): number =>
  Math.max(0, ...of(cell, limit).map((t) => (1000 * t.work!) / median(t.ms)));

export interface Outcome {
  readonly target: Target;
  /** Number of cells; 0 if it was not measured. */
  readonly cells: number;
  readonly mean?: number;
  readonly worst?: { readonly value: number; readonly cell: Cell };
  readonly met?: boolean;
}

const atMost = ({ quantity }: Target): boolean => quantity === 'error' || quantity === 'M=4 / M=1';

function quantityOf(target: Target, cell: Cell, all: readonly Cell[]): number | undefined {
  switch (target.quantity) {
    case 'ratio':
      return ratio(cell);
    case 'ratio without subgroups': {
      const mine = named(cell, 'antiquant without subgroups');
      return mine && ratio(cell, mine);
    }
    case 'ratio to wasm':
      return ratio(cell, ours(cell), 'ort-wasm');
    case 'share of copy':
      return share(cell, 'copy');
    case 'share of multiply-add':
      return share(cell, 'multiply-add');
    case 'error':
      return cell.timings.find((t) => t.family === 'ours')?.error;
    case 'M=4 / M=1': {
      const one = all.find((c) => cellName(c) === cellName({ ...cell, m: 1 }));
      const [a, b] = [one && ours(one), ours(cell)];
      return a && b && median(b.ms) / median(a.ms);
    }
  }
}

export function outcomeOf(target: Target, hosts: readonly HostResult[]): Outcome {
  const values = hosts
    .filter(({ kind }) => kind === target.kind)
    .flatMap((host) => host.cells.filter(target.cells).map((cell) => ({ cell, value: quantityOf(target, cell, host.cells) })))
    .filter((entry): entry is { cell: Cell; value: number } => entry.value !== undefined && Number.isFinite(entry.value));
  if (values.length === 0) return { target, cells: 0 };
  const sign = atMost(target) ? -1 : 1;
  const worst = values.reduce((a, b) => (sign * b.value < sign * a.value ? b : a));
  const mean = geometricMean(values.map(({ value }) => value));
  const met = atMost(target) ? worst.value <= target.mean : mean >= target.mean && worst.value >= (target.floor ?? 0);
  return { target, cells: values.length, mean, worst, met };
}

/** The outcomes of all targets for measured adapters. */
export const outcomes = ({ hosts }: BenchResult): Outcome[] =>
  TARGETS.filter(({ kind }) => hosts.some((host) => host.kind === kind)).map((target) => outcomeOf(target, hosts));

/** Wrong answers of the library: cell, contender, fault. */
export const failures = ({ hosts }: BenchResult): string[] =>
  hosts.flatMap(({ host, cells }) =>
    cells.flatMap((cell) =>
      cell.timings
        .filter((t) => t.wrong && (t.family === 'ours' || t.family === 'ours-other'))
        .map((t) => `${host}: ${cellName(cell)}: ${t.name}, ${t.detail}: ${t.wrong}`),
    ),
  );
