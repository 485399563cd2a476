// The experts of Hugging Face folders, where each has matrices of its own.
import { UnsupportedError } from '../errors.js';
import { clip } from '../files/show.js';
import type { TensorFile } from '../files/tensor-file.js';
import type { FoundLayers } from '../formats/found-layers.js';
import type { LayerSource } from '../formats/layer-source.js';
import { ofExpert } from '../llm/folder-names.js';
import { floats, layerOf, missing } from './find-matrices.js';
import type { ExpertMatrices } from './language-model.js';

/** Experts of which each has a matrix of its own. @throws FormatError, UnsupportedError */
export function expertsApart(
  file: TensorFile,
  found: FoundLayers,
  { name, shape: [count, ...shape] }: { readonly name: string; readonly shape: readonly number[] },
): ExpertMatrices {
  const names = Array.from({ length: count! }, (_, expert) => ofExpert(name, expert));
  const kindOf = ({ format, bits, groupSize }: LayerSource): string => `${format} of ${bits} bits, groups of ${groupSize}`;
  const layers = new Map(found.layers.map((layer) => [layer.name, layer]));
  const first = layers.get(names[0]!);
  if (!first) {
    const source = names.map((one) => floats(file, found, { name: one, tensor: `${one}.weight`, shape }));
    return { info: source[0]!, source };
  }
  const source = names.map((one) => {
    const layer = layers.get(one);
    if (!layer) throw missing(file, one, shape);
    if (layer.bias) throw new UnsupportedError(`${file.name}: ${clip(layer.bias.name)}`, ['expected no bias of an expert']);
    if (kindOf(layer) !== kindOf(first))
      throw new UnsupportedError(`${file.name}: ${clip(one)}`, [`expected ${kindOf(first)}, as of expert 0, got ${kindOf(layer)}`]);
    return layerOf(layer, shape, file, one);
  });
  return { info: Object.values(first.tensors)[0]!, source };
}
