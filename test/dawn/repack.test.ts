// load() fills every word of the packed layout by docs/format.md, from every accepted source.
import { beforeAll, expect, test } from 'vitest';
import { fromFloat16Bits } from '../../src/dtype.js';
import { capsOf } from '../../src/gpu/device.js';
import { encodeInto, record, submit } from '../../src/gpu/recording.js';
import { convertWeightToInt4Pack, requestDevice, Tensor } from '../../src/index.js';
import { loadSteps } from '../../src/plan/load-steps.js';
import { packedLayout, slicesOf } from '../../src/plan/packed-layout.js';
import { checkOptions, checkWeights } from '../../src/problem/checks.js';
import type { Bits } from '../../src/problem/code-width.js';
import { makeCase } from '../cases/cases.js';
import { makeData } from '../cases/data.js';
import { upload } from '../cases/run-case.js';
import { gpu } from '../support/dawn.js';

let device: GPUDevice;
beforeAll(async () => {
  device = await requestDevice({ gpu });
});

/** The layer's packed buffers, read back. */
async function pack(options: Parameters<typeof checkOptions>[0], tensors: Readonly<Record<string, Tensor>>, caps = capsOf(device)) {
  const operands = checkWeights(checkOptions(options), tensors as never);
  const packed = packedLayout(operands, caps);
  const buffers = new Map(slicesOf(operands, packed).map(({ buffer, size }) => [buffer, device.createBuffer({ size, usage: 0x80 | 0x4 })]));
  const recording = record(device, loadSteps({ operands, packed, caps }, tensors), (role) => buffers.get(role) ?? tensors[role]!.buffer);
  submit(device, 'repack test', (pass) => encodeInto(pass, recording));
  const words: Record<string, Uint32Array> = {};
  for (const [role, buffer] of buffers) {
    const read = (await Tensor.wrap(device, buffer, { shape: [buffer.size / 4], dtype: 'int32' }).read()) as Int32Array;
    words[role] = new Uint32Array(read.buffer);
  }
  return { packed, words };
}

test('the worked word', async () => {
  const data = convertWeightToInt4Pack(new Int8Array([1, 2, 3, 4, 5, 6, 7, -8]), [1, 8]);
  const { words } = await pack(
    { inFeatures: 8, outFeatures: 1, bias: false, dtype: 'float16' },
    {
      weight: Tensor.from(device, data, { shape: [1, 1], dtype: 'int32' }),
      antiquantScale: Tensor.from(device, new Float32Array([0.5]), { shape: [1], dtype: 'float16' }),
    },
  );
  expect(words.w0![0]!.toString(16).padStart(8, '0')).toBe('0fedcba9');
  expect(fromFloat16Bits(words.scale0![0]! & 0xffff)).toBe(0.5);
});

const sources = [4, 8].flatMap((bits) =>
  (['NK', 'KN'] as const).flatMap((weight) => [false, true].map((nz) => ({ bits: bits as Bits, weight, nz }))),
);
test.each(sources)('int$bits $weight nz $nz, in slabs and windows', async ({ bits, weight, nz }) => {
  const c = makeCase({ bits, weight, nz, k: 136, n: 152, mode: 'group', groupSize: 32, offset: true, data: 'exact' });
  const { tensors } = makeData(c);
  // The same codes row-major, for the expectation.
  const plain = makeData(c).tensors.weight!;
  const uploaded = Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, upload(device, tensor)]));
  const codesOf = (await Tensor.from(device, plain.data as Int8Array, {
    shape: storedShape(c),
    dtype: plain.dtype,
    format: nz ? 'FRACTAL_NZ' : 'ND',
  }).read()) as Int8Array | Int32Array;
  const q = (n: number, k: number): number => {
    const [r, col, columns] = weight === 'NK' ? [n, k, c.k] : [k, n, c.n];
    if (bits === 8) return codesOf[r * columns + col]!;
    return (codesOf[(r * columns + col) >> 3]! << (28 - 4 * (col & 7))) >> 28;
  };
  const options = { inFeatures: c.k, outFeatures: c.n, bias: false, dtype: c.dtype, antiquantOffset: true, antiquantGroupSize: 32 };
  const caps = { ...capsOf(device), maxStorageBufferBindingSize: 16384, minStorageBufferOffsetAlignment: 256 };
  const { packed, words } = await pack(options, uploaded, caps);
  expect(packed.slabs.length).toBeGreaterThan(bits === 8 ? 1 : 0);
  const perWord = 32 / bits;
  const wrong: string[] = [];
  packed.slabs.forEach((slab, s) => {
    for (let word = 0; word < packed.words; word++)
      for (let n = 0; n < slab.count; n++) {
        let want = 0;
        for (let i = 0; i < perWord; i++) {
          const k = word * perWord + i;
          const code = (k < c.k ? q(slab.begin + n, k) : 0) + 2 ** (bits - 1);
          want += code * 2 ** (bits * i);
        }
        const got = words[`w${s}`]![word * slab.quads * 4 + n]!;
        if (got !== want) wrong.push(`slab ${s} word ${word} column ${n}: ${got.toString(16)}, not ${want.toString(16)}`);
      }
  });
  expect(wrong.slice(0, 3)).toEqual([]);
  // scale [g][n] of the first slab
  const scales = (await uploaded.antiquantScale!.read()) as Float32Array;
  const groups = Math.ceil(c.k / 32);
  const packedScales = new Float32Array(words.scale0!.buffer);
  for (let g = 0; g < groups; g++)
    for (let n = 0; n < packed.slabs[0]!.count; n++) expect(packedScales[g * packed.slabs[0]!.quads * 4 + n]).toBe(scales[n * groups + g]);
});

const storedShape = ({
  weight,
  bits,
  n,
  k,
}: {
  readonly weight: 'NK' | 'KN';
  readonly bits: Bits;
  readonly n: number;
  readonly k: number;
}): number[] => {
  const [rows, columns] = weight === 'NK' ? [n, k] : [k, n];
  return [rows, bits === 8 ? columns : columns / 8];
};
