// Reads the file of --activations: safetensors with statistics of layers' inputs, in tensors named LAYER.FIELD.

import { at } from '../src/files/raw-tensor.js';
import { type Activations, asFloats, FormatError, openModel, readTensor, type TensorFile } from '../src/formats.js';

/** Names of fields; of several fields of a layer the last in this list counts. */
const FIELDS = [
  ['mean_abs', 'meanAbs', (k: number) => [k]],
  ['mean_square', 'meanSquare', (k: number) => [k]],
  ['x', 'x', (k: number) => [-1, k]],
  ['hessian', 'hessian', (k: number) => [k, k]],
] as const;

export const openActivations = (path: string, signal: AbortSignal): Promise<TensorFile> => openModel(path, { signal });

/** The activations of a layer; undefined if the file has none. @throws FormatError for another shape */
export async function activationsOf(
  file: TensorFile | undefined,
  { name, k }: { readonly name: string; readonly k: number },
  signal: AbortSignal,
): Promise<Activations | undefined> {
  let found: Activations | undefined;
  for (const [suffix, field, shapeOf] of FIELDS) {
    const info = file?.tensors.get(`${name}.${suffix}`);
    if (!info) continue;
    const shape = shapeOf(k);
    const fits = info.shape.length === shape.length && shape.every((size, i) => size === -1 || size === info.shape[i]);
    if (!fits) {
      const wanted = `(${shape.map((size) => (size === -1 ? 'rows' : size)).join(', ')}) for K = ${k}`;
      throw new FormatError(at({ file: info.source.name, name: info.name }, 'shape'), wanted, `(${info.shape.join(', ')})`);
    }
    found = { [field]: asFloats(await readTensor(info, { signal })) };
  }
  return found;
}
