// Random shapes, modes, dtypes, layouts and outputs against the reference. On failure fast-check prints the seed and the smallest case;
// SEED=… runs it again.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { requestDevice } from '../../src/index.js';
import { BITS } from '../../src/problem/code-width.js';
import { type Case, makeCase, ofAnyX, wholeElements } from '../cases/cases.js';
import { runCase } from '../cases/run-case.js';
import { whole } from '../cases/slice.js';
import { gpu } from '../support/dawn.js';

const drawn: fc.Arbitrary<Case> = fc
  .record({
    batch: fc.constantFrom([], [], [2], [1, 3]),
    m: fc.integer({ min: 1, max: 19 }),
    k: fc.oneof(fc.integer({ min: 1, max: 170 }), fc.integer({ min: 1000, max: 2100 })),
    n: fc.integer({ min: 1, max: 70 }),
    bits: fc.constantFrom(...BITS),
    dtype: fc.constantFrom('float32' as const, 'float16' as const, 'bfloat16' as const),
    mode: fc.constantFrom('tensor' as const, 'channel' as const, 'group' as const),
    groupSize: fc.constantFrom(32, 64, 96, 128),
    offset: fc.boolean(),
    bias: fc.boolean(),
    quant: fc.constantFrom('none' as const, 'none' as const, 'float32' as const, 'float32+offset' as const, 'int64' as const),
    packedScale: fc.constantFrom(false, false, false, true),
    weight: fc.constantFrom('NK' as const, 'KN' as const),
    nz: fc.constantFrom(false, false, true),
    x: fc.constantFrom('contiguous' as const, 'transposed' as const, 'offset' as const),
    yOffset: fc.constantFrom(0, 0, 1, 3, 4),
    data: fc.constantFrom<Case['data'][]>('exact', 'random', 'sigmoid', 'relu', 'sparse', 'equal', 'huge', 'zero weights'),
    add: fc.boolean(),
    rowScale: fc.constantFrom('none' as const, 'none' as const, 'factors' as const, 'rms' as const),
    kernel: fc.constantFrom(undefined, ...ofAnyX.map(({ name }) => name)),
    f16: fc.boolean(),
  })
  .map(({ kernel, f16, ...draw }) => {
    // Bring the draw within the operator's rules.
    const packed = draw.packedScale && draw.bits === 8 && draw.dtype === 'float16' && draw.n > 1;
    const k = draw.weight === 'NK' ? wholeElements(draw.k, draw.bits) : draw.k;
    const n = draw.weight === 'KN' ? wholeElements(draw.n, draw.bits) : draw.n;
    const group = draw.mode === 'group' && draw.groupSize < k && !packed;
    return makeCase({
      ...draw,
      k,
      n,
      packedScale: packed,
      mode: group ? 'group' : draw.mode === 'group' || packed ? 'channel' : draw.mode,
      groupSize: group ? draw.groupSize : 0,
      quant: packed || draw.nz ? 'none' : draw.quant,
      // x times a factor, or a sum before its factor, may pass float32 where their product does not.
      rowScale: draw.data === 'huge' ? 'none' : draw.rowScale,
      add: draw.add && (packed || draw.nz || draw.quant === 'none'),
      force: kernel === undefined ? undefined : { kernel },
      caps: f16 ? {} : { f16: false },
    });
  });

test('any product is within the reference’s interval', { timeout: 3_600_000 /* RUNS may be large */ }, async () => {
  const device = await requestDevice({ gpu });
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  await fc.assert(
    fc.asyncProperty(drawn, async (c) => {
      expect((await runCase(device, c)).failures, c.name).toEqual([]);
    }),
    { numRuns: Number(process.env.RUNS ?? (whole ? 400 : 8)), seed },
  );
});
