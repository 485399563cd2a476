// MLX's modes mxfp4, nvfp4 and mxfp8: codes that are floats of 4 or 8 bits, scales that are bytes, nothing added.
// Rule: github.com/ml-explore/mlx, mlx.core.quantize ("Quantization modes"), fp_qmm in mlx/backend/cpu/quantized.cpp.
import { FormatError } from '../errors.js';
import { asWords, at, type RawTensor } from '../files/raw-tensor.js';
import { CODEBOOK_BITS, type CodeBits, FLOAT_BITS } from '../problem/code-width.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { E2M1_VALUES } from '../problem/weight-format.js';
import { asPowers, asScalesE4m3, codesOfE4m3 } from './float-bytes.js';

/** A mode's bits and group_size, which it leaves no choice of. */
interface MlxMode {
  readonly bits: CodeBits;
  readonly groupSize: number;
  readonly scales: 'e8m0' | 'e4m3';
}
/** MLX's modes whose codes are floats. */
export type MlxFloats = 'nvfp4' | 'mxfp4' | 'mxfp8';
export const MLX_FLOATS: Readonly<Record<MlxFloats, MlxMode>> = {
  nvfp4: { bits: CODEBOOK_BITS, groupSize: 16, scales: 'e4m3' },
  mxfp4: { bits: CODEBOOK_BITS, groupSize: 32, scales: 'e8m0' },
  mxfp8: { bits: FLOAT_BITS, groupSize: 32, scales: 'e8m0' },
};
const MODES = Object.keys(MLX_FLOATS) as MlxFloats[];

/** The mode whose groups have so many bits: no two have as many. @throws FormatError */
export function floatsOfGroup(scales: RawTensor, inGroup: number): MlxFloats {
  const found = MODES.find((mode) => MLX_FLOATS[mode].bits * MLX_FLOATS[mode].groupSize === inGroup);
  if (found) return found;
  const known = MODES.map((mode) => `${MLX_FLOATS[mode].bits * MLX_FLOATS[mode].groupSize} for ${mode}`).join(' or ');
  throw new FormatError(at(scales, 'shape'), `bits for each scale: ${known}`, String(inGroup));
}

/** The matrix of a mode, from headers that were checked. @throws FormatError for NaN, and for scales with a sign */
export function matrixOfFloats(
  weight: RawTensor,
  scales: RawTensor,
  { n, k, mode }: { readonly n: number; readonly k: number; readonly mode: MlxFloats },
): QuantizedMatrix {
  const { bits, groupSize, scales: kind } = MLX_FLOATS[mode];
  const of4 = bits === CODEBOOK_BITS;
  return {
    ...{ n, k, bits, groupSize, scaleDtype: 'float32', scaleForm: { kind } },
    scale: kind === 'e8m0' ? asPowers(scales) : asScalesE4m3(scales),
    codes: of4 ? asWords(weight) : codesOfE4m3({ ...weight, dtype: 'F8_E4M3', shape: [n, k] }, n, k),
    ...(of4 ? { codebook: E2M1_VALUES.slice() } : { codeForm: 'e4m3' }),
  };
}
