// What this library does with a layer or a tensor of a file: who imports it, and what it is in memory after that. Reads one piece of a layer of
// each kind, since scales' dtypes, zero points and orders of inputs show only there.
import { importerOf } from '../src/formats/layer-formats.js';
import { FormatError, isGgufType, type LayerSource, type QuantizedMatrix, readPieces, type TensorInfo } from '../src/formats.js';
import { count } from './text.js';

/** What a matrix is beside its codes. */
export interface InMemory {
  readonly scaleDtype: QuantizedMatrix['scaleDtype'];
  readonly zeroPoints: 'none' | 'whole' | 'float';
  readonly minimum: boolean;
  readonly codebook: boolean;
  readonly permutation: boolean;
}

export function inMemory({ bits, scaleDtype, zeroPoint, minimum, codebook, permutation }: QuantizedMatrix): InMemory {
  const needed = zeroPoint && !zeroPoint.every((zero) => zero === 2 ** (bits - 1));
  return {
    scaleDtype,
    zeroPoints: needed ? (zeroPoint.every(Number.isInteger) ? 'whole' : 'float') : 'none',
    minimum: minimum !== undefined,
    codebook: codebook !== undefined,
    permutation: permutation !== undefined,
  };
}

export const memoryText = (
  { bits, groupSize, k, format }: Pick<LayerSource, 'bits' | 'groupSize' | 'k' | 'format'>,
  { scaleDtype, zeroPoints, minimum, codebook, permutation }: InMemory,
): string =>
  [
    `${importerOf(format)} → ${bits}-bit codes`,
    groupSize === k ? 'a scale for each output' : `groups of ${groupSize}`,
    `${scaleDtype} scales`,
    zeroPoints === 'none' ? '' : zeroPoints === 'whole' ? 'zero points' : 'zero points that are floats',
    minimum ? 'minima' : '',
    codebook ? 'a codebook' : '',
    permutation ? 'inputs in the order of their groups' : '',
  ]
    .filter(Boolean)
    .join(', ');

export type Probed = { readonly memory: InMemory } | { readonly error: FormatError };

/** Layers of one kind have tensors of the same dtypes and shapes. */
export const kindOf = ({ format, n, k, bits, groupSize, tensors }: LayerSource): string =>
  JSON.stringify([format, n, k, bits, groupSize, Object.entries(tensors).map(([name, { dtype, shape }]) => [name, dtype, shape])]);

/** The first piece of a layer of each kind. @throws what `signal` was aborted with */
export async function probe(layers: readonly LayerSource[], signal: AbortSignal): Promise<ReadonlyMap<string, Probed>> {
  const probed = new Map<string, Probed>();
  for (const layer of layers) {
    const kind = kindOf(layer);
    if (probed.has(kind)) continue;
    try {
      for await (const { matrix } of readPieces(layer, { chunkBytes: 1, signal })) {
        probed.set(kind, { memory: inMemory(matrix) });
        break;
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      probed.set(kind, { error });
    }
  }
  return probed;
}

const FLOATS = ['F16', 'BF16', 'F32'];
const INTEGERS = ['BOOL', 'U8', 'I8', 'U16', 'I16', 'U32', 'I32', 'U64', 'I64', 'F64'];
export const isFloat = ({ dtype }: Pick<TensorInfo, 'dtype'>): boolean => FLOATS.includes(dtype);

/** Matrices that lose most when they are quantized, for what they save: `quantize` takes them only where --include names them. */
const SPARED: readonly (readonly [name: RegExp, what: string])[] = [
  [/(^|[._])(wte|wpe|tok_embd|token_embd|position_embd|embed\w*)([._]|$)/i, 'an embedding'],
  [/(^|\.)(lm_head|embed_out|output)\.weight$/, 'the head'],
  [/(^|\.)(gate|router|ffn_gate_inp)\.weight$/, 'a router of experts'],
  [/norm|(^|[._])ln(_|\d|\.|$)/i, 'a norm'],
];
/** What a matrix of this name is, if it is spared. */
export const spared = (name: string): string | undefined => SPARED.find(([pattern]) => pattern.test(name))?.[1];

export type Verdict = 'float' | 'unsupported' | 'other';

/** Of a tensor that is of no layer: what can be done with it, and in words. */
export function verdictOf({ name, dtype, shape }: Pick<TensorInfo, 'name' | 'dtype' | 'shape'>): {
  readonly verdict: Verdict;
  readonly text: string;
} {
  if (isFloat({ dtype }) && shape.length === 2) {
    const what = spared(name);
    return { verdict: 'float', text: what ? `float, ${what}: quantize takes it only with --include` : 'float: quantize makes codes of it' };
  }
  if (isFloat({ dtype }) || INTEGERS.includes(dtype)) return { verdict: 'other', text: 'no matrix: used as it is' };
  if (isGgufType(dtype))
    return { verdict: 'unsupported', text: `unsupported: ${dtype} blocks in ${count(shape.length, 'dimension')}, not 2` };
  return { verdict: 'unsupported', text: `unsupported: no importer reads ${dtype}` };
}
