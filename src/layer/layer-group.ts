// Multiplies one x with several layers (Q, K and V; gate and up): one call, one submit, and one dispatch where their formats agree. The
// first call starts to copy such layers' weights side by side; later calls take one dispatch.

import { list as listOf } from '../arguments/check.js';
import { checkPass } from '../arguments/gpu-objects.js';
import { BYTES } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { allTaken } from '../gpu/guard.js';
import { Tensor } from '../gpu/tensor.js';
import { MAX_LAYERS } from '../kernels/operands.js';
import { log } from '../log.js';
import { windowBytes } from '../plan/binding.js';
import { checkX, checkY } from '../problem/checks.js';
import { widthOf } from '../problem/code-width.js';
import { keyOf } from '../problem/key.js';
import { type LayerColumns, yDtypeOf } from '../problem/problem.js';
import { isContiguous } from '../problem/view.js';
import {
  FORWARD,
  type ForwardOptions,
  type Input,
  OUTPUT,
  type OutputOptions,
  type Scales,
  scalesOf,
  sharesBuffer,
} from '../product/options.js';
import { type Call, callWithOutput, encodeProduct, type Product, type Request, run } from './calls.js';
import { joinWeights } from './joined-weights.js';
import { LinearWeightQuant } from './linear-weight-quant.js';
import { freeLoaded, type LoadedWeights, type OutputBuffer, outputBytes, recycle } from './loaded-weights.js';
import { checkPrepare, type PrepareOptions, prepareWeights } from './prepare.js';
import { inputOf, type QuantizedRows } from './quantize-x.js';

/** Layers that share a dispatch. */
export interface Group {
  /** Indices of the layers. */
  readonly members: readonly number[];
  /** The members' weights side by side, or the weights of the only member. */
  readonly loaded: LoadedWeights;
  /** First column of each. */
  readonly begins: readonly number[];
}
/** Layers that are multiplied together, and their groups. */
export interface Bundle {
  readonly layers: readonly LinearWeightQuant[];
  /** The layers' weights when the groups were made. A layer that was loaded again or moved has others. */
  readonly loaded: LoadedWeights[];
  groups: readonly Group[];
  /** Resolves when all weights that can be side by side are; undefined before the first call. */
  joined: Promise<unknown> | undefined;
}

/** @internal */
export const LAYERS = listOf(LinearWeightQuant.given);

/** Bundles by their first layer. */
const bundles = new WeakMap<LinearWeightQuant, Bundle[]>();

/** What a layer is, before it has buffers. */
type Kind = Pick<LoadedWeights, 'spec' | 'weights' | 'settings' | 'packed' | 'shared'>;

/**
 * What layers that share a dispatch agree in. It leaves out the number of columns, and the bias: a layer without one has zeros instead.
 * `mode` follows from the groups.
 */
export function dispatchForm({ spec, weights, settings }: Pick<Kind, 'spec' | 'weights' | 'settings'>) {
  const { outFeatures: _n, bias: _bias, antiquantOffset: _offset, antiquantGroupSize: _group, quantOffset: _quant, ...options } = spec;
  const { n: _columns, biased: _biased, mode: _mode, ...format } = weights;
  return { options, format, settings };
}

export const dispatchKey = (layer: Parameters<typeof dispatchForm>[0]): string => keyOf(dispatchForm(layer));

/** What makes a layer need a separate dispatch. Rows of y must be whole quads. */
const ALONE = {
  /** It was joined before, and stays there. */
  joined: ({ shared }) => shared !== undefined,
  columns: ({ weights }) => weights.n % 4 !== 0,
  // What belongs to one layer.
  table: ({ weights }) => weights.codebook === 'table',
  permuted: ({ weights }) => weights.permuted,
  inputScaled: ({ weights }) => weights.inputScaled,
  glu: ({ weights }) => weights.glu !== undefined,
  twinned: ({ weights }) => weights.twinned === true,
  slabs: ({ packed }) => packed.slabs.length > 1,
} as const satisfies Readonly<Record<string, (kind: Kind) => boolean>>;

/** Why a layer needs a separate dispatch; undefined if it does not. */
export const whyAlone = (kind: Kind): keyof typeof ALONE | undefined =>
  (Object.keys(ALONE) as (keyof typeof ALONE)[]).find((why) => ALONE[why](kind));

const single = (loaded: LoadedWeights, i: number): Group => ({ members: [i], loaded, begins: [0] });

/** The layers that can share a dispatch, in runs of at most MAX_LAYERS. */
export function runsOf(layers: readonly Kind[]): number[][] {
  const byKey = new Map<string, number[][]>();
  layers.forEach((layer, i) => {
    const alone = whyAlone(layer) !== undefined || layers.indexOf(layer) < i;
    const key = alone ? `alone ${i}` : dispatchKey(layer);
    const runs = byKey.get(key) ?? [];
    const last = runs.at(-1);
    if (last && last.length < MAX_LAYERS) last.push(i);
    else runs.push([i]);
    byKey.set(key, runs);
  });
  return [...byKey.values()].flat();
}

/** A bundle with a dispatch for each layer, but for those that lie side by side already. */
function makeBundle(layers: readonly LinearWeightQuant[], together: readonly Group[] = []): Bundle {
  const loaded = layers.map((layer) => layer.loaded);
  const joined = new Set(together.flatMap(({ members }) => members));
  const singles = loaded.map(single).filter(({ members }) => !joined.has(members[0]!));
  return { layers: [...layers], loaded, groups: [...singles, ...together], joined: undefined };
}

/** The members that can join, and have not. */
export const joinable = ({ loaded }: Bundle): number[][] => runsOf(loaded).filter(({ length }) => length > 1);

/** Layers that were loaded side by side: their first call takes the groups' dispatches. */
export function bundleTogether(layers: readonly LinearWeightQuant[], together: readonly Group[]): void {
  bundles.set(layers[0]!, [...(bundles.get(layers[0]!) ?? []), makeBundle(layers, together)]);
}

/** Joins members, unless there is no memory for it or a member has changed meanwhile. */
async function join(bundle: Bundle, members: readonly number[]): Promise<void> {
  const own = members.map((i) => bundle.loaded[i]!);
  const joined = joinWeights(own);
  const apart = (why: string): void =>
    log(own[0]!.device, 'apart', `${own.length} layers do not lie side by side, and each keeps its dispatch: ${why}`, {
      layers: own.length,
    });
  if (!joined) return apart('they are too large for one binding');
  const taken = await joined.ready.then(
    () => true,
    () => false,
  );
  if (!taken || members.some((i, j) => bundle.layers[i]!.current !== own[j])) {
    freeLoaded(joined.joint);
    if (!taken) apart('there was no memory');
    return;
  }
  members.forEach((i, j) => {
    bundle.layers[i]!.move(joined.moved[j]!);
    bundle.loaded[i] = joined.moved[j]!;
  });
  const others = bundle.groups.filter((group) => !group.members.some((i) => members.includes(i)));
  bundle.groups = [...others, { members, loaded: joined.joint, begins: joined.begins }];
}

/** The bundle of these layers, kept or new. Its groups are those of now. @throws ArgumentError, DeviceLostError */
export function bundleFor(layers: readonly LinearWeightQuant[]): Bundle {
  const [first] = layers;
  if (!first) throw new ArgumentError('layers', 'at least one layer', 'none');
  for (const layer of layers) layer.loaded; // throws if one is destroyed or not loaded
  // Drops bundles whose layers were destroyed, loaded again or moved since.
  const current = (bundles.get(first) ?? []).filter(({ layers: list, loaded }) => list.every((layer, i) => loaded[i] === layer.current));
  let bundle = current.find(({ layers: list }) => list.length === layers.length && list.every((layer, i) => layer === layers[i]));
  if (!bundle) {
    const other = layers.find((layer) => layer.device !== first.device);
    if (other) throw new ArgumentError('layers', 'layers of one device', 'layers of several');
    current.push((bundle = makeBundle(layers)));
  }
  bundles.set(first, current);
  return bundle;
}

/** The same for a call. The first one lets groups join, once the GPU has taken the copies side by side. */
function bundleOf(layers: readonly LinearWeightQuant[]): Bundle {
  const bundle = bundleFor(layers);
  bundle.joined ??= Promise.all(joinable(bundle).map((members) => join(bundle, members)));
  return bundle;
}

/** A bundle's groups for `m` rows. A group is split where x or y exceeds one window. */
export function groupsFor({ groups, loaded }: Bundle, m: number): readonly Group[] {
  return groups.flatMap((group): readonly Group[] => {
    const { weights, packed, settings } = group.loaded;
    // An upper bound of the bytes of a row of x, its codes or y.
    const row = Math.max(ALIGN_BYTES, 4 * Math.max(weights.n, packed.words * widthOf(weights.held).inLow));
    if (group.members.length === 1 || m * row <= windowBytes(settings.caps)) return [group];
    return group.members.map((i) => single(loaded[i]!, i));
  });
}

/** Checks x for each layer. @throws ArgumentError, DeviceLostError */
function readBy(
  layers: readonly LinearWeightQuant[],
  given: Tensor | QuantizedRows,
): { readonly input: Input; readonly rows: Request['rows'] } {
  const [input] = layers.map(({ loaded }) => inputOf(given, loaded)) as [Input];
  const [rows] = layers.map(({ loaded }) => checkX(loaded.spec, input.x)) as [Request['rows']];
  return { input, rows };
}

/** Outputs in one buffer start at multiples of this, so that every layer's y can be bound alone. */
const ALIGN_BYTES = 256;

/** The members' columns and the start of each y in one buffer; `elements` is the end of the last. */
export function follow({ members, begins }: Group, layers: readonly { readonly loaded: LoadedWeights }[], m: number) {
  let elements = 0;
  const columns = members.map((i, j): LayerColumns => {
    const { weights, spec } = layers[i]!.loaded;
    const align = ALIGN_BYTES / BYTES[yDtypeOf(spec, weights)];
    const column = { begin: begins[j]!, count: weights.n, yOffset: Math.ceil(elements / align) * align };
    elements = column.yOffset + m * weights.n;
    return column;
  });
  return { columns, elements };
}

/**
 * Waits until the layers' weights are side by side where that is possible, and prepares each dispatch as `LinearWeightQuant.prepare` does.
 * @throws ArgumentError, UnsupportedError, ShaderError, DeviceLostError
 */
export async function prepareMany(
  layers: readonly LinearWeightQuant[],
  rows: readonly number[],
  options: PrepareOptions = {},
): Promise<void> {
  const checked = checkPrepare(rows, options);
  for (const loaded of await preparedTogether(LAYERS(layers, 'layers'))) await prepareWeights(loaded, ...checked);
}

/** The weights that a call multiplies with, once those that can be side by side are. */
export async function preparedTogether(layers: readonly LinearWeightQuant[]): Promise<readonly LoadedWeights[]> {
  const bundle = bundleOf(layers);
  await bundle.joined;
  return bundle.groups.map(({ loaded }) => loaded);
}

/**
 * Multiplies x (…, K) with several layers in one submit: y[i] = layers[i].forward(x). Up to four layers share a dispatch if their K, bits,
 * groups, dtypes, offset and output kind agree and their N are multiples of 4. The first call starts to copy their packed weights side by
 * side; calls take one dispatch once the GPU has taken the copies (`prepareMany` waits for it). Submit passes that `encode` recorded
 * before. Where there is no memory for the copies, each layer keeps its dispatch. Outputs of one dispatch share a buffer, which goes back
 * to the library when all are destroyed. With `ownBuffer` each y has a buffer and a dispatch of its own, and nothing is copied.
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 * @example const [q, k, v] = forwardMany([queryLayer, keyLayer, valueLayer], x);
 */
export function forwardMany(layers: readonly LinearWeightQuant[], given: Tensor | QuantizedRows, options: OutputOptions = {}): Tensor[] {
  LAYERS(layers, 'layers');
  const { ownBuffer } = OUTPUT(options, 'options');
  const bundle = ownBuffer ? bundleFor(layers) : bundleOf(layers);
  const { device } = layers[0]!;
  const { input, rows } = readBy(layers, given);
  const outputs: GroupOutput[] = [];
  if (rows.m === 0) return layers.map((layer) => layer.forward(given, options));
  const groups = ownBuffer ? bundle.loaded.map(single) : groupsFor(bundle, rows.m);
  try {
    for (const group of groups) outputs.push(outputOf(group, { layers, input, rows, ownBuffer }));
  } catch (error) {
    for (const { loaded, y } of outputs) recycle(loaded, y);
    throw error;
  }
  const taken = run(device, 'forwardMany', { calls: outputs.map(({ call }) => call), input });
  const written = allTaken(...outputs.map(({ y }) => y.ready), taken); // one submit: an error of one output is an error of all
  const ys: Tensor[] = [];
  for (const { members, columns, loaded, y } of outputs) {
    let users = members.length;
    const release = (): void => {
      if (--users === 0) recycle(loaded, y);
    };
    members.forEach((i, j) => {
      const { spec, weights } = layers[i]!.loaded;
      const form = { shape: [...input.x.shape.slice(0, -1), weights.n], dtype: yDtypeOf(spec, weights), offset: columns[j]!.yOffset };
      ys[i] = Tensor.own(device, y.buffer, { ...form, release, written });
    });
  }
  return ys;
}

/** A group's recorded call and its output buffer. */
interface GroupOutput {
  readonly loaded: LoadedWeights;
  readonly members: readonly number[];
  readonly columns: readonly LayerColumns[];
  readonly call: Call;
  readonly y: OutputBuffer;
}

/** @throws UnsupportedError, ShaderError */
function outputOf(
  group: Group,
  { layers, input, rows, ownBuffer }: { readonly layers: readonly LinearWeightQuant[] } & Pick<Request, 'input' | 'rows'> & OutputOptions,
): GroupOutput {
  const { loaded, members } = group;
  const { columns, elements } = follow(group, layers, rows.m);
  const y = members.length > 1 ? { layers: columns } : {};
  const size = outputBytes(loaded, { m: rows.m, elements });
  return { loaded, members, columns, ...callWithOutput(loaded, { input, rows, y }, size, ownBuffer) };
}

/**
 * Records the products into the caller's pass: ys[i] = layers[i].forward(x), of the same `rowScale` and `inputScale` where there are such. Layers that can share a dispatch do so if their ys lie in one
 * buffer, each at a multiple of four elements, like outputs of `forwardMany`; otherwise each takes one dispatch. The pass's pipeline and bind
 * group 0 are then others, as after `encode`.
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 */
export function encodeMany(
  pass: GPUComputePassEncoder,
  layers: readonly LinearWeightQuant[],
  given: Tensor | QuantizedRows,
  ys: readonly Tensor[],
  options?: ForwardOptions,
): void {
  const products = productsOf(layers, given, ys, options);
  const into = checkPass(pass);
  for (const product of products) encodeProduct(into, product);
}

/** @internal The products that `encodeMany` records: one for each dispatch. @throws ArgumentError, DeviceLostError */
export function productsOf(
  layers: readonly LinearWeightQuant[],
  given: Tensor | QuantizedRows,
  ys: readonly Tensor[],
  options: ForwardOptions = {},
): readonly Product[] {
  const own = FORWARD(options, 'options') as ForwardOptions;
  LAYERS(layers, 'layers');
  const outputs = listOf(Tensor.given)(ys, 'ys');
  if (outputs.length !== layers.length)
    throw new ArgumentError('ys', `${layers.length} tensors, one for each layer`, String(outputs.length));
  const bundle = bundleOf(layers);
  const { input, rows } = readBy(layers, given);
  layers.forEach(({ loaded }, i) => {
    outputs[i]!.assertUsable(`ys[${i}]`, loaded.device);
    checkY(loaded.spec, rows.m, outputs[i]!);
    if (sharesBuffer(input, outputs[i]!)) throw new ArgumentError(`ys[${i}]`, 'another buffer than x', 'the same one');
  });
  if (rows.m === 0) return [];
  let scales: Scales = {};
  for (const y of outputs) scales = scalesOf(own, { input, m: rows.m, y });
  return groupsFor(bundle, rows.m).flatMap(({ loaded, members, begins }): readonly Product[] => {
    const written = members.map((i) => outputs[i]!) as [Tensor, ...Tensor[]];
    const { buffer } = written[0];
    const together = members.length > 1 && written.every((y) => y.buffer === buffer && y.offset % 4 === 0 && isContiguous(y));
    if (!together) return members.map((i, j) => layers[i]!.product(given, written[j]!, own)!); // there are rows
    const columns = written.map((one, j): LayerColumns => ({ begin: begins[j]!, count: one.shape.at(-1)!, yOffset: one.offset }));
    return [{ loaded, request: { input, rows, y: { layers: columns }, ...scales }, writes: written }];
  });
}
