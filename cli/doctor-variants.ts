// The variants of matmul kernels that a device would run: those of tiles that are meant for it, and the plain kernel, which serves whatever
// the others do not. Pure.
import { kernels, operandsOf } from '../src/kernels/index.js';
import type { Feature, Kernel } from '../src/kernels/kernel.js';
import type { Caps } from '../src/problem/caps.js';
import { type MatmulVariant, makeTrial } from '../src/trial/trial.js';

type Tile = Kernel['tiles'][number];

/** The kernel that takes every problem, and is preferred nowhere. */
const PLAIN = 'matmul-plain';

const HAS: Readonly<Record<Feature, (caps: Caps) => boolean>> = {
  'shader-f16': ({ f16 }) => f16,
  subgroups: ({ subgroups }) => subgroups,
  'chromium-experimental-subgroup-matrix': ({ subgroupMatrix }) => subgroupMatrix.length > 0,
};

const isMeant = ({ name, suits, needs }: Kernel, tile: Tile, caps: Caps): boolean =>
  (name === PLAIN || (suits?.(tile, caps) ?? true)) && (needs?.(tile) ?? []).every((feature) => HAS[feature](caps));

/** A stride through operands that has no common divisor with their number, so that it meets each once. */
const STRIDE = 7919;
/** Operands that a tile refuses before it is taken for one that fits nothing. */
const PATIENCE = 64;

/** Variants of a tile, of operands far from each other; at most as many as asked for. */
function* ofTile(
  kernel: Kernel,
  tile: Tile,
  { caps, operands, first }: { readonly caps: Caps; readonly operands: readonly Tile[]; readonly first: number },
): Generator<MatmulVariant> {
  let refused = 0;
  for (let i = 0; i < operands.length && refused < PATIENCE; i++) {
    const params = { ...operands[(first + i * STRIDE) % operands.length]!, ...tile };
    if (kernel.excludes?.(params)) continue;
    if (makeTrial({ kernel: kernel.name, params }, caps)) {
      refused = 0;
      yield { kernel: kernel.name, params };
    } else refused++;
  }
}

/**
 * What the self-test of a device takes.
 * @param each variants of each tile, which differ in bits, dtypes, scales and what codes mean
 */
export function* variantsFor(caps: Caps, each: number): Generator<MatmulVariant> {
  let first = 0;
  for (const kernel of kernels) {
    const tiles = kernel.tiles.filter((tile) => isMeant(kernel, tile, caps));
    const operands = tiles.length > 0 ? operandsOf(kernel) : [];
    for (const tile of tiles) {
      let left = each;
      first += 31;
      for (const variant of ofTile(kernel, tile, { caps, operands, first })) {
        yield variant;
        if (--left <= 0) break;
      }
    }
  }
}
