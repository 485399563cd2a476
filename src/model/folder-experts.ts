// The experts of Hugging Face folders: each has matrices of its own, or all are in tensors with an axis of experts in front.
import { FormatError, UnsupportedError } from '../errors.js';
import { clip } from '../files/show.js';
import type { TensorFile, TensorInfo } from '../files/tensor-file.js';
import type { FoundLayers } from '../formats/found-layers.js';
import type { LayerSource } from '../formats/layer-source.js';
import { readPieces } from '../formats/read-layer.js';
import { ofExpert, stackedName } from '../llm/folder-names.js';
import { dequantize } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';
import { floats, layerOf, missing } from './find-matrices.js';
import type { ExpertMatrices } from './language-model.js';

interface Asked {
  readonly name: string;
  /** (E, N, K) */
  readonly shape: readonly number[];
}

/** @throws FormatError, UnsupportedError */
export function folderExperts(file: TensorFile, found: FoundLayers, asked: Asked): ExpertMatrices {
  return stacked(file, found, asked) ?? apart(file, found, asked);
}

/** Experts of one tensor; undefined where there is none. @throws FormatError */
function stacked(
  file: TensorFile,
  { experts, refused }: FoundLayers,
  { name, shape: [count, ...shape] }: Asked,
): ExpertMatrices | undefined {
  const names = [name, stackedName(name)];
  const error = refused.find((one) => names.includes(one.name))?.error;
  if (error) throw error;
  // Numbered ones are grouped under such names, too.
  const own = experts.find((one) => names.includes(one.name) && one.experts[0]!.name === `${one.name}.0`);
  if (!own) return undefined;
  if (own.experts.length !== count)
    throw new FormatError({ file: file.name, tensor: own.name, field: 'shape' }, showShape([count!]), showShape([own.experts.length]));
  const source = own.experts.map((one) => layerOf(one, shape, file, own.name));
  return { info: Object.values(source[0]!.tensors)[0]!, source };
}

/** Experts of which each has a matrix of its own. @throws FormatError, UnsupportedError */
function apart(file: TensorFile, found: FoundLayers, { name, shape: [count, ...shape] }: Asked): ExpertMatrices {
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

/** A layer as floats that are decoded when they are read: routers of folders whose every matrix is quantized. */
export function decoded(layer: LayerSource): TensorInfo {
  const { name, n, k, tensors } = layer;
  const size = 4 * n * k;
  const read: TensorInfo['source']['read'] = async (begin, end, signal) => {
    const all = new Float32Array(n * k);
    for await (const { matrix, n: row, k: column } of readPieces(layer, signal ? { signal } : {})) {
      const values = dequantize(matrix);
      for (let i = 0; i < matrix.n; i++) all.set(values.subarray(i * matrix.k, (i + 1) * matrix.k), (row + i) * k + column);
    }
    return new Uint8Array(all.buffer).slice(begin, end);
  };
  const file = Object.values(tensors)[0]!.source.name;
  return { name: `${name}.weight`, dtype: 'F32', shape: [n, k], source: { name: file, size, read }, begin: 0, end: size };
}
