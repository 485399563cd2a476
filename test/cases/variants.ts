// Which variants the compilers are shown: all that planning can ask for would take them too long. Holds no test.
//
// Of every tile: each combination of operands that torch's layers can have; and of what imported weights add (minima, tables, scales of
// another dtype than x) so many that every three values of three params, the tile being one, meet in one. Of matmul-plain, which has the same text of
// operands and little else, and of the helpers: all.
import { allVariants, kernels, operandsOf } from '../../src/kernels/index.js';
import type { Params } from '../../src/wgsl/preprocess.js';

type Variants = ReturnType<typeof allVariants>;

/** Of a layer that `load` made: scales of x's dtype, or float32 ones that came packed in 64 bits. */
const TORCH = [
  { bits: [4, 8], x: [0], scale: [0], y: [0, 3] },
  { bits: [4, 8], x: [1, 2, 0], scale: [1], y: [1, 0, 3] },
  { bits: [8], x: [1, 2, 0], scale: [0], y: [1, 0] },
  { bits: [4, 8], x: [3, 0], scale: [2], y: [2, 0, 3] },
];
const isTorch = ({ BITS, X, SCALE, OFFSET, CODEBOOK, Y }: Params): boolean =>
  CODEBOOK === 0 &&
  OFFSET! < 2 &&
  TORCH.some(({ bits, x, scale, y }) => bits.includes(BITS!) && x.includes(X!) && scale.includes(SCALE!) && y.includes(Y!));

/** Every three params with their values. */
function triplesOf(params: Params): string[] {
  const values = Object.entries(params).map(([name, value]) => `${name}=${value}`);
  return values.flatMap((a, i) => values.slice(i + 1).flatMap((b, j) => values.slice(i + j + 2).map((c) => `${a} ${b} ${c}`)));
}

/** `chosen`, and few more of `all`, so that they have every triple that `all` have; those with many new ones first. */
export function cover(all: readonly Params[], chosen: readonly Params[] = []): Params[] {
  const seen = new Set(chosen.flatMap(triplesOf));
  const triples = all.map(triplesOf);
  const out = [...chosen];
  for (let gain = triples[0]!.length; gain > 0; gain--)
    all.forEach((params, i) => {
      triples[i] = triples[i]!.filter((triple) => !seen.has(triple));
      if (triples[i]!.length < gain) return;
      out.push(params);
      for (const triple of triples[i]!) seen.add(triple);
    });
  return out;
}

/** Of `allVariants()`. */
export function shownVariants(): Variants {
  const all = allVariants();
  return [...new Set(all.map(({ shader }) => shader))].flatMap((shader): Variants => {
    const mine = all.filter((variant) => variant.shader === shader);
    const kernel = kernels.find(({ name }) => name === shader.name);
    if (!kernel || kernel.name === 'matmul-plain') return mine;
    // A tile counts as one param.
    const tiled = operandsOf(kernel).flatMap((params) => kernel.tiles.map((_, TILE) => ({ ...params, TILE })));
    return cover(tiled, tiled.filter(isTorch)).map(({ TILE, ...params }) => ({ shader, params: { ...params, ...kernel.tiles[TILE!] } }));
  });
}
