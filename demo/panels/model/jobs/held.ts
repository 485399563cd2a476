// Bits a weight of every matrix here: in the layout that the library would pack it into on this device. A few rows of each kind of layer are read,
// since headers do not say how scales are held. Nothing is put onto the GPU.

import { type LayerSource, quantize } from '../../../../src/formats.js';
import { type Caps, capsOf } from '../../../../src/index.js';
import { packedBits, packedLayout, withoutOffsets } from '../../../../src/plan/packed-layout.js';
import { weightsOf } from '../../../../src/plan/piece-steps.js';
import { widthOf } from '../../../../src/problem/code-width.js';
import type { QuantizedMatrix } from '../../../../src/problem/matrix.js';
import { settingsFor } from '../../../../src/quantize/gpu-form.js';
import type { JobContext } from '../../../worker/rpc.js';
import { type Model, sizesOf } from './open.js';
import { readFirst } from './read-first.js';
import type { Size } from './weights.js';

export interface HeldBits {
  /** OpenedModel.id */
  readonly model: number;
  /** By index; undefined where reading failed, which the layer's own view tells. */
  readonly layers: readonly (number | undefined)[];
  /** As the int8 in groups of 32 that a language model's floats become. */
  readonly floats: readonly number[];
}

/**
 * @param first rows of the matrix, or all of it. Where their zero points are all the middle, those of the others are taken to be: loading drops them
 *   if so
 */
export function heldBitsOf(first: QuantizedMatrix, size: Size & Pick<QuantizedMatrix, 'groupSize'>, caps: Caps): number {
  const { zeroPoint, bits } = first;
  const weights = { ...weightsOf(first, size, caps), biased: false, requantized: false };
  const packed = packedLayout(weights, caps);
  const { zero } = widthOf(bits);
  const dropped = weights.shift === 'offset' || weights.shift === 'zero8' || (weights.shift === 'zero' && weights.held === weights.bits);
  return packedBits(size, dropped && zeroPoint?.every((point) => point === zero) ? withoutOffsets(packed).packed : packed);
}

/** Layers of one kind are held alike. */
const kindOf = ({ format, n, k, bits, groupSize, tensors, cut }: LayerSource): string =>
  JSON.stringify([format, n, k, bits, groupSize, Object.entries(tensors).map(([name, { dtype }]) => [name, dtype]), cut === undefined]);

/** @throws UnsupportedError without a GPU */
export async function held({ id, layers, floats, transposed }: Model, context: JobContext): Promise<HeldBits> {
  const caps = capsOf(await context.device());
  const known = new Map<string, number | undefined>();
  const ofLayers: (number | undefined)[] = [];
  for (const layer of layers) {
    const kind = kindOf(layer);
    if (!known.has(kind)) {
      await context.breathe();
      known.set(
        kind,
        await readFirst(layer, context.signal).then(
          (first) => heldBitsOf(first, layer, caps),
          () => undefined,
        ),
      );
      context.signal.throwIfAborted();
    }
    ofLayers.push(known.get(kind));
  }
  const ofFloats = floats.map((info) => {
    const size = sizesOf(info, transposed);
    const { bits, mode, symmetric, groupSize, scaleDtype } = settingsFor('int8', { n: 1, k: size.k });
    const { matrix } = quantize(new Float32Array(size.k), { n: 1, k: size.k, bits, mode, symmetric, groupSize, scaleDtype });
    return heldBitsOf(matrix, { ...size, groupSize }, caps);
  });
  return { model: id, layers: ofLayers, floats: ofFloats };
}
