// The codes and zero points of compressed-tensors: words that hold floor(32 / bits) codes, or bytes.
// Rule: github.com/vllm-project/compressed-tensors, pack_to_int32 in compressors/quantized_compressors/pack_quantized.py.

import { FormatError } from '../errors.js';
import { asWords, at, type RawTensor } from '../files/raw-tensor.js';
import { type CodeBits, codesInWord, type FileBits, isBits, largestCode, middleCode, widthOf } from '../problem/code-width.js';
import { clearTail, codesOfInt8, narrowInt8, spreadWords } from './code-words.js';
import { bytesOf, forOutputs, type Granularity } from './layer-parts.js';

/** Sizes of a layer, and the widths of its codes. */
export interface CompressedPlan {
  readonly n: number;
  readonly k: number;
  /** Bits of the file's codes. */
  readonly fileBits: FileBits;
  /** Other bits that nothing but the values of the words excludes. */
  readonly others: readonly FileBits[];
  /** Bits of the matrix. */
  readonly bits: CodeBits;
  readonly groups: number;
  readonly groupSize: number;
  readonly granularity: Granularity;
}

/** Words of `k` codes in a file. */
export const wordsOf = (k: number, bits: number): number => Math.ceil(k / codesInWord(bits));
/** Bits of a word that have codes. */
export const usedBits = (bits: number): number => bits * codesInWord(bits);

/** The matrix's code less the file's: 64 of 7 bits, else 0. */
const lift = ({ fileBits, bits }: CompressedPlan): number => middleCode(bits) - middleCode(fileBits);

/** Zero points of the matrix's codes: (N, G). */
export function zeroPoints(tensor: RawTensor, plan: CompressedPlan): Float32Array<ArrayBuffer> {
  const { n, fileBits, groups, granularity } = plan;
  if (tensor.dtype === 'I8') {
    const [middle, mask] = [middleCode(fileBits), largestCode(fileBits)];
    const values = Float32Array.from(bytesOf(tensor), (byte) => ((byte << 24) >> 24) + middle);
    const bad = values.findIndex((value) => value < 0 || value > mask);
    if (bad >= 0)
      throw new FormatError(at(tensor, `element ${bad}`), `a zero point of [${-middle}, ${mask - middle}]`, `${values[bad]! - middle}`);
    return forOutputs(
      values.map((value) => value + lift(plan)),
      n,
      granularity,
    );
  }
  const out = new Float32Array(n * groups);
  const words = asWords(tensor);
  const inWord = codesInWord(fileBits);
  for (let row = 0; row < n; row++)
    for (let g = 0; g < groups; g++) {
      const code = (words[Math.floor(row / inWord) * groups + g]! >>> (fileBits * (row % inWord))) & largestCode(fileBits);
      out[row * groups + g] = code + lift(plan);
    }
  return out;
}

/** Words of 3, 5, 6 and 7 bits have empty bits at their top. Words that use these are not of such bits. */
function excludeOthers(packed: RawTensor, words: Uint32Array, { fileBits, others }: CompressedPlan): void {
  const used = Math.max(0, ...others.map(usedBits));
  if (used > 0 && words.every((word) => word >>> used === 0))
    throw new FormatError(at(packed, 'bits'), `bits to be said: ${[...others, fileBits].join(' or ')}`, 'none');
}

function packedCodes(packed: RawTensor, plan: CompressedPlan): Uint32Array<ArrayBuffer> {
  const { n, k, fileBits, bits } = plan;
  const words = asWords(packed);
  excludeOthers(packed, words, plan);
  if (isBits(fileBits)) return clearTail(words.slice(), { k, bits });
  const codes = spreadWords(words, { n, k, from: fileBits, perRow: wordsOf(k, fileBits), bits });
  const added = lift(plan);
  if (added === 0) return codes;
  for (let i = 0; i < codes.length; i++) codes[i] = codes[i]! + added * 0x01010101;
  return clearTail(codes, { k, bits });
}

export function codesOf(
  { weight_packed: packed, weight }: { readonly weight_packed?: RawTensor | undefined; readonly weight?: RawTensor | undefined },
  plan: CompressedPlan,
): Uint32Array<ArrayBuffer> {
  const { n, k, bits } = plan;
  if (packed) return packedCodes(packed, plan);
  const bytes = bytesOf(weight!);
  if (widthOf(bits).mask === 255) return codesOfInt8(bytes, n, k); // every int8 is a code
  const codes = narrowInt8(bytes, { n, k, bits });
  if (typeof codes === 'number') {
    const { name, zero } = widthOf(bits);
    throw new FormatError(at(weight!, `element ${codes}`), `an ${name} of [${-zero}, ${zero - 1}]`, String((bytes[codes]! << 24) >> 24));
  }
  return codes;
}
