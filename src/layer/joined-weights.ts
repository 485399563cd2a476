// The packed weights of several layers side by side in shared buffers, so that one dispatch multiplies x with all of them: copied there, or
// loaded there (src/loading).
import { BUFFER, makeBuffers } from '../gpu/buffers.js';
import { allTaken, guarded, type Taken } from '../gpu/guard.js';
import type { Slice } from '../plan/binding.js';
import { besides, columnQuantSlice, type Packed, packedLayout, slicesOf } from '../plan/packed-layout.js';
import type { Caps } from '../problem/caps.js';
import type { Weights } from '../problem/problem.js';
import { offsetBits, offsetRows, SCALE_FORMS } from '../problem/weight-format.js';
import { freeLoaded, type LoadedWeights, makeLoaded, type SharedBuffers } from './loaded-weights.js';

/** A layer's part of every buffer starts at a multiple of this many bytes, so that it can be bound alone. */
const ALIGN_BYTES = 256;
/** Its first column is then a multiple of this: the narrowest elements are bytes or halves. */
const alignColumns = (weights: Weights): number =>
  (8 * ALIGN_BYTES) / Math.min(16, SCALE_FORMS[weights.scaleDtype].bits, offsetBits(weights) || 16);

/** The columns of several layers, with gaps where a layer does not end at a multiple. */
export interface SideBySide {
  readonly weights: Weights;
  readonly packed: Packed;
  /** First column of each layer. */
  readonly begins: readonly number[];
}

/** Weights that lie side by side. */
export interface Joint {
  readonly joint: LoadedWeights;
  /** Each layer's weights, as parts of the shared buffers. */
  readonly moved: readonly LoadedWeights[];
}

interface JoinedWeights extends Joint {
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

/** The layout of layers of these columns, which agree with `first` in all else; undefined if they do not fit one binding together. */
export function sideBySide(first: Weights, columns: readonly number[], caps: Caps): SideBySide | undefined {
  const align = alignColumns(first);
  let n = 0;
  const begins = columns.map((count) => {
    const begin = Math.ceil(n / align) * align;
    n = begin + count;
    return begin;
  });
  const weights = { ...first, n };
  const packed = packedLayout(weights, caps);
  return packed.slabs.length > 1 ? undefined : { weights, packed, begins };
}

/** Makes the buffers of layers side by side. Call it inside an error scope. @throws UnsupportedError */
export function jointBuffers(device: GPUDevice, { weights, packed, begins }: SideBySide): Map<string, GPUBuffer> {
  const inits = slicesOf(weights, packed).map(({ buffer, size }) => {
    return [buffer, { label: `${buffer} of ${begins.length} layers`, usage: BUFFER.weights, size }] as const;
  });
  return makeBuffers(device, inits);
}

/** The roles of the buffers that layers share. */
export const sharedRoles = ({ weights, packed }: Pick<SideBySide, 'weights' | 'packed'>): string[] =>
  quadRows(weights, packed).shared.map(({ slice }) => slice.buffer);

/** Joins weights of one format and one slab each; undefined if they do not fit one binding together. Enqueues copies. */
export function joinWeights(layers: readonly LoadedWeights[]): JoinedWeights | undefined {
  const [first] = layers as [LoadedWeights];
  const { device, settings } = first;
  const columns = layers.map(({ weights }) => weights.n);
  const place = sideBySide(first.weights, columns, settings.caps);
  if (!place) return undefined;
  const { result: buffers, errors } = guarded(device, `weights of ${layers.length} layers`, () => {
    const made = jointBuffers(device, place);
    copyColumns(layers, place, made);
    return made;
  });
  const ready = allTaken(...layers.map((layer) => layer.done), errors);
  return { ...asJoint(layers, place, { buffers, done: ready }), begins: place.begins, ready };
}

/** The weights of all layers as one, and each layer's as parts of it. Each keeps its bias and output scale, which the joint buffers repeat. */
export function asJoint(
  layers: readonly LoadedWeights[],
  { weights, packed, begins }: SideBySide,
  { buffers, done }: Pick<LoadedWeights, 'buffers' | 'done'>,
): Joint {
  const joint = makeLoaded({ ...layers[0]!, weights, packed, buffers, shared: undefined, done });
  const roles = sharedRoles({ weights, packed });
  const shared: SharedBuffers = {
    buffers: roles.map((role) => buffers.get(role)!),
    users: layers.length,
    close: () => freeLoaded(joint),
  };
  const moved = layers.map((own, i): LoadedWeights => {
    const place = besides(own.packed, packed, { begin: begins[i]!, weights });
    const both = new Map([...own.buffers, ...roles.map((role) => [role, buffers.get(role)!] as const)]);
    return makeLoaded({ ...own, packed: place, buffers: both, shared });
  });
  return { joint, moved };
}

/** Copies columns of every layer into the joint buffers: of all buffers, or of those that each layer keeps too. */
export function copyColumns(
  layers: readonly Pick<LoadedWeights, 'device' | 'weights' | 'packed' | 'buffers'>[],
  to: SideBySide,
  into: ReadonlyMap<string, GPUBuffer>,
  kinds: readonly ('shared' | 'columns')[] = ['shared', 'columns'],
): void {
  const { device } = layers[0]!;
  const encoder = device.createCommandEncoder({ label: 'antiquant join' });
  const target = quadRows(to.weights, to.packed);
  layers.forEach(({ weights, packed, buffers }, i) => {
    const own = quadRows(weights, packed);
    const { quads } = packed.slabs[0]!;
    for (const kind of kinds)
      own[kind].forEach(({ slice, rows, pitch }, j) => {
        const { slice: part, pitch: intoPitch } = target[kind][j]!;
        const quad = part.size / (rows * intoPitch); // bytes
        for (let row = 0; row < rows; row++) {
          const from = slice.offset + row * pitch * quad;
          const at = (row * intoPitch + to.begins[i]! / 4) * quad;
          encoder.copyBufferToBuffer(buffers.get(slice.buffer)!, from, into.get(part.buffer)!, at, quads * quad);
        }
      });
  });
  device.queue.submit([encoder.finish()]);
}
