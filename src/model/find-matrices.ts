// The weights of a model by role: layers of all formats that findLayers knows, or floats.
import { FormatError, UnsupportedError } from '../errors.js';
import { clip } from '../files/show.js';
import type { TensorFile, TensorInfo } from '../files/tensor-file.js';
import { partsOf } from '../formats/experts.js';
import { findLayers } from '../formats/find-layers.js';
import type { FoundLayers } from '../formats/found-layers.js';
import type { LayerSource } from '../formats/layer-source.js';
import type { Config } from '../llm/config.js';
import { FLOATS, rolesOf } from '../llm/model-tensors.js';
import { matrixName, type Naming, type OwnNames, type Role, type Roots, type Source, tensorName } from '../llm/names.js';
import { showShape } from '../problem/view.js';
import { type ExpertMatrices, isFloat, type Matrix, type ModelTensors } from './language-model.js';

export interface FindMatricesOptions {
  readonly source: Source;
  /** The parsed configuration, where weights' settings are. */
  readonly settings?: unknown;
  /** Where a folder of more than text has the model. */
  readonly roots?: Roots | undefined;
  /** Names that are others than the usual ones. */
  readonly own?: OwnNames | undefined;
  /** Tensors that are left out, beside those that no model needs. */
  readonly isBeside?: ((name: string) => boolean) | undefined;
  /** Finds experts in another way than as one tensor. */
  readonly findExperts?: typeof expertsOf | undefined;
  /** Makes floats of a router's codes. */
  readonly decoded?: ((layer: LayerSource) => TensorInfo) | undefined;
  /** Are gate and up of experts one tensor, that of `gates`? */
  readonly inTurns?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Tensors that a model has and that are computed here, and the embedding's copy as the head of a tied model. */
const ignored = (name: string, { tied }: Config, naming: Naming): boolean =>
  /\.rotary_emb\.inv_freq$/.test(name) || (tied && name === tensorName('head', 'huggingFace', naming));

/** Roles of a model whose `gates` are ups as well. */
function* togetherIn(roles: Iterable<readonly [Role, readonly number[]]>): Generator<readonly [Role, readonly number[]]> {
  for (const [role, shape] of roles) {
    const [experts, columns, ...inputs] = shape as readonly [number, number, ...number[]];
    if (/^gates(Bias)?\./.test(role)) yield [role, [experts, 2 * columns, ...inputs]];
    else if (!/^ups(Bias)?\./.test(role)) yield [role, shape];
  }
}

const biasRole = (role: Role): Role => role.replace('.', 'Bias.') as Role;

/**
 * Finds every matrix and vector of the model, and checks its size; reads settings of a few bytes at most.
 * @throws FormatError for a weight that is missing, of another size, or against its format; UnsupportedError for one in a format that is not
 *   read, and for a tensor that the model would ignore
 */
export async function findMatrices(file: TensorFile, config: Config, options: FindMatricesOptions): Promise<ModelTensors> {
  const { source, settings, roots, own, isBeside, findExperts = expertsOf, decoded, inTurns = false, signal } = options;
  const naming: Naming = { postNorms: config.postNorms, roots, own };
  const found = await findLayers(file, { config: settings, ...(signal && { signal }) });
  const layers = new Map(found.layers.map((layer) => [layer.name, layer]));
  const matrices = new Map<Role, Matrix>();
  const vectors = new Map<Role, TensorInfo>();
  const experts = new Map<Role, ExpertMatrices>();
  const zeros: TensorInfo[] = [];
  const used = new Set<TensorInfo>();
  const roles = new Map(inTurns ? togetherIn(rolesOf(config)) : rolesOf(config));
  for (const [role, shape] of roles) {
    const tensor = tensorName(role, source, naming);
    const part = role.split('.')[0]!;
    if (tensor === undefined || part.endsWith('Bias')) continue;
    const biasShape = role.includes('.') ? roles.get(biasRole(role)) : undefined;
    const bias = biasShape && vector(file, tensorName(biasRole(role), source, naming)!, biasShape);
    if (bias) used.add(bias);
    if (shape.length === 1 || part === 'router') {
      const coded = part === 'router' && decoded ? layers.get(matrixName(role, source, naming)!) : undefined;
      vectors.set(role, coded ? decoded!(layerOf(coded, shape, file, tensor)) : vector(file, tensor, shape));
      if (bias) vectors.set(biasRole(role), bias);
      for (const info of coded ? Object.values(coded.tensors) : [vectors.get(role)!]) used.add(info);
      continue;
    }
    const name = matrixName(role, source, naming)!;
    if (shape.length === 3) {
      const block = findExperts(file, found, { name, tensor, shape });
      if (bias && !block.source.every((one) => !('begin' in one) && one.bias))
        throw new UnsupportedError(`${file.name}: ${clip(tensor)}`, [
          `${block.info.dtype} of experts with biases: expected codes of a format`,
        ]);
      experts.set(role, block);
      used.add(block.info);
      for (const one of block.source) for (const info of 'begin' in one ? [one] : Object.values(one.tensors)) used.add(info);
      continue;
    }
    const layer = layers.get(name);
    const matrix = layer ? layerOf(layer, shape, file, tensor) : { weight: floats(file, found, { name, tensor, shape }), bias };
    if (isFloat(matrix)) used.add(matrix.weight);
    else {
      for (const info of Object.values(matrix.tensors)) used.add(info);
      if (matrix.bias) used.add(matrix.bias);
      if (matrix.bias && !bias) zeros.push(matrix.bias);
    }
    matrices.set(role, isFloat(matrix) ? matrix : { ...matrix, bias });
  }
  // Settings and the like belong to layers, which are checked as such.
  const unused = [
    ...[...found.layers, ...found.experts.map(({ experts: [first] }) => first!)]
      .filter((layer) => !Object.values(layer.tensors).some((info) => used.has(info)))
      .map((layer) => Object.values(layer.tensors)[0]!),
    ...found.rest.filter((info) => !used.has(info)),
  ].find(({ name }) => !ignored(name, config, naming) && !isBeside?.(name));
  if (unused)
    throw new UnsupportedError(`${file.name}: ${clip(unused.name)}`, [
      `expected no such tensor in ${config.architecture}, got ${unused.dtype} ${showShape(unused.shape)}`,
    ]);
  return { matrices, experts, vectors, zeros };
}

/** That a tensor is missing. */
export const missing = (file: TensorFile, tensor: string, shape: readonly number[]): FormatError =>
  new FormatError({ file: file.name, tensor, field: 'shape' }, showShape(shape), 'no such tensor');

/** @throws FormatError, UnsupportedError */
function expertsOf(
  file: TensorFile,
  { experts, refused, notYet }: FoundLayers,
  { name, tensor, shape }: { readonly name: string; readonly tensor: string; readonly shape: readonly number[] },
): ExpertMatrices {
  const info = file.tensors.get(tensor);
  if (!info) throw missing(file, tensor, shape);
  if (showShape(info.shape) !== showShape(shape))
    throw new FormatError({ file: info.source.name, tensor, field: 'shape' }, showShape(shape), showShape(info.shape));
  const source = experts.find((one) => one.name === name)?.experts;
  if (source) return { info, source };
  const error = refused.find((one) => one.name === name)?.error;
  if (error) throw error;
  if (FLOATS.includes(info.dtype)) return { info, source: partsOf(info) };
  const why = notYet.find(({ tensors }) => tensors.includes(info))?.why ?? `no format has ${info.dtype}`;
  throw new UnsupportedError(`${file.name}: ${clip(tensor)}`, [why]);
}

/** A norm, sinks, a router, or biases. @throws FormatError */
function vector(file: TensorFile, tensor: string, shape: readonly number[]): TensorInfo {
  const info = file.tensors.get(tensor);
  if (!info) throw missing(file, tensor, shape);
  const at = (field: string) => ({ file: info.source.name, tensor, field });
  if (showShape(info.shape) !== showShape(shape)) throw new FormatError(at('shape'), showShape(shape), showShape(info.shape));
  if (!FLOATS.includes(info.dtype)) throw new FormatError(at('type'), FLOATS.join(', '), info.dtype);
  return info;
}

/** @throws FormatError */
export function layerOf(layer: LayerSource, shape: readonly number[], file: TensorFile, tensor: string): LayerSource {
  const got = [layer.n, layer.k];
  if (showShape(got) !== showShape(shape)) {
    const [info] = Object.values(layer.tensors);
    throw new FormatError(
      { file: info?.source.name ?? file.name, tensor: layer.name || tensor, field: 'shape' },
      showShape(shape),
      showShape(got),
    );
  }
  return layer;
}

/** @throws FormatError, UnsupportedError */
export function floats(
  file: TensorFile,
  { refused, notYet, floats: all }: FoundLayers,
  { name, tensor, shape }: { readonly name: string; readonly tensor: string; readonly shape: readonly number[] },
): TensorInfo {
  const error = refused.find((one) => one.name === name)?.error;
  if (error) throw error;
  const unread = notYet.find((one) => one.name === name || one.tensors.some((info) => info.name === tensor));
  if (unread) throw new UnsupportedError(`${file.name}: ${clip(unread.tensors[0]?.name ?? name)}`, [unread.why]);
  const info = file.tensors.get(tensor);
  if (!info) throw missing(file, tensor, shape);
  if (showShape(info.shape) !== showShape(shape))
    throw new FormatError({ file: info.source.name, tensor, field: 'shape' }, showShape(shape), showShape(info.shape));
  if (!all.includes(info)) throw new UnsupportedError(`${file.name}: ${clip(tensor)}`, [`no format has ${info.dtype}`]);
  return info;
}
