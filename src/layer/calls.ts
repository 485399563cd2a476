// Recorded calls, used again when a call has the same problem and the same buffers. The weights know nothing of them.
import { findingsOf } from '../gpu/device-findings.js';
import { pipelineErrors } from '../gpu/pipeline.js';
import { type Recording, record } from '../gpu/recording.js';
import { scratch } from '../gpu/scratch.js';
import { selfTested } from '../gpu/self-test.js';
import type { Tensor } from '../gpu/tensor.js';
import { X_CODES } from '../plan/x-steps.js';
import type { checkX } from '../problem/checks.js';
import { sameData } from '../problem/key.js';
import { type Destination, makeProblem, type Problem } from '../problem/problem.js';
import type { Digits } from '../problem/x-codes.js';
import { keptOutput, type LoadedWeights, planFor, takeOutput } from './loaded-weights.js';

/** What is multiplied: x, and its codes if it came quantized. */
export interface Input {
  readonly x: Tensor;
  readonly codes?: Tensor;
  readonly digits?: Digits;
  /** Rejects if the codes could not be made. */
  readonly written?: Promise<void>;
}

/** Would writing y overwrite what is read? */
export const sharesBuffer = ({ x, codes }: Input, y: Tensor): boolean => y.buffer === x.buffer || y.buffer === codes?.buffer;

/** One product to be recorded or found. */
export interface Request {
  readonly input: Input;
  readonly rows: ReturnType<typeof checkX>;
  /** Where in y's buffer the product goes. */
  readonly y: Destination;
}

export interface Call {
  readonly recording: Recording;
  /** Rejects if a shader of the call, its self-test, or what came before it, failed. */
  readonly written: Promise<void>;
}
interface KeptCall extends Call {
  readonly problem: Problem;
  readonly scratch: ReadonlyMap<string, GPUBuffer>;
  /** `changes` of the device's findings when it was planned. */
  readonly changes: number;
}

/** The caller's buffers of a call, by role. All of them are its key. */
type Bound = Readonly<Record<string, GPUBuffer>>;

/** A call is forgotten with any of its buffers: each buffer of `Bound` leads, weakly, to the next. */
interface Node {
  readonly next: WeakMap<GPUBuffer, Node>;
  call?: KeptCall;
}
const roots = new WeakMap<LoadedWeights, Node>();

function childOf<Key extends object>(nodes: WeakMap<Key, Node>, key: Key): Node {
  const known = nodes.get(key);
  if (known) return known;
  const node: Node = { next: new WeakMap() };
  nodes.set(key, node);
  return node;
}

function nodeOf(loaded: LoadedWeights, bound: Bound): Node {
  let node = childOf(roots, loaded);
  for (const role in bound) node = childOf(node.next, bound[role]!);
  return node;
}

const boundOf = ({ input: { x, codes } }: Request, y: GPUBuffer): Bound =>
  codes ? { x: x.buffer, [X_CODES]: codes.buffer, y } : { x: x.buffer, y };

const problemOf = ({ spec, weights }: LoadedWeights, { input, rows: { m, view }, y }: Request): Problem =>
  makeProblem({ spec, weights }, { m, x: view, y, xDigits: input.digits });

/** The recorded call into the buffer `y`. @throws UnsupportedError, ShaderError */
export function callInto(loaded: LoadedWeights, request: Request, y: GPUBuffer): Call {
  const problem = problemOf(loaded, request);
  const bound = boundOf(request, y);
  return keptCall(loaded, problem, bound) ?? makeCall(loaded, { problem, bound, quantized: request.input.written });
}

/**
 * The recorded call into an output buffer of `size` bytes, which was given back or is new. What cannot be planned allocates nothing.
 * @throws UnsupportedError, ShaderError
 */
export function callWithOutput(loaded: LoadedWeights, request: Request, size: number): { readonly call: Call; readonly y: GPUBuffer } {
  const problem = problemOf(loaded, request);
  const known = keptOutput(loaded, size);
  const kept = known && keptCall(loaded, problem, boundOf(request, known));
  if (kept) return { call: kept, y: takeOutput(loaded, size) };
  const plan = planFor(loaded, problem);
  const y = takeOutput(loaded, size);
  return { call: makeCall(loaded, { problem, plan, bound: boundOf(request, y), quantized: request.input.written }), y };
}

function keptCall(loaded: LoadedWeights, problem: Problem, bound: Bound): Call | undefined {
  const { call } = nodeOf(loaded, bound);
  const { device } = loaded;
  const stands = call && call.changes === findingsOf(device).changes && sameData(call.problem, problem) && scratchStands(device, call);
  return stands ? call : undefined;
}

function makeCall(
  loaded: LoadedWeights,
  {
    problem,
    bound,
    quantized,
    plan = planFor(loaded, problem),
  }: { problem: Problem; bound: Bound; quantized: Promise<void> | undefined; plan?: ReturnType<typeof planFor> },
): Call {
  const { device, buffers, done, settings } = loaded;
  const { changes } = findingsOf(device);
  const temporary = new Map(Object.entries(plan.scratch).map(([role, size]) => [role, scratch(device, role, size)]));
  const recording = record(device, plan.dispatches, (role) => bound[role] ?? temporary.get(role) ?? buffers.get(role)!);
  const tested = settings.selfTest ? selfTested(device, plan) : undefined;
  const written = Promise.all([done, quantized, pipelineErrors(device, plan.dispatches), tested]).then(() => {});
  written.catch(() => {}); // reported by reading an output
  const call: KeptCall = { problem, recording, scratch: temporary, changes, written };
  nodeOf(loaded, bound).call = call;
  return call;
}

/** Scratch buffers are shared: another call may have grown them, which replaces them. */
function scratchStands(device: GPUDevice, { scratch: used }: KeptCall): boolean {
  for (const [role, buffer] of used) if (scratch(device, role, 1) !== buffer) return false;
  return true;
}
