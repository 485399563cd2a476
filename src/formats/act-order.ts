// Act-order: g_idx assigns inputs to groups in any order. Columns of codes are sorted by group, so that groups are contiguous; a
// permutation gives the input of each column, and x is gathered by it. Pure.
import { FormatError } from '../errors.js';
import { asWords, at, type RawTensor } from '../files/raw-tensor.js';
import { widthOf, wordsOf } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';

/**
 * Sorts the inputs by group, stably. Undefined if they are in order already, or if g_idx is all 0, which ExLlama and
 * text-generation-inference read as absent. Every group must have groupSize inputs, and the last the rest: quantizers cut their order of
 * inputs into groups (AutoGPTQ: g_idx[perm[i]] = i / group_size), so other counts mean that the file is damaged.
 * @throws FormatError if a group does not exist, or holds more or fewer inputs
 */
export function sortByGroup(
  g_idx: RawTensor,
  { k, groupSize }: Pick<QuantizedMatrix, 'k' | 'groupSize'>,
): Uint32Array<ArrayBuffer> | undefined {
  const index = asWords(g_idx).subarray(0, k);
  const groups = Math.ceil(k / groupSize);
  const counts = new Uint32Array(groups);
  let ordered = true;
  for (let i = 0; i < k; i++) {
    const group = index[i]!;
    if (group >= groups) throw new FormatError(at(g_idx, `element ${i}`), `a group from 0 to ${groups - 1}`, String(group | 0));
    counts[group]!++;
    ordered &&= i === 0 || group >= index[i - 1]!;
  }
  if (counts[0] === k) return undefined;
  for (let group = 0; group < groups; group++) {
    const want = Math.min(groupSize, k - group * groupSize);
    if (counts[group] !== want) throw new FormatError(at(g_idx, `group ${group}`), `${want} inputs`, String(counts[group]));
  }
  if (ordered) return undefined;
  const next = Uint32Array.from(counts, (_, group) => group * groupSize);
  const permutation = new Uint32Array(k);
  for (let i = 0; i < k; i++) permutation[next[index[i]!]!++] = i;
  return permutation;
}

/** The matrix with its columns in the order of the permutation, which is added to it; without one, the same matrix. */
export const inOrder = (matrix: QuantizedMatrix, permutation: Uint32Array | undefined): QuantizedMatrix =>
  permutation ? { ...matrix, codes: gatherColumns(matrix.codes, { ...matrix, permutation }), permutation } : matrix;

/** Codes whose column c is column permutation[c] of the input. */
function gatherColumns(
  codes: Uint32Array,
  { n, k, bits, permutation }: Pick<QuantizedMatrix, 'n' | 'k' | 'bits'> & { readonly permutation: Uint32Array },
): Uint32Array<ArrayBuffer> {
  const { inWord, mask, slot } = widthOf(bits);
  const wordOf = Math.log2(inWord);
  const words = wordsOf(k, bits);
  const out = new Uint32Array(n * words);
  for (let row = 0, base = 0; row < n; row++, base += words)
    for (let w = 0, to = 0; w < words; w++) {
      const end = Math.min(k, to + inWord);
      let word = 0;
      for (let shift = 0; to < end; to++, shift += slot) {
        const column = permutation[to]!;
        word |= ((codes[base + (column >>> wordOf)]! >>> (slot * (column & (inWord - 1)))) & mask) << shift;
      }
      out[base + w] = word;
    }
  return out;
}
