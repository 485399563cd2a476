// Several layers that read the same x (Q, K and V; gate and up): one call, one submit, and one dispatch where their formats agree.
// Layers whose formats agree get their packed weights side by side in shared buffers the first time, so that nothing is held twice.

import { BYTES } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { encodeInto, submit } from '../gpu/dispatch.js';
import { Tensor } from '../gpu/tensor.js';
import { MAX_PARTS } from '../kernels/operands.js';
import { windowBytes } from '../plan/binding.js';
import { checkX, checkY } from '../problem/checks.js';
import type { Part } from '../problem/problem.js';
import { sideBySide } from './joined-weights.js';
import type { LinearWeightQuant } from './linear-weight-quant.js';
import { type Call, callOf, callWithOutput, type Input, outputBytes, type Product, recycle, sharesBuffer } from './loaded-weights.js';
import { type PrepareOptions, prepareProduct } from './prepare.js';
import { inputOf, type QuantizedRows } from './quantize-x.js';

/** x for all of them. @throws ArgumentError, DeviceLostError */
const inputsOf = (given: Tensor | QuantizedRows, layers: readonly LinearWeightQuant[]): Input =>
  layers.map(({ product }) => inputOf(given, product))[0]!;

/** One dispatch's worth of layers. */
interface Group {
  /** Which of the layers. */
  readonly members: readonly number[];
  /** Their columns side by side, or the only member's own product. */
  readonly product: Product;
  /** First column of each. */
  readonly begins: readonly number[];
}
interface Bundle {
  readonly layers: readonly LinearWeightQuant[];
  /** As they were when the groups were made; a layer that is loaded again or moved has another. */
  readonly products: readonly Product[];
  readonly groups: readonly Group[];
}

/** Bundles by their first layer. */
const bundles = new WeakMap<LinearWeightQuant, Bundle[]>();

/** Layers with the same key can share a dispatch. */
function formatKey({ spec, weights, packed, caps, force, selfTest }: Product): string {
  const { k, bits, groupSize, groups, scaleDtype, shift, requantized } = weights;
  return JSON.stringify([
    spec.dtype,
    spec.innerPrecise,
    k,
    bits,
    groupSize,
    groups,
    scaleDtype,
    shift,
    requantized,
    packed.slabs.length,
    caps,
    force,
    selfTest,
  ]);
}

function makeBundle(layers: readonly LinearWeightQuant[]): Bundle {
  const byFormat = new Map<string, number[][]>();
  layers.forEach((layer, i) => {
    const { product } = layer;
    // A layer that lies beside others already stays there; rows of y that are no whole quads need a step of their own.
    // Codebooks and permutations of x are each layer's own.
    const { n, codebook, permuted } = product.weights;
    const alone =
      product.home !== undefined || n % 4 !== 0 || codebook || permuted || product.packed.slabs.length > 1 || layers.indexOf(layer) < i;
    const key = alone ? `alone ${i}` : formatKey(product);
    const runs = byFormat.get(key) ?? [];
    const last = runs.at(-1);
    if (last && last.length < MAX_PARTS) last.push(i);
    else runs.push([i]);
    byFormat.set(key, runs);
  });
  const groups = [...byFormat.values()].flat().flatMap((members): Group[] => {
    const single = (i: number): Group => ({ members: [i], product: layers[i]!.product, begins: [0] });
    const joined = members.length > 1 ? sideBySide(members.map((i) => layers[i]!.product)) : undefined;
    if (!joined) return members.map(single);
    members.forEach((i, j) => {
      layers[i]!.move(joined.moved[j]!);
    });
    return [{ members, product: joined.product, begins: joined.begins }];
  });
  return { layers: [...layers], products: layers.map(({ product }) => product), groups };
}

function bundleOf(layers: readonly LinearWeightQuant[]): Bundle {
  const [first] = layers;
  if (!first) throw new ArgumentError('layers', 'at least one layer', 'none');
  const known = bundles.get(first) ?? [];
  const current = known.filter(({ layers: list, products }) => list.every((layer, i) => products[i] === layer.product));
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
function groupsFor({ groups, products }: Bundle, m: number): readonly Group[] {
  return groups.flatMap((group): readonly Group[] => {
    const { weights, packed, caps } = group.product;
    const row = Math.max(ALIGN_BYTES, 4 * Math.max(weights.n, packed.words * (32 / weights.bits))); // bytes of a row of x, its codes or y, at most
    if (group.members.length === 1 || m * row <= windowBytes(caps)) return [group];
    return group.members.map((i) => ({ members: [i], product: products[i]!, begins: [0] }));
  });
}

/** Elements between the starts of outputs in one buffer: every part can be bound on its own. */
const ALIGN_BYTES = 256;

/** The members' columns and where each one's y starts when they follow each other in one buffer; `end` is past the last, in elements. */
function follow(
  { members, begins }: Group,
  layers: readonly LinearWeightQuant[],
  m: number,
): { readonly parts: Part[]; readonly end: number } {
  let end = 0;
  const parts = members.map((i, j): Part => {
    const { weights, spec } = layers[i]!.product;
    const align = ALIGN_BYTES / BYTES[weights.requantized ? 'int8' : spec.dtype];
    const part = { begin: begins[j]!, count: weights.n, yOffset: Math.ceil(end / align) * align };
    end = part.yOffset + m * weights.n;
    return part;
  });
  return { parts, end };
}

/** Brings the layers' weights together, and prepares each dispatch as `LinearWeightQuant.prepare` does. @throws ShaderError */
export async function prepareMany(
  layers: readonly LinearWeightQuant[],
  rows: readonly number[],
  options: PrepareOptions = {},
): Promise<void> {
  for (const { product } of bundleOf(layers).groups) await prepareProduct(product, rows, options);
}

/**
 * x (…, K) through several layers: y[i] = layers[i].forward(x), in one submit, and in one dispatch for up to four layers whose K, bits,
 * groups, dtypes, offset and output kind agree and whose N are multiples of 4. The first such call moves these layers' packed weights
 * side by side on the GPU; passes recorded by `encode` before it must have been submitted. Outputs of one dispatch share a buffer,
 * which goes back to the library when all are destroyed.
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 * @example const [q, k, v] = forwardMany([queryLayer, keyLayer, valueLayer], x);
 */
export function forwardMany(layers: readonly LinearWeightQuant[], given: Tensor | QuantizedRows): Tensor[] {
  const bundle = bundleOf(layers);
  const { device } = layers[0]!;
  const input = inputsOf(given, layers);
  const { x } = input;
  const [rows] = layers.map(({ product }) => checkX(product.spec, x)) as [ReturnType<typeof checkX>];
  const ys: Tensor[] = [];
  const calls = groupsFor(bundle, rows.m).map((group): Call => {
    const { product, members } = group;
    const { parts, end } = follow(group, layers, rows.m);
    const { call, y } = callWithOutput(product, input, rows, members.length > 1 ? parts : 0, outputBytes(product, rows.m, end));
    let users = members.length;
    members.forEach((i, j) => {
      const { weights, spec } = layers[i]!.product;
      const form = { shape: [...x.shape.slice(0, -1), weights.n], dtype: weights.requantized ? ('int8' as const) : spec.dtype };
      const release = (): void => {
        if (--users === 0) recycle(product, y);
      };
      ys[i] = Tensor.own(device, y, { ...form, offset: parts[j]!.yOffset }, release, call.written);
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
 * ys lie in one buffer, each at a multiple of four elements, as those of `forwardMany` do; otherwise one each.
 * @throws ArgumentError, UnsupportedError, DeviceLostError
 */
export function encodeMany(
  pass: GPUComputePassEncoder,
  layers: readonly LinearWeightQuant[],
  given: Tensor | QuantizedRows,
  ys: readonly Tensor[],
): void {
  if (ys.length !== layers.length) throw new ArgumentError('ys', `${layers.length} tensors, one for each layer`, String(ys.length));
  const bundle = bundleOf(layers);
  const input = inputsOf(given, layers);
  const { x } = input;
  const [rows] = layers.map(({ product }) => checkX(product.spec, x)) as [ReturnType<typeof checkX>];
  layers.forEach(({ product }, i) => {
    ys[i]!.assertUsable(`ys[${i}]`, product.device);
    checkY(product.spec, rows.m, ys[i]!);
    if (sharesBuffer(input, ys[i]!)) throw new ArgumentError(`ys[${i}]`, 'another buffer than x', 'the same one');
  });
  for (const { product, members, begins } of groupsFor(bundle, rows.m)) {
    const outputs = members.map((i) => ys[i]!);
    const { buffer } = outputs[0]!;
    const together = members.length > 1 && outputs.every((y) => y.buffer === buffer && y.offset % 4 === 0);
    if (together) {
      const parts = outputs.map((y, j): Part => ({ begin: begins[j]!, count: y.shape.at(-1)!, yOffset: y.offset }));
      encodeInto(pass, callOf(product, input, rows, parts, buffer, () => buffer).call.recording);
    } else {
      members.forEach((i, j) => {
        layers[i]!.encode(pass, given, outputs[j]!);
      });
    }
  }
}
