// The widths of codes (bits), and all numbers that depend on them. No other file in src/ lists the widths.

/** Bits of a code. */
export type Bits = 4 | 8;

export interface CodeWidth {
  readonly bits: Bits;
  /** int4, int8. */
  readonly name: string;
  /** Codes in a u32 word. */
  readonly inWord: number;
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

const width = (bits: Bits, element: Pick<CodeWidth, 'dtype' | 'stored' | 'array'>): CodeWidth => {
  const inWord = codesInWord(bits);
  const zero = middleCode(bits);
  const inElement = (8 * element.array.BYTES_PER_ELEMENT) / bits;
  const signs = Array.from({ length: inWord }, (_, i) => zero * 2 ** (bits * i)).reduce((a, b) => a + b, 0);
  return { bits, name: `int${bits}`, inWord, mask: largestCode(bits), zero, signs, inElement, ...element };
};

const WIDTHS: Readonly<Record<Bits, CodeWidth>> = {
  4: width(4, { dtype: 'int32', stored: 'I32', array: Int32Array }),
  8: width(8, { dtype: 'int8', stored: 'I8', array: Int8Array }),
};

export const CODE_WIDTHS: readonly CodeWidth[] = Object.values(WIDTHS);
export const BITS: readonly Bits[] = CODE_WIDTHS.map(({ bits }) => bits);

/** The width of a torch tensor's codes; undefined for any other dtype. */
export const widthOfDtype = (dtype: string): CodeWidth | undefined => CODE_WIDTHS.find((one) => one.dtype === dtype);

/** The narrowest width that holds codes of `bits` bits: what a file's 2 or 3 bits are widened to. */
export const widthFor = (bits: number): CodeWidth => {
  const found = CODE_WIDTHS.find((one) => one.bits >= bits);
  if (!found) throw new RangeError(`no width holds codes of ${bits} bits`);
  return found;
};

export const isBits = (value: unknown): value is Bits => Object.hasOwn(WIDTHS, String(value)) && typeof value === 'number';
export const widthOf = (bits: Bits): CodeWidth => WIDTHS[bits];

/** The width of codes that are indices of a codebook. */
export const CODEBOOK_BITS: Bits = 4;
export const CODEBOOK_VALUES = 16;

/** u32 words of `k` codes. */
export const wordsOf = (k: number, bits: Bits): number => Math.ceil(k / WIDTHS[bits].inWord);
