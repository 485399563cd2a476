// The packed layout of many matrices of one shape and format: each as docs/format.md has it, under each other in the same buffers. A slab is
// a run of matrices that fits a binding. Pure.
import { UnsupportedError } from '../errors.js';
import type { Caps } from '../problem/caps.js';
import type { Weights } from '../problem/problem.js';
import { offsetBits, SCALE_FORMS } from '../problem/weight-format.js';
import { pieces, type Slice } from './binding.js';
import { type Packed, packedLayout, type Slab } from './packed-layout.js';

/** A matrix begins at a multiple of this many bytes in every buffer, so that a binding can begin there. */
const ALIGN_BYTES = 256;

export interface ExpertLayout {
  readonly packed: Packed;
  /** The layout of one matrix alone, in the same buffers. */
  of(expert: number): Packed;
}

/** @throws UnsupportedError if one matrix, or all biases, exceed a binding */
export function expertLayout(weights: Weights, count: number, caps: Caps): ExpertLayout {
  const one = packedLayout(weights, caps);
  const [slab] = one.slabs as [Slab];
  /** Bytes from a matrix to the next. */
  const step = (slice: Slice | undefined): number => (slice ? Math.ceil(slice.size / ALIGN_BYTES) * ALIGN_BYTES : 0);
  const largest = Math.min(caps.maxStorageBufferBindingSize, caps.maxBufferSize);
  // Limits need not be multiples of the alignment: a matrix may fit where its step does not.
  const fit = Math.floor(largest / Math.max(step(slab.w), step(slab.scale), step(slab.offset)));
  const tooLarge = one.slabs.length > 1 || fit < 1;
  if (tooLarge || count * step(one.bias) > largest) {
    const needs = tooLarge ? 'more than a binding for a matrix' : `${count * step(one.bias)} bytes for all biases`;
    throw new UnsupportedError(`${count} matrices (${weights.n}, ${weights.k})`, [
      `needs ${needs}, the smaller of maxStorageBufferBindingSize and maxBufferSize is ${largest}`,
    ]);
  }
  const slabs = [...pieces({ end: count }, fit)].map((experts, i): Slab => {
    const all = (name: string, slice: Slice): Slice => ({ buffer: `${name}${i}`, offset: 0, size: experts.count * step(slice) });
    const offset = slab.offset && all('offset', slab.offset);
    return { ...slab, w: all('w', slab.w), scale: all('scale', slab.scale), offset, experts };
  });
  const quads = (slice: Slice | undefined, bitsOfColumn: number): number => step(slice) / (bitsOfColumn / 2);
  return {
    packed: {
      ...one,
      bias: { ...one.bias, size: count * step(one.bias) },
      slabs,
      experts: {
        count,
        w: quads(slab.w, 32),
        scale: quads(slab.scale, SCALE_FORMS[weights.scaleDtype].bits),
        offset: slab.offset ? quads(slab.offset, offsetBits(weights)) : 0,
        bias: quads(one.bias, 32),
      },
    },
    of(expert) {
      const index = Math.floor(expert / fit);
      const at = expert % fit;
      const within = ({ buffer }: Slice, slice: Slice): Slice => ({ buffer, offset: at * step(slice), size: slice.size });
      const { w, scale, offset } = slabs[index]!;
      return {
        ...one,
        bias: { ...one.bias, offset: expert * step(one.bias) },
        slabs: [{ ...slab, w: within(w, slab.w), scale: within(scale, slab.scale), offset: slab.offset && within(offset!, slab.offset) }],
      };
    },
  };
}
