// Rows of prompts as integers: their codes, and the layers that take them.
import { Tensor } from '../gpu/tensor.js';
import type { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import { planFor } from '../layer/loaded-weights.js';
import { type QuantizedRows, quantizedWithin } from '../layer/quantize-x.js';
import type { Config } from '../llm/config.js';
import type { CodeBits } from '../problem/code-width.js';
import { contiguousX, makeProblem } from '../problem/problem.js';
import { type CodesName, codesOf, codesPitch, MOST_ROWS } from './memory.js';
import type { TensorName } from './step-plan.js';
import type { Tensors } from './tensors.js';
import type { ModelWeights } from './weights.js';

export type Codes = ReadonlyMap<CodesName, QuantizedRows>;

/** The codes that the products of a model read. */
export const codesNames = ({ products }: ModelWeights): ReadonlySet<CodesName> =>
  codesOf([...products].flatMap(([name, layers]) => layers.map(({ held }) => [name, held] as const)));

/** @param buffers with one for each of the names */
export const codesIn = (
  config: Config,
  { device, byName }: Tensors,
  buffers: ReadonlyMap<string, GPUBuffer>,
  names: Iterable<CodesName>,
): Codes =>
  new Map(
    Array.from(names, (name) => {
      const [, read, held] = name.split('.') as ['codes', TensorName, string];
      const codes = Tensor.wrap(device, buffers.get(name)!, { shape: [MOST_ROWS, codesPitch(config, name)], dtype: 'int32' });
      return [name, quantizedWithin(byName.get(read)!, Number(held) as CodeBits, codes)] as const;
    }),
  );

/**
 * Does a layer multiply codes of rows? Not if its inputs have an order or scales, its weights are no codes of numbers, or its groups are none of
 * matmul-dot4's: then other kernels read x. @throws UnsupportedError
 */
function takesCodes({ loaded }: LinearWeightQuant, rows: number): boolean {
  const { k, permuted, inputScaled } = loaded.weights;
  if (permuted || inputScaled) return false;
  return planFor(loaded, makeProblem(loaded, { m: rows, x: contiguousX(rows, k), xDigits: 1 })).accuracy.xStep > 0;
}

/** What each layer of a product reads: codes in the order of its weights, or x as it is. */
export function inputsOf(
  layers: readonly LinearWeightQuant[],
  { codes, read, x, rows }: { readonly codes: Codes; readonly read: TensorName; readonly x: Tensor; readonly rows: number },
): ReadonlyMap<Tensor | QuantizedRows, readonly LinearWeightQuant[]> {
  const inputs = new Map<Tensor | QuantizedRows, LinearWeightQuant[]>();
  for (const layer of layers) {
    const input = (takesCodes(layer, rows) && codes.get(`codes.${read}.${layer.held}` as CodesName)) || x;
    inputs.set(input, [...(inputs.get(input) ?? []), layer]);
  }
  return inputs;
}

/** Products of a prompt that take no codes, with experts or without. */
export const notIntegers = ({ products, experts }: ModelWeights): readonly string[] => [
  ...[...products].flatMap(([name, layers]) => (name === 'head' || layers.every((layer) => takesCodes(layer, MOST_ROWS)) ? [] : [name])),
  ...experts.keys(),
];
