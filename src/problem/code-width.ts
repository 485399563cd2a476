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
  /** The dtype of torch's tensor of such codes. */
  readonly dtype: 'int8' | 'int32';
  readonly inElement: number;
}

const width = (bits: Bits, dtype: CodeWidth['dtype'], inElement: number): CodeWidth => {
  const inWord = 32 / bits;
  const zero = 2 ** (bits - 1);
  const signs = Array.from({ length: inWord }, (_, i) => zero * 2 ** (bits * i)).reduce((a, b) => a + b, 0);
  return { bits, name: `int${bits}`, inWord, mask: 2 ** bits - 1, zero, signs, dtype, inElement };
};

const WIDTHS: Readonly<Record<Bits, CodeWidth>> = { 4: width(4, 'int32', 8), 8: width(8, 'int8', 1) };

export const CODE_WIDTHS: readonly CodeWidth[] = Object.values(WIDTHS);
/** 4 or 8, for messages. */
export const BITS_LISTED = CODE_WIDTHS.map(({ bits }) => bits).join(' or ');

/** The width of a torch tensor's codes; undefined for any other dtype. */
export const widthOfDtype = (dtype: string): CodeWidth | undefined => CODE_WIDTHS.find((one) => one.dtype === dtype);

export const isBits = (value: unknown): value is Bits => Object.hasOwn(WIDTHS, String(value)) && typeof value === 'number';
export const widthOf = (bits: Bits): CodeWidth => WIDTHS[bits];

/** The width of codes that are indices of a codebook. */
export const CODEBOOK_BITS: Bits = 4;
export const CODEBOOK_VALUES = 16;

/** u32 words of `k` codes. */
export const wordsOf = (k: number, bits: Bits): number => Math.ceil(k / WIDTHS[bits].inWord);
