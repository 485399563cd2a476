// The tensors that a model of a configuration has: which roles, of which shapes, and where they are in a file.
import { FormatError, UnsupportedError } from '../errors.js';
import { clip } from '../files/show.js';
import type { TensorFile, TensorInfo } from '../files/tensor-file.js';
import { showShape } from '../problem/view.js';
import { architectureOf } from './architectures.js';
import type { Config } from './config.js';
import { type LayerPart, type ModelPart, type Role, type Source, tensorName } from './names.js';

/** Dtypes of norms, biases, divisors and routers. */
export const FLOATS: readonly string[] = ['F32', 'F16', 'BF16'];

/** Vectors, biases of experts, and matrices that are not quantized. */
const isFloats = (role: Role, shape: readonly number[]): boolean => shape.length === 1 || /^router\.|Bias\./.test(role);

/** The shape of a part, outermost first: (N, K) of a matrix, (E, N, K) of experts. */
function shapesOf({ width: d, heads, kvHeads, headWidth: e, feedForward: f, vocabulary, rope, experts }: Config) {
  const count = experts?.count ?? 0;
  return {
    embedding: [vocabulary, d],
    outputNorm: [d],
    head: [vocabulary, d],
    ropeDivisors: [rope.width / 2],
    ropeShort: [rope.width / 2],
    ropeLong: [rope.width / 2],
    attentionNorm: [d],
    q: [heads * e, d],
    k: [kvHeads * e, d],
    v: [kvHeads * e, d],
    qBias: [heads * e],
    kBias: [kvHeads * e],
    vBias: [kvHeads * e],
    sinks: [heads],
    qNorm: [e],
    kNorm: [e],
    qkv: [(heads + 2 * kvHeads) * e, d],
    o: [d, heads * e],
    oBias: [d],
    postAttentionNorm: [d],
    feedForwardNorm: [d],
    gate: [f, d],
    up: [f, d],
    gateUp: [2 * f, d],
    down: [d, f],
    router: [count, d],
    routerBias: [count],
    gates: [count, f, d],
    ups: [count, f, d],
    downs: [count, d, f],
    gatesBias: [count, f],
    upsBias: [count, f],
    downsBias: [count, d],
    postFeedForwardNorm: [d],
  } as const satisfies Readonly<Record<ModelPart | LayerPart, readonly number[]>>;
}

/** The parts of a layer, in the order in which they are used. */
export function layerParts({
  biases,
  qkNorms,
  postNorms,
  joined,
  experts,
  sinks,
}: Pick<Config, 'biases' | 'qkNorms' | 'postNorms' | 'joined' | 'experts' | 'sinks'>): readonly LayerPart[] {
  const qkv: readonly LayerPart[] = joined ? ['qkv'] : ['q', 'k', 'v'];
  const norms: readonly LayerPart[] = qkNorms ? ['qNorm', 'kNorm'] : [];
  const biased = (parts: readonly LayerPart[]): readonly LayerPart[] => [
    ...parts,
    ...biases.filter((bias) => parts.some((part) => bias === `${part}Bias`)),
  ];
  const attention = [
    'attentionNorm',
    ...biased(qkv),
    ...norms,
    ...(sinks ? SINKS : []),
    ...biased(['o']),
    ...(postNorms ? POST.attention : []),
  ] as const;
  const gateUp: readonly LayerPart[] = joined ? ['gateUp'] : ['gate', 'up'];
  const feedForward: readonly LayerPart[] = experts ? ['router', 'gates', 'ups', 'downs'] : [...gateUp, 'down'];
  return [...attention, 'feedForwardNorm', ...biased(feedForward), ...(postNorms ? POST.feedForward : [])];
}
const SINKS = ['sinks'] as const satisfies readonly LayerPart[];
const POST = { attention: ['postAttentionNorm'], feedForward: ['postFeedForwardNorm'] } as const satisfies Record<
  string,
  readonly LayerPart[]
>;

/** Every role of a model with the shape of its tensor, in the order in which they are used. One at a time: L is what a header says. */
export function* rolesOf(config: Config): Generator<readonly [role: Role, shape: readonly number[]]> {
  const shapes = shapesOf(config);
  yield ['embedding', shapes.embedding];
  if (config.rope.divisors) yield ['ropeDivisors', shapes.ropeDivisors];
  if (config.rope.original !== undefined) for (const role of ['ropeShort', 'ropeLong'] as const) yield [role, shapes[role]];
  const parts = layerParts(config);
  for (let layer = 0; layer < config.layers; layer++) for (const part of parts) yield [`${part}.${layer}`, shapes[part]];
  yield ['outputNorm', shapes.outputNorm];
  if (!config.tied) yield ['head', shapes.head];
}

/**
 * Finds every tensor of the model by its name and checks its shape; reads none.
 * @throws FormatError for a tensor that is missing or of another shape, and for a norm, bias, divisor or router that is not F32, F16 or BF16;
 * UnsupportedError for a tensor that the model would ignore
 */
export function findTensors({ name: file, tensors }: TensorFile, config: Config, source: Source): ReadonlyMap<Role, TensorInfo> {
  const found = new Map<Role, TensorInfo>();
  const used = new Set<TensorInfo>();
  for (const [role, shape] of rolesOf(config)) {
    const tensor = tensorName(role, source, { ...config, own: architectureOf(config.architecture).names });
    if (tensor === undefined) continue; // the source says it otherwise
    const info = tensors.get(tensor);
    if (!info) throw new FormatError({ file, tensor, field: 'shape' }, showShape(shape), 'no such tensor');
    if (showShape(info.shape) !== showShape(shape))
      throw new FormatError({ file, tensor, field: 'shape' }, showShape(shape), showShape(info.shape));
    if (isFloats(role, shape) && !FLOATS.includes(info.dtype))
      throw new FormatError({ file, tensor, field: 'type' }, FLOATS.join(', '), info.dtype);
    found.set(role, info);
    used.add(info);
  }
  for (const info of tensors.values())
    if (!used.has(info))
      throw new UnsupportedError(`${file}: ${clip(info.name)}`, [
        `expected no such tensor in ${config.architecture}, got ${info.dtype} ${showShape(info.shape)}`,
      ]);
  return found;
}
