// loadMatrix() fills every u32 of the packed layout as docs/format.md says, for each width of codes and each form of scales: compared with a
// packer that was written from that page.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FloatDType, roundTo } from '../../src/dtype.js';
import { capsOf } from '../../src/gpu/device.js';
import { LinearWeightQuant, requestDevice, Tensor } from '../../src/index.js';
import { beginLoad, finishLoad, loadPiece } from '../../src/layer/load.js';
import { CODE_BITS, type CodeBits } from '../../src/problem/code-width.js';
import { checkMatrix, codeAt, packCodes, type QuantizedMatrix, type ScaleForm } from '../../src/problem/matrix.js';
import { LEGAL_FORMATS, SCALE_FORMS, SHIFTS } from '../../src/problem/weight-format.js';
import { gpu } from '../support/dawn.js';
import { packByFormat } from '../support/pack-by-format.js';
import { randoms } from '../support/tensors.js';

let device: GPUDevice;
beforeAll(async () => {
  device = await requestDevice({ gpu });
});
afterAll(() => device.destroy());

/** What goes with the codes. A scale form is given wherever its values allow: the layer takes it where kernels can read it. */
interface Form {
  readonly name: string;
  readonly scaleDtype?: FloatDType | undefined;
  readonly kind?: ScaleForm['kind'];
  readonly shift?: 'minimum' | 'zeros' | 'offsets' | 'bytes' | undefined;
  readonly codebook?: readonly number[];
  readonly codeForm?: 'e4m3';
}
const ANY = Array.from({ length: 16 }, (_, i) => (i - 5) / 4);
const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6];
const FORMS: readonly Form[] = [
  ...(['float32', 'float16', 'bfloat16'] as const).flatMap((scaleDtype) =>
    ([undefined, 'minimum', 'zeros', 'offsets', 'bytes'] as const).map((shift) => ({
      name: `${scaleDtype} ${shift ?? ''}`,
      scaleDtype,
      shift,
    })),
  ),
  { name: 'int8 levels', kind: 'int8' },
  { name: 'uint8 levels', kind: 'uint8', shift: 'minimum' },
  { name: 'uint4 levels', kind: 'uint4', shift: 'minimum' },
  { name: 'float16 of a codebook', scaleDtype: 'float16', codebook: ANY },
  { name: 'int8 levels of a codebook', kind: 'int8', codebook: ANY },
  { name: 'e8m0 of a codebook', kind: 'e8m0', codebook: ANY },
  { name: 'e8m0 of E2M1', kind: 'e8m0', codebook: E2M1 },
  { name: 'e4m3 of E2M1', kind: 'e4m3', codebook: E2M1 },
  { name: 'e4m3 of a codebook', kind: 'e4m3', codebook: ANY },
  { name: 'e4m3-unit of E2M1', kind: 'e4m3-unit', codebook: E2M1 },
  ...(['float32', 'float16', 'bfloat16'] as const).map((scaleDtype) => ({
    name: `${scaleDtype} of E4M3`,
    scaleDtype,
    codeForm: 'e4m3' as const,
  })),
  { name: 'e8m0 of E4M3', kind: 'e8m0', codeForm: 'e4m3' },
];
const RANGES: Readonly<Record<string, readonly [number, number]>> = { int8: [-128, 127], uint8: [0, 255], uint4: [0, 15] };

interface Sizes {
  readonly n: number;
  readonly k: number;
  readonly groupSize: number;
}

const e4m3 = (byte: number): number => (byte < 8 ? byte * 2 ** -9 : (8 + (byte % 8)) * 2 ** (Math.floor(byte / 8) - 10));

/** An e4m3 that is no NaN. */
const finite = (code: number): number => (code % 128 === 127 ? code - 1 : code);

/** The widths that a form has. */
const widthsOf = ({ codebook, codeForm }: Form): readonly CodeBits[] => (codebook ? [4] : codeForm ? [8] : CODE_BITS);

/** Random codes, scales and what is added. */
function matrixOf(
  bits: CodeBits,
  { scaleDtype = 'float32', kind, shift, codebook, codeForm }: Form,
  { n, k, groupSize }: Sizes,
): QuantizedMatrix {
  const [groups, units] = [Math.ceil(k / groupSize), Math.ceil(k / 256)];
  const largest = 2 ** bits - 1;
  const draw = (seed: number, low: number, high: number, length = n * groups) => randoms(97 * seed + bits, length, low, high);
  /** Units, every third of which is a subnormal float16. */
  const unitsOf = (seed: number) =>
    Float32Array.from(draw(seed, 1, 1023, n * units), (value, i) => value * (i % 3 === 0 ? 2 ** -24 : 2 ** -12));
  const products = (levels: readonly number[], unit: Float32Array) =>
    Float32Array.from(levels, (level, i) => level * unit[Math.floor(i / groups) * units + Math.floor(((i % groups) * groupSize) / 256)]!);
  const floats = (seed: number) => Float32Array.from(draw(seed, -120, 120), (value) => roundTo(value / 64, scaleDtype));

  const levels = kind ? RANGES[kind] : undefined;
  const [unit, minimumUnit] = [unitsOf(1), unitsOf(2).map((value) => -value)];
  /** Units of all k, of 24 digits. */
  const ones = Float32Array.from(draw(6, 2 ** 23, 2 ** 24 - 1, n), (digits) => digits * 2 ** -34);
  const paired = kind === 'uint8' || kind === 'uint4';
  const scale = levels
    ? products(draw(3, ...levels), unit)
    : kind === 'e8m0'
      ? Float32Array.from(draw(3, -127, 127), (e) => 2 ** e)
      : kind === 'e4m3'
        ? Float32Array.from(draw(3, 0, 126), e4m3)
        : kind === 'e4m3-unit'
          ? Float32Array.from(draw(3, 0, 126), (byte, i) => e4m3(byte) * ones[Math.floor(i / groups)]!)
          : floats(3);
  const matrix: QuantizedMatrix = {
    ...{ n, k, bits, groupSize, scale, scaleDtype },
    codes: packCodes(codeForm ? draw(4, 0, largest, n * k).map(finite) : draw(4, 0, largest, n * k), n, k, bits),
    ...(kind && {
      scaleForm: { kind, ...(levels && { unit }), ...(kind === 'e4m3-unit' && { unit: ones }), ...(paired && { minimumUnit }) },
    }),
    ...(shift === 'minimum' && { minimum: paired ? products(draw(5, ...levels!), minimumUnit) : floats(5) }),
    ...(shift === 'bytes' && { zeroPoint: Float32Array.from(draw(5, 0, largest)), zeroPointDtype: 'uint8' }),
    ...(shift === 'zeros' && { zeroPoint: floats(5), zeroPointDtype: scaleDtype }),
    ...(shift === 'offsets' && { zeroPoint: Float32Array.from(draw(5, 0, largest)) }),
    ...(codebook && { codebook: Float32Array.from(codebook) }),
    ...(codeForm && { codeForm }),
  };
  checkMatrix(matrix);
  return matrix;
}

async function wordsOf(buffer: GPUBuffer): Promise<Uint32Array> {
  const read = (await Tensor.wrap(device, buffer, { shape: [buffer.size / 4], dtype: 'int32' }).read()) as Int32Array;
  return new Uint32Array(read.buffer);
}

/** The layer's buffers, read back. */
async function loaded(matrix: QuantizedMatrix, wideCodes: boolean) {
  const options = { inFeatures: matrix.k, outFeatures: matrix.n, bias: false, dtype: 'float32' as const, plan: { caps: { wideCodes } } };
  const layer = new LinearWeightQuant(device, options);
  layer.loadMatrix(matrix);
  const words: Record<string, Uint32Array> = {};
  for (const [role, buffer] of layer.loaded.buffers) words[role] = await wordsOf(buffer);
  const { weights } = layer.loaded;
  layer.destroy();
  return { words, weights };
}

/** The first u32 that differs, of each buffer. */
function differences(got: Readonly<Record<string, Uint32Array>>, want: Readonly<Record<string, Uint32Array>>): string[] {
  expect(Object.keys(got).sort()).toEqual(Object.keys(want).sort());
  return Object.entries(want).flatMap(([role, words]) => {
    const own = got[role]!;
    if (own.length !== words.length) return [`${role}: ${own.length} u32s, not ${words.length}`];
    const i = words.findIndex((word, at) => word !== own[at]);
    return i < 0 ? [] : [`${role}[${i}]: ${own[i]!.toString(16)}, not ${words[i]!.toString(16)}`];
  });
}

const seen = new Set<string>();
const cases = CODE_BITS.flatMap((bits) =>
  FORMS.filter((form) => widthsOf(form).includes(bits)).flatMap((form) => [false, true].map((wide) => ({ bits, form, wide }))),
);
// Ragged columns and k: a short last group, a short last unit, a short last word.
const SIZES: readonly Sizes[] = [
  { n: 6, k: 300, groupSize: 16 },
  { n: 9, k: 264, groupSize: 32 },
  { n: 5, k: 299, groupSize: 64 },
];
test.each(cases)('$bits bits, $form.name, wide codes $wide', async ({ bits, form, wide }) => {
  for (const sizes of SIZES) {
    const matrix = matrixOf(bits, form, sizes);
    const want = packByFormat(matrix, { wideCodes: wide });
    const { words, weights } = await loaded(matrix, wide);
    expect([weights.held, SCALE_FORMS[weights.scaleDtype].param, SHIFTS[weights.shift]]).toEqual([
      want.held,
      want.scaleParam,
      want.offsetParam,
    ]);
    expect(differences(words, want.buffers)).toEqual([]);
    seen.add([weights.held, weights.scaleDtype, weights.shift, weights.codebook].join());
  }
});

test('groups that are no whole words of narrow codes, and one group of all k', async () => {
  for (const bits of CODE_BITS)
    for (const groupSize of [bits > 4 ? 12 : 40, 77])
      for (const wide of [false, true]) {
        const matrix = matrixOf(bits, { name: '', scaleDtype: 'float16', shift: 'bytes' }, { n: 7, k: 77, groupSize });
        const { words } = await loaded(matrix, wide);
        expect(differences(words, packByFormat(matrix, { wideCodes: wide }).buffers)).toEqual([]);
      }
});

/** k of `from` … `to` of a matrix. Groups of a piece that is shorter than one are as long as the piece. */
function cut(matrix: QuantizedMatrix, from: number, to: number): QuantizedMatrix {
  const { n, k, bits, groupSize, scale, scaleForm, zeroPoint, minimum } = matrix;
  const run = (list: Float32Array | undefined, each: number) => {
    const per = Math.ceil(k / each);
    return (
      list &&
      Float32Array.from(
        Array.from({ length: n }, (_, row) => [...list.slice(row * per + from / each, row * per + Math.ceil(to / each))]).flat(),
      )
    );
  };
  const codes = Array.from({ length: n * (to - from) }, (_, i) => codeAt(matrix, Math.floor(i / (to - from)), from + (i % (to - from))));
  const { kind, unit, minimumUnit } = scaleForm ?? {};
  return {
    ...{ ...matrix, k: to - from, groupSize: Math.min(groupSize, to - from), codes: packCodes(codes, n, to - from, bits) },
    scale: run(scale, groupSize)!,
    zeroPoint: run(zeroPoint, groupSize),
    minimum: run(minimum, groupSize),
    scaleForm: kind && { kind, unit: kind === 'e4m3-unit' ? unit : run(unit, 256), minimumUnit: run(minimumUnit, 256) },
  };
}

test.each(FORMS.map((form) => [form.name, form] as const))('%s, in pieces along k, the last shorter than a group', async (_, form) => {
  for (const bits of widthsOf(form))
    for (const wideCodes of [false, true]) {
      const matrix = matrixOf(bits, form, { n: 6, k: 520, groupSize: 32 });
      const load = beginLoad(device, cut(matrix, 0, 256), {
        caps: { ...capsOf(device), wideCodes },
        size: matrix,
        biased: false,
        requantized: false,
      });
      for (const [from, to] of [
        [0, 256],
        [256, 512],
        [512, 520],
      ] as const)
        loadPiece(load, cut(matrix, from, to), { n: 0, k: from });
      const words: Record<string, Uint32Array> = {};
      for (const [role, buffer] of finishLoad(load).buffers) {
        words[role] = await wordsOf(buffer);
        buffer.destroy();
      }
      expect(differences(words, packByFormat(matrix, { wideCodes }).buffers)).toEqual([]);
    }
});

test('every form that kernels read was packed', () => {
  const all = LEGAL_FORMATS.map(({ held, scaleDtype, shift, codebook }) => [held, scaleDtype, shift, codebook].join());
  // A codebook with scales of other forms differs in nothing that is packed.
  const rest = all.filter((one) => !seen.has(one));
  const floats = (kind: string, dtypes: readonly string[]) => dtypes.map((dtype) => `4,${dtype},none,${kind}`);
  const expected = [...floats('table', ['float32', 'bfloat16']), ...floats('e2m1', ['float32', 'float16', 'bfloat16'])];
  expect(rest.sort()).toEqual(expected.sort());
});
