// Computes figures from a cell's times, by the rules of bench/report.ts: ratios within a round, then the median. Pure.
import { least, limitRate, median, ours, ratio, share } from '../../../bench/report.js';
import type { Cell, Timing } from '../../../bench/results.js';
import type { LlmMeasured, Voice } from './jobs/llm-settings.js';

export const SERIES = ['antiquant', 'onnxruntime-web, WebGPU', 'onnxruntime-web, CPU', 'dense f32', 'antiquant, not tuned'] as const;
export type Series = (typeof SERIES)[number];
const SERIES_OF: Readonly<Partial<Record<Timing['family'], Series>>> = {
  ours: 'antiquant',
  'ours-other': 'antiquant, not tuned',
  'ort-gpu': 'onnxruntime-web, WebGPU',
  'ort-wasm': 'onnxruntime-web, CPU',
  dense: 'dense f32',
};
/** The series of a time in charts; limits have no series. */
export const seriesOf = ({ family }: Timing): Series | undefined => SERIES_OF[family];

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}
export const spread = (list: readonly number[]): Spread => ({ median: median(list), least: least(list), most: Math.max(...list) });

/** Was it timed in every round, and right? */
export const counts = (t: Timing): boolean => !t.wrong && !t.dropped;
/** All contenders that multiply, ours first. */
export const players = (cell: Cell): Timing[] =>
  cell.timings.filter((t) => seriesOf(t)).sort((a, b) => Number(b.family === 'ours') - Number(a.family === 'ours'));
export const rivals = (cell: Cell): Timing[] => players(cell).filter((t) => t.family !== 'ours' && counts(t));

/** Its time over ours, round by round. */
export function against(cell: Cell, rival: Timing): Spread | undefined {
  const mine = ours(cell);
  return mine && spread(rival.ms.map((ms, round) => ms / mine.ms[round]!));
}

/** Multiply-adds of the product. */
export const workOf = ({ m, k, n }: Cell): number => m * k * n;
/** Least bytes to read and write: the dense product's weights are float32. */
export const bytesOf = (cell: Cell, t: Timing): number =>
  t.family === 'dense' ? 4 * (cell.k * cell.n + cell.m * (cell.k + cell.n)) : cell.bytes;

/** Amount per second, by the median time. */
export const rate = (amount: number, t: Timing): number => (1000 * amount) / median(t.ms);

export interface Roof {
  /** Bytes a second, read and written. */
  readonly copy: number;
  /** Multiply-adds a second. */
  readonly multiplyAdd: number;
}
/** The best of each limit over all cells; undefined if a limit was not measured. */
export function roofOf(cells: readonly Cell[]): Roof | undefined {
  const copy = Math.max(0, ...cells.map((cell) => limitRate(cell, 'copy')));
  const multiplyAdd = Math.max(0, ...cells.map((cell) => limitRate(cell, 'multiply-add')));
  return copy > 0 && multiplyAdd > 0 ? { copy, multiplyAdd } : undefined;
}

/** The limit of a product of this intensity (multiply-adds a byte), and the share of it that ours reaches. */
export function bound(cell: Cell): { readonly limit: 'copy' | 'multiply-add'; readonly share: number } | undefined {
  const [copy, adds] = [share(cell, 'copy'), share(cell, 'multiply-add')];
  if (copy === undefined || adds === undefined) return undefined;
  // The lower of the two limits.
  return copy >= adds ? { limit: 'copy', share: copy } : { limit: 'multiply-add', share: adds };
}

/** What a voice's times say, by medians over the rounds. */
export interface VoiceFigures {
  /** Tokens a second of a text, and of a prompt. */
  readonly decode: number;
  readonly prompt: number;
  /** Milliseconds until the first token behind a prompt. */
  readonly first: number;
}
/** @param prompts tokens of the prompts, by round */
export const voiceFigures = ({ first, decode }: Voice, prompts: readonly number[]): VoiceFigures => ({
  decode: 1000 / median(decode),
  prompt: 1000 / median(first.map((ms, round) => ms / prompts[round]!)),
  first: median(first),
});

/** Bytes that a token of ours reads, a second, over what copying reads and writes a second. */
export function llmShare({ voices, bytes, copy }: LlmMeasured): number | undefined {
  const mine = voices.find(({ family }) => family === 'ours');
  return mine && copy > 0 ? (1000 * (bytes.weights + bytes.cache)) / median(mine.decode) / copy : undefined;
}

export { limitRate, median, ours, ratio, share };
