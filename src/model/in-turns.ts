// Gate and up of experts as one tensor whose rows take turns (gpt-oss): gate 0, up 0, gate 1, up 1. Products end in a gated unit whose rows are
// pairs of gates and of ups (shaders/lib/glu.wgsl), so of every four rows the two in the middle change places while they are read.
import { UnsupportedError } from '../errors.js';
import { clip } from '../files/show.js';
import type { ByteSource, TensorFile, TensorInfo } from '../files/tensor-file.js';
import { showShape } from '../problem/view.js';

const IN_TURNS = /\.experts\.gate_up_proj_(blocks|scales|bias)$/;

/** The same bytes, with the second and the third of every four rows in each other's place. */
function swapped(info: TensorInfo): TensorInfo {
  const { source, begin, end, shape } = info;
  const row = (end - begin) / (shape[0]! * shape[1]!);
  const four = 4 * row;
  const read: ByteSource['read'] = async (from, to, signal) => {
    const first = begin + four * Math.floor((from - begin) / four);
    const last = begin + four * Math.ceil((to - begin) / four);
    const bytes = await source.read(first, last, signal);
    for (let at = row; at < bytes.length; at += four) {
      const second = bytes.slice(at, at + row);
      bytes.copyWithin(at, at + row, at + 2 * row);
      bytes.set(second, at + row);
    }
    return bytes.subarray(from - first, to - first);
  };
  return { ...info, source: { name: source.name, size: source.size, read } };
}

/** Has a file such tensors? @throws UnsupportedError for one that has floats in their place, which lie as (E, K, N) */
export function isInTurns({ name: file, tensors }: TensorFile): boolean {
  const floats = [...tensors.values()].find(({ name }) => name.endsWith('.experts.gate_up_proj'));
  if (floats)
    throw new UnsupportedError(`${file}: ${clip(floats.name)}`, [
      `expected gate_up_proj_blocks and gate_up_proj_scales, got ${floats.dtype} ${showShape(floats.shape)}`,
    ]);
  return [...tensors.keys()].some((name) => IN_TURNS.test(name));
}

/** The file with pairs of rows in turns. @throws UnsupportedError for a number of rows that is none of whole pairs */
export function inPairs(file: TensorFile): TensorFile {
  const inOrder = (info: TensorInfo): TensorInfo => {
    const rows = info.shape[1] ?? 1;
    if (rows % 4 !== 0)
      throw new UnsupportedError(`${file.name}: ${clip(info.name)}`, [`expected pairs of gates and ups, got ${rows} rows`]);
    return swapped(info);
  };
  return { ...file, tensors: new Map([...file.tensors].map(([name, info]) => [name, IN_TURNS.test(name) ? inOrder(info) : info])) };
}
