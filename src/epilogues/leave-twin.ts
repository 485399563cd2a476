// leaveTwin: gives a layer the scales of y's twin, a second y that the same dispatch writes.

import { ArgumentError, UnsupportedError } from '../errors.js';
import { BUFFER, makeBuffer } from '../gpu/buffers.js';
import { allTaken, guarded } from '../gpu/guard.js';
import { Tensor } from '../gpu/tensor.js';
import { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import { fill } from '../layer/load.js';
import { type LoadedWeights, makeLoaded } from '../layer/loaded-weights.js';
import { outputSteps } from '../plan/load-steps.js';
import { twinScaleIn } from '../plan/packed-layout.js';
import { isContiguous, showShape } from '../problem/view.js';

/**
 * Lets a layer leave a twin of y where a call names one (`{ twin }`): y ∘ scale, made of the float32 y and rounded once. With the weight of the next
 * RMSNorm as the scale, the next product takes the twin as x and the norm's factor as its `rowScale`, and no dispatch is the norm's. Copies
 * the scale behind the layer's bias: it may be destroyed afterwards. Enqueues. Called again, it replaces the scale. Record again what the layer was in.
 * @param scale float32 (N,), contiguous
 * @throws ArgumentError, DeviceLostError, UnsupportedError for an int8 y or a gated linear unit, or if the device cannot hold both
 * @example
 * leaveTwin(down, nextNorm);
 * down.encode(pass, h, x, { add: x, twin }); // x and twin in one buffer
 * query.encode(pass, twin, q, { rowScale: { rms: x, epsilon: 1e-6 } });
 */
export function leaveTwin(layer: LinearWeightQuant, scale: Tensor): void {
  const own = LinearWeightQuant.given(layer, 'layer');
  own.move(twinned(own.loaded, scale));
}

/** @internal The weights with the scale behind their biases, in a buffer that is copied. Enqueues. @throws ArgumentError, UnsupportedError */
export function twinned(loaded: LoadedWeights, scale: Tensor): LoadedWeights {
  const { device, weights, packed, settings } = loaded;
  const given = Tensor.given(scale, 'scale', device);
  const { n } = weights;
  const fits =
    given.dtype === 'float32' && given.format === 'ND' && given.shape.length === 1 && given.shape[0] === n && isContiguous(given);
  if (!fits) throw new ArgumentError('scale', `contiguous float32 (${n})`, `${given.dtype} ${showShape(given.shape)}`);
  const refused = weights.glu ? 'a gated linear unit has no twin' : weights.requantized ? 'an int8 y has no twin' : undefined;
  if (refused) throw new UnsupportedError('leaveTwin', [refused]);
  const ofTwin = twinScaleIn(weights, packed);
  const size = ofTwin.offset + ofTwin.size;
  const bias = { ...packed.bias, offset: 0, size };
  const { maxStorageBufferBindingSize: largest } = settings.caps;
  if (size > largest) throw new UnsupportedError('bias and twin scale', [`need ${size} bytes, maxStorageBufferBindingSize is ${largest}`]);
  const before = loaded.buffers.get(bias.buffer)!;
  const { result: buffer, errors } = guarded(device, 'the scale of a twin', () => {
    const made = makeBuffer(device, { label: bias.buffer, usage: BUFFER.weights, size });
    const encoder = device.createCommandEncoder({ label: 'antiquant twin' });
    encoder.copyBufferToBuffer(before, packed.bias.offset, made, 0, Math.min(packed.bias.size, ofTwin.offset));
    device.queue.submit([encoder.finish()]);
    return made;
  });
  const buffers = new Map([...loaded.buffers, [bias.buffer, buffer]]);
  const done = [loaded.done, errors];
  const column = { dtype: 'float32', strideG: 0, strideN: given.strides[0]! } as const;
  const dispatches = outputSteps({ n, bias: column, quant: undefined }, { bias: ofTwin }, { caps: settings.caps, views: { bias: given } });
  const made = { ...weights, twinned: true };
  fill(device, { weights: made, packed, buffers, done }, { dispatches, sources: () => given.buffer, written: [given.written] });
  return makeLoaded({ ...loaded, weights: made, packed: { ...packed, bias }, buffers, done: allTaken(...done) });
}
