// A packer that follows docs/format.md, section by section. It is slow and independent of src/plan and src/problem: tests compare the GPU's
// buffers with it.
import { encode16, type FloatDType } from '../../src/dtype.js';
import type { QuantizedMatrix } from '../../src/problem/matrix.js';

export interface PackedByFormat {
  readonly held: number;
  readonly scaleParam: number;
  readonly offsetParam: number;
  /** u32s of each buffer. */
  readonly buffers: Readonly<Record<string, Uint32Array>>;
}

// ------------------------------------------------------------------------------------------------------------------ codes

/** The table of "Codes": bits of low and high parts. */
const PARTS: Readonly<Record<number, readonly [low: number, high: number]>> = {
  2: [2, 0],
  3: [2, 1],
  4: [4, 0],
  5: [4, 1],
  6: [4, 2],
  8: [8, 0],
};

/** Words of one column, row by row, from its codes. */
export function packColumn(codes: readonly number[], held: number): number[] {
  const [LOW, HIGH] = PARTS[held]!;
  const CODES = 32 / LOW;
  const middle = 2 ** (held - 1);
  const padded = HIGH > 0 ? 32 * Math.ceil(codes.length / 32) : CODES * Math.ceil(codes.length / CODES);
  const words = new Array<bigint>((padded / 32) * held).fill(0n);
  for (let k = 0; k < padded; k++) {
    const code = codes[k] ?? middle;
    const block = Math.floor(k / 32) * held;
    const j = Math.floor((k % 32) / CODES);
    const i = k % CODES;
    words[block + j]! += BigInt(code % 2 ** LOW) << BigInt(LOW * i);
    if (HIGH > 0)
      words[block + LOW + Math.floor((j * HIGH) / LOW)]! +=
        BigInt(Math.floor(code / 2 ** LOW)) << BigInt(LOW * i + HIGH * (j % (LOW / HIGH)));
  }
  return words.map(Number);
}

/** "Held bits". */
/** A sign, two bits of exponent with a bias of 1, one of fraction. */
const isE2M1 = (values: Float32Array): boolean =>
  values.every(
    (value, i) =>
      Math.abs(value) === (i % 8 < 2 ? (i % 8) / 2 : (1 + (i % 2) / 2) * 2 ** (((i % 8) >> 1) - 1)) && (value === 0 || value < 0 === i > 7),
  );

function heldBits(bits: number, { k, groupSize, codebook, codeForm }: QuantizedMatrix, wideCodes: boolean): number {
  if (codebook) return 4;
  if (codeForm) return 8;
  const wanted = wideCodes ? ({ 3: 4, 6: 8 }[bits] ?? bits) : bits;
  const whole = groupSize === k || groupSize % (32 / PARTS[wanted]![0]) === 0;
  return whole ? wanted : bits <= 4 ? 4 : 8;
}

/** A code of the matrix in the caller's memory: up to 4 bits in nibbles, others in bytes. */
function codeOf({ codes, k, bits }: QuantizedMatrix, n: number, column: number): number {
  const inWord = bits <= 4 ? 8 : 4;
  const word = codes[n * Math.ceil(k / inWord) + Math.floor(column / inWord)]!;
  return Math.floor(word / 2 ** ((32 / inWord) * (column % inWord))) % 2 ** bits;
}

// ----------------------------------------------------------------------------------------------------------------- scales

/** "These go together", of the narrow forms. */
function fits(kind: string, held: number, { minimum, codebook, codeForm }: QuantizedMatrix): boolean {
  if (codeForm) return kind === 'e8m0';
  if (kind === 'e4m3-unit') return codebook !== undefined && isE2M1(codebook);
  if (codebook) return ['int8', 'e8m0', 'e4m3'].includes(kind) && held === 4;
  if (kind === 'int8') return !minimum && [3, 4, 6, 8].includes(held);
  if (kind === 'uint8') return [4, 5].includes(held);
  return kind === 'uint4' && held === 2;
}
const SCALE: Readonly<Record<string, number>> = {
  float32: 0,
  float16: 1,
  bfloat16: 2,
  int8: 3,
  uint8: 3,
  uint4: 4,
  e8m0: 5,
  e4m3: 6,
  'e4m3-unit': 7,
};

const wordsOf = (bytes: readonly number[]): Uint32Array => new Uint32Array(Uint8Array.from(bytes).buffer);
const floats = (values: readonly number[], dtype: FloatDType): Uint32Array => {
  const list = Float32Array.from(values);
  return new Uint32Array((dtype === 'float32' ? list : encode16(list, dtype)).buffer);
};
const half = (value: number): number => encode16(Float32Array.of(value), 'float16')[0]!;

/** The byte of a float. */
const e8m0 = (scale: number): number => 127 + Math.log2(scale);
const e4m3 = (scale: number, unit = 1): number => {
  for (let byte = 0; byte < 127; byte++) {
    const value = byte < 8 ? byte * 2 ** -9 : (8 + (byte % 8)) * 2 ** (Math.floor(byte / 8) - 10);
    if (Math.fround(value * unit) === scale) return byte;
  }
  throw new Error(`${scale} is no e4m3`);
};
const levelOf = (value: number, unit: number): number => (unit === 0 ? 0 : value / unit);

// ----------------------------------------------------------------------------------------------------------------- buffers

/** The buffers of a matrix, as u32s. */
export function packByFormat(matrix: QuantizedMatrix, { wideCodes }: { readonly wideCodes: boolean }): PackedByFormat {
  const { n, k, bits, groupSize, scale, scaleDtype, scaleForm, zeroPoint, zeroPointDtype, minimum, codebook, codeForm } = matrix;
  const C = 4 * Math.ceil(n / 4);
  const G = Math.ceil(k / groupSize);
  const U = Math.ceil(k / 256);
  const held = heldBits(bits, matrix, wideCodes);
  /** (rows, C) numbers of (n, row); 0 past N. */
  const table = (rows: number, at: (n: number, row: number) => number): number[] =>
    Array.from({ length: rows * C }, (_, i) => (i % C < n ? at(i % C, Math.floor(i / C)) : 0));

  const offsetParam = minimum ? 2 : !zeroPoint ? 0 : zeroPointDtype === 'uint8' ? 4 : zeroPointDtype === scaleDtype ? 3 : 1;
  const plain = codebook || codeForm || offsetParam === 2 || offsetParam === 3;
  const lift = plain ? 0 : 2 ** (held - 1) - 2 ** (bits - 1);
  const columns = Array.from({ length: n }, (_, row) =>
    packColumn(
      Array.from({ length: k }, (_, column) => codeOf(matrix, row, column) + lift),
      held,
    ),
  );
  const w = table(columns[0]!.length, (column, row) => columns[column]![row]!);

  const of = (list: Float32Array, each: number) => (column: number, row: number) => list[column * each + row]!;
  const kind = scaleForm && fits(scaleForm.kind, held, matrix) ? scaleForm.kind : scaleDtype;
  const level = (list: Float32Array, units: Float32Array) => (column: number, g: number) =>
    levelOf(list[column * G + g]!, units[column * U + Math.floor((g * groupSize) / 256)]!);
  const { unit, minimumUnit } = scaleForm ?? {};
  const pairs = (): Uint32Array =>
    Uint32Array.from(table(U, (column, u) => half(of(unit!, U)(column, u)) + 65536 * half(of(minimumUnit!, U)(column, u))));
  const bytes = (at: (column: number, g: number) => number): Uint32Array => wordsOf(table(G, at));

  const added = (): Uint32Array | undefined => {
    if (offsetParam === 1)
      return floats(
        table(G, (column, g) => 2 ** (bits - 1) - of(zeroPoint!, G)(column, g)),
        scaleDtype,
      );
    if (offsetParam === 2) return floats(table(G, of(minimum!, G)), scaleDtype);
    if (offsetParam === 3) return floats(table(G, of(zeroPoint!, G)), scaleDtype);
    return offsetParam === 4 ? bytes((column, g) => of(zeroPoint!, G)(column, g) + lift) : undefined;
  };
  const forms: Readonly<Record<string, () => readonly [scale: Uint32Array, offset: Uint32Array | undefined]>> = {
    int8: () => [bytes((column, g) => level(scale, unit!)(column, g) & 255), floats(table(U, of(unit!, U)), 'float16')],
    uint8: () => {
      const [scales, minima] = [table(G, level(scale, unit!)), table(G, level(minimum!, minimumUnit!))];
      const quads = Array.from({ length: (G * C) / 4 }, (_, quad) =>
        [scales, minima].flatMap((list) => list.slice(4 * quad, 4 * quad + 4)),
      );
      return [wordsOf(quads.flat()), pairs()];
    },
    uint4: () => [bytes((column, g) => level(scale, unit!)(column, g) + 16 * level(minimum!, minimumUnit!)(column, g)), pairs()],
    e8m0: () => [bytes((column, g) => e8m0(of(scale, G)(column, g))), undefined],
    e4m3: () => [bytes((column, g) => e4m3(of(scale, G)(column, g))), undefined],
    'e4m3-unit': () => [bytes((column, g) => e4m3(of(scale, G)(column, g), unit![column])), floats(table(1, of(unit!, 1)), 'float32')],
  };
  const [scale0, offset0] = forms[kind]?.() ?? [floats(table(G, of(scale, G)), scaleDtype), added()];
  return {
    held,
    scaleParam: SCALE[kind]!,
    offsetParam,
    buffers: {
      w0: Uint32Array.from(w),
      scale0,
      ...(offset0 && { offset0 }),
      columnBias: new Uint32Array(C),
      ...(codebook && !isE2M1(codebook) && { codebook: new Uint32Array(codebook.slice().buffer) }),
    },
  };
}
