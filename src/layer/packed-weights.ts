// A layer's packed weights as data and bindings, for kernels of the caller's own (docs/format.md).
import { formatParams, hasOffset } from '../kernels/operands.js';
import type { Slice } from '../plan/binding.js';
import { codebookSlice, columnQuantSlice, inputScaleSlice, permutationSlice } from '../plan/packed-layout.js';
import type { Glu } from '../problem/glu.js';
import { groupWords } from '../problem/problem.js';
import type { WeightFormat } from '../problem/weight-format.js';
import type { Params } from '../wgsl/preprocess.js';
import type { LoadedWeights } from './loaded-weights.js';

/** A run of columns whose words fit a binding. */
export interface PackedSlab {
  /** First column; a multiple of 4. */
  readonly begin: number;
  /** Columns. */
  readonly count: number;
  /** Quads (four columns) from a row to the next: `params.w_pitch` of shaders/lib. */
  readonly pitch: number;
  readonly w: GPUBufferBinding;
  readonly scale: GPUBufferBinding;
  /** What is added to codes, or units of scales; absent if there is neither. */
  readonly offset: GPUBufferBinding | undefined;
  /** These, and the table of a codebook, at the binding numbers of `lib/scale.wgsl`. */
  readonly entries: readonly GPUBindGroupEntry[];
}

/** A layer's weights in GPU memory: how to read them, and their buffers. Written to nowhere. */
export interface PackedWeights extends WeightFormat {
  readonly n: number;
  readonly k: number;
  /** The columns are those of gate and up in pairs that alternate, for this unit; undefined: they are in order. */
  readonly glu: Glu | undefined;
  readonly groupSize: number;
  readonly groups: number;
  /** Low words of codes along k, rows of `w`, and low words in a group: `params.group_words` of shaders/lib. */
  readonly words: number;
  readonly rows: number;
  readonly groupWords: number;
  /** BITS, SCALE, OFFSET and CODEBOOK: the params of `lib/scale.wgsl` that the format decides. READ and ROUND are the reader's choice. */
  readonly params: Params;
  readonly slabs: readonly PackedSlab[];
  readonly bias: GPUBufferBinding;
  /** The 16 values of a codebook that is a table. */
  readonly table: GPUBufferBinding | undefined;
  readonly permutation: GPUBufferBinding | undefined;
  readonly inputScale: GPUBufferBinding | undefined;
  readonly columnQuant: GPUBufferBinding | undefined;
}

/** One description for as long as the weights lie where they do. */
const known = new WeakMap<LoadedWeights, PackedWeights>();

export function packedOf(loaded: LoadedWeights): PackedWeights {
  let packed = known.get(loaded);
  if (!packed) known.set(loaded, (packed = describe(loaded)));
  return packed;
}

function describe({ weights, packed, buffers }: LoadedWeights): PackedWeights {
  const { n, k, glu, groupSize, groups, bits, held, scaleDtype, shift, codebook, permuted, inputScaled, requantized } = weights;
  const { words, rows, bias, slabs } = packed;
  const params = formatParams(weights);
  const bound = ({ buffer, offset, size }: Slice): GPUBufferBinding => ({ buffer: buffers.get(buffer)!, offset, size });
  const table = codebook === 'table' ? bound(codebookSlice) : undefined;
  return {
    ...{ n, k, glu, groupSize, groups, bits, held, scaleDtype, shift, codebook, words, rows, params, table },
    groupWords: groupWords(weights),
    slabs: slabs.map((slab) => {
      const [w, scale] = [bound(slab.w), bound(slab.scale)];
      const offset = hasOffset(params) ? bound(slab.offset!) : undefined;
      const numbered = { 2: w, 3: scale, 4: offset, 9: table };
      const entries = Object.entries(numbered).flatMap(([binding, resource]) => (resource ? [{ binding: Number(binding), resource }] : []));
      return { begin: slab.begin, count: slab.count, pitch: slab.pitch, w, scale, offset, entries };
    }),
    bias: bound(bias),
    permutation: permuted ? bound(permutationSlice(weights)) : undefined,
    inputScale: inputScaled ? bound(inputScaleSlice(weights)) : undefined,
    columnQuant: requantized ? bound(columnQuantSlice(weights)) : undefined,
  };
}
