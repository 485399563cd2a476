// What a caller asks of a product, and the call cache: a recorded call is used again for the same problem and the same buffers.

import { anything, finiteNumber, onlyFields, optional, reading } from '../arguments/check.js';
import { ArgumentError } from '../errors.js';
import { findingsOf } from '../gpu/device-findings.js';
import { allTaken, guarded, guardedSubmit, quiet, type Taken } from '../gpu/guard.js';
import { pipelineErrors } from '../gpu/pipeline.js';
import { encodeInto, type Recording, record, submit } from '../gpu/recording.js';
import { scratch, scratchNow } from '../gpu/scratch.js';
import { selfTested } from '../gpu/self-test.js';
import { Tensor } from '../gpu/tensor.js';
import type { IDS, SORTED } from '../plan/pair-steps.js';
import type { Plan } from '../plan/plan.js';
import { CALL_SCALE, ROW_SCALE, X_CODES } from '../plan/x-steps.js';
import { BEST_IDS, BEST_VALUES } from '../plan/y-steps.js';
import type { checkX } from '../problem/checks.js';
import type { ExpertPairs } from '../problem/experts.js';
import { sameData } from '../problem/key.js';
import { type Best, type Destination, makeProblem, type Problem } from '../problem/problem.js';
import type { RowScale } from '../problem/row-scale.js';
import { isContiguous, showShape } from '../problem/view.js';
import type { Digits } from '../problem/x-codes.js';
import { keptOutput, type LoadedWeights, type OutputBuffer, planFor, recycle, takeOutput } from './loaded-weights.js';

/** x, with its codes if it came quantized, and with its experts if there are many matrices. */
export interface Input {
  readonly x: Tensor;
  readonly codes?: Tensor;
  readonly digits?: Digits;
  /** Ids of experts, or pairs that came sorted. */
  readonly pairs?: { readonly role: typeof IDS | typeof SORTED; readonly tensor: Tensor; readonly experts: ExpertPairs };
  /** Rejects if the work that writes any of them failed. */
  readonly written: Taken | undefined;
}

/** Does y share a buffer with what is read? */
export const sharesBuffer = ({ x, codes, pairs }: Input, y: Tensor): boolean =>
  [x, codes, pairs?.tensor].some((tensor) => tensor?.buffer === y.buffer);

/** What a caller asks of one product beyond y = x · W + bias. */
export interface ProductOptions {
  /**
   * y = add + x · W + bias: the residual of a transformer's block, at no dispatch more. It is y itself, or another Tensor of the same
   * elements: one binding is then read and written. The sum is made in float32 and y is rounded once. Not for an int8 y.
   */
  readonly add?: Tensor | undefined;
  /**
   * What the sums of each row are multiplied by before the bias: float32 factors (M,), or RMSNorm's factor 1 / √(mean x² + epsilon) of each row
   * of a float32 tensor (M, D). With RMSNorm's weight in x already, the product is that of the norm. It is no dispatch more where one row
   * is multiplied and the tensor lies in x's buffer; otherwise x passes through rows in scratch memory. Not for quantized rows.
   */
  readonly rowScale?: RowScaled | undefined;
  /**
   * A float32 scale of each input (K,): x ∘ inputScale is multiplied, beside the layer's own scales of inputs. With RMSNorm's weight and its
   * factor as the `rowScale` it is that norm's product, in three dispatches; the twin of the product before saves two. Not for quantized rows.
   */
  readonly inputScale?: Tensor | undefined;
  /**
   * Where y's twin goes, y ∘ the scale of `leaveTwin`: a Tensor of y's dtype and shape in y's buffer, beside it. y and it are contiguous and
   * begin at multiples of four elements; N is one, too.
   */
  readonly twin?: Tensor | undefined;
}
/** What the sums of rows are multiplied by: float32 factors (M,), or the float32 rows (M, D) of RMSNorm's factors and their epsilon. */
export type RowScaled = Tensor | { readonly rms: Tensor; readonly epsilon: number };

const OPTIONS = onlyFields({
  add: optional(anything),
  rowScale: optional(anything),
  inputScale: optional(anything),
  twin: optional(anything),
});
/** Squares that float32 takes for 0 are nothing beside it. */
const LEAST_EPSILON = 1e-12;
const RMS = onlyFields({ rms: anything, epsilon: finiteNumber });

/** Factors of rows: how to read them, and whose buffer they are in. */
export interface ScaledBy {
  readonly rowScale: RowScale;
  readonly tensor: Tensor;
}

/** What a call multiplies x with on its way. */
export interface Scales {
  readonly scaled?: ScaledBy | undefined;
  readonly inputScale?: Tensor | undefined;
}
/** What a call asks for beyond the product. */
export interface Asked extends Scales {
  readonly adds: boolean;
  readonly twin: Tensor | undefined;
}
/** @throws ArgumentError */
export function askedOf(
  options: ProductOptions | undefined,
  { input, m, y }: { readonly input: Input; readonly m: number; readonly y: Tensor },
): Asked {
  if (options === undefined) return { adds: false, twin: undefined };
  const { add, rowScale, inputScale, twin } = OPTIONS(options, 'options');
  return {
    adds: add !== undefined && addsTo(y, add),
    ...scalesOf({ rowScale, inputScale }, { input, m, y }),
    twin: twin === undefined ? undefined : twinOf(twin, y),
  };
}

/** @throws ArgumentError */
function twinOf(given: unknown, y: Tensor): Tensor {
  const twin = Tensor.given(given, 'twin', y.device);
  if (twin.buffer !== y.buffer) throw new ArgumentError('twin', 'the buffer of y', 'another one');
  const same = twin.dtype === y.dtype && showShape(twin.shape) === showShape(y.shape) && isContiguous(twin) && isContiguous(y);
  if (!same) throw new ArgumentError('twin', `contiguous, as y: ${placeOf(y)}`, placeOf(twin));
  const apart = Math.abs(twin.offset - y.offset) >= y.shape.reduce((a, b) => a * b, 1);
  if (!apart) throw new ArgumentError('twin', 'elements that are not of y', `those from ${twin.offset} on, where y begins at ${y.offset}`);
  if (twin.offset % 4 !== 0) throw new ArgumentError('twin', 'a first element at a multiple of 4', String(twin.offset));
  return twin;
}

/** @internal Is it RMSNorm's factor, and no tensor of factors? */
export const ofSquares = (given: unknown): given is Exclude<RowScaled, Tensor> =>
  typeof given === 'object' && given !== null && reading('rowScale', () => 'rms' in given);

/** What a product into a new y can ask for: nothing that y must hold or lie beside. */
export type ForwardOptions = Pick<ProductOptions, 'rowScale' | 'inputScale'>;
/** @internal */
export const FORWARD = onlyFields({ rowScale: optional(anything), inputScale: optional(anything) });

/** @throws ArgumentError */
export function scalesOf(
  { rowScale, inputScale }: { readonly rowScale?: unknown; readonly inputScale?: unknown },
  of: { readonly input: Input; readonly m: number; readonly y?: Tensor },
): Scales {
  return {
    scaled: rowScale === undefined ? undefined : scaledBy(rowScale, of),
    inputScale: inputScale === undefined ? undefined : inputScaleOf(inputScale, of),
  };
}

/** @throws ArgumentError */
function inputScaleOf(given: unknown, { input, y }: { readonly input: Input; readonly y?: Tensor }): Tensor {
  const name = 'inputScale';
  const scale = Tensor.given(given, name, input.x.device);
  const k = input.x.shape.at(-1)!;
  const fits =
    scale.dtype === 'float32' && scale.format === 'ND' && scale.shape.length === 1 && scale.shape[0] === k && isContiguous(scale);
  if (!fits) throw new ArgumentError(name, `contiguous float32 (${k})`, placeOf(scale));
  if (scale.buffer === y?.buffer) throw new ArgumentError(name, 'another buffer than y', 'the same one');
  if (input.codes) throw new ArgumentError(name, 'none beside quantized rows', 'one');
  return scale;
}

/** @throws ArgumentError */
function scaledBy(given: unknown, { input, m, y }: { readonly input: Input; readonly m: number; readonly y?: Tensor }): ScaledBy {
  const isTensor = !ofSquares(given);
  const { rms, epsilon } = isTensor ? { rms: given, epsilon: 0 } : RMS(given, 'rowScale');
  const name = isTensor ? 'rowScale' : 'rowScale.rms';
  const tensor = Tensor.given(rms, name, input.x.device);
  const { shape, dtype, offset } = tensor;
  const rows = shape.slice(0, isTensor ? undefined : -1).reduce((a, b) => a * b, 1);
  if (dtype !== 'float32' || !isContiguous(tensor) || tensor.format !== 'ND')
    throw new ArgumentError(name, 'a contiguous float32 tensor', placeOf(tensor));
  if (rows !== m || (!isTensor && (shape.length < 1 || shape.at(-1) === 0)))
    throw new ArgumentError(name, isTensor ? `a factor for each of ${m} rows` : `(…, D) of ${m} rows`, showShape(shape));
  if (!isTensor && !(epsilon >= LEAST_EPSILON))
    throw new ArgumentError('rowScale.epsilon', `a number of at least ${LEAST_EPSILON}`, String(epsilon));
  if (tensor.buffer === y?.buffer) throw new ArgumentError(name, 'another buffer than y', 'the same one');
  if (input.codes) throw new ArgumentError(name, 'none beside quantized rows', 'one');
  const place = { beside: tensor.buffer === input.x.buffer, offset, by: 'rows' } as const;
  if (isTensor) return { tensor, rowScale: { ...place, of: 'factors' } };
  const width = shape.at(-1)!;
  return { tensor, rowScale: { ...place, of: 'rms', pitch: width, width, epsilon: Math.fround(epsilon) } };
}

const placeOf = ({ dtype, format, byteOffset, shape, strides }: Tensor): string =>
  `${format} ${dtype} ${showShape(shape)} of strides ${showShape(strides)} from byte ${byteOffset}`;

/** Is the product added to what y holds? @throws ArgumentError if `add` is not y, or if y is int8 */
function addsTo(y: Tensor, add: unknown): boolean {
  if (y.dtype === 'int8') throw new ArgumentError('add', 'none beside an int8 y', 'one');
  if (add === y) return true;
  const residual = Tensor.given(add, 'add', y.device);
  if (residual.buffer !== y.buffer) throw new ArgumentError('add', 'the buffer of y', 'another one');
  if (placeOf(residual) !== placeOf(y)) throw new ArgumentError('add', placeOf(y), placeOf(residual));
  return true;
}

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
 * @throws UnsupportedError, ShaderError
 */
export function callWithOutput(loaded: LoadedWeights, request: Request, size: number): { readonly call: Call; readonly y: OutputBuffer } {
  const problem = problemOf(loaded, request);
  const known = keptOutput(loaded, size);
  const kept = known && keptCall(loaded, problem, boundOf(request, known.buffer));
  if (kept) return { call: kept, y: takeOutput(loaded, size) };
  const plan = planFor(loaded, problem);
  const y = takeOutput(loaded, size);
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
