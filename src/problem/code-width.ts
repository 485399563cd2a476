// The widths of codes (bits), and all numbers that depend on them. No other file in src/ lists the widths.

/** Bits of a code, in a file and in the packed layout. */
export type CodeBits = 2 | 3 | 4 | 5 | 6 | 8;
/** Those that torch's tensors have, and that `quantize` makes. */
export type Bits = 4 | 8;

export interface CodeWidth<B extends CodeBits = CodeBits> {
  readonly bits: B;
  /** int4, int8. */
  readonly name: string;
  /** Bits that a code takes in words of the caller's memory: codes of up to 4 bits lie in nibbles, others in bytes. */
  readonly slot: Bits;
  /** Codes in such a word. */
  readonly inWord: number;
  /** Bits of a code in a low word of the packed layout, and in a high word (docs/format.md). */
  readonly low: number;
  readonly high: number;
  /** Codes in a low word. */
  readonly inLow: number;
  /** The largest code and the mask of its bits. */
  readonly mask: number;
  /** The code of weight 0 where there is no zero point: 2^(bits - 1). */
  readonly zero: number;
  /** XOR with it turns a word of signed codes into unsigned codes. */
  readonly signs: number;
  /** torch's tensor of such codes: its dtype, what safetensors calls that, its array here, and how many codes an element holds. */
  readonly dtype: 'int8' | 'int32';
  readonly stored: 'I8' | 'I32';
  readonly array: Int8ArrayConstructor | Int32ArrayConstructor;
  readonly inElement: number;
}

/** Of codes of any width, those that a file has too: how many a u32 word holds if none lies across words, the largest, and the middle one. */
export const codesInWord = (bits: number): number => Math.floor(32 / bits);
export const largestCode = (bits: number): number => 2 ** bits - 1;
export const middleCode = (bits: number): number => 2 ** (bits - 1);

/** torch's elements, by the bits of a code in them. */
const ELEMENTS: Readonly<Record<Bits, Pick<CodeWidth, 'dtype' | 'stored' | 'array'>>> = {
  4: { dtype: 'int32', stored: 'I32', array: Int32Array },
  8: { dtype: 'int8', stored: 'I8', array: Int8Array },
};

function width<B extends CodeBits>(bits: B, slot: Bits, low: number): CodeWidth<B> {
  const element = ELEMENTS[slot];
  const inWord = codesInWord(slot);
  const zero = middleCode(bits);
  const inElement = (8 * element.array.BYTES_PER_ELEMENT) / slot;
  const signs = Array.from({ length: inWord }, (_, i) => zero * 2 ** (slot * i)).reduce((a, b) => a + b, 0);
  const planes = { low, high: bits - low, inLow: codesInWord(low) };
  return { bits, name: `int${bits}`, slot, inWord, ...planes, mask: largestCode(bits), zero, signs, inElement, ...element };
}

const WIDTHS: Readonly<{ [B in CodeBits]: CodeWidth<B> }> = {
  2: width(2, 4, 2),
  3: width(3, 4, 2),
  4: width(4, 4, 4),
  5: width(5, 8, 4),
  6: width(6, 8, 4),
  8: width(8, 8, 8),
};

/** Every width, the narrowest first. */
export const ALL_WIDTHS: readonly CodeWidth[] = Object.values(WIDTHS);
export const CODE_BITS: readonly CodeBits[] = ALL_WIDTHS.map(({ bits }) => bits);
/** Those of torch's tensors: codes that fill their slots. */
export const CODE_WIDTHS: readonly CodeWidth<Bits>[] = [WIDTHS[4], WIDTHS[8]];
export const BITS: readonly Bits[] = CODE_WIDTHS.map(({ bits }) => bits);

/** The width of a torch tensor's codes; undefined for any other dtype. */
export const widthOfDtype = (dtype: string): CodeWidth<Bits> | undefined => CODE_WIDTHS.find((one) => one.dtype === dtype);

/** The narrowest width that holds codes of `bits` bits. */
export const widthFor = (bits: number): CodeWidth => {
  const found = ALL_WIDTHS.find((one) => one.bits >= bits);
  if (!found) throw new RangeError(`no width holds codes of ${bits} bits`);
  return found;
};

export const isBits = (value: unknown): value is Bits => CODE_WIDTHS.some(({ bits }) => bits === value);
export const widthOf = <B extends CodeBits>(bits: B): CodeWidth<B> => WIDTHS[bits] as CodeWidth<B>;

/** Bits that a file's codes may have. Codes of 7 bits become codes of 8. */
export type FileBits = CodeBits | 7;
export const FILE_BITS: readonly FileBits[] = [...CODE_BITS, 7 as const].sort((a, b) => a - b);

/** The width of codes that are indices of a codebook. */
export const CODEBOOK_BITS: Bits = 4;
export const CODEBOOK_VALUES = 16;
/** The width of codes that are floats. */
export const FLOAT_BITS: Bits = 8;

/** u32 words of `k` codes in the caller's memory. */
export const wordsOf = (k: number, bits: CodeBits): number => Math.ceil(k / WIDTHS[bits].inWord);

/** k of a block of the packed layout. */
export const BLOCK = 32;
/** Low words of `k` codes in the packed layout. */
export const lowWords = (k: number, held: CodeBits): number => Math.ceil(k / WIDTHS[held].inLow);
/** Rows of words of `k` codes in it. Blocks are whole where codes have high parts. */
export const rowsOfWords = (k: number, held: CodeBits): number => (WIDTHS[held].high > 0 ? Math.ceil(k / BLOCK) * held : lowWords(k, held));
