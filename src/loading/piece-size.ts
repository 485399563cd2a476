// How large the pieces of a layer are, and whose first pieces are held at once. Pure.
import { MAX_LAYERS } from '../kernels/operands.js';
import type { PieceSource } from '../layer/piece-source.js';
import { wordsOf } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { UNIT_K } from '../problem/weight-format.js';

type Size = Pick<PieceSource, 'n' | 'k' | 'groupSize' | 'bits' | 'bytes'>;

/** Bytes of a matrix in memory. */
export function matrixBytes(matrix: QuantizedMatrix): number {
  const { codes, scale, scaleForm, zeroPoint, minimum, permutation, inputScale } = matrix;
  const arrays = [codes, scale, scaleForm?.unit, scaleForm?.minimumUnit, zeroPoint, minimum, permutation, inputScale];
  return arrays.reduce((sum, array) => sum + (array?.byteLength ?? 0), 0);
}

/** The most bytes of a layer's matrix: codes, and two floats of each group and each unit of scales. */
const memoryOf = ({ n, k, groupSize, bits }: Size): number =>
  4 * n * wordsOf(k, bits) + 8 * n * (Math.ceil(k / groupSize) + Math.ceil(k / UNIT_K));

/** Bytes of the file that make a piece of at most `piece` bytes, as the file has it and as a matrix. */
export const chunkBytes = (source: Size, piece: number): number =>
  Math.max(1, Math.floor(piece * Math.min(1, source.bytes / memoryOf(source))));

/**
 * The layers of a list that may share a dispatch, as far as the file's header tells: their first pieces are read before there are buffers,
 * so together they take at most MAX_LAYERS pieces. A layer that is read at once may have to stand alone for that.
 */
export function runsOfKind(sources: readonly (Size & Pick<PieceSource, 'kind' | 'cut'>)[], piece: number): number[][] {
  const runs: { readonly members: number[]; readonly kind: string; bytes: number }[] = [];
  sources.forEach((source, i) => {
    const whole = Math.max(source.bytes, memoryOf(source));
    const bytes = source.cut ? Math.min(piece, whole) : whole;
    const kind = source.n % 4 === 0 ? source.kind : `alone ${i}`; // rows of y are whole quads
    const fits = (run: (typeof runs)[number]): boolean => run.members.length < MAX_LAYERS && run.bytes + bytes <= MAX_LAYERS * piece;
    const run = runs.find((one) => one.kind === kind && fits(one));
    if (run) {
      run.members.push(i);
      run.bytes += bytes;
    } else runs.push({ members: [i], kind, bytes });
  });
  return runs.map(({ members }) => members);
}
