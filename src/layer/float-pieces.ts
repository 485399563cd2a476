// Float weights of a file as pieces of a quantized matrix. The GPU quantizes a run of rows (shaders/quantize-weights.wgsl), and its codes stay
// there. Scales, zero points and sums of errors come back: they show weights that are not finite, and make the report.
import { BYTES } from '../dtype.js';
import { ArgumentError, FormatError } from '../errors.js';
import type { TensorInfo } from '../files/tensor-file.js';
import { type Piece, type ReadOptions, readRuns } from '../formats/read-layer.js';
import { BUFFER, type BufferInit, makeBuffers } from '../gpu/buffers.js';
import { guarded } from '../gpu/guard.js';
import { windowBytes } from '../plan/binding.js';
import { quantizeSteps, rowBytes } from '../plan/quantize-steps.js';
import type { Caps } from '../problem/caps.js';
import type { Settings } from '../quantize/options.js';
import { addGroups, type Sums } from '../quantize/report.js';
import { write } from './load.js';
import { expectedOf, gridsOf, loadShader, matrixOf, placeOf, readWords, run } from './quantize-weights.js';

/** A piece whose codes may lie on the GPU; the matrix then has none. */
export interface GpuPiece extends Piece {
  readonly codes?: GPUBuffer | undefined;
}

const NONE = new Uint32Array(0);

interface FloatWeights {
  readonly info: TensorInfo;
  /** With the tensor's n, k and dtype. */
  readonly settings: Settings;
  /** Receives the errors of each piece. */
  readonly sums: Sums;
}

/**
 * Reads and quantizes in order, in pieces of rows of about `chunkBytes`, each of which fits a binding. A piece's codes are good until the next
 * is asked for, in the order of the queue.
 * @throws ArgumentError for a group whose scale its dtype does not hold, FormatError for weights that are not finite, ReadError,
 *   UnsupportedError, GpuError, DeviceLostError; the reason of `signal`
 */
export async function* floatPieces(
  device: GPUDevice,
  caps: Caps,
  { info, settings, sums }: FloatWeights,
  options: ReadOptions,
): AsyncGenerator<GpuPiece> {
  const { n, k, dtype } = settings;
  const location = { file: info.source.name, tensor: info.name };
  const size = n * k * BYTES[dtype];
  if (info.end - info.begin !== size) throw new FormatError({ ...location, field: 'bytes' }, String(size), String(info.end - info.begin));
  await loadShader();
  const perRow = rowBytes(settings);
  const rowsInBinding = Math.max(1, Math.floor(windowBytes(caps) / Math.max(...Object.values(perRow))));
  const layer = { n, k, cut: { axis: 'n', unit: 4, perRow: { w: 1 } }, tensors: { w: info }, bias: undefined } as const;
  let made: Map<string, GPUBuffer> | undefined;
  try {
    for await (const { tensors, size: part, n: first } of readRuns(layer, options, rowsInBinding * perRow.w)) {
      const own = { ...settings, n: part.n };
      const steps = quantizeSteps(caps, own, { dtype, first: 0, sums: true });
      const { errors } = guarded(device, 'quantize', () => {
        made ??= makeBuffers(device, buffersOf(perRow, part.n)); // the first run is the longest
        write(device, made.get('w')!, tensors.w!.bytes);
      });
      const written = run(device, steps, { buffers: (role) => made!.get(role)!, after: [errors] });
      const read = (role: 'grids' | 'sums') => readWords(device, made!.get(role)!, { count: (part.n * perRow[role]) / 4, written });
      const [grids, ofGroups] = await Promise.all([read('grids'), read('sums')]);
      const { scale, zeroPoint, bad } = gridsOf(grids);
      if (bad >= 0) {
        const field = placeOf(own, bad, first);
        const [expected, got] = expectedOf(scale[bad]!, own);
        if (Number.isNaN(scale[bad])) throw new FormatError({ ...location, field }, expected, got);
        throw new ArgumentError(`${info.name}${field}`, expected, got);
      }
      addGroups(sums, scale, new Float32Array(ofGroups.buffer));
      yield { matrix: matrixOf(own, { codes: NONE, scale, zeroPoint }), n: first, k: 0, codes: made!.get('codes')! };
    }
  } finally {
    for (const buffer of made?.values() ?? []) buffer.destroy(); // submitted work still reads them
  }
}

const buffersOf = (perRow: Readonly<Record<string, number>>, rows: number): (readonly [string, BufferInit])[] =>
  Object.entries(perRow).map(([role, bytes]) => {
    const usage = role === 'w' ? BUFFER.source : BUFFER.output;
    return [role, { label: `quantize ${role}`, usage, size: Math.ceil((rows * bytes) / 4) * 4 }];
  });
