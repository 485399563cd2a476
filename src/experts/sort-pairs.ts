// sortPairs: sorts pairs of a row of x and an expert by their experts, once for all ExpertLayers that the pairs go through.

import { wholeNumber } from '../arguments/check.js';
import { markOf, notOurs } from '../arguments/copies.js';
import { checkPass } from '../arguments/gpu-objects.js';
import { ArgumentError } from '../errors.js';
import { BUFFER, makeBuffer } from '../gpu/buffers.js';
import { assertAlive, capsOf } from '../gpu/device.js';
import { allTaken, guarded, guardedSubmit, type Taken } from '../gpu/guard.js';
import { pipelineErrors } from '../gpu/pipeline.js';
import { encodeInto, type Recording, record, submit } from '../gpu/recording.js';
import { Tensor } from '../gpu/tensor.js';
import { IDS, SORTED, sortStep } from '../plan/pair-steps.js';
import { checkIds as checkForm } from '../problem/checks.js';
import { pairCounts, sortedWords } from '../problem/experts.js';
import { showShape } from '../problem/view.js';
import { VERSION } from '../version.js';
import { addSortText } from '../wgsl/sort-text.js';

/** Ids of experts with their pairs sorted, on the GPU. `forwardExperts` and `encodeExperts` take it in place of ids. */
export interface SortedPairs {
  /** The tensor that was sorted. */
  readonly ids: Tensor;
  /** Number of experts. */
  readonly experts: number;
  /** int32 words: for each expert where its pairs begin, then the pairs (shaders/sort-pairs.wgsl). */
  readonly sorted: Tensor;
}

/** The recording that sorts, and its errors. */
interface Made {
  /** Undefined: the pairs are the caller's. */
  readonly recording: Recording | undefined;
  readonly sound: Taken;
  /** How many pairs were sorted last. A replay may have sorted the first of them alone. */
  holds: number;
}
const made = new WeakMap<SortedPairs, Made>();

/** Checks a tensor of ids. @throws ArgumentError */
export function checkIds(given: Tensor, device?: GPUDevice): Tensor {
  const ids = Tensor.given(given, 'ids', device);
  checkForm(ids);
  return ids;
}

/** Pairs of a tensor of ids. */
export const pairsIn = ({ shape }: Tensor): number => shape.reduce((a, b) => a * b, 1);

/**
 * Sorts pairs by expert: pair p is the p-th of `ids`. Enqueues and does not wait. Layers with this many experts take the result; gate, up
 * and down of one block share it. `sorted.destroy()` frees it.
 * @param ids int32, any shape, contiguous. An id that is not 0 … experts - 1 has no expert: its rows of y are zeros
 * @throws ArgumentError, UnsupportedError if the pairs exceed a binding, DeviceLostError
 * @example
 * const sorted = sortPairs(ids, 64);
 * const [gate, up] = [gates, ups].map((experts) => forwardExperts(experts, x, { sorted }));
 */
export function sortPairs(ids: Tensor, experts: number): SortedPairs {
  addSortText();
  const own = checkIds(ids);
  const count = wholeNumber(1)(experts, 'experts');
  const { device } = own;
  assertAlive(device);
  const pairs = pairsIn(own);
  if (pairs === 0) throw new ArgumentError('ids', 'at least one id', showShape(own.shape));
  const what = 'sorted pairs';
  const step = sortStep(capsOf(device), { pairs, experts: count, ids: own.offset });
  const words = sortedWords(pairs, count);
  const prepared = guarded(device, what, () => {
    const buffer = makeBuffer(device, { label: what, usage: BUFFER.output, size: 4 * words });
    return { buffer, recording: record(device, [step], (role) => (role === IDS ? own.buffer : buffer)) };
  });
  const { buffer, recording } = prepared.result;
  const sound = allTaken(pipelineErrors(device, [step]), prepared.errors);
  const taken = guardedSubmit(device, what, () => submit(device, 'antiquant sort', (pass) => encodeInto(pass, recording)));
  const sorted = Tensor.own(device, buffer, { shape: [words], dtype: 'int32', written: allTaken(own.written, sound, taken) });
  const result: SortedPairs = { ids: own, experts: count, sorted };
  Object.defineProperty(result, markOf('SortedPairs'), { value: VERSION });
  made.set(result, { recording, sound, holds: pairs });
  return result;
}

/**
 * @internal Pairs in memory of the caller's, for recorded steps: a step sorts them, or a dispatch of another kind does, in the form of
 * shaders/lib/experts.wgsl.
 */
export function pairsWithin(ids: Tensor, experts: number, sorted: Tensor): SortedPairs {
  const result: SortedPairs = { ids, experts, sorted };
  Object.defineProperty(result, markOf('SortedPairs'), { value: VERSION });
  made.set(result, { recording: undefined, sound: Promise.resolve(), holds: pairsIn(ids) });
  return result;
}

/** @internal Are they in memory of the caller's? Then they need no step that sorts. */
export const areWithin = (pairs: SortedPairs): boolean => made.get(pairs)?.recording === undefined && made.has(pairs);

/**
 * Records into the caller's pass: sorts the ids of that time. Allocates nothing. The pass's pipeline and bind group 0 are then others.
 * @throws ArgumentError, DeviceLostError
 */
export function encodeSortPairs(pass: GPUComputePassEncoder, pairs: SortedPairs): void {
  const how = assertSorted(pairs, 'pairs');
  const { recording, sound } = how;
  if (!recording) throw new ArgumentError('pairs', 'what sortPairs returned', 'pairs of recorded steps');
  encodeInto(checkPass(pass), recording);
  how.holds = pairsIn(pairs.ids);
  pairs.sorted.writtenBy(allTaken(pairs.ids.written, sound));
}

/**
 * Reads how many pairs each expert has; the last number counts the pairs whose id is no expert's.
 * @throws ArgumentError, ShaderError, GpuError, DeviceLostError
 */
export async function readPairCounts(pairs: SortedPairs): Promise<Uint32Array> {
  assertSorted(pairs, 'pairs');
  return pairCounts((await pairs.sorted.read()) as Int32Array, pairs.experts);
}

/** @internal What `encodeSortPairs` records, of the first `count` ids along their first axis or of all, and the buffers of its roles. */
export function sortingOf(pairs: SortedPairs, device: GPUDevice, { argument, count }: { argument: string; count: number | undefined }) {
  const how = assertSorted(pairs, argument, device);
  const first: SortedPairs = { ...pairs, ids: pairs.ids.first(count ?? pairs.ids.shape[0]!, `${argument}.ids`) };
  const { ids, experts, sorted } = first;
  const holds = pairsIn(ids);
  made.set(first, { ...how, holds });
  const buffers: Readonly<Record<string, GPUBuffer>> = { [IDS]: ids.buffer, [SORTED]: sorted.buffer };
  return {
    first,
    dispatches: [sortStep(capsOf(device), { pairs: holds, experts, ids: ids.offset })],
    scratch: {},
    buffer: (role: string): GPUBuffer | undefined => buffers[role],
    /** To be called when it is encoded. */
    encoded: (): void => {
      how.holds = holds;
    },
  };
}

/** @internal The recording of sorted pairs. @throws ArgumentError, DeviceLostError */
export function assertSorted(pairs: SortedPairs, argument: string, device?: GPUDevice): Made {
  const how = typeof pairs === 'object' && pairs !== null ? made.get(pairs) : undefined;
  if (!how) throw notOurs(argument, { what: 'SortedPairs', expected: 'what sortPairs returned' }, pairs);
  pairs.ids.assertUsable(`${argument}.ids`, device);
  pairs.sorted.assertUsable(`${argument}.sorted`, device);
  assertAlive(pairs.sorted.device);
  return how;
}
