// Several layers that read the same x (Q, K and V; gate and up): one call, one submit, and one dispatch where their formats agree.
// Layers whose formats agree get their packed weights side by side in shared buffers the first time, so that nothing is held twice.

import { list as listOf } from '../arguments/check.js';
import { checkPass } from '../arguments/gpu-objects.js';
import { BYTES } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { encodeInto, submit } from '../gpu/recording.js';
import { Tensor } from '../gpu/tensor.js';
import { MAX_LAYERS } from '../kernels/operands.js';
import { windowBytes } from '../plan/binding.js';
import { checkX, checkY } from '../problem/checks.js';
import { widthOf } from '../problem/code-width.js';
import { keyOf } from '../problem/key.js';
import { type LayerColumns, outputDtype } from '../problem/problem.js';
import { type Call, callInto, callWithOutput, type Input, type Request, sharesBuffer } from './calls.js';
import { joinWeights } from './joined-weights.js';
import { LinearWeightQuant } from './linear-weight-quant.js';
import { type LoadedWeights, outputBytes, recycle } from './loaded-weights.js';
import { checkPrepare, type PrepareOptions, prepareWeights } from './prepare.js';
import { inputOf, type QuantizedRows } from './quantize-x.js';

/** One dispatch's worth of layers. */
interface Group {
  /** Which of the layers. */
  readonly members: readonly number[];
  /** Their columns side by side, or the only member's own. */
  readonly loaded: LoadedWeights;
  /** First column of each. */
  readonly begins: readonly number[];
}
interface Bundle {
  readonly layers: readonly LinearWeightQuant[];
  /** As they were when the groups were made; a layer that is loaded again or moved has another. */
  readonly loaded: readonly LoadedWeights[];
  readonly groups: readonly Group[];
}

const LAYERS = listOf(LinearWeightQuant.given);

/** Bundles by their first layer. */
const bundles = new WeakMap<LinearWeightQuant, Bundle[]>();

/**
 * Layers with the same key can share a dispatch: everything about them is the same but for their columns. How many columns there are
 * is each layer's own, and so is whether they have a bias: a layer without one has zeros in its place. `mode` says nothing that the
 * groups do not.
 */
export function dispatchKey({ spec, weights, settings }: Pick<LoadedWeights, 'spec' | 'weights' | 'settings'>): string {
  const { outFeatures: _n, bias: _bias, antiquantOffset: _offset, antiquantGroupSize: _group, quantOffset: _quant, ...options } = spec;
  const { n: _columns, biased: _biased, mode: _mode, ...format } = weights;
  return keyOf({ options, format, settings });
}

/** Must a layer have a dispatch for itself? */
function standsAlone({ weights: { n, codebook, permuted }, packed, shared }: LoadedWeights): boolean {
  // A layer that lies beside others already stays there; rows of y that are no whole quads need a dispatch of their own.
  // Codebooks and permutations of x are each layer's own.
  return shared !== undefined || n % 4 !== 0 || codebook || permuted || packed.slabs.length > 1;
}

function makeBundle(layers: readonly LinearWeightQuant[]): Bundle {
  const byKey = new Map<string, number[][]>();
  layers.forEach((layer, i) => {
    const alone = standsAlone(layer.loaded) || layers.indexOf(layer) < i;
    const key = alone ? `alone ${i}` : dispatchKey(layer.loaded);
    const runs = byKey.get(key) ?? [];
    const last = runs.at(-1);
    if (last && last.length < MAX_LAYERS) last.push(i);
    else runs.push([i]);
    byKey.set(key, runs);
  });
  const groups = [...byKey.values()].flat().flatMap((members): Group[] => {
    const single = (i: number): Group => ({ members: [i], loaded: layers[i]!.loaded, begins: [0] });
    const joined = members.length > 1 ? joinWeights(members.map((i) => layers[i]!.loaded)) : undefined;
    if (!joined) return members.map(single);
    members.forEach((i, j) => {
      layers[i]!.move(joined.moved[j]!);
    });
    return [{ members, loaded: joined.joint, begins: joined.begins }];
  });
  return { layers: [...layers], loaded: layers.map(({ loaded }) => loaded), groups };
}

function bundleOf(layers: readonly LinearWeightQuant[]): Bundle {
  const [first] = layers;
  if (!first) throw new ArgumentError('layers', 'at least one layer', 'none');
  const known = bundles.get(first) ?? [];
  const current = known.filter(({ layers: list, loaded }) => list.every((layer, i) => loaded[i] === layer.loaded));
  let bundle = current.find(({ layers: list }) => list.length === layers.length && list.every((layer, i) => layer === layers[i]));
  if (!bundle) {
    const other = layers.find((layer) => layer.device !== first.device);
    if (other) throw new ArgumentError('layers', 'layers of one device', 'layers of several');
    current.push((bundle = makeBundle(layers)));
  }
  bundles.set(first, current);
  return bundle;
}

/** A bundle's groups for `m` rows: apart where one window does not hold what they read or write. */
function groupsFor({ groups, loaded }: Bundle, m: number): readonly Group[] {
  return groups.flatMap((group): readonly Group[] => {
    const { weights, packed, settings } = group.loaded;
    // Bytes of a row of x, its codes or y, at most.
    const row = Math.max(ALIGN_BYTES, 4 * Math.max(weights.n, packed.words * widthOf(weights.bits).inWord));
    if (group.members.length === 1 || m * row <= windowBytes(settings.caps)) return [group];
    return group.members.map((i) => ({ members: [i], loaded: loaded[i]!, begins: [0] }));
  });
}

/** x for all of them, checked against each. @throws ArgumentError, DeviceLostError */
function readBy(
  layers: readonly LinearWeightQuant[],
  given: Tensor | QuantizedRows,
): { readonly input: Input; readonly rows: Request['rows'] } {
  const [input] = layers.map(({ loaded }) => inputOf(given, loaded)) as [Input];
  const [rows] = layers.map(({ loaded }) => checkX(loaded.spec, input.x)) as [Request['rows']];
  return { input, rows };
}

/** Bytes between the starts of outputs in one buffer: every layer's y can be bound on its own. */
const ALIGN_BYTES = 256;

/** The members' columns and where each one's y starts when they follow each other in one buffer; `elements` is past the last. */
function follow({ members, begins }: Group, layers: readonly LinearWeightQuant[], m: number) {
  let elements = 0;
  const columns = members.map((i, j): LayerColumns => {
    const { weights, spec } = layers[i]!.loaded;
    const align = ALIGN_BYTES / BYTES[outputDtype(spec, weights)];
    const column = { begin: begins[j]!, count: weights.n, yOffset: Math.ceil(elements / align) * align };
    elements = column.yOffset + m * weights.n;
    return column;
  });
  return { columns, elements };
}

/** Brings the layers' weights together, and prepares each dispatch as `LinearWeightQuant.prepare` does. @throws ShaderError */
export async function prepareMany(
  layers: readonly LinearWeightQuant[],
  rows: readonly number[],
  options: PrepareOptions = {},
): Promise<void> {
  const checked = checkPrepare(rows, options);
  for (const { loaded } of bundleOf(LAYERS(layers, 'layers')).groups) await prepareWeights(loaded, ...checked);
}

/**
 * x (…, K) through several layers: y[i] = layers[i].forward(x), in one submit, and in one dispatch for up to four layers whose K, bits,
 * groups, dtypes, offset and output kind agree and whose N are multiples of 4. The first such call moves these layers' packed weights
 * side by side on the GPU; passes recorded by `encode` before it must have been submitted. Outputs of one dispatch share a buffer,
 * which goes back to the library when all are destroyed: where another library takes whole buffers only, give ys of your own to encodeMany.
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 * @example const [q, k, v] = forwardMany([queryLayer, keyLayer, valueLayer], x);
 */
export function forwardMany(layers: readonly LinearWeightQuant[], given: Tensor | QuantizedRows): Tensor[] {
  LAYERS(layers, 'layers');
  const bundle = bundleOf(layers);
  const { device } = layers[0]!;
  const { input, rows } = readBy(layers, given);
  const ys: Tensor[] = [];
  const calls = groupsFor(bundle, rows.m).map((group): Call => {
    const { loaded, members } = group;
    const { columns, elements } = follow(group, layers, rows.m);
    const y = members.length > 1 ? columns : 0;
    const { call, y: buffer } = callWithOutput(loaded, { input, rows, y }, outputBytes(loaded, { m: rows.m, elements }));
    let users = members.length;
    members.forEach((i, j) => {
      const { weights, spec } = layers[i]!.loaded;
      const release = (): void => {
        if (--users === 0) recycle(loaded, buffer);
      };
      ys[i] = Tensor.own(device, buffer, {
        shape: [...input.x.shape.slice(0, -1), weights.n],
        dtype: outputDtype(spec, weights),
        offset: columns[j]!.yOffset,
        release,
        written: call.written,
      });
    });
    return call;
  });
  submit(device, 'antiquant forwardMany', (pass) => {
    for (const { recording } of calls) encodeInto(pass, recording);
  });
  return ys;
}

/**
 * Records the products into the caller's own pass: ys[i] = layers[i].forward(x). Layers whose formats agree take one dispatch if their
 * ys lie in one buffer, each at a multiple of four elements, as those of `forwardMany` do; otherwise one each. The pass's pipeline and bind
 * group 0 are then others, as after `encode`.
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 */
export function encodeMany(
  pass: GPUComputePassEncoder,
  layers: readonly LinearWeightQuant[],
  given: Tensor | QuantizedRows,
  ys: readonly Tensor[],
): void {
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
  checkPass(pass);
  for (const { loaded, members, begins } of groupsFor(bundle, rows.m)) {
    const own = members.map((i) => outputs[i]!);
    const { buffer } = own[0]!;
    const together = members.length > 1 && own.every((y) => y.buffer === buffer && y.offset % 4 === 0);
    if (together) {
      const y = own.map((one, j): LayerColumns => ({ begin: begins[j]!, count: one.shape.at(-1)!, yOffset: one.offset }));
      encodeInto(pass, callInto(loaded, { input, rows, y }, buffer).recording);
    } else {
      members.forEach((i, j) => {
        layers[i]!.encode(pass, given, own[j]!);
      });
    }
  }
}
