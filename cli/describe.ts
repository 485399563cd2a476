// Describes a layer or tensor of a file: its importer and its form in memory. It reads one piece of a layer of each kind, which shows the
// scales' dtype, zero points and the order of inputs.
import { importerOf } from '../src/formats/layer-formats.js';
import { FormatError, type LayerSource, type QuantizedMatrix, readPieces, type TensorInfo } from '../src/formats.js';
import { expertLayout } from '../src/plan/expert-layout.js';
import { packedBytes, packedLayout } from '../src/plan/packed-layout.js';
import { weightsOf } from '../src/plan/piece-steps.js';
import type { Caps } from '../src/problem/caps.js';
import { widthOf } from '../src/problem/code-width.js';
import { simplify } from '../src/problem/matrix.js';
import { hasOneUnit, hasUnits } from '../src/problem/weight-format.js';
import { isFloat, type ModelFacts, spared, whyNoLayer } from './floats.js';

/** The form of a matrix beside its codes. */
export interface InMemory {
  readonly scaleDtype: QuantizedMatrix['scaleDtype'];
  /** The narrow form of scales; null: they are held as scaleDtype. */
  readonly scaleForm: NonNullable<QuantizedMatrix['scaleForm']>['kind'] | null;
  readonly zeroPoints: 'none' | 'whole' | 'float';
  readonly minimum: boolean;
  readonly codebook: boolean;
  /** Codes are floats: which; null: they are numbers. */
  readonly codeForm: NonNullable<QuantizedMatrix['codeForm']> | null;
  readonly permutation: boolean;
  readonly inputScale: boolean;
}

export function inMemory(matrix: QuantizedMatrix): InMemory {
  const { bits, scaleDtype, scaleForm, zeroPoint, minimum, codebook, codeForm, permutation, inputScale } = matrix;
  const needed = zeroPoint && !zeroPoint.every((zero) => zero === widthOf(bits).zero);
  return {
    scaleDtype,
    scaleForm: scaleForm?.kind ?? null,
    zeroPoints: needed ? (zeroPoint.every(Number.isInteger) ? 'whole' : 'float') : 'none',
    minimum: minimum !== undefined,
    codebook: codebook !== undefined,
    codeForm: codeForm ?? null,
    permutation: permutation !== undefined,
    inputScale: inputScale !== undefined,
  };
}

const scalesText = (kind: NonNullable<InMemory['scaleForm']>): string =>
  hasOneUnit(kind) ? 'e4m3 scales times a float32 of the output' : `${kind} scales${hasUnits(kind) ? ' in float16 units' : ''}`;

export const memoryText = (
  { bits, groupSize, k, format }: Pick<LayerSource, 'bits' | 'groupSize' | 'k' | 'format'>,
  { scaleDtype, scaleForm, zeroPoints, minimum, codebook, codeForm, permutation, inputScale }: InMemory,
): string =>
  [
    `${importerOf(format)} → ${bits}-bit codes`,
    groupSize === k ? 'a scale for each output' : `groups of ${groupSize}`,
    scaleForm ? scalesText(scaleForm) : `${scaleDtype} scales`,
    zeroPoints === 'none' ? '' : zeroPoints === 'whole' ? 'zero points' : 'zero points that are floats',
    minimum ? 'minima' : '',
    codebook ? 'a codebook' : '',
    codeForm ? `codes that are ${codeForm}` : '',
    permutation ? 'inputs in the order of their groups' : '',
    inputScale ? 'a scale for each input' : '',
  ]
    .filter(Boolean)
    .join(', ');

/** A GPU, of which only limits matter here. */
const GPU: Pick<Caps, 'wideCodes' | 'scaleUnits' | 'maxBufferSize' | 'maxStorageBufferBindingSize'> = {
  wideCodes: false,
  scaleUnits: true,
  maxBufferSize: Number.POSITIVE_INFINITY,
  maxStorageBufferBindingSize: Number.POSITIVE_INFINITY,
};

/** Bits a weight of a layer's buffers on a GPU, by a piece of its matrix; or of as many `experts` under each other. */
export function gpuBits(piece: QuantizedMatrix, { n, k, groupSize }: Pick<LayerSource, 'n' | 'k' | 'groupSize'>, experts?: number): number {
  const weights = { ...weightsOf(simplify(piece), { n, k, groupSize }, GPU), biased: false, requantized: false };
  const packed = experts === undefined ? packedLayout(weights, GPU as Caps) : expertLayout(weights, experts, GPU as Caps).packed;
  return (8 * packedBytes(weights, packed)) / ((experts ?? 1) * n * k);
}

export type Probed = { readonly memory: InMemory; bitsOf(experts?: number): number } | { readonly error: FormatError };

/** The key of a kind: layers of one kind have tensors of the same dtypes and shapes. */
export const kindOf = ({ format, n, k, bits, groupSize, tensors }: LayerSource): string =>
  JSON.stringify([format, n, k, bits, groupSize, Object.entries(tensors).map(([name, { dtype, shape }]) => [name, dtype, shape])]);

/** Reads the first piece of a layer of each kind. @throws the reason of `signal` */
export async function probe(layers: readonly LayerSource[], signal: AbortSignal): Promise<ReadonlyMap<string, Probed>> {
  const probed = new Map<string, Probed>();
  for (const layer of layers) {
    const kind = kindOf(layer);
    if (probed.has(kind)) continue;
    try {
      for await (const { matrix } of readPieces(layer, { chunkBytes: 1, signal })) {
        probed.set(kind, { memory: inMemory(matrix), bitsOf: (experts) => gpuBits(matrix, layer, experts) });
        break;
      }
    } catch (error) {
      // An error without a tensor concerns the file, which was changed or cut off, not the layer.
      if (!(error instanceof FormatError) || error.tensor === undefined) throw error;
      probed.set(kind, { error });
    }
  }
  return probed;
}

export type Verdict = 'float' | 'unsupported' | 'other';

/** The verdict on a tensor of no layer, also in words. @param notYet why it is not read, if its layout is known */
export function verdictOf(
  info: Pick<TensorInfo, 'name' | 'dtype' | 'shape'>,
  facts: ModelFacts,
  notYet: string | undefined,
): { readonly verdict: Verdict; readonly text: string } {
  if (notYet) return { verdict: 'unsupported', text: notYet };
  if (!isFloat(info)) return { verdict: 'other', text: 'no weights: used as it is' };
  if (info.shape.length < 2) return { verdict: 'other', text: 'no matrix: used as it is' };
  const why = whyNoLayer(info, facts);
  if (why) return { verdict: 'float', text: `float, which quantize copies: ${why}` };
  const what = spared(info, facts);
  return { verdict: 'float', text: what ? `float, ${what}: quantize takes it only with --include` : 'float: quantize makes codes of it' };
}
