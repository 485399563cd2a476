// loadMatrix() fills every u32 of the packed layout as docs/format.md says, for each width of codes and each form of scales: compared with a
// packer that was written from that page.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { capsOf } from '../../src/gpu/device.js';
import { LinearWeightQuant, requestDevice, Tensor } from '../../src/index.js';
import { beginLoad, finishLoad, loadPiece } from '../../src/layer/load.js';
import { CODE_BITS } from '../../src/problem/code-width.js';
import { codeAt, packCodes, type QuantizedMatrix } from '../../src/problem/matrix.js';
import { LEGAL_FORMATS, SCALE_FORMS, SHIFTS } from '../../src/problem/weight-format.js';
import { gpu } from '../support/dawn.js';
import { FORMS, matrixOf, type Sizes, widthsOf } from '../support/matrix-forms.js';
import { packByFormat } from '../support/pack-by-format.js';

let device: GPUDevice;
beforeAll(async () => {
  device = await requestDevice({ gpu });
});
afterAll(() => device.destroy());

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
  expect(all.filter((one) => !seen.has(one))).toEqual([]);
});
