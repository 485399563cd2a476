// joinGateUp: the weights of gate and up as one layer, whose product ends in their gated linear unit.

import { oneOf, onlyFields } from '../arguments/check.js';
import { ArgumentError, UnsupportedError } from '../errors.js';
import { guarded } from '../gpu/guard.js';
import { pipelineOf } from '../gpu/pipeline.js';
import { dispatchForm, LAYERS } from '../layer/layer-group.js';
import { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import { allocate, type Buffers, fill, orAbandon } from '../layer/load.js';
import type { LoadedWeights } from '../layer/loaded-weights.js';
import { codebookSlice, type Packed, packedLayout } from '../plan/packed-layout.js';
import { GLUS, type Glu } from '../problem/glu.js';
import { sameData } from '../problem/key.js';
import type { Weights } from '../problem/problem.js';
import { showShape } from '../problem/view.js';
import { addGluText } from '../wgsl/glu-text.js';
import { type Half, interleaveSteps } from './interleave-steps.js';

/** @internal */
export const GLU_OPTIONS = onlyFields({ glu: oneOf(...(Object.keys(GLUS) as Glu[])) });

/**
 * The feed-forward part of a transformer's block in one dispatch: a layer with y = activation(x · gate + bias) ∘ (x · up + bias), of F
 * columns. It holds the columns of both in pairs that alternate, so that a lane of a kernel has both. Sums, activation and product are
 * float32, and y is rounded once. The layer works as any other, but `add` and gatherRows refuse it. Enqueues copies of the weights and
 * destroys the given layers.
 * @param layers [gate, up], each (F, K) with an even F; or [both] of 2 F columns, the first F of which are the gate's
 * @throws ArgumentError, DeviceLostError, UnsupportedError if gate and up differ in format, options or codebook, have inputs with an order or scales or an int8 y, or if the device cannot hold them
 * @example
 * const feedForward = joinGateUp([gate, up], { glu: 'silu' });
 * const h = feedForward.forward(x); // (…, F)
 */
export function joinGateUp(layers: readonly LinearWeightQuant[], options: { readonly glu: Glu }): LinearWeightQuant {
  const { glu } = GLU_OPTIONS(options, 'options');
  const given = LAYERS(layers, 'layers');
  const [gate, up = gate, ...more] = given.map((layer) => layer.loaded);
  if (!gate || !up || more.length > 0) throw new ArgumentError('layers', 'gate and up, or one layer of both', `${given.length} layers`);
  const made = joinedHalves([gate, up], glu, (weights) => packedLayout(weights, gate.settings.caps));
  const { device, spec, settings } = gate;
  const { biased, n } = made.weights;
  const layer = new LinearWeightQuant(device, { ...spec, outFeatures: n / 2, bias: biased, plan: settings });
  layer.adopt(made);
  for (const one of given) one.destroy();
  return layer;
}

/**
 * @internal The weights of gate and up as those of their unit, in buffers of a layout of their own. Enqueues.
 * @throws ArgumentError, UnsupportedError
 */
export function joinedHalves([gate, up]: readonly [LoadedWeights, LoadedWeights], glu: Glu, layout: (weights: Weights) => Packed): Buffers {
  addGluText();
  const count = checkHalves(gate, up);
  const { device, settings } = gate;
  const weights: Weights = { ...gate.weights, n: 2 * count, biased: gate.weights.biased || up.weights.biased, glu };
  const packed = layout(weights);
  const halves = [half('gate', gate, 0, count), half('up', up, up === gate ? count : 0, count)] as const;
  const dispatches = interleaveSteps(halves, { weights, packed }, settings.caps);
  for (const one of dispatches) pipelineOf(device, one); // throws, before anything is allocated, if it is known not to compile
  const made = { ...allocate(device, { weights, packed }), codebook: gate.codebook };
  if (weights.codebook === 'table') copyTable(gate, made);
  const sources = new Map(halves.flatMap(({ buffers }) => [...buffers]));
  orAbandon(made, () => fill(device, made, { dispatches, sources: (role) => sources.get(role)!, written: [gate.done, up.done] }));
  return made;
}

/** The values of the codebook, which both have. */
function copyTable({ device, buffers }: LoadedWeights, made: Buffers): void {
  const { buffer, size } = codebookSlice;
  const { errors } = guarded(device, 'codebook', () => {
    const encoder = device.createCommandEncoder({ label: 'antiquant codebook' });
    encoder.copyBufferToBuffer(buffers.get(buffer)!, 0, made.buffers.get(buffer)!, 0, size);
    device.queue.submit([encoder.finish()]);
  });
  made.done.push(errors);
}

/** Columns of gate, and of up. @throws ArgumentError, UnsupportedError */
function checkHalves(gate: LoadedWeights, up: LoadedWeights): number {
  const n = gate.weights.n;
  const count = gate === up ? n / 2 : n;
  if (up.device !== gate.device) throw new ArgumentError('layers', 'layers of one device', 'layers of two');
  if (up.weights.n !== n || up.weights.k !== gate.weights.k)
    throw new ArgumentError('layers[1]', showShape([n, gate.weights.k]), showShape([up.weights.n, up.weights.k]));
  if (count % 2 !== 0) throw new UnsupportedError('gate and up', [`they have ${count} columns, which must be even`]);
  for (const own of new Set([gate, up])) {
    const { weights } = own;
    const refused = Object.entries({
      'a gated linear unit': weights.glu,
      'an int8 y': weights.requantized,
      'inputs in an order': weights.permuted,
      'scales of inputs': weights.inputScaled,
    }).flatMap(([what, has]) => (has ? [what] : []));
    if (refused.length > 0) throw new UnsupportedError('gate and up', [`a layer of them has ${refused.join(', ')}: use two products`]);
  }
  if (!sameData(gate.codebook, up.codebook)) throw new UnsupportedError('gate and up', ['their codebooks differ: use two products']);
  const [one, other] = [dispatchForm(gate), dispatchForm(up)];
  for (const part of ['options', 'format', 'settings'] as const)
    for (const [name, value] of Object.entries(one[part])) {
      const got = (other[part] as Readonly<Record<string, unknown>>)[name];
      if (!sameData({ value } as never, { value: got } as never))
        throw new UnsupportedError('gate and up', [
          `${name} differs: ${JSON.stringify(value)} and ${JSON.stringify(got)}: use two products`,
        ]);
    }
  return count;
}

/** Columns of a layer as a source: its buffers have other names than those of both. */
function half(
  name: string,
  { packed, weights, buffers }: LoadedWeights,
  begin: number,
  count: number,
): Half & { readonly buffers: ReadonlyMap<string, GPUBuffer> } {
  const named = <T extends { readonly buffer: string }>(slice: T): T => ({ ...slice, buffer: `${name} ${slice.buffer}` });
  const slabs = packed.slabs.map((slab) => ({
    ...slab,
    w: named(slab.w),
    scale: named(slab.scale),
    offset: slab.offset && named(slab.offset),
  }));
  const own: Packed = { ...packed, bias: named(packed.bias), slabs };
  return { packed: own, n: weights.n, begin, count, buffers: new Map([...buffers].map(([role, buffer]) => [`${name} ${role}`, buffer])) };
}
