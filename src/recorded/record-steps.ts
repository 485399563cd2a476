// recordSteps and replay: a list of steps, recorded once; replaying sets pipelines and bind groups and dispatches, and does nothing else.
import { anything, list, object, onlyFields, optional, reading, wholeNumber } from '../arguments/check.js';
import { markOf, notOurs } from '../arguments/copies.js';
import { checkDevice, checkPass } from '../arguments/gpu-objects.js';
import { showValue } from '../arguments/show-value.js';
import { ArgumentError } from '../errors.js';
import { assertAlive } from '../gpu/device.js';
import { type State as Findings, findingsOf } from '../gpu/device-findings.js';
import { ends } from '../gpu/ends.js';
import { allTaken, type Taken } from '../gpu/guard.js';
import type { Tensor } from '../gpu/tensor.js';
import { VERSION } from '../version.js';
import { type Built, build, inStep, type Sequence, weightsNow } from './build.js';
import { type CheckedStep, kinds } from './kinds.js';
import type { Step } from './steps.js';

/** Steps that `replay` encodes. */
export interface Recorded {
  readonly device: GPUDevice;
  /** The numbers of rows that were recorded; empty if the tensors were recorded as they are. */
  readonly rows: readonly number[];
  /** Frees the recording's buffers. Submit passes that hold a replay before. */
  destroy(): void;
}

interface State {
  readonly device: GPUDevice;
  readonly findings: Findings;
  readonly steps: readonly CheckedStep[];
  readonly rows: readonly (number | undefined)[];
  /** What comes from outside: read by a step before any step writes it. */
  readonly reads: readonly Tensor[];
  readonly writes: readonly Tensor[];
  built: Built;
  /** `written` of `reads` when the promise below was made. */
  seen: readonly (Taken | undefined)[];
  /** Rejects if the build is not sound, or what it reads was not written. It goes to all that the steps write. */
  written: Taken | undefined;
  destroyed: boolean;
}
const states = new WeakMap<Recorded, State>();

const OPTIONS = onlyFields({ rows: optional(list(wholeNumber(1))) });

/** @throws ArgumentError, UnsupportedError, DeviceLostError */
export function checkStep(given: unknown, i: number, context: { readonly device: GPUDevice; readonly rows: State['rows'] }): CheckedStep {
  const names = reading(`steps[${i}]`, () => Object.keys(object(given, `steps[${i}]`)));
  const kind = Object.keys(kinds).find((name) => names.includes(name));
  if (kind === undefined) throw new ArgumentError(`steps[${i}]`, `a step with ${Object.keys(kinds).join(' or ')}`, showValue(given));
  return inStep(i, () => kinds[kind]!(given, context));
}

/** Tensors that come from outside, and all that are written, each once. Views share what they are. */
function flowOf(steps: readonly CheckedStep[]): Pick<State, 'reads' | 'writes'> {
  const [reads, writes] = [new Map<object, Tensor>(), new Map<object, Tensor>()];
  for (const step of steps) {
    for (const one of step.reads) if (!writes.has(one.storage)) reads.set(one.storage, one);
    for (const one of step.writes) writes.set(one.storage, one);
  }
  return { reads: [...reads.values()], writes: [...writes.values()] };
}

/**
 * Records steps once, for `replay` to encode any number of times. Everything is checked, planned and allocated here: shaders compile (call
 * `prepare` before), and scratch memory is the recording's own. Results equal those of `encode` in every bit.
 *
 * What a step uses may change: weights that are loaded again or moved by `forwardMany`, a variant that fails its self-test, a new measured
 * choice. The next replay then records anew. A layer or a tensor that was destroyed makes it throw. Buffers that you wrapped and the objects
 * of your own dispatches are yours to keep.
 * @param steps plain data; `Step` lists the kinds
 * @param options.rows records the steps for each of these numbers of rows: tensors are cut along their first axis, which must have as many.
 *   Each number has its own dispatches, since the kernel, the grid and the scratch memory depend on it. Without it tensors are recorded as
 *   they are
 * @throws ArgumentError, which names the step (`steps[2].y`), UnsupportedError, ShaderError, DeviceLostError
 * @example
 * const recorded = recordSteps(device, [{ layers: [gate, up], x, ys: [a, b] }, { layer: down, x: c, y }], { rows: [1, 8, 128] });
 * replay(pass, recorded, 8);
 */
export function recordSteps(device: GPUDevice, steps: readonly Step[], options: { readonly rows?: readonly number[] } = {}): Recorded {
  checkDevice(device);
  assertAlive(device);
  const numbers = OPTIONS(options, 'options').rows;
  if (numbers?.length === 0) throw new ArgumentError('rows', 'at least one number of rows', 'none');
  const rows: State['rows'] = numbers ? [...new Set(numbers)] : [undefined];
  const checked = list(anything)(steps, 'steps').map((step, i) => checkStep(step, i, { device, rows }));
  const built = build(device, checked, { rows });
  const fresh = { seen: [], written: undefined, destroyed: false };
  const state: State = { device, findings: findingsOf(device), steps: checked, rows, ...flowOf(checked), built, ...fresh };
  const recorded: Recorded = { device, rows: [...new Set(numbers)], destroy: () => free(state) };
  Object.defineProperty(recorded, markOf('Recorded'), { value: VERSION });
  states.set(recorded, state);
  return recorded;
}

/**
 * Encodes recorded steps into the caller's pass: pipelines, bind groups, dispatches. It makes nothing, checks no step, and costs what a bare
 * loop costs, unless something has changed (`recordSteps`). The pass's pipeline and bind groups are then others. Errors that only the GPU can
 * find reach `read` of every tensor that the steps write.
 * @param rows one of the numbers that were recorded; none if tensors were recorded as they are
 * @throws ArgumentError if a layer, a tensor or the recording is destroyed, or `rows` were not recorded; UnsupportedError, ShaderError,
 *   DeviceLostError
 * @example
 * const pass = encoder.beginComputePass();
 * replay(pass, recorded);
 * pass.end();
 */
export function replay(pass: GPUComputePassEncoder, recorded: Recorded, rows?: number): void {
  const state = stateOf(recorded);
  const into = checkPass(pass);
  const sequence = sequenceOf(state, recorded, rows);
  for (const { pipeline, bindGroups, x, y, z } of sequence.entries) {
    if (pipeline) into.setPipeline(pipeline);
    for (let i = 0; i < bindGroups.length; i++) into.setBindGroup(i, bindGroups[i]!);
    into.dispatchWorkgroups(x, y, z);
  }
  const written = tell(state);
  for (const encoded of sequence.encoded) encoded(written);
}

/** What a replay dispatches, in order: the label of the pipeline, and the number of the step. @throws as replay */
export function dispatchesOf(recorded: Recorded, rows?: number): readonly { readonly label: string; readonly step: number }[] {
  let label = '';
  return sequenceOf(stateOf(recorded), recorded, rows).entries.map(({ pipeline, step }) => {
    if (pipeline) ({ label } = pipeline);
    return { label, step };
  });
}

/** What `rows` replay, as things stand now. @throws as replay */
function sequenceOf(state: State, recorded: Recorded, rows: number | undefined): Sequence {
  assertAlive(state.device);
  const { built, findings } = state;
  if (built.ends !== ends.count || built.changes !== findings.changes || built.failed) refresh(state);
  const sequence = state.built.sequences.get(rows);
  if (sequence) return sequence;
  throw new ArgumentError('rows', recorded.rows.join(' or ') || 'none: the tensors were recorded as they are', showValue(rows));
}

/** @throws ArgumentError */
function stateOf(recorded: Recorded): State {
  const state = typeof recorded === 'object' && recorded !== null ? states.get(recorded) : undefined;
  if (!state) throw notOurs('recorded', { what: 'Recorded', expected: 'what recordSteps returned' }, recorded);
  if (state.destroyed) throw new ArgumentError('recorded', 'a live recording', 'a destroyed one');
  return state;
}

/** Looks whether all that the steps use is as it was, and else builds anew. Passes that hold an earlier replay keep their buffers. */
function refresh(state: State): void {
  const { built, steps, device, rows, findings } = state;
  const weights = weightsNow(steps);
  const alive = steps.every(({ reads, writes }) => [...reads, ...writes].every(({ destroyed }) => !destroyed));
  if (alive && !built.failed && built.changes === findings.changes && weights.every((own, i) => own === built.weights[i])) {
    built.ends = ends.count;
    return;
  }
  state.built = build(device, steps, { rows, kept: built.failed ? undefined : built.scratch });
  state.written = undefined;
}

/** Tells all that the steps write by what it is written. The promise is made again only if what they read was written by something else. */
function tell(state: State): Taken {
  const { reads, writes, seen, built } = state;
  let same = state.written !== undefined;
  for (let i = 0; same && i < reads.length; i++) {
    const { written } = reads[i]!;
    same = written === seen[i] || written === state.written;
  }
  if (!same) {
    state.seen = reads.map(({ written }) => written);
    state.written = allTaken(...state.seen, built.sound);
  }
  const now = state.written!;
  for (const one of writes) one.writtenBy(now);
  return now;
}

function free(state: State): void {
  const { scratch, uniforms } = state.built;
  for (const buffer of [uniforms, ...scratch.values()]) buffer.destroy();
  state.destroyed = true;
}
