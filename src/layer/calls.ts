// The call cache: a recorded call is used again for the same problem and the same buffers.

import { findingsOf } from '../gpu/device-findings.js';
import { allTaken, guarded, guardedSubmit, quiet, type Taken } from '../gpu/guard.js';
import { pipelineErrors } from '../gpu/pipeline.js';
import { encodeInto, type Recording, record, submit } from '../gpu/recording.js';
import { scratch, scratchNow } from '../gpu/scratch.js';
import { selfTested } from '../gpu/self-test.js';
import type { Tensor } from '../gpu/tensor.js';
import { PAIR_WEIGHTS } from '../plan/pair-steps.js';
import type { Plan } from '../plan/plan.js';
import { CALL_SCALE, ROW_SCALE, X_CODES } from '../plan/x-steps.js';
import { BEST_IDS, BEST_VALUES } from '../plan/y-steps.js';
import type { checkX } from '../problem/checks.js';
import { sameData } from '../problem/key.js';
import { type Best, type Destination, makeProblem, type Problem } from '../problem/problem.js';
import type { Input, ScaledBy } from '../product/options.js';
import { keptOutput, type LoadedWeights, type OutputBuffer, planFor, recycle, takeOutput } from './loaded-weights.js';

/** A product to record, or to find in the cache. */
export interface Request {
  readonly input: Input;
  readonly rows: ReturnType<typeof checkX>;
  /** Position of the product in y's buffer. */
  readonly y: Destination;
  /** Is the product added to what y holds? */
  readonly adds?: boolean;
  readonly scaled?: ScaledBy | undefined;
  readonly inputScale?: Tensor | undefined;
  readonly twin?: Tensor | undefined;
  /** The best of each row is asked for in place of y: the product writes ids and values. */
  readonly best?: Best | undefined;
}

/** A product into the caller's tensors, whose arguments were checked. */
export interface Product {
  readonly loaded: LoadedWeights;
  readonly request: Request;
  /** The tensors that it writes; all lie in one buffer, but ids and values of the best. */
  readonly writes: readonly [Tensor, ...Tensor[]];
}

export interface Call {
  readonly recording: Recording;
  /** Rejects if the weights, a shader of the call, its self-test, its memory or its bindings failed. */
  readonly sound: Taken;
}
interface KeptCall extends Call {
  readonly problem: Problem;
  readonly scratch: ReadonlyMap<string, GPUBuffer>;
  /** `changes` of the device's findings at planning. */
  readonly changes: number;
}

/** A call's buffers from the caller, by role. All of them are part of the key. */
type Bound = Readonly<Record<string, GPUBuffer>>;

/** Each buffer of `Bound` leads weakly to the next, so that a call is dropped with any of its buffers. */
interface Node {
  readonly next: WeakMap<GPUBuffer, Node>;
  /** Of several problems (numbers of rows, strides) with these buffers; the one that was used last comes first. */
  readonly calls: KeptCall[];
}
const KEPT_CALLS = 8; // of the same buffers

const roots = new WeakMap<LoadedWeights, Node>();

function childOf<Key extends object>(nodes: WeakMap<Key, Node>, key: Key): Node {
  const known = nodes.get(key);
  if (known) return known;
  const node: Node = { next: new WeakMap(), calls: [] };
  nodes.set(key, node);
  return node;
}

function nodeOf(loaded: LoadedWeights, bound: Bound): Node {
  let node = childOf(roots, loaded);
  for (const role in bound) node = childOf(node.next, bound[role]!);
  return node;
}

/** @param second of values, where the best of each row is asked for: `first` is then of ids, and else of y */
const boundOf = ({ input: { x, codes, pairs }, scaled, inputScale, best }: Request, first: GPUBuffer, second?: GPUBuffer): Bound => ({
  x: x.buffer,
  ...(scaled && { [ROW_SCALE]: scaled.tensor.buffer }),
  ...(inputScale && { [CALL_SCALE]: inputScale.buffer }),
  ...(codes && { [X_CODES]: codes.buffer }),
  ...(pairs && { [pairs.role]: pairs.tensor.buffer }),
  ...(pairs?.weights && { [PAIR_WEIGHTS]: pairs.weights.buffer }),
  ...(best ? { [BEST_IDS]: first, [BEST_VALUES]: second! } : { y: first }),
});

const problemOf = (
  { spec, weights }: LoadedWeights,
  { input, rows: { m, view }, y, adds, scaled, inputScale, twin, best }: Request,
): Problem =>
  makeProblem(
    { spec, weights },
    {
      m,
      x: view,
      y,
      adds,
      twin: twin?.offset,
      best,
      rowScale: scaled?.rowScale,
      inputScale: inputScale?.offset,
      xDigits: input.digits,
      experts: input.pairs?.experts,
    },
  );

/** The recorded call of a product. @throws UnsupportedError, ShaderError */
export function callOf({ loaded, request, writes }: Product): Call {
  const problem = problemOf(loaded, request);
  const bound = boundOf(request, writes[0].buffer, writes[1]?.buffer);
  return keptCall(loaded, problem, bound) ?? makeCall(loaded, { problem, bound, plan: planFor(loaded, problem) });
}

/**
 * The recorded call into an output buffer of `size` bytes, recycled or new. A call that cannot be planned allocates nothing.
 * @param own the buffer is new, and the tensor's alone
 * @throws UnsupportedError, ShaderError
 */
export function callWithOutput(
  loaded: LoadedWeights,
  request: Request,
  size: number,
  own?: boolean,
): { readonly call: Call; readonly y: OutputBuffer } {
  const problem = problemOf(loaded, request);
  const known = own ? undefined : keptOutput(loaded, size);
  const kept = known && keptCall(loaded, problem, boundOf(request, known.buffer));
  if (kept) return { call: kept, y: takeOutput(loaded, size) };
  const plan = planFor(loaded, problem);
  const y = takeOutput(loaded, size, own);
  try {
    return { call: makeCall(loaded, { problem, plan, bound: boundOf(request, y.buffer) }), y };
  } catch (error) {
    recycle(loaded, y);
    throw error;
  }
}

function keptCall(loaded: LoadedWeights, problem: Problem, bound: Bound): Call | undefined {
  const { calls } = nodeOf(loaded, bound);
  const { device } = loaded;
  let at = 0;
  while (at < calls.length && !sameData(calls[at]!.problem, problem)) at++;
  const call = calls[at];
  if (!call) return undefined;
  const stands = call.changes === findingsOf(device).changes && scratchStands(device, call);
  if (stands && at === 0) return call;
  calls.splice(at, 1);
  if (!stands) return undefined;
  calls.unshift(call);
  return call;
}

function makeCall(loaded: LoadedWeights, { problem, bound, plan }: { problem: Problem; bound: Bound; plan: Plan }): Call {
  const { device, buffers, done, settings } = loaded;
  const { changes } = findingsOf(device);
  const made = Object.entries(plan.scratch).map(([role, size]) => [role, scratch(device, role, size)] as const);
  const temporary = new Map(made.map(([role, { buffer }]) => [role, buffer]));
  const find = (role: string): GPUBuffer => bound[role] ?? temporary.get(role) ?? buffers.get(role)!;
  const { result: recording, errors } = guarded(device, plan.kernel, () => record(device, plan.dispatches, find));
  const tested = settings.selfTest ? quiet(selfTested(device, plan)) : undefined;
  const memory = made.map(([, { ready }]) => ready);
  // A shader's error says more than the refusal of its bindings.
  const sound = allTaken(done, quiet(pipelineErrors(device, plan.dispatches)), tested, ...memory, errors);
  const call: KeptCall = { problem, recording, scratch: temporary, changes, sound };
  const { calls } = nodeOf(loaded, bound);
  calls.unshift(call);
  calls.length = Math.min(calls.length, KEPT_CALLS);
  sound.catch(() => {
    const at = calls.indexOf(call);
    if (at >= 0) calls.splice(at, 1); // recorded anew at the next try
  });
  return call;
}

/** Records a product into the caller's pass, and tells the tensors that it writes. @throws UnsupportedError, ShaderError */
export function encodeProduct(pass: GPUComputePassEncoder, product: Product): void {
  const { request, writes } = product;
  const { recording, sound } = callOf(product);
  encodeInto(pass, recording);
  const written = allTaken(request.input.written, request.scaled?.tensor.written, request.inputScale?.written, sound);
  for (const one of writes) one.writtenBy(request.adds ? allTaken(one.written, written) : written);
}

/** The plan of a product, and the buffers that its roles stand for, scratch excepted. @throws UnsupportedError */
export function planProduct({ loaded, request, writes }: Product): {
  readonly plan: Plan;
  readonly buffer: (role: string) => GPUBuffer | undefined;
} {
  const bound = boundOf(request, writes[0].buffer, writes[1]?.buffer);
  return { plan: planFor(loaded, problemOf(loaded, request)), buffer: (role) => bound[role] ?? loaded.buffers.get(role) };
}

/**
 * Submits calls in one pass. The promise rejects if their inputs were not written, if a call is not sound, or if the GPU refuses.
 * @param label names the pass
 */
export function run(device: GPUDevice, label: string, { calls, input }: { readonly calls: readonly Call[]; readonly input: Input }): Taken {
  const taken = guardedSubmit(device, label, () => {
    submit(device, `antiquant ${label}`, (pass) => {
      for (const { recording } of calls) encodeInto(pass, recording);
    });
  });
  // An earlier error says more than the GPU's refusal of the submit.
  return allTaken(input.written, ...calls.map(({ sound }) => sound), taken);
}

/** Are the recorded scratch buffers still current? Another call may have replaced them by larger ones. */
function scratchStands(device: GPUDevice, { scratch: used }: KeptCall): boolean {
  for (const [role, buffer] of used) if (scratchNow(device, role) !== buffer) return false;
  return true;
}
