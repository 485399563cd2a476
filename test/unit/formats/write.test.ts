// Writers: bytes of safetensors and tensors of two schemes, against an independent implementation of their rules and words worked by hand.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decode16, encode16 } from '../../../src/dtype.js';
import type { RawTensor } from '../../../src/files/raw-tensor.js';
import { madeTogether, type Sink, safetensorsHeader, writeSafetensors } from '../../../src/files/write-safetensors.js';
import {
  compressedTensorsConfig,
  compressedTensorsOutlines,
  compressedTensorsTensors,
} from '../../../src/formats/write-compressed-tensors.js';
import { formOf, inSlots } from '../../../src/formats/write-layer.js';
import { torchNpuOutlines, torchNpuTensors } from '../../../src/formats/write-torch-npu.js';
import { CODE_BITS } from '../../../src/problem/code-width.js';
import { checkMatrix, codeAt, dequantize, packCodes, type QuantizedMatrix } from '../../../src/problem/matrix.js';
import type { QuantizeOptions } from '../../../src/quantize/options.js';
import { quantize } from '../../../src/quantize/quantize.js';
import { drawnForms } from '../../support/drawn-forms.js';
import { expectArgument } from '../../support/expect-errors.js';
import { normals } from '../../support/normal-weights.js';
import { randoms } from '../../support/tensors.js';

function memory(): Sink & { bytes(): Uint8Array } {
  const pieces: number[] = [];
  return { write: async (bytes) => void pieces.push(...bytes), bytes: () => Uint8Array.from(pieces) };
}

/** A file as the format's description has it: length, JSON, data. */
function readFile(file: Uint8Array): { metadata: unknown; tensors: Map<string, RawTensor> } {
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Record<string, never>;
  const { __metadata__: metadata, ...rest } = header as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  const tensors = new Map(
    Object.entries(rest).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => [name, { name, dtype, shape, bytes: file.slice(8 + length + begin, 8 + length + end) }],
    ),
  );
  return { metadata, tensors };
}

const floatsOf = ({ dtype, bytes }: RawTensor): Float32Array => {
  const own = bytes.slice().buffer;
  return dtype === 'F32' ? new Float32Array(own) : decode16(new Uint16Array(own), dtype === 'F16' ? 'float16' : 'bfloat16');
};
const byName = (tensors: readonly RawTensor[]): Record<string, RawTensor> =>
  Object.fromEntries(tensors.map((tensor) => [tensor.name.slice('layer.'.length), tensor]));

/** Element i of a row of b-bit fields, first in the lowest bits, a bit at a time. */
const field = (bytes: Uint8Array, bits: number, i: number): number => {
  let value = 0;
  for (let b = 0; b < bits; b++) {
    const at = i * bits + b;
    value += ((bytes[at >> 3]! >> (at & 7)) & 1) << b;
  }
  return value;
};
const signed = (value: number, bits: number): number => (value >= 2 ** (bits - 1) ? value - 2 ** bits : value);

/** W = (q + antiquant_offset) · antiquant_scale. */
function fromTorchNpu(tensors: Record<string, RawTensor>, groupSize: number): Float32Array {
  const { weight, antiquant_scale: scale, antiquant_offset: offset } = tensors as Record<string, RawTensor>;
  const bits = weight!.dtype === 'I8' ? 8 : 4;
  const n = weight!.shape[0]!;
  const k = weight!.shape[1]! * (bits === 4 ? 8 : 1);
  const [s, o] = [floatsOf(scale!), offset && floatsOf(offset)];
  const groups = scale!.shape.length === 1 ? 0 : scale!.shape[1]!;
  return Float32Array.from({ length: n * k }, (_, i) => {
    const at = Math.floor(i / k) * groups + (groups > 1 ? Math.floor((i % k) / groupSize) : 0);
    return (signed(field(weight!.bytes, bits, i), bits) + (o?.[at] ?? 0)) * s[at]!;
  });
}

/** W = (q - zero_point) · scale, q and zero_point stored + 2^(bits-1). */
function fromCompressed(tensors: Record<string, RawTensor>, bits: number): Float32Array {
  const { weight_packed: packed, weight_scale: scale, weight_zero_point: zero, weight_shape: shape } = tensors as Record<string, RawTensor>;
  const [n, k] = Array.from(new BigInt64Array(shape!.bytes.slice().buffer), Number) as [number, number];
  const pitch = packed!.shape[1]! * 4;
  const groups = scale!.shape[1]!;
  const zeros = zero && new Uint32Array(zero.bytes.slice().buffer);
  const inWord = 32 / bits;
  return Float32Array.from({ length: n * k }, (_, i) => {
    const [row, column] = [Math.floor(i / k), i % k];
    const group = Math.floor(column / (k / groups));
    const code = field(packed!.bytes.subarray(row * pitch, (row + 1) * pitch), bits, column);
    const zeroWord = zeros?.[Math.floor(row / inWord) * groups + group];
    const zeroCode = zeroWord === undefined ? 2 ** (bits - 1) : Math.floor(zeroWord / 2 ** (bits * (row % inWord))) % 2 ** bits;
    return (code - zeroCode) * floatsOf(scale!)[row * groups + group]!;
  });
}

describe('safetensors', () => {
  test('a header worked by hand', () => {
    const json =
      '{"__metadata__":{"format":"pt"},"a":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]},"b":{"dtype":"F16","shape":[],"data_offsets":[6,8]}}';
    const header = safetensorsHeader(
      [
        { name: 'a', dtype: 'I8', shape: [2, 3] },
        { name: 'b', dtype: 'F16', shape: [] },
      ],
      { format: 'pt' },
    );
    expect(json.length).toBe(138);
    expect(Array.from(header.subarray(0, 8))).toEqual([144, 0, 0, 0, 0, 0, 0, 0]);
    expect(new TextDecoder().decode(header.subarray(8))).toBe(json + ' '.repeat(6));
  });

  test('data in pieces, from promises and generators; progress; names that objects would sort or lose', async () => {
    const sink = memory();
    const seen: number[] = [];
    async function* parts() {
      yield Uint8Array.of(1, 2);
      yield Uint8Array.of(3, 4);
    }
    const size = await writeSafetensors(
      sink,
      [
        { name: 'z', dtype: 'I32', shape: [1], bytes: parts },
        { name: '__proto__', dtype: 'U8', shape: [2], bytes: async () => Uint8Array.of(5, 6) },
        { name: '1', dtype: 'U8', shape: [1], bytes: Uint8Array.of(7) },
        { name: 'none', dtype: 'F32', shape: [0, 4], bytes: () => [] },
      ],
      { onProgress: ({ phase, done, total }) => seen.push(phase === 'write' ? done / total : Number.NaN) },
    );
    const file = sink.bytes();
    expect(size).toBe(file.length);
    expect(seen.at(-1)).toBe(1);
    const text = new TextDecoder().decode(file);
    expect(['"z"', '"__proto__"', '"1"', '"none"'].map((name) => text.indexOf(name))).toEqual(
      ['"z"', '"__proto__"', '"1"', '"none"'].map((name) => text.indexOf(name)).sort((a, b) => a - b),
    );
    expect(Array.from(file.subarray(-7))).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(Array.from(readFile(file).tensors.get('1')!.bytes)).toEqual([7]);
  });

  test('what is refused', async () => {
    expectArgument(() => safetensorsHeader([{ name: 'a', dtype: 'Q4_0', shape: [1] }]), 'a.dtype', 'F16', 'Q4_0');
    expectArgument(() => safetensorsHeader([{ name: 'a', dtype: 'F16', shape: [-1] }]), 'a.shape', 'whole numbers', '-1');
    const a = { name: 'a', dtype: 'U8', shape: [2] };
    expectArgument(() => safetensorsHeader([a, a]), 'tensors', 'each name once', 'a again');
    for (const bytes of [Uint8Array.of(1), Uint8Array.of(1, 2, 3), () => [Uint8Array.of(1, 2), Uint8Array.of(3)]])
      await expect(writeSafetensors(memory(), [{ ...a, bytes }])).rejects.toThrow(/^a: expected 2 bytes for U8/);
    const held = memory();
    await expect(writeSafetensors(held, [{ ...a, bytes: () => [Uint8Array.of(1, 2), Uint8Array.of(3)] }])).rejects.toThrow(/^a: /);
    expect(held.bytes().length).toBe(safetensorsHeader([a]).length + 2); // nothing where the next tensor would be
    const controller = new AbortController();
    const reason = new Error('enough');
    const sink = memory();
    const stop = async (): Promise<Uint8Array> => {
      controller.abort(reason);
      return new Uint8Array(2);
    };
    await expect(writeSafetensors(sink, [{ ...a, bytes: stop }], { signal: controller.signal })).rejects.toBe(reason);
    expect(sink.bytes().length % 8).toBe(0); // the header alone
  });

  test('tensors made together are made once, when the first is written', async () => {
    let made = 0;
    const outlines = torchNpuOutlines('layer', { n: 2, k: 8, bits: 4, mode: 'channel', symmetric: false, scaleDtype: 'float16' });
    const tensors = madeTogether(outlines, async () => {
      made++;
      return torchNpuTensors('layer', quantize(normals('t', 16), { n: 2, k: 8, bits: 4 }));
    });
    expect(made).toBe(0);
    const sink = memory();
    await writeSafetensors(sink, tensors);
    expect(made).toBe(1);
    const wanted = dequantize(quantize(normals('t', 16), { n: 2, k: 8, bits: 4 }).matrix);
    const back = byName([...readFile(sink.bytes()).tensors.values()]);
    expect(fromTorchNpu(back, 8)).toEqual(wanted);
    await expect(
      writeSafetensors(
        memory(),
        madeTogether(outlines, () => []),
      ),
    ).rejects.toThrow(/made: expected layer.weight, got none/);
  });
});

describe('words worked by hand', () => {
  // Codes 0 … 7 in row 0, 8 … 15 in row 1; scale 0.5 and 2, zero points 2 and 15.
  const matrix: QuantizedMatrix = {
    n: 2,
    k: 8,
    bits: 4,
    codes: Uint32Array.of(0x76543210, 0xfedcba98),
    groupSize: 8,
    scale: Float32Array.of(0.5, 2),
    scaleDtype: 'float16',
    zeroPoint: Float32Array.of(2, 15),
  };
  const words = ({ bytes }: RawTensor): string[] => Array.from(new Uint32Array(bytes.slice().buffer), (word) => word.toString(16));

  test('torch_npu', () => {
    const { weight, antiquant_scale: scale, antiquant_offset: offset } = byName(torchNpuTensors('layer', { matrix }));
    expect(weight).toMatchObject({ name: 'layer.weight', dtype: 'I32', shape: [2, 1] });
    expect(words(weight!)).toEqual(['fedcba98', '76543210']); // -8 … -1, then 0 … 7
    expect(scale).toMatchObject({ dtype: 'F16', shape: [2, 1] });
    expect(Array.from(floatsOf(offset!))).toEqual([6, -7]);
  });

  test('torch_npu int8, rows that are no whole words', () => {
    const codes = Uint32Array.of(0x00ff8001, 0x00000203); // (2, 3): 1, 128, 255; 3, 2, 0
    const int8 = { ...matrix, bits: 8, k: 3, groupSize: 3, codes, zeroPoint: undefined } as const;
    const { weight } = byName(torchNpuTensors('layer', { matrix: int8 }));
    expect(weight).toMatchObject({ dtype: 'I8', shape: [2, 3] });
    expect(Array.from(new Int8Array(weight!.bytes.slice().buffer))).toEqual([-127, 0, 127, -125, -126, -128]);
  });

  test('compressed-tensors', () => {
    const tensors = byName(compressedTensorsTensors('layer', { matrix }));
    expect(tensors.weight_packed).toMatchObject({ name: 'layer.weight_packed', dtype: 'I32', shape: [2, 1] });
    expect(words(tensors.weight_packed!)).toEqual(['76543210', 'fedcba98']);
    expect(tensors.weight_zero_point).toMatchObject({ dtype: 'I32', shape: [1, 1] });
    expect(words(tensors.weight_zero_point!)).toEqual(['f2']); // both rows' in one word, packed along N
    expect(words(tensors.weight_shape!)).toEqual(['2', '0', '8', '0']);
  });

  test('narrow codes are written as 4 or 8 bits', () => {
    // Codes 0 … 7 of 3 bits are q = -4 … 3, which nibbles of two's complement or of q + 8 hold.
    const matrix: QuantizedMatrix = {
      ...{ n: 1, k: 8, bits: 3, codes: Uint32Array.of(0x76543210), groupSize: 8, scale: Float32Array.of(0.5), scaleDtype: 'float16' },
    };
    expect(words(byName(torchNpuTensors('layer', { matrix })).weight!)).toEqual(['3210fedc']);
    expect(words(byName(compressedTensorsTensors('layer', { matrix })).weight_packed!)).toEqual(['ba987654']);
  });

  test('what a scheme cannot hold', () => {
    const floats = { zeroPoint: undefined, bits: 8, codes: new Uint32Array(4), codeForm: 'e4m3' };
    const both = (broken: object, argument: string, expected: string): void => {
      const layer = { matrix: { ...matrix, ...broken } };
      expectArgument(() => torchNpuTensors('layer', layer), argument, expected, '');
      expectArgument(() => compressedTensorsTensors('layer', layer), argument, expected, '');
    };
    both({ zeroPoint: undefined, codebook: new Float32Array(16) }, 'matrix.codebook', 'none');
    both({ zeroPoint: undefined, minimum: new Float32Array(2) }, 'matrix.minimum', 'none');
    both({ inputScale: new Float32Array(8).fill(1) }, 'matrix.inputScale', 'none');
    both(floats, 'matrix.codeForm', 'none');
    both({ permutation: Uint32Array.from({ length: 8 }, (_, i) => 7 - i) }, 'matrix.permutation', 'none');
    both({ scale: Float32Array.of(0.1, 2) }, 'matrix.scale[0]', 'a number that float16 holds');
    const odd = { ...matrix, k: 7, groupSize: 7 };
    expectArgument(() => torchNpuTensors('layer', { matrix: odd }), 'matrix.k', 'a multiple of 8', '7');
    const groups = { ...matrix, k: 16, codes: new Uint32Array(4), scale: new Float32Array(4), zeroPoint: undefined };
    expectArgument(() => torchNpuTensors('layer', { matrix: groups }), 'matrix.groupSize', 'a multiple of 32 below K = 16', '8');
    expectArgument(() => torchNpuTensors('layer', { matrix: groups, mode: 'channel' }), 'mode', 'group', 'channel');
    expectArgument(() => torchNpuTensors('layer', { matrix, mode: 'tensor' }), 'mode', 'channel', 'tensor');
    const short = { ...groups, k: 12, scale: new Float32Array(4) };
    expectArgument(() => compressedTensorsTensors('layer', { matrix: short }), 'matrix.groupSize', 'a divisor of K = 12', '8');
    const float = { ...matrix, zeroPoint: Float32Array.of(2, 2.5) };
    expectArgument(() => compressedTensorsTensors('layer', { matrix: float }), 'matrix.zeroPoint[1]', 'a whole number of 0 … 15', '2.5');
    expect(Array.from(floatsOf(byName(torchNpuTensors('layer', { matrix: float })).antiquant_offset!))).toEqual([6, 5.5]);
  });

  test('a bias is in the dtype that goes with the scales', () => {
    const bias: RawTensor = { name: 'b', dtype: 'F16', shape: [2], bytes: new Uint8Array(encode16([0.5, -3], 'float16').buffer) };
    for (const [scaleDtype, dtype] of [
      ['float16', 'F16'],
      ['bfloat16', 'F32'],
      ['float32', 'F32'],
    ] as const) {
      const tensors = byName(torchNpuTensors('layer', { matrix: { ...matrix, scaleDtype } }, { bias }));
      expect(tensors.bias).toMatchObject({ dtype, shape: [2] });
      expect(Array.from(floatsOf(tensors.bias!))).toEqual([0.5, -3]);
    }
  });

  test('the configuration', () => {
    const config = compressedTensorsConfig({ bits: 4, mode: 'group', groupSize: 128, symmetric: true }, { ignore: ['lm_head'] });
    expect(config).toMatchObject({
      quant_method: 'compressed-tensors',
      format: 'pack-quantized',
      config_groups: { group_0: { weights: { num_bits: 4, strategy: 'group', group_size: 128, symmetric: true } } },
      ignore: ['lm_head'],
    });
    const channel = compressedTensorsConfig({ bits: 8, mode: 'tensor', symmetric: false });
    expect(channel).toMatchObject({ config_groups: { group_0: { weights: { num_bits: 8, strategy: 'channel', group_size: null } } } });
  });
});

describe.each(CODE_BITS)('a matrix of %i bits in codes that fill their slots', (bits) => {
  const [n, k, slot] = [3, 21, bits > 4 ? 8 : 4];
  const [largest, lift] = [2 ** bits - 1, 2 ** (slot - 1) - 2 ** (bits - 1)];
  const given: QuantizedMatrix = {
    ...{ n, k, bits, groupSize: 8 },
    codes: packCodes([0, largest, ...randoms(bits, n * k - 2, 0, largest)], n, k, bits),
    scale: Float32Array.from({ length: 9 }, (_, i) => (i - 4) / 8),
    scaleDtype: 'float16',
  };
  test.each<[string, Partial<QuantizedMatrix>, number]>([
    ['alone', {}, lift],
    ['whole zero points', { zeroPoint: new Float32Array(9).map((_, i) => Math.min(i, largest)), zeroPointDtype: 'uint8' }, 0],
    ['float zero points', { zeroPoint: new Float32Array(9).fill(1.25), zeroPointDtype: 'float16' }, 0],
    ['a minimum', { minimum: new Float32Array(9).fill(-0.5) }, 0],
  ])('%s: has the same weights', (_, more, raised) => {
    const matrix = { ...given, ...more };
    const before = matrix.codes.slice();
    const wide = inSlots(matrix);
    checkMatrix(wide);
    expect(wide.bits).toBe(slot);
    expect(matrix.codes).toEqual(before);
    expect([...dequantize(wide)]).toEqual([...dequantize(matrix)]);
    expect([codeAt(wide, 0, 0), codeAt(wide, 0, 1)]).toEqual([raised, largest + raised]);
    for (let row = 0; row < n; row++) for (let past = k; past < 24; past++) expect(codeAt({ ...wide, k: 24 }, row, past)).toBe(0);
  });
});

test('quantize → write → read gives the same numbers, and outlines say the same as tensors', async () => {
  const cases = drawnForms({ n: { min: 1, max: 19 }, words: { min: 2, max: 20 } });
  await fc.assert(
    fc.asyncProperty(cases, async ({ n, words, bits, mode, symmetric, method, scaleDtype }) => {
      const k = mode === 'group' ? words * 32 : words * 8;
      const options: QuantizeOptions = { n, k, bits, mode, method, scaleDtype, symmetric: symmetric && method !== 'hqq' };
      const groupSize = mode === 'group' ? 32 : undefined;
      const layer = quantize(
        normals(`${n} ${k}`, n * k).map((value) => value + 0.3),
        { ...options, groupSize },
      );
      const wanted = dequantize(layer.matrix);
      const npu = torchNpuTensors('layer', layer);
      const sink = memory();
      await writeSafetensors(sink, npu);
      expect(fromTorchNpu(byName([...readFile(sink.bytes()).tensors.values()]), 32)).toEqual(wanted);
      expect(npu.map(({ bytes, ...outline }) => outline)).toEqual(torchNpuOutlines('layer', formOf(layer)));
      if (method === 'hqq') return;
      const compressed = compressedTensorsTensors('layer', layer);
      const other = memory();
      await writeSafetensors(other, compressed);
      expect(fromCompressed(byName([...readFile(other.bytes()).tensors.values()]), bits)).toEqual(wanted);
      expect(compressed.map(({ bytes, ...outline }) => outline)).toEqual(compressedTensorsOutlines('layer', formOf(layer)));
    }),
    { numRuns: 80 },
  );
});
