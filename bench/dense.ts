// A contender: the same product with float32 weights, by a kernel of the bench. It shows the gain or loss of quantization.
import { unpackInt4 } from '../src/ascend/int4-pack.js';
import { decode16 } from '../src/dtype.js';
import type { HostTensor } from '../src/index.js';
import { widthOf } from '../src/problem/code-width.js';
import { bufferOf, type Contender, type Engine, emptyBuffer, inOnePass, type Operands, ownKernel, readBuffer } from './contender.js';
import denseCode from './dense.wgsl?raw';

const LANES = 64;
const UNIFORM = 0x40;

const floats = (tensor: HostTensor): Float32Array =>
  tensor.data instanceof Float32Array ? tensor.data : decode16(tensor.data as Uint16Array, tensor.dtype as 'float16');
const bytes = (values: Float32Array | Uint32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** The dequantized weights, (K, N). */
function dequantize({ session, tensors }: Operands): Float32Array {
  const { k, n, bits, group } = session;
  const codes = widthOf(bits).dtype === 'int32' ? unpackInt4(tensors.weight!.data as Int32Array) : (tensors.weight!.data as Int8Array);
  const scales = floats(tensors.antiquantScale!);
  const offsets = tensors.antiquantOffset && floats(tensors.antiquantOffset);
  const size = group === 0 ? k : group;
  const groups = Math.ceil(k / size);
  const out = new Float32Array(k * n);
  for (let c = 0; c < n; c++)
    for (let i = 0; i < k; i++) {
      const g = c * groups + Math.floor(i / size);
      out[i * n + c] = (codes[c * k + i]! + (offsets ? offsets[g]! : 0)) * scales[g]!;
    }
  return out;
}

export function dense(engine: Engine, operands: Operands): Contender {
  const { device } = engine;
  const { k, n } = operands.session;
  let w: GPUBuffer | undefined;
  return {
    name: 'dense f32',
    family: 'dense',
    destroy: async () => w?.destroy(),
    prepare: async (m) => {
      w ??= bufferOf(device, bytes(dequantize(operands)));
      const x = bufferOf(device, bytes(floats(operands.x).slice(0, m * k)));
      const y = emptyBuffer(device, m * n * 4);
      const params = bufferOf(device, bytes(Uint32Array.of(m, n / 4, k / 4, 0)), UNIFORM);
      const rows = m === 1 ? 1 : 4;
      const encode = await ownKernel(device, {
        label: `dense ${rows} rows`,
        code: denseCode,
        entryPoint: `rows${rows}`,
        bindings: [
          { type: 'uniform', buffer: params },
          { type: 'read-only-storage', buffer: x },
          { type: 'read-only-storage', buffer: w },
          { type: 'storage', buffer: y },
        ],
        workgroups: [Math.ceil(n / 4 / LANES), Math.ceil(m / rows)],
      });
      return {
        detail: `${rows} × 4 in registers`,
        call: (count) => inOnePass(engine, count, encode),
        read: async () => new Float32Array(await readBuffer(device, y, m * n * 4)),
        free: () => {
          for (const buffer of [x, y, params]) buffer.destroy();
        },
      };
    },
  };
}
