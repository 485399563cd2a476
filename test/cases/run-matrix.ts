// Runs imported matrices on a device and compares y with the CPU reference. Every engine calls it.

import { joinGateUp } from '../../src/epilogues/join-gate-up.js';
import { type HostTensor, LinearWeightQuant, referenceMatrix, type Tensor } from '../../src/index.js';
import { kernels } from '../../src/kernels/index.js';
import { variantId } from '../../src/kernels/kernel.js';
import { GLUS, type Glu } from '../../src/problem/glu.js';
import type { QuantizedMatrix } from '../../src/problem/matrix.js';
import { random } from './data.js';
import { type MatrixCase, makeMatrix } from './matrix-cases.js';
import { type CaseReport, multiply, residualOf, upload } from './run-case.js';
import { whole } from './slice.js';

const UNITS = Object.keys(GLUS) as Glu[];
const canBeGated = ({ n, permutation, inputScale }: QuantizedMatrix): boolean => n % 4 === 0 && !permutation && !inputScale;

export async function runMatrixCase(device: GPUDevice, c: MatrixCase): Promise<CaseReport> {
  return runMatrix(device, c, makeMatrix(c));
}

/** A matrix, whatever made it, on a device against the reference. */
export async function runMatrix(
  device: GPUDevice,
  c: Pick<MatrixCase, 'name' | 'dtype' | 'exact' | 'innerPrecise' | 'force' | 'caps'> & Partial<Pick<MatrixCase, 'weightRounding'>>,
  {
    matrix,
    x,
    tensors = {},
  }: { readonly matrix: QuantizedMatrix; readonly x: HostTensor; readonly tensors?: Readonly<Record<string, HostTensor>> },
): Promise<CaseReport> {
  const { bias, quantScale } = tensors;
  const layer = new LinearWeightQuant(device, {
    inFeatures: matrix.k,
    outFeatures: matrix.n,
    dtype: c.dtype,
    bias: bias !== undefined,
    quantScale: quantScale !== undefined,
    innerPrecise: c.innerPrecise,
    weightRounding: c.weightRounding ?? 'none',
    plan: { caps: c.caps, ...(c.force && { force: c.force }) },
  });
  device.pushErrorScope('validation');
  const uploaded = Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, upload(device, tensor)]));
  layer.loadMatrix(matrix, uploaded);
  for (const tensor of Object.values(uploaded)) tensor.buffer.destroy();
  const { accuracy, dispatches } = layer.explain(x.shape[0]!);
  const options = { bias, quantScale, accuracy, weightRounding: c.weightRounding ?? 'none' } as const;
  const want = referenceMatrix(x, matrix, options);
  const { failures, error } = await multiply(device, (...given) => layer.encode(...given), {
    x,
    lead: 0,
    want,
    yOffset: 0,
    exact: c.exact,
  });
  const overwrites = kernels.some(({ name, overwrites }) => name === c.force?.kernel && overwrites);
  if (!quantScale && !overwrites) failures.push(...(await added()));
  // Every kernel and format has cases of both kinds.
  const even = c.name.length % 2 === 0;
  if (whole || even) failures.push(...(await scaled()));
  if (!quantScale && canBeGated(matrix) && (whole || !even)) failures.push(...(await gated()));
  const invalid = await device.popErrorScope();
  if (invalid) failures.push(`validation: ${invalid.message}`);
  layer.destroy();
  return { name: c.name, variants: [...new Set(dispatches.map((s) => variantId(s.shader, s.params)))], failures, error };

  /** The same with a factor for each row: RMSNorm's of x itself where it is float32, else given ones. */
  async function scaled(): Promise<string[]> {
    const m = x.shape.slice(0, -1).reduce((a, b) => a * b, 1);
    const own = x.dtype === 'float32' && !x.strides;
    const draw = random(`factors of ${c.name}`);
    const factors: HostTensor = { data: Float32Array.from({ length: m }, () => 4 * draw() - 2), shape: [m], dtype: 'float32' };
    const rowScale = own ? { rms: x, epsilon: 1e-5 } : factors;
    const inputScale: HostTensor | undefined =
      c.name.length % 4 < 2
        ? { data: Float32Array.from({ length: matrix.k }, () => 2 * draw() - 1), shape: [matrix.k], dtype: 'float32' }
        : undefined;
    const sum = referenceMatrix(x, matrix, { ...options, rowScale, inputScale });
    const ofCall = inputScale && upload(device, inputScale, 1);
    const uploaded = upload(device, factors, 3);
    const encode = (pass: GPUComputePassEncoder, input: Tensor, y: Tensor) =>
      layer.encode(pass, input, y, { rowScale: own ? { rms: input, epsilon: 1e-5 } : uploaded, inputScale: ofCall });
    const { failures } = await multiply(device, encode, { x, lead: 0, want: sum, yOffset: 0, exact: false });
    uploaded.buffer.destroy();
    ofCall?.buffer.destroy();
    return failures.map((failure) => `scaled rows: ${failure}`);
  }

  /** Its columns as those of gate and up. The layer is then destroyed. */
  async function gated(): Promise<string[]> {
    const glu = UNITS[c.name.length % UNITS.length]!;
    const want = referenceMatrix(x, matrix, { ...options, glu });
    const both = joinGateUp([layer], { glu });
    const { failures } = await multiply(device, (...given) => both.encode(...given), { x, lead: 0, want, yOffset: 0, exact: false });
    both.destroy();
    return failures.map((failure) => `${glu}: ${failure}`);
  }

  /** The same, added to what y holds. */
  async function added(): Promise<string[]> {
    const residual = residualOf(`residual of ${c.name}`, { shape: want.shape, dtype: c.dtype, whole: c.exact });
    const sum = referenceMatrix(x, matrix, { ...options, add: residual });
    const encode = (pass: GPUComputePassEncoder, input: Tensor, y: Tensor) => layer.encode(pass, input, y, { add: y });
    return (await multiply(device, encode, { x, lead: 0, want: sum, yOffset: 0, exact: c.exact, residual })).failures;
  }
}
