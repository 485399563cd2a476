// Runs one case on a device and compares y with the CPU reference. Dawn, browsers and Deno all call it.

import { BYTES, decode16, encode16, type FloatDType } from '../../src/dtype.js';
import { type HostTensor, LinearWeightQuant, type ReferenceResult, reference, Tensor } from '../../src/index.js';
import { variantId } from '../../src/kernels/kernel.js';
import { type Accuracy, PRECISE } from '../../src/problem/accuracy.js';
import { type HostRowScale, transposeHost } from '../../src/reference/reference.js';
import type { Case } from './cases.js';
import { makeData, random } from './data.js';

export interface CaseReport {
  readonly name: string;
  /** Variants that ran. */
  readonly variants: readonly string[];
  /** Sentences; none if all is well. */
  readonly failures: readonly string[];
  /** Largest |y - reference| / largest |reference|, over finite elements. */
  readonly error: number;
}

const GUARD = 64; // bytes of poison before and after y
const POISON = 0xa5;

/** A host tensor on the GPU; `lead` elements of something else come first in its buffer. */
export function upload(device: GPUDevice, { data, shape, dtype, strides, format = 'ND' }: HostTensor, lead = 0): Tensor {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const from = lead * BYTES[dtype];
  const size = Math.ceil((from + bytes.length) / 4) * 4;
  const buffer = device.createBuffer({ size: Math.max(4, size), usage: 0x80 | 0x4 | 0x8, mappedAtCreation: true });
  const mapped = new Uint8Array(buffer.getMappedRange());
  mapped.fill(0xff, 0, from);
  mapped.set(bytes, from);
  buffer.unmap();
  return Tensor.wrap(device, buffer, { shape, dtype, byteOffset: from, format, ...(strides && { strides }) });
}

/** The reference's answer for module-oriented tensors. */
export function expected(
  c: Pick<Case, 'groupSize'> & Partial<Pick<Case, 'weightRounding'>>,
  x: HostTensor,
  tensors: Readonly<Record<string, HostTensor>>,
  accuracy: Accuracy = PRECISE,
  { add, rowScale }: { readonly add?: HostTensor | undefined; readonly rowScale?: HostRowScale | undefined } = {},
) {
  const turn = (tensor: HostTensor): HostTensor => (tensor.shape.length === 2 ? transposeHost(tensor) : tensor);
  // The functional form takes no (N, 1) per-channel scale that is not a transposed (1, N).
  const flat = (tensor: HostTensor): HostTensor =>
    c.groupSize === 0 && tensor.shape.length === 2 && tensor.shape[0] === 1
      ? { ...tensor, shape: [tensor.shape[1]!], strides: [1] }
      : turn(tensor);
  const { weight, antiquantScale, antiquantOffset, ...rest } = tensors;
  return reference(x, transposeHost(weight!), flat(antiquantScale!), {
    ...rest,
    ...(antiquantOffset && { antiquantOffset: flat(antiquantOffset) }),
    antiquantGroupSize: c.groupSize,
    weightRounding: c.weightRounding,
    accuracy,
    add,
    rowScale,
  });
}

type Want = ReferenceResult;

/** Multiplies into the middle of a poisoned buffer, and compares: with `exact` to the bit. Gives the error relative to the largest y. */
export async function multiply(
  device: GPUDevice,
  encode: (pass: GPUComputePassEncoder, x: Tensor, y: Tensor) => void,
  {
    x,
    lead,
    want,
    yOffset,
    exact,
    residual,
  }: {
    readonly x: HostTensor;
    readonly lead: number;
    readonly want: Want;
    readonly yOffset: number;
    readonly exact: boolean;
    /** What y holds before; poison without it. */
    readonly residual?: HostTensor | undefined;
  },
): Promise<{ readonly failures: string[]; readonly error: number }> {
  const failures: string[] = [];
  // y inside a poisoned buffer
  const width = BYTES[want.dtype];
  const length = want.data.length * width;
  const begin = GUARD + yOffset * width;
  const total = Math.ceil((begin + length + GUARD) / 4) * 4;
  const buffer = device.createBuffer({ size: total, usage: 0x80 | 0x4, mappedAtCreation: true });
  const mapped = new Uint8Array(buffer.getMappedRange());
  mapped.fill(POISON);
  if (residual) mapped.set(new Uint8Array(residual.data.buffer, residual.data.byteOffset, length), begin);
  buffer.unmap();
  const y = Tensor.wrap(device, buffer, { shape: want.shape, dtype: want.dtype, byteOffset: begin });
  const input = upload(device, x, lead);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  encode(pass, input, y);
  pass.end();
  device.queue.submit([encoder.finish()]);
  const words = await Tensor.wrap(device, buffer, { shape: [total / 4], dtype: 'int32' }).read();

  const bytes = new Uint8Array(words.buffer, words.byteOffset, total);
  bytes.forEach((byte, i) => {
    const own = i >= begin && i < begin + length;
    if (!own && byte !== POISON) failures.push(`byte ${i - begin} of y, outside it, was overwritten with ${byte}`);
  });
  const raw = bytes.slice(begin, begin + length).buffer;
  const got =
    want.dtype === 'int8'
      ? new Int8Array(raw)
      : want.dtype === 'float32'
        ? new Float32Array(raw)
        : decode16(new Uint16Array(raw), want.dtype);

  const { error, wrong } = compare({ data: exact ? 'exact' : 'random' }, got, want);
  failures.push(...wrong);
  buffer.destroy();
  input.buffer.destroy();
  return { failures, error };
}

/** Without weights. */
export const layerOf = (device: GPUDevice, c: Case): LinearWeightQuant =>
  new LinearWeightQuant(device, {
    inFeatures: c.k,
    outFeatures: c.n,
    dtype: c.dtype,
    bias: c.bias,
    antiquantOffset: c.offset,
    quantScale: c.quant !== 'none',
    quantOffset: c.quant === 'float32+offset',
    antiquantGroupSize: c.groupSize,
    innerPrecise: c.innerPrecise,
    weightRounding: c.weightRounding,
    plan: { caps: c.caps, ...(c.force && { force: c.force }) },
  });

/** What y holds before the product is added: small whole numbers, or others of the size of a product. */
export function residualOf(
  seed: string,
  { shape, dtype, whole }: { readonly shape: readonly number[]; readonly dtype: FloatDType; readonly whole: boolean },
): HostTensor {
  const next = random(seed);
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () =>
    whole ? Math.floor(17 * next()) - 8 : 8 * next() - 4,
  );
  return { data: dtype === 'float32' ? values : encode16(values, dtype), shape, dtype };
}

const EPSILON = 1e-5;
/** Of both signs and of many sizes; rows of 12 to make them of. */
function factorsOf({ name, rowScale, batch, m }: Case): HostTensor {
  const next = random(`factors of ${name}`);
  const shape = [...batch, m, ...(rowScale === 'rms' ? [12] : [])];
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => (next() - 0.5) * 2 ** Math.floor(12 * next() - 6));
  return { data, shape, dtype: 'float32' };
}

export async function runCase(device: GPUDevice, c: Case): Promise<CaseReport> {
  const { x, tensors } = makeData(c);
  const layer = layerOf(device, c);
  device.pushErrorScope('validation');
  const uploaded = Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, upload(device, tensor)]));
  layer.load(uploaded);
  const { accuracy, dispatches } = layer.explain(c.batch.reduce((a, b) => a * b, c.m));
  const whole = c.data === 'exact' || c.data === 'special';
  const residual = c.add ? residualOf(`residual of ${c.name}`, { shape: [...c.batch, c.m, c.n], dtype: c.dtype, whole }) : undefined;
  const factors = c.rowScale === 'none' ? undefined : factorsOf(c);
  const host = factors && (c.rowScale === 'rms' ? { rms: factors, epsilon: EPSILON } : factors);
  const want = expected(c, x, tensors, accuracy, { add: residual, rowScale: host });
  for (const tensor of Object.values(uploaded)) tensor.buffer.destroy(); // the layer has its own copy

  const onGpu = factors && upload(device, factors, 5);
  const rowScale = onGpu && (c.rowScale === 'rms' ? { rms: onGpu, epsilon: EPSILON } : onGpu);
  const { failures, error } = await multiply(
    device,
    (pass, input, y) => layer.encode(pass, input, y, { add: c.add ? y : undefined, rowScale }),
    {
      x,
      lead: c.x === 'offset' ? 3 : 0,
      want,
      yOffset: c.yOffset,
      exact: c.data === 'exact' && !factors,
      residual,
    },
  );
  onGpu?.buffer.destroy();
  const invalid = await device.popErrorScope();
  if (invalid) failures.push(`validation: ${invalid.message}`);
  const variants = [...new Set(dispatches.map((s) => variantId(s.shader, s.params)))];
  layer.destroy();
  return { name: c.name, variants, failures, error };
}

/** Exact cases to the bit, others within the reference's interval; index, got, want and bounds of what is wrong. */
export function compare(c: Pick<Case, 'data'>, got: ArrayLike<number>, want: Want): { readonly error: number; readonly wrong: string[] } {
  const wrong: string[] = [];
  let count = 0;
  let error = 0;
  let size = 0;
  const n = want.shape.at(-1)!;
  for (let i = 0; i < want.data.length; i++) {
    const [value, best, low, high] = [got[i]!, want.data[i]!, want.low[i]!, want.high[i]!];
    if (Number.isFinite(best) && Number.isFinite(value)) {
      error = Math.max(error, Math.abs(value - want.exact[i]!));
      size = Math.max(size, Math.abs(want.exact[i]!));
    }
    const right = Number.isNaN(best) ? Number.isNaN(value) : c.data === 'exact' ? value === best : value >= low && value <= high;
    if (right) continue;
    if (count++ < 5) wrong.push(`y[${Math.floor(i / n)}, ${i % n}]: got ${value}, want ${best}, between ${low} and ${high}`);
  }
  if (count > 5) wrong.push(`and ${count - 5} more of ${want.data.length}`);
  return { error: size > 0 ? error / size : 0, wrong };
}
