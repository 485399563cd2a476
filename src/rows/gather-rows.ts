// gatherRows: rows of a layer's weights as floats, named by ids on the GPU: a language model's embedding, of the weights that its head has.

import { anything, oneOf, onlyFields, optional } from '../arguments/check.js';
import { checkPass } from '../arguments/gpu-objects.js';
import { BYTES, type FloatDType, wholeWords } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { BUFFER, makeBuffer } from '../gpu/buffers.js';
import { allTaken, guarded, guardedSubmit, type Taken } from '../gpu/guard.js';
import { pipelineErrors } from '../gpu/pipeline.js';
import { encodeInto, type Recording, record, submit } from '../gpu/recording.js';
import { Tensor } from '../gpu/tensor.js';
import { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import { type LoadedWeights, recycle, takeOutput } from '../layer/loaded-weights.js';
import { IDS } from '../plan/pair-steps.js';
import { OUTSIDE, type RowsAsked, rowSteps } from '../plan/row-steps.js';
import { checkIds, checkRowsY } from '../problem/checks.js';
import { sameData } from '../problem/key.js';
import { addRowsText } from '../wgsl/rows-text.js';

/** Where rows of weights go. */
export interface GatherOptions {
  /** (…, K), contiguous, of floats. Without it a new one is made. */
  readonly y?: Tensor;
  /** Of y. Default the layer's. */
  readonly dtype?: FloatDType;
}
const OPTIONS = onlyFields({ y: anything, dtype: optional(oneOf<FloatDType>('float32', 'float16', 'bfloat16')) });

/** A recording for these weights and buffers, and its errors. */
interface Call {
  readonly asked: RowsAsked;
  readonly recording: Recording;
  readonly sound: Taken;
}
/** By the weights, then by the buffer of ids and that of y: each leads weakly to the next. Weights that moved are others. */
const calls = new WeakMap<LoadedWeights, WeakMap<GPUBuffer, WeakMap<GPUBuffer, Call>>>();
interface Counter {
  /** One int32: how many ids named no row. */
  readonly counter: Tensor;
  /** Rejects if there was no memory for it. */
  readonly memory: Taken;
}
/** Of each layer that gathered rows. */
const counters = new WeakMap<LinearWeightQuant, Counter>();

/**
 * Rows of the layer's weights: y[i] = W[ids[i]], as `dequantize` has it, rounded once to y's dtype. So inputs come in the order of x, and each
 * is multiplied by its inputScale if there are such scales. Bias and weightRounding have no part in it. Enqueues and does not wait. With the
 * same buffers as before it allocates nothing but a y of its own; destroying that gives its buffer back to the layer.
 * @param ids int32 (…), contiguous. One that is not 0 … N - 1 makes a row of zeros, and `readOutOfRange` counts it
 * @returns y (…, K): the given one, or a new one
 * @throws ArgumentError, UnsupportedError if a row exceeds a binding, ShaderError, DeviceLostError
 * @example
 * const x = gatherRows(head, tokens); // the embedding, of the same weights as the head
 */
export function gatherRows(layer: LinearWeightQuant, ids: Tensor, options: GatherOptions = {}): Tensor {
  const { y: into, dtype } = OPTIONS(options, 'options');
  const { own, loaded } = ownOf(layer);
  const rows = Tensor.given(ids, 'ids', own.device);
  checkIds(rows);
  const y = into === undefined ? newY(loaded, rows, dtype ?? loaded.spec.dtype) : yOf(loaded, { rows, into: into as Tensor, dtype });
  if (elements(rows) === 0) return y;
  try {
    const { recording, sound } = callOf(own, loaded, { rows, y });
    const { device } = own;
    const taken = guardedSubmit(device, 'rows', () => submit(device, 'antiquant rows', (pass) => encodeInto(pass, recording)));
    const memory = into === undefined ? y.written : undefined;
    writtenBy(own, y, allTaken(memory, rows.written, sound, taken));
    return y;
  } catch (error) {
    if (into === undefined) y.destroy();
    throw error;
  }
}

/**
 * Records into the caller's pass: y = gatherRows(layer, ids) of the ids of that time. With the same buffers as before it allocates nothing.
 * The pass's pipeline and bind group 0 are then others. Record again once the layer's weights have moved (`layer.packed`).
 * @param y (…, K), contiguous, in another buffer than ids
 * @throws ArgumentError, UnsupportedError, ShaderError, DeviceLostError
 */
export function encodeGatherRows(pass: GPUComputePassEncoder, layer: LinearWeightQuant, ids: Tensor, y: Tensor): void {
  const { own, loaded, rows, into } = placedOf(layer, ids, y);
  const target = checkPass(pass);
  if (elements(rows) === 0) return;
  const { recording, sound } = callOf(own, loaded, { rows, y: into });
  encodeInto(target, recording);
  writtenBy(own, into, allTaken(rows.written, sound));
}

/**
 * @internal What a recording needs to do as `encodeGatherRows`; undefined for no ids.
 * @param counted are ids that name no row counted?
 * @throws ArgumentError, UnsupportedError
 */
export function gatheringOf(
  layer: LinearWeightQuant,
  { ids, y, counted }: { readonly ids: Tensor; readonly y: Tensor; readonly counted: boolean },
) {
  const { own, loaded, rows, into } = placedOf(layer, ids, y);
  if (elements(rows) === 0) return undefined;
  let kept: Counter | undefined;
  /** It is made when it is first bound: a recording that is refused makes no buffer. */
  const counting = (): Counter => (kept ??= counterOf(own));
  const buffers: Readonly<Record<string, GPUBuffer>> = { [IDS]: rows.buffer, y: into.buffer };
  return {
    dispatches: stepsOf(loaded, { ...askedOf(rows, into), counted }),
    scratch: {},
    buffer: (role: string): GPUBuffer | undefined =>
      role === OUTSIDE ? counting().counter.buffer : (buffers[role] ?? loaded.buffers.get(role)),
    /** To be called when it is recorded. */
    sound: (): Taken => (counted ? allTaken(loaded.done, counting().memory) : loaded.done),
    /** To be called when it is encoded. */
    encoded: (work: Taken): void => {
      if (counted) counting().counter.writtenBy(work);
    },
  };
}

/**
 * Reads how many ids of all calls so far named no row of this layer.
 * @throws ArgumentError, UnsupportedError, ShaderError, GpuError, DeviceLostError
 * @example if ((await readOutOfRange(head)) > 0) throw new Error('a token is no row of the embedding');
 */
export async function readOutOfRange(layer: LinearWeightQuant): Promise<number> {
  const { own } = ownOf(layer);
  const known = counters.get(own);
  return known ? ((await known.counter.read()) as Int32Array)[0]! >>> 0 : 0;
}

// --------------------------------------------------------------------------------------------------------------- inside

function ownOf(layer: LinearWeightQuant): { readonly own: LinearWeightQuant; readonly loaded: LoadedWeights } {
  addRowsText();
  const own = LinearWeightQuant.given(layer, 'layer');
  const { loaded } = own;
  if (loaded.weights.glu) throw new ArgumentError('layer', 'weights of one matrix', 'gate and up for a gated linear unit');
  return { own, loaded };
}

/** The checked arguments of a gather into the caller's y. @throws ArgumentError, DeviceLostError */
function placedOf(layer: LinearWeightQuant, ids: Tensor, y: Tensor) {
  const { own, loaded } = ownOf(layer);
  const rows = Tensor.given(ids, 'ids', own.device);
  checkIds(rows);
  return { own, loaded, rows, into: yOf(loaded, { rows, into: y, dtype: undefined }) };
}

const elements = ({ shape }: Tensor): number => shape.reduce((a, b) => a * b, 1);

function newY(loaded: LoadedWeights, rows: Tensor, dtype: FloatDType): Tensor {
  const { k } = loaded.weights;
  const y = takeOutput(loaded, wholeWords(elements(rows) * k * BYTES[dtype]));
  const form = { shape: [...rows.shape, k], dtype };
  return Tensor.own(loaded.device, y.buffer, { ...form, release: () => recycle(loaded, y), written: y.ready });
}

function yOf(
  { device, weights: { k } }: LoadedWeights,
  { rows, into, dtype }: { readonly rows: Tensor; readonly into: Tensor; readonly dtype: FloatDType | undefined },
): Tensor {
  const y = Tensor.given(into, 'y', device);
  checkRowsY({ k, m: elements(rows), dtype }, y);
  if (y.buffer === rows.buffer) throw new ArgumentError('y', 'another buffer than ids', 'the same one');
  return y;
}

const askedOf = (rows: Tensor, y: Tensor): RowsAsked => ({
  m: elements(rows),
  ids: rows.offset,
  y: y.offset,
  yDtype: y.dtype as FloatDType,
});

const stepsOf = ({ weights, packed, settings }: LoadedWeights, asked: RowsAsked) =>
  rowSteps({ weights, packed, caps: settings.caps }, asked);

/** The recorded call, or a new one. @throws UnsupportedError, ShaderError */
function callOf(own: LinearWeightQuant, loaded: LoadedWeights, { rows, y }: { readonly rows: Tensor; readonly y: Tensor }): Call {
  const { device, buffers, done } = loaded;
  const asked = askedOf(rows, y);
  const ofIds = within(within(calls, loaded), rows.buffer);
  const known = ofIds.get(y.buffer);
  if (known && sameData(known.asked, asked)) return known;
  const steps = stepsOf(loaded, asked);
  const { counter, memory } = counterOf(own);
  const given: Readonly<Record<string, GPUBuffer>> = { [IDS]: rows.buffer, y: y.buffer, [OUTSIDE]: counter.buffer };
  const { result: recording, errors } = guarded(device, 'rows', () => record(device, steps, (role) => given[role] ?? buffers.get(role)!));
  const call: Call = { asked, recording, sound: allTaken(done, pipelineErrors(device, steps), memory, errors) };
  ofIds.set(y.buffer, call);
  call.sound.catch(() => {
    if (ofIds.get(y.buffer) === call) ofIds.delete(y.buffer); // recorded anew at the next try
  });
  return call;
}

const counterOf = (own: LinearWeightQuant): Counter => counters.get(own) ?? newCounter(own);

function newCounter(own: LinearWeightQuant): Counter {
  const { device } = own;
  const what = 'ids out of range';
  const { result, errors } = guarded(device, what, () => makeBuffer(device, { label: what, usage: BUFFER.output, size: 4 }));
  const made: Counter = { counter: Tensor.own(device, result, { shape: [1], dtype: 'int32', written: errors }), memory: errors };
  counters.set(own, made);
  errors.catch(() => {
    if (counters.get(own) === made) counters.delete(own); // made anew at the next try
  });
  return made;
}

/** From now on this work writes y, and counts ids. */
function writtenBy(own: LinearWeightQuant, y: Tensor, work: Taken): void {
  y.writtenBy(work);
  counters.get(own)?.counter.writtenBy(work);
}

function within<Key extends object, Value extends object>(
  map: WeakMap<Key, WeakMap<GPUBuffer, Value>>,
  key: Key,
): WeakMap<GPUBuffer, Value> {
  const known = map.get(key) ?? new WeakMap<GPUBuffer, Value>();
  map.set(key, known);
  return known;
}
