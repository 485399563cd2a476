// What the programs of this folder share: a layer whose products are exact in float32, the CPU's y, and an eye on copies and ends of buffers.
import { LinearWeightQuant, reference, Tensor } from '../../src/index.js';

export const [K, N] = [64, 48];
const weight = Int8Array.from({ length: N * K }, (_, i) => ((i * 37) % 15) - 7);
const scale = new Float32Array([0.25]);

/** x, another one for each `seed`: halves of small whole numbers, so that every sum is exact. */
export const xOf = (seed: number, rows = 1): Float32Array =>
  Float32Array.from({ length: rows * K }, (_, i) => (((i + seed) * 29) % 17) / 2 - 4);

/** y of the CPU reference. */
export function yOf(x: Float32Array): number[] {
  const transposed = { data: weight, shape: [K, N], strides: [1, K], dtype: 'int8' } as const;
  const { data, exact } = reference({ data: x, shape: [x.length / K, K], dtype: 'float32' }, transposed, {
    data: scale,
    shape: [1],
    dtype: 'float32',
  });
  if (exact.some((sum, i) => sum !== data[i])) throw new Error('the sums are not exact');
  return [...data];
}

export function layerOf(device: GPUDevice): LinearWeightQuant {
  const layer = new LinearWeightQuant(device, { inFeatures: K, outFeatures: N, bias: false, dtype: 'float32' });
  return layer.load({
    weight: Tensor.from(device, weight, { shape: [N, K], dtype: 'int8' }),
    antiquantScale: Tensor.from(device, scale, { shape: [1], dtype: 'float32' }),
  });
}
/** The product of a new x of the page's: does the layer still work? Its y, or the name of the error. */
export const stillGives = async (layer: LinearWeightQuant, seed = 100): Promise<number[] | string> =>
  outcome(async () =>
    [...(await layer.forward(Tensor.from(layer.device, xOf(seed), { shape: [1, K], dtype: 'float32' })).read())].map(Number),
  );

/** What a call gives, or the name of its error. */
export async function outcome<T>(call: () => T | Promise<T>): Promise<T | string> {
  try {
    return await call();
  } catch (error) {
    return (error as { errorCode?: string; name: string }).errorCode ?? (error as Error).name;
  }
}

/** Every copy between buffers of the page since `watch`, but those to the CPU; and the buffers that were destroyed. */
export interface Watched {
  readonly copies: { readonly from: GPUBuffer; readonly to: GPUBuffer }[];
  readonly destroyed: Set<GPUBuffer>;
  /** Copies from or to one of these. */
  of(...buffers: readonly GPUBuffer[]): number;
}
export function watch(): Watched {
  const copies: { from: GPUBuffer; to: GPUBuffer }[] = [];
  const destroyed = new Set<GPUBuffer>();
  const { copyBufferToBuffer } = GPUCommandEncoder.prototype;
  GPUCommandEncoder.prototype.copyBufferToBuffer = function (this: GPUCommandEncoder, ...given: unknown[]) {
    const [from, to] = given.filter((one) => one instanceof GPUBuffer) as [GPUBuffer, GPUBuffer];
    if ((to.usage & GPUBufferUsage.MAP_READ) === 0) copies.push({ from, to });
    return Reflect.apply(copyBufferToBuffer, this, given);
  } as typeof copyBufferToBuffer;
  const { destroy } = GPUBuffer.prototype;
  GPUBuffer.prototype.destroy = function (this: GPUBuffer) {
    destroyed.add(this);
    return Reflect.apply(destroy, this, []);
  };
  return { copies, destroyed, of: (...buffers) => copies.filter(({ from, to }) => buffers.includes(from) || buffers.includes(to)).length };
}

// biome-ignore lint/suspicious/noExplicitAny: the libraries are installed on demand, and their types with them
export type Library = any;
/** A module of the page's import map. */
export const load = (name: string): Promise<Library> => import(/* @vite-ignore */ name);
