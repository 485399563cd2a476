// Copies the packed weights of several layers side by side into shared buffers, so that one dispatch multiplies x with all of them.
import { BUFFER, makeBuffers } from '../gpu/buffers.js';
import { allTaken, guarded, type Taken } from '../gpu/guard.js';
import type { Slice } from '../plan/binding.js';
import { besides, columnQuantSlice, type Packed, packedLayout, slicesOf } from '../plan/packed-layout.js';
import type { Weights } from '../problem/problem.js';
import { offsetBits, offsetRows, SCALE_FORMS } from '../problem/weight-format.js';
import { freeLoaded, type LoadedWeights, makeLoaded, type SharedBuffers } from './loaded-weights.js';

/** A layer's part of every buffer starts at a multiple of this many bytes, so that it can be bound alone. */
const ALIGN_BYTES = 256;
/** Its first column is then a multiple of this: the narrowest elements are bytes or halves. */
const alignColumns = (weights: Weights): number =>
  (8 * ALIGN_BYTES) / Math.min(16, SCALE_FORMS[weights.scaleDtype].bits, offsetBits(weights) || 16);

export interface JoinedWeights {
  /** The columns of all layers, with gaps where a layer does not end at a multiple. */
  readonly joint: LoadedWeights;
  /** Each layer's weights, as parts of the shared buffers. */
  readonly moved: readonly LoadedWeights[];
  /** First column of each. */
  readonly begins: readonly number[];
  /** Rejects if there is no memory for the copies or the GPU refused them; the layers then stay where they are. */
  readonly ready: Taken;
}

/** A packed buffer as rows of quads. */
interface QuadRows {
  readonly slice: Slice;
  readonly rows: number;
  /** Quads from a row to the next. */
  readonly pitch: number;
}

/** The buffers of weights of one slab: those that joined layers share, and bias and output scale, which stay with each layer. */
function quadRows(weights: Weights, { rows, bias, slabs }: Packed): { readonly shared: QuadRows[]; readonly columns: QuadRows[] } {
  const { w, scale, offset, pitch, quads } = slabs[0]!;
  return {
    shared: [
      { slice: w, rows, pitch },
      { slice: scale, rows: weights.groups, pitch },
      ...(offset ? [{ slice: offset, rows: offsetRows(weights), pitch }] : []),
    ],
    columns: [
      { slice: bias, rows: 1, pitch: quads },
      ...(weights.requantized ? [{ slice: columnQuantSlice(weights), rows: 2, pitch: quads }] : []),
    ],
  };
}

/** Joins weights of one format and one slab each; undefined if they do not fit one binding together. Enqueues copies. */
export function joinWeights(layers: readonly LoadedWeights[]): JoinedWeights | undefined {
  const [first] = layers as [LoadedWeights];
  const { device, settings } = first;
  const align = alignColumns(first.weights);
  let n = 0;
  const begins = layers.map(({ weights }) => {
    const begin = Math.ceil(n / align) * align;
    n = begin + weights.n;
    return begin;
  });
  const weights = { ...first.weights, n };
  const packed = packedLayout(weights, settings.caps);
  if (packed.slabs.length > 1) return undefined;
  const of = `of ${layers.length} layers`;
  const { result: buffers, errors } = guarded(device, `weights ${of}`, () => {
    const inits = slicesOf(weights, packed).map(({ buffer, size }) => {
      return [buffer, { label: `${buffer} ${of}`, usage: BUFFER.weights, size }] as const;
    });
    const made = makeBuffers(device, inits);
    copyColumns(device, { layers, begins, to: { weights, packed, buffers: made } });
    return made;
  });
  const done = allTaken(...layers.map((layer) => layer.done), errors);
  const joint = makeLoaded({ ...first, weights, packed, buffers, shared: undefined, done });
  const roles = quadRows(weights, packed).shared.map(({ slice }) => slice.buffer);
  const shared: SharedBuffers = {
    buffers: roles.map((role) => buffers.get(role)!),
    users: layers.length,
    close: () => freeLoaded(joint),
  };
  // Each layer keeps its bias and output scale; the joint buffers have copies for all columns.
  const moved = layers.map((own, i): LoadedWeights => {
    const place = besides(own.packed, packed, { begin: begins[i]!, weights });
    const both = new Map([...own.buffers, ...roles.map((role) => [role, buffers.get(role)!] as const)]);
    return makeLoaded({ ...own, packed: place, buffers: both, shared });
  });
  return { joint, moved, begins, ready: done };
}

/** Copies every layer's columns into the joint buffers. */
function copyColumns(
  device: GPUDevice,
  {
    layers,
    begins,
    to,
  }: {
    readonly layers: readonly LoadedWeights[];
    readonly begins: readonly number[];
    readonly to: Pick<LoadedWeights, 'weights' | 'packed' | 'buffers'>;
  },
): void {
  const encoder = device.createCommandEncoder({ label: 'antiquant join' });
  const target = quadRows(to.weights, to.packed);
  layers.forEach(({ weights, packed, buffers }, i) => {
    const own = quadRows(weights, packed);
    const { quads } = packed.slabs[0]!;
    for (const kind of ['shared', 'columns'] as const)
      own[kind].forEach(({ slice, rows, pitch }, j) => {
        const { slice: into, pitch: intoPitch } = target[kind][j]!;
        const quad = into.size / (rows * intoPitch); // bytes
        for (let row = 0; row < rows; row++) {
          const from = slice.offset + row * pitch * quad;
          const at = (row * intoPitch + begins[i]! / 4) * quad;
          encoder.copyBufferToBuffer(buffers.get(slice.buffer)!, from, to.buffers.get(into.buffer)!, at, quads * quad);
        }
      });
  });
  device.queue.submit([encoder.finish()]);
}
