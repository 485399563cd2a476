// Groups along k of a matrix that was quantized as one run of N · K numbers in equal blocks, independent of its rows (HQQ, bitsandbytes).
import { FormatError } from '../errors.js';
import { at, type RawTensor } from '../files/raw-tensor.js';
import { type CodeBits, widthOf } from '../problem/code-width.js';

export interface FlatGroups {
  readonly groupSize: number;
  /** One value for each block → one for each group (N, G). */
  spread(values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer>;
}

export function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/**
 * A block may end inside a row. The group size is therefore the greatest common divisor of K and the block, or the block if there is one
 * row.
 * @throws FormatError if that is not a multiple of the codes in a word (nor K)
 */
export function flatGroups(
  tensor: RawTensor,
  { n, k, bits, block }: { readonly n: number; readonly k: number; readonly bits: CodeBits; readonly block: number },
): FlatGroups {
  // A single row starts with a block.
  const groupSize = block >= n * k ? k : n === 1 ? block : gcd(k, block);
  const { inWord } = widthOf(bits);
  if (groupSize !== k && groupSize % inWord !== 0) {
    const expected = `blocks that meet rows of K = ${k} at multiples of ${inWord}`;
    throw new FormatError(at(tensor, 'block size'), expected, `${block}, which shares the divisor ${groupSize}`);
  }
  return {
    groupSize,
    spread: (values) => {
      if (groupSize === block) return values;
      const out = new Float32Array(n * Math.ceil(k / groupSize));
      for (let i = 0; i < out.length; i++) out[i] = values[Math.floor((i * groupSize) / block)]!;
      return out;
    },
  };
}
