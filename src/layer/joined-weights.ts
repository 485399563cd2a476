// Packed weights of several layers in one set of buffers, column after column, so that one dispatch multiplies x with all of them.
import { UnsupportedError } from '../errors.js';
import { BUFFER, makeBuffer } from '../gpu/buffers.js';
import type { Slice } from '../plan/binding.js';
import { besides, biasSlice, columnQuantSlice, type Packed, packedLayout, slicesOf } from '../plan/packed-layout.js';
import type { Weights } from '../problem/problem.js';
import { freeLoaded, type LoadedWeights, makeLoaded, type SharedBuffers } from './loaded-weights.js';

/** Each layer starts at a multiple of so many columns: its part of every buffer can then be bound on its own (256 bytes of halves). */
const ALIGN_COLUMNS = 128;

export interface JoinedWeights {
  /** All columns, with gaps between the layers' where they do not end at a multiple. */
  readonly joint: LoadedWeights;
  /** The layers' own, in the shared buffers. */
  readonly moved: readonly LoadedWeights[];
  /** First column of each. */
  readonly begins: readonly number[];
}

/** A packed buffer as rows of quads. */
interface QuadRows {
  readonly slice: Slice;
  readonly rows: number;
  /** Quads from a row to the next. */
  readonly pitch: number;
}

/** The buffers of weights of one slab: those that joined layers share, and those of columns, which stay each layer's own. */
function quadRows(weights: Weights, { words, slabs }: Packed): { readonly shared: QuadRows[]; readonly columns: QuadRows[] } {
  const { w, scale, offset, pitch, quads } = slabs[0]!;
  return {
    shared: [
      { slice: w, rows: words, pitch },
      ...[scale, offset].flatMap((slice) => (slice ? [{ slice, rows: weights.groups, pitch }] : [])),
    ],
    columns: [
      { slice: biasSlice(weights), rows: 1, pitch: quads },
      ...(weights.requantized ? [{ slice: columnQuantSlice(weights), rows: 2, pitch: quads }] : []),
    ],
  };
}

/** Weights of one format and one slab each, joined; undefined if together they do not fit a binding. Enqueues copies. */
export function joinWeights(layers: readonly LoadedWeights[]): JoinedWeights | undefined {
  const [first] = layers as [LoadedWeights];
  const { device, settings } = first;
  let n = 0;
  const begins = layers.map(({ weights }) => {
    const begin = Math.ceil(n / ALIGN_COLUMNS) * ALIGN_COLUMNS;
    n = begin + weights.n;
    return begin;
  });
  const weights = { ...first.weights, n };
  const packed = packedLayout(weights, settings.caps);
  if (packed.slabs.length > 1) return undefined;
  device.pushErrorScope('out-of-memory');
  const buffers = new Map<string, GPUBuffer>();
  for (const { buffer, size } of slicesOf(weights, packed)) {
    buffers.set(buffer, makeBuffer(device, { label: `${buffer} of ${layers.length} layers`, usage: BUFFER.weights, size }));
  }
  const memory = device.popErrorScope().then((error) => {
    if (error) throw new UnsupportedError(`weights of ${layers.length} layers`, [`no GPU memory for them side by side: ${error.message}`]);
  });
  copyColumns(device, { layers, begins, to: { weights, packed, buffers } });

  const done = Promise.all([memory, ...layers.map((layer) => layer.done)]).then(() => {});
  done.catch(() => {}); // reported by prepare() and by reading an output
  const joint = makeLoaded({ ...first, weights, packed, buffers, shared: undefined, done });
  const roles = quadRows(weights, packed).shared.map(({ slice }) => slice.buffer);
  const shared: SharedBuffers = {
    buffers: roles.map((role) => buffers.get(role)!),
    users: layers.length,
    close: () => freeLoaded(joint),
  };
  // Bias and output scale stay each layer's own: kernels see those of all columns.
  const moved = layers.map((own, i): LoadedWeights => {
    const place = besides(own.packed, packed, { begin: begins[i]!, groups: weights.groups });
    const both = new Map([...own.buffers, ...roles.map((role) => [role, buffers.get(role)!] as const)]);
    return makeLoaded({ ...own, packed: place, buffers: both, shared });
  });
  return { joint, moved, begins };
}

/** Every layer's columns into the joint buffers. */
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
