// The library as contenders: the planner's choice, single kernels, and devices without some ability.

import { decode16 } from '../src/dtype.js';
import { LinearWeightQuant, type LinearWeightQuantOptions, Tensor, UnsupportedError } from '../src/index.js';
import { ofNumbers } from '../src/kernels/index.js';
import { variantId } from '../src/kernels/kernel.js';
import { upload } from '../test/cases/run-case.js';
import { bufferOf, type Contender, type Engine, emptyBuffer, inOnePass, type Operands, readBuffer, rowsOf } from './contender.js';
import type { Family, Overhead } from './results.js';

export function makeLayer(
  engine: Pick<Engine, 'device'>,
  { session, tensors }: Operands,
  plan?: LinearWeightQuantOptions['plan'],
): LinearWeightQuant {
  const { device } = engine;
  const layer = new LinearWeightQuant(device, {
    inFeatures: session.k,
    outFeatures: session.n,
    bias: false,
    dtype: session.dtype,
    antiquantOffset: session.offset,
    antiquantGroupSize: session.group,
    ...(plan && { plan }),
  });
  const uploaded = Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, upload(device, tensor)]));
  layer.load(uploaded);
  for (const { buffer } of Object.values(uploaded)) buffer.destroy();
  return layer;
}

/** A contender of the library, by its plan options. */
export function contender(
  engine: Engine,
  operands: Operands,
  name: string,
  family: Family,
  plan?: LinearWeightQuantOptions['plan'],
): Contender {
  const { device } = engine;
  const { k, n, dtype } = operands.session;
  const width = dtype === 'float32' ? 4 : 2;
  let layer: LinearWeightQuant | undefined;
  return {
    name,
    family,
    destroy: async () => layer?.destroy(),
    prepare: async (m) => {
      try {
        layer ??= makeLayer(engine, operands, plan);
        const { kernel, params } = layer.explain(m);
        await layer.prepare([m]);
        const x = Tensor.wrap(device, bufferOf(device, rowsOf(operands, m)), { shape: [m, k], dtype });
        const y = Tensor.wrap(device, emptyBuffer(device, m * n * width), { shape: [m, n], dtype });
        const used = layer;
        return {
          detail: variantId(kernel, params),
          call: (count) => inOnePass(engine, count, (pass) => used.encode(pass, x, y)),
          read: async () => {
            const bytes = await readBuffer(device, y.buffer, m * n * width);
            return dtype === 'float32' ? new Float32Array(bytes) : decode16(new Uint16Array(bytes), dtype);
          },
          free: () => {
            x.buffer.destroy();
            y.buffer.destroy();
          },
        };
      } catch (error) {
        if (error instanceof UnsupportedError) return error.message;
        throw error;
      }
    },
  };
}

export const planned = (engine: Engine, operands: Operands): Contender => contender(engine, operands, 'antiquant', 'ours');

export const withoutSubgroups = (engine: Engine, operands: Operands): Contender =>
  contender(engine, operands, 'antiquant without subgroups', 'ours-other', { caps: { subgroups: false } });

/** Every kernel that can run the problem, with its preferred tile or with each of its tiles. */
export const forced = (engine: Engine, operands: Operands, tiles: boolean): Contender[] =>
  ofNumbers.flatMap(({ name, tiles: all }) =>
    (tiles ? all : [undefined]).map((tile) =>
      contender(engine, operands, `antiquant ${tile ? variantId(name, tile) : name}`, 'ours-other', {
        force: { kernel: name, ...(tile && { tile }) },
      }),
    ),
  );

const CALLS = 500;
const BATCHES = 7;
const median = (list: number[]): number => list.sort((a, b) => a - b)[list.length >> 1]!;

/** Cost of a call in JavaScript, without the GPU's work: 500 calls of encode into one pass, and 500 calls of forward. */
export async function overhead(engine: Engine, operands: Operands): Promise<Overhead> {
  const { device } = engine;
  const { k, n, dtype } = operands.session;
  const layer = makeLayer(engine, operands);
  const x = upload(device, { ...operands.x, shape: [1, k], data: operands.x.data.subarray(0, k) as Float32Array });
  const y = Tensor.wrap(device, emptyBuffer(device, n * 4), { shape: [1, n], dtype });
  await layer.prepare([1]);
  const [encode, forward]: [number[], number[]] = [[], []];
  for (let batch = 0; batch < BATCHES; batch++) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    const start = performance.now();
    for (let i = 0; i < CALLS; i++) layer.encode(pass, x, y);
    encode.push(((performance.now() - start) * 1000) / CALLS);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await engine.wait(device);
    const begin = performance.now();
    for (let i = 0; i < CALLS; i++) layer.forward(x).destroy();
    forward.push(((performance.now() - begin) * 1000) / CALLS);
    await engine.wait(device);
  }
  layer.destroy();
  x.buffer.destroy();
  y.buffer.destroy();
  return { encode: median(encode), forward: median(forward) };
}
