// Experts of folders in tensors with an axis of them in front, as MLX and gpt-oss have them. Holds no test.
import { concat, type MadeTensor } from './files.js';
import type { PackedLayer } from './folder-formats.js';

/** Tensors of a matrix one behind the other, for each of the experts. */
export const stacked = (name: string, each: readonly PackedLayer[]): MadeTensor[] =>
  each[0]!.tensors.map((tensor, i) => ({
    ...tensor,
    name: `${name}${tensor.name}`,
    shape: [each.length, ...tensor.shape],
    bytes: concat(each.map(({ tensors }) => tensors[i]!.bytes)),
  }));

/** MXFP4 of compressed-tensors under the names and in the shapes of gpt-oss: the bytes are the same. */
const asBlocks = ({ tensors, weights }: PackedLayer): PackedLayer => {
  const [packed, scale] = tensors as [MadeTensor, MadeTensor];
  const [n, half] = packed.shape as [number, number];
  return {
    weights,
    tensors: [
      { ...packed, name: '_blocks', shape: [n, half / 16, 16] },
      { ...scale, name: '_scales' },
    ],
  };
};
export const blocksOf = (name: string, each: readonly PackedLayer[]): MadeTensor[] => stacked(name, each.map(asBlocks));

/** Rows of two tensors (E, N, …) in turns: (E, 2 N, …). */
export function inTurns(name: string, gates: MadeTensor, ups: MadeTensor): MadeTensor {
  const [experts, n, ...rest] = gates.shape as [number, number, ...number[]];
  const row = gates.bytes.length / (experts * n);
  const rowsOf = ({ bytes }: MadeTensor, at: number): Uint8Array => bytes.subarray(at * row, (at + 1) * row);
  const bytes = concat(Array.from({ length: experts * n }, (_, at) => [rowsOf(gates, at), rowsOf(ups, at)]).flat());
  return { ...gates, name, shape: [experts, 2 * n, ...rest], bytes };
}
