// Contenders for the two limits of an adapter: its rate of copying, and its rate of multiply-adds.
import { bufferOf, type Contender, type Engine, emptyBuffer, inOnePass, type OwnKernel, ownKernel, type Run } from './contender.js';
import copyCode from './copy.wgsl?raw';
import multiplyAddCode from './multiply-add.wgsl?raw';
import type { AdapterKind } from './results.js';

const COPIES = { words: 256 * 4, quads: 256 * 16, eights: 256 * 32 } as const; // bytes of a workgroup
const CHAINS = [8, 12, 16];
const STEPS = 8; // multiply-adds of a chain in one turn of the loop
const LANES = 64;
const UNIFORM = 0x40; // GPUBufferUsage.UNIFORM

async function run(engine: Engine, kernel: OwnKernel, work: number): Promise<Run> {
  const encode = await ownKernel(engine.device, kernel);
  return {
    detail: kernel.label,
    work,
    call: (count) => inOnePass(engine, count, encode),
    free: () => {
      for (const { buffer } of kernel.bindings) buffer.destroy();
    },
  };
}

/** Copies as many bytes as the weights have, so that caches have the same effect. */
export const copies = (engine: Engine, bytes: number): Contender[] =>
  Object.entries(COPIES).map(([entryPoint, step]) => ({
    name: `copy ${entryPoint}`,
    family: 'copy',
    destroy: async () => {},
    prepare: (m) => {
      if (m > 1) return Promise.resolve('decode is what it limits');
      const groups = Math.ceil(bytes / COPIES.eights) * (COPIES.eights / step);
      const [source, target] = [emptyBuffer(engine.device, groups * step), emptyBuffer(engine.device, groups * step)];
      const label = `copy ${entryPoint}, ${((groups * step) / 2 ** 20).toFixed(1)} MiB`;
      const bindings = [
        { type: 'read-only-storage', buffer: source },
        { type: 'storage', buffer: target },
      ] as const;
      return run(engine, { label, code: copyCode, entryPoint, bindings, workgroups: [groups, 1] }, 2 * groups * step);
    },
  }));

export const multiplyAdds = (engine: Engine, kind: AdapterKind): Contender[] =>
  CHAINS.map((chains) => ({
    name: `multiply-add ${chains} chains`,
    family: 'multiply-add',
    destroy: async () => {},
    prepare: (m) => {
      if (m < 128) return Promise.resolve('prefill is what it limits');
      // Some milliseconds on either: a GPU has hundreds of thousands of invocations in flight.
      const [groups, rounds] = kind === 'gpu' ? [16384, 256] : [1024, 64];
      const bindings = [
        { type: 'uniform', buffer: bufferOf(engine.device, new Uint8Array(Uint32Array.of(rounds, 0, 0, 0).buffer), UNIFORM) },
        { type: 'storage', buffer: emptyBuffer(engine.device, groups * LANES * 4) },
      ] as const;
      const kernel = {
        label: `${chains} chains`,
        code: multiplyAddCode,
        entryPoint: `chains${chains}`,
        bindings,
        workgroups: [groups, 1] as const,
      };
      return run(engine, kernel, groups * LANES * chains * STEPS * rounds);
    },
  }));
