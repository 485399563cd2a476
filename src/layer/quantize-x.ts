// quantizeRows: quantizes x to int8 codes once for all layers that read it.

import { fields, oneOf, optional } from '../arguments/check.js';
import { markOf, notOurs, versionOf } from '../arguments/copies.js';
import { checkPass } from '../arguments/gpu-objects.js';
import type { FloatDType } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { BUFFER, makeBuffer } from '../gpu/buffers.js';
import { assertAlive, capsOf } from '../gpu/device.js';
import { allTaken, guarded, guardedSubmit, type Taken } from '../gpu/guard.js';
import { pipelineErrors } from '../gpu/pipeline.js';
import { encodeInto, type Recording, record, submit } from '../gpu/recording.js';
import { scratch } from '../gpu/scratch.js';
import { Tensor } from '../gpu/tensor.js';
import { quantizeAll, X_CODES } from '../plan/x-steps.js';
import { checkX, FLOATS } from '../problem/checks.js';
import { CODE_BITS, type CodeBits } from '../problem/code-width.js';
import { type Digits, decodeQuantized, pitchWords, type QuantizedNumbers } from '../problem/x-codes.js';
import type { Input } from '../product/options.js';
import { VERSION } from '../version.js';
import type { LoadedWeights } from './loaded-weights.js';

/** An x (…, K) with its codes on the GPU. `forward` and `encode` of a layer take it in place of x. */
export interface QuantizedRows {
  /** The tensor that was quantized. It stays in use: results that are not finite are computed again from it. */
  readonly x: Tensor;
  /** (M, pitch) int32 words: blocks of 32 k, with their codes, step and sum (docs/format.md). */
  readonly codes: Tensor;
  /** Bits that the weights' codes are held in; the order of the codes of x depends on them. */
  readonly held: CodeBits;
  /** int8 digits of an x. */
  readonly digits: Digits;
}

/** The recording that makes the codes, and its errors. Steps of a caller's make codes in memory of the caller's. */
interface Made {
  readonly recording: Recording | undefined;
  readonly sound: Taken;
}
// Only these fields are read, so a layer may be passed as options.
const OPTIONS = fields({ held: oneOf(...CODE_BITS), digits: optional(oneOf<Digits>(1, 2)) });

/** The recording of each QuantizedRows. A value that is missing here is not a QuantizedRows. */
const made = new WeakMap<QuantizedRows, Made>();

/**
 * Rounds x (…, K) to int8 codes. Every 32 k of a row have one step: largest |x| / 127. Enqueues and does not wait. The codes fit every
 * layer of K inputs that holds its codes in `held` bits, for any groups. `codes.destroy()` frees them; keep x unchanged until then.
 * @param options.held bits that the layers hold a code in (`layer.held`); a loaded layer may be passed as `options`
 * @param options.digits 1: |x - codes| ≤ 0.4 % of the block's largest |x|; 2: 0.0016 %, for twice the products
 * @throws ArgumentError, UnsupportedError if the codes exceed the device's largest buffer, DeviceLostError
 * @example
 * const q = quantizeRows(x, queries);
 * const [a, b, c] = [queries, keys, values].map((layer) => layer.forward(q));
 */
export function quantizeRows(x: Tensor, options: { readonly held: CodeBits; readonly digits?: Digits }): QuantizedRows {
  const { held, digits = 1 } = OPTIONS(options, 'options');
  const own = Tensor.given(x, 'x');
  if (!FLOATS.includes(own.dtype)) throw new ArgumentError('x', `dtype ${FLOATS.join(' or ')}`, own.dtype);
  const { device } = own;
  const { m, ...plan } = planCodes(own, { held, digits });
  const pitch = pitchWords(own.shape.at(-1)!, digits);
  const what = 'codes of x';
  const temporary = new Map(Object.entries(plan.scratch).map(([role, size]) => [role, scratch(device, role, size)] as const));
  const prepared = guarded(device, what, () => {
    const buffer = makeBuffer(device, { label: what, usage: BUFFER.output, size: 4 * m * pitch });
    const roles: Readonly<Record<string, GPUBuffer>> = { x: own.buffer, [X_CODES]: buffer };
    return { buffer, recording: record(device, plan.dispatches, (role) => roles[role] ?? temporary.get(role)!.buffer) };
  });
  const { buffer, recording } = prepared.result;
  const memory = [...temporary.values()].map(({ ready }) => ready);
  const sound = allTaken(...memory, pipelineErrors(device, plan.dispatches), prepared.errors);
  const taken = guardedSubmit(device, what, () => submit(device, 'antiquant quantize', (pass) => encodeInto(pass, recording)));
  const codes = Tensor.own(device, buffer, { shape: [m, pitch], dtype: 'int32', written: allTaken(own.written, sound, taken) });
  const rows: QuantizedRows = { x: own, codes, held, digits };
  Object.defineProperty(rows, markOf('QuantizedRows'), { value: VERSION });
  made.set(rows, { recording, sound });
  return rows;
}

/**
 * @internal Codes of x in a tensor that is there, int32 (M, `pitchWords`): a step of a recording makes them.
 */
export function quantizedWithin(x: Tensor, held: CodeBits, codes: Tensor): QuantizedRows {
  const rows: QuantizedRows = { x, codes, held, digits: 1 };
  made.set(rows, { recording: undefined, sound: Promise.resolve() });
  return rows;
}

/** The dispatches that make the codes of x, of which there are m rows. @throws ArgumentError, UnsupportedError */
function planCodes(x: Tensor, { held, digits }: Pick<QuantizedRows, 'held' | 'digits'>) {
  const k = x.shape.at(-1)!;
  const xDtype = x.dtype as FloatDType;
  const { m, view } = checkX({ inFeatures: k, dtype: xDtype }, x);
  const problem = { m, xDtype, x: view, weights: { k, held, permuted: false, inputScaled: false } };
  return { m, ...quantizeAll({ problem, caps: capsOf(x.device) }, digits) };
}

/** @internal Is it what `quantizeRows` returned? */
export const isQuantized = (value: unknown): value is QuantizedRows => made.has(value as QuantizedRows);

/** @internal The same codes, of the first `count` of x along its first axis. @throws ArgumentError, DeviceLostError */
export function firstQuantized(rows: QuantizedRows, count: number, argument: string): QuantizedRows {
  const how = assertQuantized(rows, argument);
  const first: QuantizedRows = { ...rows, x: rows.x.first(count, `${argument}.x`) };
  made.set(first, how);
  return first;
}

/** @internal What `encodeQuantizeRows` records, and the buffers of its roles. @throws ArgumentError, UnsupportedError, DeviceLostError */
export function quantizingOf(rows: QuantizedRows, device: GPUDevice, argument: string) {
  assertQuantized(rows, argument, device);
  const buffers: Readonly<Record<string, GPUBuffer>> = { x: rows.x.buffer, [X_CODES]: rows.codes.buffer };
  return { ...planCodes(rows.x, rows), buffer: (role: string): GPUBuffer | undefined => buffers[role] };
}

/**
 * Records into the caller's pass: quantizes the x of that time. Allocates nothing. The pass's pipeline and bind group 0 are then
 * others, as after `encode` of a layer.
 * @throws ArgumentError, DeviceLostError
 */
export function encodeQuantizeRows(pass: GPUComputePassEncoder, rows: QuantizedRows): void {
  const { recording, sound } = assertQuantized(rows, 'rows');
  if (!recording) throw new ArgumentError('rows', 'what quantizeRows returned', 'codes of recorded steps');
  encodeInto(checkPass(pass), recording);
  rows.codes.writtenBy(allTaken(rows.x.written, sound));
}

/** The codes, steps and sums as numbers. @throws ArgumentError, ShaderError, DeviceLostError */
export async function readQuantizedRows(rows: QuantizedRows): Promise<QuantizedNumbers> {
  assertQuantized(rows, 'rows');
  const { x, codes, held, digits } = rows;
  return decodeQuantized((await codes.read()) as Int32Array, { m: codes.shape[0]!, k: x.shape.at(-1)!, held, digits });
}

/** The recording of `rows`. @throws ArgumentError, DeviceLostError */
function assertQuantized(rows: QuantizedRows, argument: string, device?: GPUDevice): Made {
  const how = typeof rows === 'object' && rows !== null ? made.get(rows) : undefined;
  const expected = argument === 'x' ? 'a Tensor, or what quantizeRows returned' : 'what quantizeRows returned';
  if (!how) throw notOurs(argument, { what: 'QuantizedRows', expected }, rows);
  rows.x.assertUsable(argument === 'x' ? 'x' : `${argument}.x`, device);
  rows.codes.assertUsable(`${argument}.codes`, device);
  assertAlive(rows.x.device);
  return how;
}

/** @internal The x of a product, with its codes if it came quantized. @throws ArgumentError, DeviceLostError */
export function inputOf(given: Tensor | QuantizedRows, { device, weights }: Pick<LoadedWeights, 'device' | 'weights'>): Input {
  if (!made.has(given as QuantizedRows)) {
    const wanted = { what: 'QuantizedRows', expected: 'a Tensor, or what quantizeRows returned' };
    if (versionOf(given, wanted.what, 'x') !== undefined) throw notOurs('x', wanted, given);
    const x = Tensor.given(given, 'x', device, wanted.expected);
    return { x, written: x.written };
  }
  assertQuantized(given as QuantizedRows, 'x', device);
  if (weights.permuted) throw new ArgumentError('x', 'a Tensor for a layer whose inputs are permuted', 'codes of x in its own order');
  if (weights.inputScaled) throw new ArgumentError('x', 'a Tensor for a layer with a scale for each input', 'codes of x without it');
  const { x, codes, held, digits } = given as QuantizedRows;
  if (held !== weights.held) throw new ArgumentError('x', `codes ordered for weights held in ${weights.held} bits`, `for ${held} bits`);
  return { x, codes, digits, written: codes.written };
}
