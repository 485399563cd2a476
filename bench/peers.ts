// onnxruntime-web as contenders: its native WebGPU execution provider, the older JSEP one, and its CPU provider in WebAssembly.
import { decode16 } from '../src/dtype.js';
import { type Bits, widthOf } from '../src/problem/code-width.js';
import { bufferOf, bytesOf, type Contender, type Engine, emptyBuffer, type Operands, readBuffer, rowsOf } from './contender.js';
import { matMulNBitsModel } from './onnx.js';
import type { AdapterKind } from './results.js';

export type Ort = typeof import('onnxruntime-web');

/** Files of the package. Each is a separate build with a separate WebAssembly instance. */
const BUILDS = { native: 'ort.webgpu.bundle.min.mjs', jsep: 'ort.bundle.min.mjs', wasm: 'ort.wasm.bundle.min.mjs' } as const;
/** Threads need shared memory, which a page has only if it is isolated from other origins. */
export const wasmThreads = (): number => (globalThis.crossOriginIsolated === false ? 1 : 2);
/** Its threads poll for a while before they sleep; the next contender would lack their cores. */
const THREADS_SPIN_MS = 50;
type Build = keyof typeof BUILDS;

const loaded = new Map<Build, Promise<Ort>>();
function load(engine: Engine, build: Build): Promise<Ort> {
  const known = loaded.get(build);
  if (known) return known;
  const made = engine.ort(BUILDS[build]).then((ort) => {
    ort.env.wasm.numThreads = build === 'wasm' ? wasmThreads() : 1;
    if (engine.ortFiles !== undefined) ort.env.wasm.wasmPaths = engine.ortFiles;
    ort.env.logLevel = 'error';
    return ort;
  });
  loaded.set(build, made);
  made.catch(() => loaded.delete(build)); // the next run may find it
  return made;
}

/** The package's version, or why it is missing. */
export async function ortVersion(engine: Engine): Promise<string> {
  try {
    return (await load(engine, 'native')).env.versions.web ?? 'unknown';
  } catch (error) {
    return `not here: ${(error as Error).message}`;
  }
}

/** Block size for a per-channel scale, with equal scales in a row. 32 has a kernel for many rows. */
const PER_CHANNEL_BLOCK = 32;

/** Our tensors in the form of MatMulNBits: unsigned codes, integer zero points, one scale a block. */
function model({ session, tensors }: Operands, accuracyLevel: 0 | 4): Uint8Array<ArrayBuffer> {
  const { k, n, bits, group, dtype } = session;
  const block = group === 0 ? PER_CHANNEL_BLOCK : group;
  const blocks = k / block;
  // Two's complement to unsigned, with the middle as zero: the sign bit of every code turns.
  const codes = bytesOf(tensors.weight!).map((byte) => byte ^ (widthOf(bits).signs & 255));
  const perBlock = <T extends Float32Array | Uint16Array>(values: T): T => {
    if (group !== 0) return values;
    const all = new (values.constructor as new (length: number) => T)(n * blocks);
    return all.map((_, i) => values[Math.floor(i / blocks)]!) as T;
  };
  const scales = perBlock(tensors.antiquantScale!.data as Float32Array | Uint16Array);
  const offsets = tensors.antiquantOffset?.data as Float32Array | Uint16Array | undefined;
  const zeroPoints =
    offsets && packZeroPoints(perBlock(offsets instanceof Uint16Array ? decode16(offsets, 'float16') : offsets), n, blocks, bits);
  return matMulNBitsModel({
    k,
    n,
    bits,
    block,
    dtype,
    accuracyLevel,
    codes,
    scales: new Uint8Array(scales.buffer, scales.byteOffset, scales.byteLength),
    zeroPoints,
  });
}

/** (q + offset) is (code - (middle - offset)); offsets are whole numbers. */
function packZeroPoints(offsets: Float32Array, n: number, blocks: number, bits: Bits): Uint8Array {
  const row = Math.ceil((blocks * bits) / 8);
  const out = new Uint8Array(n * row);
  offsets.forEach((offset, i) => {
    const [r, b] = [Math.floor(i / blocks), i % blocks];
    const bit = b * bits;
    out[r * row + (bit >> 3)]! |= (widthOf(bits).zero - offset) << (bit & 7);
  });
  return out;
}

const decode = (bytes: ArrayBuffer, dtype: 'float32' | 'float16'): Float32Array =>
  dtype === 'float32' ? new Float32Array(bytes) : decode16(new Uint16Array(bytes), dtype);

interface GpuPeer {
  readonly name: string;
  readonly build: 'native' | 'jsep';
  readonly accuracyLevel: 0 | 4;
}

function gpuPeer(
  engine: Engine,
  operands: Operands,
  { name, build, accuracyLevel }: GpuPeer,
  skip: (m: number) => string | undefined,
): Contender {
  const { k, n, dtype } = operands.session;
  const width = dtype === 'float32' ? 4 : 2;
  let ort: Ort;
  let session: Awaited<ReturnType<Ort['InferenceSession']['create']>> | undefined;
  let device = engine.device;
  const create = async () => {
    ort = await load(engine, build);
    // The native provider takes our device, without optional checks. JSEP makes another device.
    const provider = build === 'native' ? { name: 'webgpu' as const, device, validationMode: 'disabled' as const } : ('webgpu' as const);
    const made = await ort.InferenceSession.create(model(operands, accuracyLevel), {
      executionProviders: [provider],
      preferredOutputLocation: 'gpu-buffer',
    });
    if (build === 'jsep') device = await ort.env.webgpu.device;
    return made;
  };
  return {
    name,
    family: 'ort-gpu',
    destroy: async () => session?.release(),
    prepare: async (m) => {
      const reason = skip(m);
      if (reason) return reason;
      session ??= await create();
      const used = session;
      const [xBuffer, yBuffer] = [bufferOf(device, rowsOf(operands, m)), emptyBuffer(device, m * n * width)];
      const feeds = { x: ort.Tensor.fromGpuBuffer(xBuffer, { dataType: dtype, dims: [m, k] }) };
      const fetches = { y: ort.Tensor.fromGpuBuffer(yBuffer, { dataType: dtype, dims: [m, n] }) };
      return {
        detail: `${build === 'native' ? 'native WebGPU provider' : 'JSEP'}, accuracy level ${accuracyLevel}`,
        call: async (count) => {
          for (let i = 0; i < count; i++) await used.run(feeds, fetches); // submits; does not wait for the GPU
          await engine.wait(device);
        },
        read: async () => decode(await readBuffer(device, yBuffer, m * n * width), dtype),
        free: () => {
          xBuffer.destroy();
          yBuffer.destroy();
        },
      };
    },
  };
}

/**
 * The GPU peers of a session. Peers that are known to be far slower than another one are left out, to save minutes; `all` runs them too.
 * Known: on SwiftShader, level 4 with blocks of 32 and several rows, or of 128 and fewer than 16, and level 0 with blocks of 128 and 16
 * rows or more; everywhere level 0 with blocks of 128, and in f16, from 128 rows on; JSEP in f32 from 16 rows on.
 */
export function gpuPeers(engine: Engine, operands: Operands, kind: AdapterKind, all: boolean): Contender[] {
  const { bits, group, dtype } = operands.session;
  const block = group === 0 ? PER_CHANNEL_BLOCK : group;
  const known = (slow: boolean): string | undefined =>
    slow && !all && kind !== 'gpu' ? 'far slower than the other peers here' : undefined;
  const level0 = (m: number) => known((block === 128 && m >= (kind === 'swiftshader' ? 16 : 128)) || (dtype === 'float16' && m >= 128));
  const level4 = (m: number) => known(kind === 'swiftshader' && m > 1 && (block === 32 || m < 16));
  const peers = [
    gpuPeer(engine, operands, { name: 'ort webgpu, level 0', build: 'native', accuracyLevel: 0 }, level0),
    gpuPeer(engine, operands, { name: 'ort webgpu, level 4', build: 'native', accuracyLevel: 4 }, level4),
  ];
  // Right only for int4 in blocks of 32.
  if (bits === 4 && block === 32) {
    const slow = (m: number) => known(dtype === 'float32' && m >= 16);
    peers.push(gpuPeer(engine, operands, { name: 'ort jsep', build: 'jsep', accuracyLevel: 0 }, slow));
  }
  return peers;
}

/** The CPU provider, with two threads if allowed. It is no rival on the GPU, but an alternative for users. */
export const wasmPeers = (engine: Engine, operands: Operands): Contender[] =>
  ([0, 4] as const).map((accuracyLevel) => {
    const { k, n, dtype } = operands.session;
    let ort: Ort;
    let session: Awaited<ReturnType<Ort['InferenceSession']['create']>> | undefined;
    return {
      name: `ort wasm, level ${accuracyLevel}`,
      family: 'ort-wasm',
      destroy: async () => session?.release(),
      prepare: async (m) => {
        if (dtype !== 'float32') return 'its CPU kernels are for float32';
        ort ??= await load(engine, 'wasm');
        session ??= await ort.InferenceSession.create(model(operands, accuracyLevel), { executionProviders: ['wasm'] });
        const used = session;
        const feeds = { x: new ort.Tensor('float32', new Float32Array(rowsOf(operands, m).slice().buffer), [m, k]) };
        let y = new Float32Array(m * n);
        return {
          detail: `CPU provider in WebAssembly, ${wasmThreads() === 1 ? 'one thread' : `${wasmThreads()} threads`}, accuracy level ${accuracyLevel}`,
          call: async (count) => {
            for (let i = 0; i < count; i++) y = (await used.run(feeds)).y!.data as Float32Array<ArrayBuffer>;
          },
          read: async () => y,
          settle: THREADS_SPIN_MS,
          free: () => {},
        };
      },
    };
  });
