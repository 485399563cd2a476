// Rows of prompts as integers: their codes, and the layers that take them.
import { UnsupportedError } from '../errors.js';
import { Tensor } from '../gpu/tensor.js';
import type { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import { planFor } from '../layer/loaded-weights.js';
import { type QuantizedRows, quantizedWithin } from '../layer/quantize-x.js';
import { contiguousX, makeProblem } from '../problem/problem.js';
import { pitchWords } from '../problem/x-codes.js';
import { type CodesName, codesNames, MOST_ROWS } from './memory.js';
import type { Tensors } from './tensors.js';
import type { ModelWeights } from './weights.js';

/** By what is read, and the bits that weights are held in. */
export type Codes = ReadonlyMap<string, QuantizedRows>;

/** The codes that a model's products read. */
export const codesNamesOf = ({ products }: Pick<ModelWeights, 'products'>): ReadonlySet<CodesName> =>
  codesNames([...products].flatMap(([name, layers]) => layers.map(({ held }) => [name, held] as const)));

/** @param buffers of these names */
export function codesIn({ device, byName }: Tensors, buffers: ReadonlyMap<string, GPUBuffer>, names: Iterable<CodesName>): Codes {
  const made = new Map<string, QuantizedRows>();
  for (const name of names) {
    const [of, held] = name.split(' ') as [keyof typeof byName, string];
  }
  return made;
}
