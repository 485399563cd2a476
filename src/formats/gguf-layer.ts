// Layers of GGUF's blocks, of a table of types: all of them (gguf-blocks.ts), or those that most files have.
import { optional } from '../arguments/check.js';
import { rawTensor, tensorInfo } from '../files/given.js';
import { type RawTensor, requireDtype, requireShape } from '../files/raw-tensor.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { IQ4_NL, MXFP4, NVFP4, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 } from './gguf-32.js';
import { IQ4_XS, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K } from './gguf-256.js';
import { Q1_0, Q2_0, TQ1_0, TQ2_0 } from './gguf-ternary.js';
import { type BlockShape, type BlockType, makeMatrix } from './gguf-words.js';
import type { LayerFormat } from './layer-format.js';
import type { LayerSource } from './layer-source.js';

/** GGUF's names of the supported types of blocks. */
export type GgufTypeName =
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q8_0'
  | 'Q2_K'
  | 'Q3_K'
  | 'Q4_K'
  | 'Q5_K'
  | 'Q6_K'
  | 'IQ4_NL'
  | 'IQ4_XS'
  | 'MXFP4'
  | 'TQ1_0'
  | 'TQ2_0'
  | 'NVFP4'
  | 'Q1_0'
  | 'Q2_0'
  | 'IQ1_S'
  | 'IQ1_M'
  | 'IQ2_XXS'
  | 'IQ2_XS'
  | 'IQ2_S'
  | 'IQ3_XXS'
  | 'IQ3_S';
/** Those whose grids are 8 kB (gguf-iq-grids.ts). */
type GridTypeName = Extract<GgufTypeName, `IQ${1 | 2 | 3}_${string}`>;

/** A type of blocks, with its importer. */
export interface GgufType extends BlockShape {
  /** @throws FormatError */
  make(tensor: RawTensor): QuantizedMatrix;
}
export type GgufTypes = Readonly<Record<string, GgufType>>;

export const withMake = (type: BlockType): GgufType => ({ ...type, make: (tensor) => makeMatrix(type, tensor) });

/** Types without grids. */
export const PLAIN_TYPES: Readonly<Record<Exclude<GgufTypeName, GridTypeName>, GgufType>> = {
  Q4_0: withMake(Q4_0),
  Q4_1: withMake(Q4_1),
  Q5_0: withMake(Q5_0),
  Q5_1: withMake(Q5_1),
  Q8_0: withMake(Q8_0),
  Q2_K: withMake(Q2_K),
  Q3_K: withMake(Q3_K),
  Q4_K: withMake(Q4_K),
  Q5_K: withMake(Q5_K),
  Q6_K: withMake(Q6_K),
  IQ4_NL: withMake(IQ4_NL),
  IQ4_XS: withMake(IQ4_XS),
  MXFP4: withMake(MXFP4),
  TQ1_0: withMake(TQ1_0),
  TQ2_0: withMake(TQ2_0),
  NVFP4: withMake(NVFP4),
  Q1_0: withMake(Q1_0),
  Q2_0: withMake(Q2_0),
};
const GRID_TYPES: readonly GridTypeName[] = ['IQ1_S', 'IQ1_M', 'IQ2_XXS', 'IQ2_XS', 'IQ2_S', 'IQ3_XXS', 'IQ3_S'];

export const hasGrid = (dtype: string): boolean => (GRID_TYPES as readonly string[]).includes(dtype);
/** Is a GGUF dtype one that is read? */
export const isGgufType = (dtype: string): dtype is GgufTypeName =>
  typeof dtype === 'string' && (Object.hasOwn(PLAIN_TYPES, dtype) || hasGrid(dtype));

/** @throws FormatError */
export function importFrom(types: GgufTypes, tensor: RawTensor): QuantizedMatrix {
  rawTensor(tensor, 'tensor');
  requireDtype(tensor, ...Object.keys(types));
  return types[tensor.dtype]!.make(tensor);
}

/** The layer of a tensor (N, K) of blocks; undefined for others. */
export function layerFrom(types: GgufTypes, info: TensorInfo, bias?: TensorInfo): LayerSource | undefined {
  tensorInfo(info, 'info');
  optional(tensorInfo)(bias, 'bias');
  const { name, dtype, shape } = info;
  const [n, k] = shape;
  if (!Object.hasOwn(types, dtype) || n === undefined || k === undefined || shape.length !== 2) return undefined;
  const { bits, groupSize } = types[dtype]!;
  return {
    name: name.replace(/\.weight$/, ''),
    format: `GGUF ${dtype}`,
    n,
    k,
    bits,
    groupSize,
    tensors: { weight: info },
    cut: { axis: 'n', unit: 4, perRow: { weight: 1 } },
    bias,
    make({ weight }, size) {
      requireShape(weight!, [size.n, size.k]);
      return importFrom(types, weight!);
    },
  };
}

/** How the layers of a file are found. */
export const formatFrom = (types: GgufTypes): LayerFormat => ({
  name: 'GGUF',
  importer: 'importGguf',
  methods: ['gguf'],
  required: ['weight'],
  optional: [],
  anyName: true,
  expertRank: 2,
  recognise: ({ weight }) => Object.hasOwn(types, weight!.dtype) && weight!.shape.length === 2 && !weight!.shape.includes(0),
  make: ({ weight }, { bias }) => layerFrom(types, weight!, bias)!,
});
