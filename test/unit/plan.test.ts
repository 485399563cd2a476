// Planning: the chosen kernel and the reason; every element of y is made once from the right x and columns within any device's limits;
// impossible problems are refused with the limit, its value and the need.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UnsupportedError } from '../../src/errors.js';
import { kernels, ofNumbers } from '../../src/kernels/index.js';
import type { Kernel } from '../../src/kernels/kernel.js';
import { codebooksOf } from '../../src/kernels/operands.js';
import type { Force } from '../../src/plan/choose.js';
import { loadSteps } from '../../src/plan/load-steps.js';
import { packedLayout } from '../../src/plan/packed-layout.js';
import { makePlan, type Plan } from '../../src/plan/plan.js';
import { whyOf } from '../../src/plan/why.js';
import type { Caps } from '../../src/problem/caps.js';
import { BITS, type Bits } from '../../src/problem/code-width.js';
import type { Operands, XView } from '../../src/problem/problem.js';
import type { View } from '../../src/problem/view.js';
import { type Codebook, codebookOf, E2M1_VALUES, LEGAL_FORMATS } from '../../src/problem/weight-format.js';
import { expectArgument } from '../support/expect-errors.js';
import { GPU, LAVAPIPE, LEAST, MATRIX_GPU, type ProblemSpec, problemOf, SWIFTSHADER } from '../support/problems.js';
import { runLoad, runPlan, sizesOf } from '../support/simulate.js';

function plan(spec: ProblemSpec, caps: Caps, force?: Force): Plan & { readonly why: readonly string[] } {
  const { problem, operands } = problemOf(spec);
  const made = makePlan({ problem, packed: packedLayout(operands, caps), caps }, { force });
  return { ...made, why: whyOf(made) };
}
function refusal(run: () => unknown): UnsupportedError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(UnsupportedError);
    return error as UnsupportedError;
  }
  throw new Error('nothing was refused');
}
const SHAPE = { n: 256, k: 512 };

describe('the choice', () => {
  const chosen = (m: number, caps: Caps, change: Partial<ProblemSpec> = {}): string => {
    const { kernel, params } = plan({ m, ...SHAPE, ...change }, caps);
    return `${kernel} ${params.ROWS ?? '-'}`;
  };

  test('on a GPU: few rows by slices of k, more in registers', () => {
    expect([1, 2, 3, 4, 5, 17, 128].map((m) => chosen(m, GPU))).toEqual([
      'matmul-decode 1',
      'matmul-decode 2',
      'matmul-decode 4',
      'matmul-decode 4',
      'matmul-prefill 8',
      'matmul-prefill 8',
      'matmul-prefill 8',
    ]);
  });

  test('on a GPU by Intel, with fewer registers: one row, then tiles in workgroup memory', () => {
    expect([1, 4, 5, 32, 33, 128].map((m) => chosen(m, { ...GPU, vendor: 'intel' }))).toEqual([
      'matmul-decode 1',
      'matmul-decode 1',
      'matmul-tiled 1',
      'matmul-tiled 2',
      'matmul-tiled 4',
      'matmul-tiled 4',
    ]);
  });

  test('k is shared out where rows and columns do not fill the device', () => {
    const splits = (m: number, caps: Caps, change: Partial<ProblemSpec> = {}): number => {
      const { dispatches } = plan({ m, n: 2048, k: 2048, ...change }, caps);
      return dispatches.find(({ shader }) => shader === 'round-rows')?.uniforms.splits ?? 0;
    };
    expect(splits(1, GPU)).toBe(0); // slices of a workgroup share it
    expect(splits(8, GPU)).toBe(16);
    expect(splits(128, GPU)).toBe(4);
    expect(splits(1024, GPU)).toBe(0);
    expect(splits(8, GPU, { k: 64 })).toBe(0);
    expect(splits(8, { ...GPU, lanes: 2 ** 30 }, { k: 2 ** 16 })).toBe(32);
  });

  test('decode takes as many lanes of columns as leave workgroups for the whole device', () => {
    const shape = (n: number, m = 1) => {
      const { params } = plan({ m, n, k: 2048, group: 32 }, GPU);
      return [params.LANES, params.SLICES];
    };
    // 128 workgroups of 256 lanes.
    expect([512, 8192, 16380].map((n) => shape(n))).toEqual([
      [16, 16],
      [16, 16],
      [32, 8],
    ]);
    expect([32768, 151936].map((n) => shape(n))).toEqual([
      [64, 4],
      [64, 4],
    ]);
    expect(shape(32768, 2)).toEqual([64, 4]);
  });

  test('codes become floats by the exponent of a half where that is shorter and digits are to spare', () => {
    const trick = (dtype: ProblemSpec['dtype'], caps: Caps) => {
      const { params, accuracy } = plan({ m: 1, ...SHAPE, dtype: dtype! }, caps);
      return [params.TRICK, accuracy.codeBias];
    };
    expect(trick('float16', GPU)).toEqual([1, 1024]);
    expect(trick('bfloat16', GPU)).toEqual([1, 1024]);
    expect(trick('float32', GPU)).toEqual([0, 0]);
    expect(trick('float16', { ...GPU, vendor: 'intel' })).toEqual([0, 0]);
  });

  test('a GPU without subgroups, or with very long ones, does the same', () => {
    for (const caps of [
      { ...GPU, subgroups: false },
      { ...GPU, maxSubgroupSize: 128 },
    ])
      expect([1, 4, 17, 128].map((m) => chosen(m, caps))).toEqual([1, 4, 17, 128].map((m) => chosen(m, GPU)));
  });

  test('on software adapters with subgroups of 4 or 8: x shared between lanes, whatever the rows', () => {
    const tiles = (caps: Caps) => [1, 2, 4, 16, 17, 128].map((m) => chosen(m, caps));
    expect(tiles(SWIFTSHADER)).toEqual(['1', '2', '4', '8', '8', '8'].map((rows) => `matmul-subgroup ${rows}`));
    expect(tiles(LAVAPIPE)).toEqual(['1', '2', '4', '4', '4', '4'].map((rows) => `matmul-subgroup ${rows}`));
    expect(plan({ m: 4, ...SHAPE }, SWIFTSHADER).params).toMatchObject({ WIDTH: 4 });
    expect(plan({ m: 4, ...SHAPE }, LAVAPIPE).params).toMatchObject({ WIDTH: 8 });
  });

  test('on software adapters without such subgroups: rows in registers, and never a barrier', () => {
    const others = [
      { ...SWIFTSHADER, subgroups: false },
      { ...LAVAPIPE, subgroups: false },
      { ...SWIFTSHADER, minSubgroupSize: 16, maxSubgroupSize: 16 },
      { ...SWIFTSHADER, minSubgroupSize: 4, maxSubgroupSize: 8 },
    ];
    for (const caps of others)
      for (const m of [1, 2, 4, 16, 17, 128]) {
        expect(plan({ m, ...SHAPE }, caps).kernel).toBe('matmul-rows');
      }
  });

  test('limits too small for a kernel lead to the next one', () => {
    const narrow = { ...GPU, maxComputeInvocationsPerWorkgroup: 128 }; // matmul-decode wants 256
    expect([1, 128].map((m) => chosen(m, narrow))).toEqual(['matmul-prefill 4', 'matmul-prefill 8']);
    // A row keeps 4 KiB of sums.
    const shallow = { ...GPU, maxComputeWorkgroupStorageSize: 10000 };
    expect([1, 2, 4].map((m) => chosen(m, shallow))).toEqual(['matmul-decode 1', 'matmul-decode 2', 'matmul-decode 2']);
  });

  test('every device can do everything', () => {
    const least = { ...LEAST, maxComputeInvocationsPerWorkgroup: 64, maxComputeWorkgroupStorageSize: 0 };
    for (const m of [1, 128]) expect(plan({ m, ...SHAPE }, least).kernel).toBe('matmul-prefill');
    const none = { ...least, maxComputeInvocationsPerWorkgroup: 63 };
    for (const m of [1, 128]) expect(plan({ m, ...SHAPE }, none).kernel).toBe('matmul-plain');
  });

  test('the params of operands come from the problem and the device', () => {
    const of = (spec: Partial<ProblemSpec>, caps = GPU) => plan({ m: 1, ...SHAPE, ...spec }, { ...caps, lanes: 1 }).params;
    expect(of({ bits: 8, dtype: 'float32' })).toMatchObject({ BITS: 8, X: 0, SCALE: 0, OFFSET: 0, Y: 0 });
    expect(of({ bits: 4, dtype: 'float16', offset: true })).toMatchObject({ BITS: 4, X: 1, SCALE: 1, OFFSET: 1, Y: 1 });
    expect(of({ dtype: 'float16' }, LEAST)).toMatchObject({ X: 2, SCALE: 1, Y: 1 });
    expect(of({ dtype: 'bfloat16', quant: true })).toMatchObject({ X: 3, SCALE: 2, Y: 3 });
    expect(of({ dtype: 'float16', bits: 8, packedScale: true })).toMatchObject({ X: 1, SCALE: 0, Y: 1 });
    expect(of({ dtype: 'float16', n: 255 })).toMatchObject({ X: 1, Y: 0 }); // rounded afterwards
    expect(of({ dtype: 'bfloat16', k: 511 })).toMatchObject({ X: 0, Y: 2 }); // gathered before
  });

  test('a product that is added: its kernel adds, or round-rows does, and never both; matrices are not asked', () => {
    const spec = { m: 64, ...SHAPE, adds: true, dtype: 'float16', group: 32 } as const;
    const { kernel, dispatches, why } = plan({ ...spec, m: 512, n: 4096 }, MATRIX_GPU);
    expect(kernel).toBe('matmul-prefill');
    expect(why.join()).toContain('it does not add to what y holds');
    expect(dispatches.map(({ uniforms }) => uniforms.adds)).toEqual([1]);
    // k in splits
    const apart = plan(spec, GPU).dispatches.filter(({ uniforms }) => 'adds' in uniforms);
    expect(apart.map(({ shader, uniforms }) => [shader, uniforms.adds])).toEqual([
      ['matmul-prefill', 0],
      ['round-rows', 1],
    ]);
  });

  test('on a GPU with matrix units: subgroup matrices for many rows of float16', () => {
    const of = (m: number, change: Partial<Caps> = {}, dtype: ProblemSpec['dtype'] = 'float16') => {
      const { kernel, params, why } = plan({ m, ...SHAPE, dtype }, { ...MATRIX_GPU, ...change });
      const { M_SIZE, N_SIZE, K_SIZE, LANES } = params;
      return { tile: kernel === 'matmul-subgroup-matrix' ? [M_SIZE, N_SIZE, K_SIZE, LANES] : kernel, why: why.join('\n') };
    };
    expect([1, 16, 31].map((m) => of(m).tile)).toEqual(['matmul-decode', 'matmul-prefill', 'matmul-prefill']);
    expect(of(31).why).toMatch(/not matmul-subgroup-matrix: rows 31: below 32/);
    expect([32, 512].map((m) => of(m).tile)).toEqual([
      [16, 16, 16, 128],
      [16, 16, 16, 128],
    ]);
    const [square, wide, small] = MATRIX_GPU.subgroupMatrix;
    expect(of(64, { subgroupMatrix: [wide!] }).tile).toEqual([8, 16, 16, 128]);
    expect(of(64, { subgroupMatrix: [small!, wide!] }).tile).toEqual([8, 16, 16, 128]);
    expect(of(64, { subgroupMatrix: [small!], maxSubgroupSize: 64 }).tile).toEqual([8, 8, 8, 256]);
    const halves = { ...square!, resultComponentType: 'f16' };
    const refused: readonly (readonly [Partial<Caps>, ProblemSpec['dtype'], RegExp])[] = [
      [{ subgroupMatrix: [] }, 'float16', /the device has no subgroup matrices/],
      [{}, 'float32', /x is float32: only float16/],
      [{}, 'bfloat16', /x is bfloat16: only float16/],
      [{ subgroupMatrix: [halves] }, 'float16', /f16 16×16×16 to f16; f16 to f32 of a known size is needed/],
      [{ f16: false }, 'float16', /needs the feature shader-f16/],
      [{ maxSubgroupSize: 128 }, 'float16', /needs 4 subgroups among 256 lanes, maxSubgroupSize is 128/],
      [{ maxComputeWorkgroupStorageSize: 16384 }, 'float16', /needs 27904, maxComputeWorkgroupStorageSize is 16384/],
    ];
    for (const [change, dtype, reason] of refused) {
      const { tile, why } = of(64, change, dtype);
      expect([tile, why]).not.toContainEqual(expect.any(Array));
      expect(why).toMatch(new RegExp(`not matmul-subgroup-matrix: .*${reason.source}`));
    }
    // Forced, it says the same.
    const { message } = refusal(() => plan({ m: 64, ...SHAPE, dtype: 'float16' }, GPU, { kernel: 'matmul-subgroup-matrix' }));
    expect(message).toMatch(/matmul-subgroup-matrix: needs subgroup matrices f16 16×16×16 to f32, the device has none$/);
    const wrong = refusal(() => plan({ m: 64, ...SHAPE }, MATRIX_GPU, { kernel: 'matmul-subgroup-matrix' }));
    expect(wrong.message).toMatch(/matmul-subgroup-matrix: needs a float16 x, got float32$/);
  });

  test('says why, and why not the ones before', () => {
    const { why } = plan({ m: 128, ...SHAPE }, { ...GPU, lanes: 1 });
    expect(why[0]).toMatch(/^matmul-prefill: .*128/);
    const refused = why.slice(1).map((reason) => /^not ([\w-]+): (.+)$/.exec(reason)?.slice(1) ?? reason);
    expect(refused.map(([name]) => name)).toEqual(['matmul-dot4', 'matmul-subgroup', 'matmul-decode', 'matmul-subgroup-matrix']);
    for (const [, reason] of refused) expect(reason!.length).toBeGreaterThan(10);
    expect(plan({ m: 4, ...SHAPE }, { ...GPU, maxComputeWorkgroupStorageSize: 0 }).why.join('\n')).toMatch(
      /^not matmul-decode: no tile is within the device's limits/m,
    );
    expect(plan({ m: 1, ...SHAPE, k: 511, n: 255 }, GPU).why.join('\n')).toMatch(/gather-rows first: .*\nround-rows last: /);
  });
});

describe('imported weights', () => {
  const GPUS = [GPU, MATRIX_GPU, { ...GPU, vendor: 'intel' }, LEAST, SWIFTSHADER, LAVAPIPE, { ...LAVAPIPE, subgroups: false }];

  test('a minimum changes no choice', () => {
    for (const caps of GPUS)
      for (const m of [1, 3, 8, 40]) {
        const of = (change: Partial<ProblemSpec>) => plan({ m, ...SHAPE, dtype: 'float16', group: 32, ...change }, caps);
        const { kernel, params } = of({ minimum: true });
        expect({ kernel, params }).toEqual({ kernel: of({}).kernel, params: { ...of({ offset: true }).params, OFFSET: 2 } });
      }
  });

  describe('codebooks', () => {
    const of = (m: number, caps: Caps, codebook: Codebook = 'table') => {
      const { kernel, params } = plan({ m, ...SHAPE, codebook, group: 64 }, caps);
      return `${kernel} ${params.ROWS}`;
    };
    const OLD = { ...LAVAPIPE, subgroups: false };
    test('E2M1 is known by its values, whatever the sign of a 0', () => {
      expect(codebookOf(undefined)).toBe('none');
      expect(codebookOf(E2M1_VALUES)).toBe('e2m1');
      expect(codebookOf(E2M1_VALUES.map((value, i) => (i === 8 ? -0 : value)))).toBe('e2m1');
      for (let code = 0; code < 16; code++)
        expect(codebookOf(E2M1_VALUES.map((value, i) => (i === code ? value + 1 : value)))).toBe('table');
    });
    test('a table is a buffer of 16 values; E2M1 has none', () => {
      for (const caps of GPUS)
        for (const m of [1, 3, 8, 40]) {
          const table = plan({ m, ...SHAPE, codebook: 'table', group: 64 }, caps);
          expect([table.params.CODEBOOK, table.main.bindings.codebook]).toEqual([1, { buffer: 'codebook', offset: 0, size: 64 }]);
          const e2m1 = plan({ m, ...SHAPE, codebook: 'e2m1', group: 64 }, caps);
          expect([e2m1.params.CODEBOOK, e2m1.main.bindings.codebook]).toEqual([2, undefined]);
        }
    });
    test('a table, on GPUs: matmul-decode for few rows, then one lookup for 8 rows, then tiles', () => {
      for (const caps of GPUS.slice(0, 2)) {
        expect([1, 2, 3].map((m) => of(m, caps))).toEqual(['matmul-decode 1', 'matmul-decode 2', 'matmul-decode 4']);
        expect([5, 8, 9, 17].map((m) => of(m, caps))).toEqual([
          'matmul-codebook 8',
          'matmul-codebook 8',
          'matmul-tiled 1',
          'matmul-tiled 2',
        ]);
        expect(of(40, caps)).toBe('matmul-tiled 4');
      }
      // The table takes the last bytes of a tile of 4 rows.
      expect(of(40, LEAST)).toBe('matmul-tiled 2');
    });
    test('E2M1, on GPUs: as numbers, but never TRICK', () => {
      for (const m of [1, 2, 3, 8, 40]) {
        const { kernel, params } = plan({ m, ...SHAPE, dtype: 'float16', codebook: 'e2m1', group: 64 }, GPU);
        expect([kernel, params.TRICK]).toEqual([m < 5 ? 'matmul-decode' : 'matmul-prefill', 0]);
      }
      expect(of(40, { ...GPU, vendor: 'intel' }, 'e2m1')).toBe('matmul-tiled 4');
    });
    test('on software adapters: in the lanes of a subgroup, or by a kernel without', () => {
      for (const codebook of ['table', 'e2m1'] as const)
        for (const m of [1, 3, 128])
          for (const caps of [SWIFTSHADER, LAVAPIPE])
            expect(plan({ m, ...SHAPE, codebook, group: 64 }, caps).kernel).toBe(
              caps === SWIFTSHADER && codebook === 'table' ? 'matmul-codebook' : 'matmul-subgroup',
            );
      const four = { ROWS: 1, WIDTH: 4, READ: 1, HALF: 0, LOADS: 16, LANES: 8 };
      const forced = () => plan({ m: 1, ...SHAPE, codebook: 'table' }, SWIFTSHADER, { kernel: 'matmul-subgroup', tile: four });
      expect(refusal(forced).message).toContain('a table of values is passed round by 8 lanes');
      expect([1, 2, 3, 128].map((m) => of(m, OLD))).toEqual([1, 2, 4, 8].map((rows) => `matmul-codebook ${rows}`));
      expect(of(1, OLD, 'e2m1')).toBe('matmul-rows 1');
    });
    test('kernels that take no such codes say so', () => {
      const spec = { m: 40, ...SHAPE, dtype: 'float16', innerPrecise: 1 } as const;
      const taken = (codebook: Codebook) => kernels.filter((kernel) => codebooksOf(kernel).includes(codebook)).map(({ name }) => name);
      for (const [codebook, words] of [
        ['none', 'codes are numbers'],
        ['table', 'codes are indices of a codebook'],
        ['e2m1', 'codes are E2M1'],
      ] as const)
        for (const { name } of kernels)
          if (!taken(codebook).includes(name))
            expect(refusal(() => plan({ ...spec, codebook }, MATRIX_GPU, { kernel: name })).message).toContain(words);
      expect(refusal(() => plan({ ...spec, codebook: 'e2m1' }, GPU, { kernel: 'matmul-decode', tile: TRICKED })).message).toContain(
        'TRICK=1 is for codes that are numbers',
      );
    });
    const TRICKED = { ROWS: 1, LANES: 64, SLICES: 4, UNROLL: 2, TRICK: 1 };
  });

  test('groups of any whole words are for some kernel other than matmul-plain, on every kind of device', () => {
    for (const caps of GPUS)
      for (const bits of BITS)
        for (const group of [8, 16, 24, 40, 48])
          for (const m of [1, 3, 17, 64])
            for (const innerPrecise of [0, 1] as const) {
              const { kernel, why } = plan({ m, ...SHAPE, dtype: 'float16', bits, group, innerPrecise }, caps);
              // Halves of a block are dot4's where codes have no biases.
              expect(kernel, why.join()).not.toMatch(group === 16 && bits === 8 ? /plain|matrix/ : /plain|dot4|matrix/);
            }
    expect(plan({ m: 1, ...SHAPE, group: 16, offset: true }, GPU).kernel).toBe('matmul-decode');
    const refused: readonly (readonly [string, Caps])[] = [
      ['matmul-dot4', GPU],
      ['matmul-subgroup-matrix', MATRIX_GPU],
      ['matmul-subgroup', LAVAPIPE],
    ];
    for (const [kernel, caps] of refused) {
      const spec = { m: 40, ...SHAPE, dtype: 'float16', innerPrecise: 1, group: 24 } as const;
      expect(refusal(() => plan(spec, caps, { kernel })).message).toMatch(/groups of 24 are not whole \w+ of 32/);
    }
    // Halves of a block: but for the biases of 4 bits in matmul-dot4, and for matrices.
    const halves = (kernel: string, bits: Bits) => () =>
      plan({ m: 2, ...SHAPE, dtype: 'float16', innerPrecise: 1, group: 16, bits }, MATRIX_GPU, { kernel });
    expect(halves('matmul-dot4', 8)()).toMatchObject({ params: { HALF: 1 } });
    // One row of bytes is matmul-rows', by measurement.
    expect(plan({ m: 1, ...SHAPE, group: 16, bits: 8 }, LAVAPIPE).kernel).toBe('matmul-rows');
    for (const [m, bits] of [
      [1, 4],
      [2, 4],
      [2, 8],
    ] as const)
      expect(plan({ m, ...SHAPE, group: 16, bits }, LAVAPIPE)).toMatchObject({ kernel: 'matmul-subgroup', params: { HALF: 1 } });
    for (const kernel of ['matmul-dot4', 'matmul-subgroup-matrix'])
      expect(refusal(halves(kernel, 4)).message).toMatch(/groups of 16 are not whole/);
    // Four lanes load a word at a time.
    expect(plan({ m: 40, ...SHAPE, group: 16 }, SWIFTSHADER).kernel).toBe('matmul-subgroup');
  });

  test('rounded weights are for kernels that dequantize before the product, on every kind of device; the others say why not', () => {
    const spec = (m: number) => ({ m, ...SHAPE, dtype: 'bfloat16', group: 64, rounded: true }) as const;
    const of = (caps: Caps): string[] =>
      [1, 3, 17, 128].map((m) => {
        const { kernel, params } = plan(spec(m), caps);
        expect(params.ROUND).toBe(2);
        return kernel;
      });
    for (const caps of [GPU, MATRIX_GPU]) expect(of(caps)).toEqual(Array(4).fill('matmul-prefill'));
    expect(of({ ...GPU, vendor: 'intel' })).toEqual(Array(4).fill('matmul-tiled'));
    for (const caps of [SWIFTSHADER, LAVAPIPE]) expect(of(caps)).toEqual(Array(4).fill('matmul-plain'));
    for (const m of [1, 40]) expect(plan({ ...spec(m), codebook: 'table' }, GPU).params.ROUND).toBe(2);
    expect(plan(spec(1), GPU).why.join('\n')).toContain(
      'not matmul-decode: codes meet x before they are weights here: there is no weight to round to bfloat16',
    );
    for (const { name, rounds } of ofNumbers)
      if (!rounds) {
        const asked = { ...spec(40), dtype: 'float16', innerPrecise: 1 } as const;
        expect(refusal(() => plan(asked, MATRIX_GPU, { kernel: name })).message).toMatch(/no weight to round to float16/);
      }
    expect(plan({ ...spec(1), dtype: 'float32' }, GPU)).toMatchObject({ kernel: 'matmul-decode', params: { ROUND: 0 } });
  });

  test('matmul-decode ends the sums of a step where a group ends, and of 32 k at most', () => {
    const step = (group: number, bits: Bits, m = 1) => {
      const { params, accuracy } = plan({ m, n: 256, k: 480, dtype: 'float16', group, bits }, GPU);
      return [params.UNROLL, accuracy.sumRun];
    };
    expect(step(0, 4)).toEqual([4, 32]);
    expect(step(96, 4)).toEqual([4, 32]);
    expect(step(48, 4)).toEqual([2, 16]);
    expect(step(40, 4)).toEqual([1, 8]);
    expect(step(24, 4)).toEqual([1, 8]);
    expect(step(32, 8)).toEqual([8, 32]);
    expect(step(16, 8)).toEqual([4, 16]);
    expect(step(20, 8)).toEqual([1, 4]);
    expect(step(32, 8, 4)).toEqual([4, 16]); // x of more rows takes registers
    const long = { kernel: 'matmul-decode', tile: { ROWS: 1, LANES: 64, SLICES: 4, UNROLL: 4, TRICK: 0 } };
    expect(refusal(() => plan({ m: 1, n: 256, k: 480, group: 48 }, GPU, long)).message).toContain(
      'UNROLL=4 words do not share a block, a group or a high word',
    );
  });

  describe('decode on GPUs of five vendors is one dispatch', () => {
    const VENDORS = { amd: [32, 64], nvidia: [32, 32], apple: [32, 32], intel: [8, 32], qualcomm: [64, 128] } as const;
    const kinds = Object.entries(VENDORS).flatMap(([vendor, [minSubgroupSize, maxSubgroupSize]]) =>
      [LEAST, GPU].map((caps) => ({ ...caps, vendor, minSubgroupSize, maxSubgroupSize })),
    );
    const formats = LEGAL_FORMATS.flatMap((format) => [16, 32, 128, 0].map((group) => ({ bits: format.held as Bits, group, format })));
    const shaders = (spec: ProblemSpec, caps: Caps) => plan(spec, caps).dispatches.map(({ shader }) => shader);

    test.each(kinds.map((caps) => [`${caps.vendor}, subgroups: ${caps.subgroups}`, caps] as const))('%s', (_name, caps) => {
      for (const format of formats)
        for (const dtype of ['float32', 'float16'] as const)
          for (const m of [1, 2, 4])
            for (const [k, n] of [
              [2048, 2048],
              [896, 128],
            ] as const)
              expect([format, dtype, m, shaders({ m, k, n, dtype, ...format }, caps)]).toEqual([format, dtype, m, ['matmul-decode']]);
    });

    test('an x that must be gathered is one more, and so is a y that must be rounded; each says why', () => {
      const spec = { m: 1, k: 2048, n: 2048, dtype: 'float16', group: 32 } as const;
      for (const caps of kinds) {
        const permuted = plan({ ...spec, permuted: true }, caps);
        expect(permuted.dispatches.map(({ shader }) => shader)).toEqual(['gather-rows', 'matmul-decode']);
        expect(permuted.why.join('\n')).toContain('gather-rows first: the inputs are in another order');
        const unaligned = plan({ ...spec, n: 2046 }, caps);
        expect(unaligned.dispatches.map(({ shader }) => shader)).toEqual(['matmul-decode', 'round-rows']);
        expect(unaligned.why.join('\n')).toContain('round-rows last: rows of y do not start on whole words');
        expect(shaders({ ...spec, adds: true }, caps)).toEqual(['matmul-decode']);
        expect(shaders({ ...spec, quant: true }, caps)).toEqual(['matmul-decode']);
      }
    });
  });

  test('inputs in another order are gathered, by the layer’s own permutation', () => {
    const { dispatches, why } = plan({ m: 2, ...SHAPE, permuted: true }, GPU);
    expect(dispatches[0]).toMatchObject({ shader: 'gather-rows', params: { PERM: 1 } });
    expect(dispatches[0]!.bindings.permutation).toEqual({ buffer: 'permutation', offset: 0, size: 4 * SHAPE.k });
    expect(why.join('\n')).toContain('gather-rows first: the inputs are in another order');
    expect(plan({ m: 2, ...SHAPE, k: 511 }, GPU).dispatches[0]).toMatchObject({ shader: 'gather-rows', params: { PERM: 0 } });
  });

  test('inputs with scales are gathered, and scaled there, by the layer’s own', () => {
    const { dispatches, why } = plan({ m: 2, ...SHAPE, inputScaled: true }, GPU);
    expect(dispatches[0]).toMatchObject({ shader: 'gather-rows', params: { PERM: 0, SCALED: 1 } });
    expect(dispatches[0]!.bindings.input_scale).toEqual({ buffer: 'inputScale', offset: 0, size: 4 * SHAPE.k });
    expect(dispatches[0]!.bindings.permutation).toBeUndefined();
    expect(why.join('\n')).toContain('gather-rows first: each input has a scale');
    expect(dispatches.at(-1)!.bindings.x!.buffer).toBe('rows');
    const both = plan({ m: 2, ...SHAPE, inputScaled: true, permuted: true }, GPU);
    expect(both.dispatches[0]).toMatchObject({ shader: 'gather-rows', params: { PERM: 1, SCALED: 1 } });
    expect(both.why.join('\n')).toContain('gather-rows first: the inputs are in another order than those of x, and each input has a scale');
    expect(plan({ m: 2, ...SHAPE, k: 511 }, GPU).dispatches[0]).toMatchObject({ params: { SCALED: 0 } });
  });

  test('a transposed x in another order must fit one window, since any k may be anywhere in it', () => {
    const caps = { ...GPU, maxStorageBufferBindingSize: 4096 };
    const x = { offset: 1, batchRows: 200, strideB: 200 * 32, strideM: 1, strideK: 200 };
    const { message } = refusal(() => plan({ m: 200, k: 32, n: 8, x, permuted: true }, caps));
    expect(message).toMatch(
      /^a transposed x whose inputs are permuted: needs bindings of 25856 bytes.*maxStorageBufferBindingSize is 4096/,
    );
  });
});

describe('innerPrecise 1', () => {
  const at = (m: number, caps: Caps, more: Partial<ProblemSpec> = {}) => plan({ m, ...SHAPE, innerPrecise: 1, ...more }, caps);
  const AMD = { ...GPU, maxSubgroupSize: 64 };
  const INTEL = { ...GPU, minSubgroupSize: 8 };
  test.each([
    [1, AMD, { ROWS: 1, LANES: 64, SLICES: 16, SUBGROUPS: 1, DIGITS: 1 }],
    [2, AMD, { ROWS: 2, LANES: 64, SLICES: 8 }],
    [5, AMD, { ROWS: 4, LANES: 64, SLICES: 4 }],
    [1, GPU, { ROWS: 1, LANES: 32, SUBGROUPS: 0 }],
    [8, INTEL, { ROWS: 1, LANES: 64, SUBGROUPS: 1 }],
    [1, LEAST, { ROWS: 1, LANES: 32, SLICES: 8, SUBGROUPS: 0 }],
  ] as const)('%i rows', (m, caps, tile) => {
    const made = at(m, caps);
    expect(made.kernel).toBe('matmul-dot4');
    expect(made.params).toMatchObject(tile);
    expect(made.dispatches.map(({ shader }) => shader)).toEqual(['quantize-rows', 'matmul-dot4']);
    expect(made.accuracy.xStep).toBeCloseTo(0.5 / 127, 5);
  });
  test.each([
    [1, SWIFTSHADER, /software/],
    [1, { ...GPU, dot4: false }, /packed integer products/],
    [9, INTEL, /more than 8 passes/],
    [64, { ...GPU, subgroupMatrix: [{ componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 }] }, /matrices/],
  ] as const)('%i rows: not where something else is better', (m, caps, why) => {
    const made = at(m, caps);
    expect(made.kernel).not.toBe('matmul-dot4');
    expect(made.why.find((line) => line.startsWith('not matmul-dot4'))).toMatch(why);
    expect(made.accuracy.xStep).toBe(0);
  });
  test('an x that came quantized is taken as it is, with its digits, whatever innerPrecise says', () => {
    for (const xDigits of [1, 2] as const) {
      const made = at(3, SWIFTSHADER, { innerPrecise: 0, xDigits });
      expect(made.dispatches.map(({ shader }) => shader)).toEqual(['matmul-dot4']);
      expect(made.params.DIGITS).toBe(xDigits);
      expect(made.scratch).toEqual({});
    }
  });
  test('innerPrecise 0 never rounds x', () => {
    expect(() => plan({ m: 1, ...SHAPE }, GPU, { kernel: 'matmul-dot4' })).toThrow(/needs innerPrecise 1, or x as codes/);
    expect(plan({ m: 1, ...SHAPE }, AMD).kernel).not.toBe('matmul-dot4');
  });
});

describe('force', () => {
  test('takes the kernel and the tile', () => {
    for (const { name, tiles } of kernels)
      for (const tile of tiles) {
        const caps = { ...(name === 'matmul-subgroup' ? SWIFTSHADER : MATRIX_GPU), lanes: 1 };
        const halves = tile.HALF === 1 ? ({ group: 16, bits: 8 } as const) : tile.UNROLL! > 2 ? ({ bits: 8 } as const) : {};
        const codebook = name === 'matmul-codebook' ? 'table' : 'none';
        const spec = { m: 3, ...SHAPE, dtype: 'float16', innerPrecise: 1, codebook, ...halves } as const;
        const forced = plan(spec, caps, { kernel: name, tile });
        expect(forced.kernel).toBe(name);
        expect(forced.params).toMatchObject(tile);
        expect(forced.why).toHaveLength(1);
      }
  });
  test('takes the kernel’s own choice of tile, or its first where it would rather not', () => {
    expect(plan({ m: 40, ...SHAPE }, GPU, { kernel: 'matmul-tiled' }).params.ROWS).toBe(4);
    const rather = plan({ m: 40, ...SHAPE }, SWIFTSHADER, { kernel: 'matmul-tiled' });
    expect(rather.params).toMatchObject(kernels.find(({ name }) => name === 'matmul-tiled')!.tiles[0]!);
    expect(rather.why[0]).toMatch(/asked for, although: .*software/);
  });
  test('an unknown kernel', () => {
    expectArgument(() => plan({ m: 1, ...SHAPE }, GPU, { kernel: 'matmul-best' }), 'force.kernel', 'matmul-rows', 'matmul-best');
  });
  test('an unknown tile', () => {
    const odd = { ROWS: 3, LOADS: 1, LANES: 64 };
    expectArgument(() => plan({ m: 1, ...SHAPE }, GPU, { kernel: 'matmul-rows', tile: odd }), 'force.tile', 'ROWS=4', 'ROWS=3');
    expectArgument(() => plan({ m: 1, ...SHAPE }, GPU, { kernel: 'matmul-tiled', tile: {} }), 'force.tile', 'ROWS=4', '');
  });
  test('what the device lacks for it', () => {
    const { message: lacking } = refusal(() => plan({ m: 1, ...SHAPE }, { ...GPU, subgroups: false }, { kernel: 'matmul-subgroup' }));
    expect(lacking).toMatch(/^y \(1, 256\) from K = 512: matmul-subgroup: .*subgroups/);
    const narrow = { ...GPU, maxComputeInvocationsPerWorkgroup: 128 };
    const { message, reasons } = refusal(() => plan({ m: 1, ...SHAPE }, narrow, { kernel: 'matmul-tiled' }));
    expect(message).toMatch(/^y \(1, 256\) from K = 512: matmul-tiled: .*256.*maxComputeInvocationsPerWorkgroup is 128$/);
    expect(reasons).toHaveLength(1);
  });
});

describe('the packed layout', () => {
  const layout = (spec: Partial<ProblemSpec>, caps: Caps = LEAST) => {
    const { operands } = problemOf({ m: 1, n: 10, k: 70, ...spec });
    const packed = packedLayout(operands, caps);
    return { ...packed, sizes: sizesOf(operands, packed) };
  };
  const columnsOf = ({ slabs }: ReturnType<typeof layout>) =>
    slabs.map(({ begin, count, quads, pitch }) => ({ begin, count, quads, pitch }));

  test('sizes', () => {
    const four = layout({ bits: 4 });
    expect(four.words).toBe(9);
    expect(columnsOf(four)).toEqual([{ begin: 0, count: 10, quads: 3, pitch: 3 }]);
    expect(four.sizes).toEqual({ columnBias: 48, w0: 9 * 48, scale0: 48 });
    const eight = layout({ bits: 8, group: 32, dtype: 'float16', offset: true, quant: true });
    expect(eight.words).toBe(18);
    expect(columnsOf(eight)).toEqual([{ begin: 0, count: 10, quads: 3, pitch: 3 }]);
    expect(eight.sizes).toEqual({ columnBias: 48, columnQuant: 96, w0: 18 * 48, scale0: 3 * 24, offset0: 3 * 24 });
    expect(layout({ bits: 8, dtype: 'float16', packedScale: true }).sizes.scale0).toBe(48);
  });

  test('slabs are runs of quads that fit a binding, and a buffer', () => {
    const slabs = [
      { begin: 0, count: 4, quads: 1, pitch: 1 },
      { begin: 4, count: 4, quads: 1, pitch: 1 },
      { begin: 8, count: 2, quads: 1, pitch: 1 },
    ];
    expect(columnsOf(layout({ bits: 8 }, { ...LEAST, maxStorageBufferBindingSize: 512 }))).toEqual(slabs);
    expect(columnsOf(layout({ bits: 8 }, { ...LEAST, maxBufferSize: 512 }))).toEqual(slabs);
    const names = ['columnBias', ...['offset', 'scale', 'w'].flatMap((role) => [0, 1, 2].map((i) => `${role}${i}`))];
    expect(Object.keys(layout({ bits: 8, offset: true }, { ...LEAST, maxBufferSize: 512 }).sizes).sort()).toEqual(names);
  });

  test('every column is in one slab, and every buffer within the limits', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 1, max: 500 }),
        fc.constantFrom(...BITS),
        fc.constantFrom(8192, 16384, 65536),
        fc.boolean(),
        (n, k, bits, limit, quant) => {
          const {
            slabs,
            sizes: bytes,
            words,
          } = layout({ n, k, bits, quant, offset: true }, { ...LEAST, maxStorageBufferBindingSize: limit });
          expect(words).toBe(Math.ceil((k * bits) / 32));
          let next = 0;
          for (const { begin, count, quads } of slabs) {
            expect([begin, begin % 4, quads]).toEqual([next, 0, Math.ceil(count / 4)]);
            next = begin + count;
          }
          expect(next).toBe(n);
          for (const [name, size] of Object.entries(bytes)) expect(size, name).toBeLessThanOrEqual(limit);
        },
      ),
      { seed: 1, numRuns: 300 },
    );
  });

  test('four columns must fit', () => {
    const { message } = refusal(() => layout({ bits: 8, k: 4096 }, { ...LEAST, maxStorageBufferBindingSize: 8192 }));
    expect(message).toMatch(/^weights with K = 4096: .*16384 bytes.*maxStorageBufferBindingSize \(8192\).*8192$/);
    refusal(() => layout({ bits: 8, k: 4096 }, { ...LEAST, maxBufferSize: 8192 }));
  });

  // Slabs cut what has a row for every word of k; these two are one row for all columns.
  test('the bias and the output scale of all columns must fit as well', () => {
    const limit = { ...LEAST, maxStorageBufferBindingSize: 4096 };
    expect(() => layout({ n: 1024, k: 8 }, limit)).not.toThrow();
    expect(refusal(() => layout({ n: 1028, k: 8 }, limit)).message).toMatch(/4112.*4096/);
    expect(() => layout({ n: 512, k: 8, quant: true }, limit)).not.toThrow();
    expect(refusal(() => layout({ n: 516, k: 8, quant: true }, limit)).message).toMatch(/4128.*4096/);
  });
});

// ------------------------------------------------------------------------------------------------- where every element goes

const smallCaps = fc.record({
  maxStorageBufferBindingSize: fc.constantFrom(2048, 4096, 16384),
  minStorageBufferOffsetAlignment: fc.constantFrom(32, 256),
  maxComputeWorkgroupsPerDimension: fc.constantFrom(7, 65535),
  software: fc.boolean(),
  wideCodes: fc.boolean(),
  scaleUnits: fc.boolean(),
  f16: fc.boolean(),
});
const dtypes = fc.constantFrom('float32', 'float16', 'bfloat16') as fc.Arbitrary<'float32' | 'float16' | 'bfloat16'>;

describe('plans', () => {
  /** Counts what was planned, so that a property that only sees refusals fails. */
  const seen = { planned: 0, gathered: 0, rounded: 0, chunks: 0, slabs: 0, folded: 0 };

  const xViews = (m: number, k: number): fc.Arbitrary<XView> =>
    fc
      .record({
        offset: fc.constantFrom(0, 0, 4, 3, 70),
        transposed: fc.boolean(),
        batch: fc.constantFrom(1, 1, 2, 3),
        gap: fc.constantFrom(0, 0, 0, 4, 5), // between rows
        batchGap: fc.constantFrom(0, 0, 24),
      })
      .map((x) => {
        const batchRows = m % x.batch === 0 ? m / x.batch : m;
        const strides = x.transposed && batchRows > 1 ? { strideM: 1, strideK: batchRows } : { strideM: k + x.gap, strideK: 1 };
        return { offset: x.offset, batchRows, strideB: batchRows * (k + (x.transposed ? 0 : x.gap)) + x.batchGap, ...strides };
      });
  const specs: fc.Arbitrary<ProblemSpec> = fc
    .record({ m: fc.integer({ min: 1, max: 40 }), k: fc.integer({ min: 1, max: 100 }), n: fc.integer({ min: 1, max: 70 }) })
    .chain(({ m, k, n }) =>
      fc.record({
        m: fc.constant(m),
        k: fc.constantFrom(k, 8 * Math.ceil(k / 8)),
        n: fc.constantFrom(n, 4 * Math.ceil(n / 4)),
        bits: fc.constantFrom(...BITS),
        dtype: dtypes,
        shift: fc.constantFrom('none', 'offset', 'minimum'),
        codebook: fc.constantFrom<Codebook>('none', 'table', 'e2m1'),
        permuted: fc.constantFrom(false, false, true),
        inputScaled: fc.constantFrom(false, false, true),
        quant: fc.boolean(),
        xDigits: fc.constantFrom(undefined, 1 as const, 2 as const),
        yOffset: fc.constantFrom(0, 0, 4, 5),
        yGap: fc.constantFrom(0, 0, 4),
      }),
    )
    .chain((spec) => fc.record({ spec: fc.constant(spec), x: xViews(spec.m, spec.k), group: fc.constantFrom(0, 32, 16, 8, 40) }))
    .map(({ spec: { shift, yGap, ...spec }, x, group }) => ({
      ...spec,
      x,
      // Rows with gaps are for a y that is whole quads (checkY).
      yPitch: spec.n % 4 === 0 && spec.yOffset % 4 === 0 ? spec.n + yGap : spec.n,
      offset: shift === 'offset',
      minimum: shift === 'minimum',
      group: group < spec.k ? group : 0,
    }));
  /** Those that a kernel is for. */
  const forKernel = ({ tiles, x, before, groups, ...kernel }: Kernel, spec: ProblemSpec): ProblemSpec => {
    const inBlocks = tiles.some((tile) => (groups?.(tile) ?? 'words') !== 'words');
    const taken = codebooksOf(kernel);
    const codebook = taken.find((one) => one === spec.codebook) ?? taken[0]!;
    return {
      ...spec,
      // An x that came quantized is for the kernel that reads codes, and for layers that take its inputs as they are.
      ...(before === 'quantize-rows'
        ? { innerPrecise: 1, ...((spec.permuted || spec.inputScaled) && { xDigits: undefined }) }
        : { xDigits: undefined }),
      ...(x && { dtype: x[0]! }),
      ...(inBlocks && spec.group && { group: spec.k > 32 ? 32 : 0 }),
      codebook,
      ...(codebook !== 'none' && { bits: 4, offset: false, minimum: false }),
    };
  };

  test.each(kernels)('$name: every element of y is made once, from its own row and column', (kernel) => {
    fc.assert(
      fc.property(specs, smallCaps, (spec, change) => {
        const caps: Caps = { ...MATRIX_GPU, ...change, ...(change.software && { minSubgroupSize: 8, maxSubgroupSize: 8 }) };
        const { problem, operands } = problemOf(forKernel(kernel, spec));
        let made: Plan;
        const packed = packedLayout(operands, caps);
        try {
          made = makePlan({ problem, packed, caps }, { force: { kernel: kernel.name } });
        } catch (error) {
          expect(error).toBeInstanceOf(UnsupportedError);
          expect((error as Error).message).toMatch(/max\w+ is \d+|needs the features?/);
          return;
        }
        runPlan({ problem: problem, packed: packed, caps: caps }, made);
        expect(made.main.shader).toBe(kernel.name);
        expect(made.dispatches).toContain(made.main);
        seen.planned++;
        seen.slabs += Number(packed.slabs.length > 1);
        seen.gathered += Number('rows' in made.scratch);
        seen.rounded += Number('sums' in made.scratch);
        seen.chunks += Number(made.dispatches.filter(({ shader }) => shader === kernel.name).length > packed.slabs.length);
        seen.folded += Number(made.dispatches.some(({ workgroups }) => workgroups[1] > 1));
      }),
      { seed: 7, numRuns: 150 },
    );
  });

  test('and the cases were many, of every sort', () => {
    for (const [sort, count] of Object.entries(seen)) expect(count, sort).toBeGreaterThan(30);
  });

  test('a long transposed x is gathered in several windows', () => {
    const caps = { ...GPU, maxStorageBufferBindingSize: 4096 };
    const x = { offset: 1, batchRows: 200, strideB: 200 * 32, strideM: 1, strideK: 200 };
    const { problem, operands } = problemOf({ m: 200, k: 32, n: 8, x });
    const packed = packedLayout(operands, caps);
    const made = makePlan({ problem, packed, caps });
    expect(made.dispatches.filter(({ shader }) => shader === 'gather-rows').length).toBeGreaterThan(2);
    runPlan({ problem: problem, packed: packed, caps: caps }, made);
  });

  test.each<[string, ProblemSpec]>([
    ['a row of x', { m: 2, n: 8, k: 4096 }],
    ['a row of y', { m: 2, n: 4096, k: 8 }],
  ])('%s must fit a window', (_, spec) => {
    const caps = { ...GPU, maxStorageBufferBindingSize: 8192 };
    const { problem, operands } = problemOf(spec);
    const { message } = refusal(() => makePlan({ problem, packed: packedLayout(operands, GPU), caps }));
    expect(message).toMatch(/^y \(2, \d+\) from K = \d+: .*16\d\d\d bytes.*maxStorageBufferBindingSize is 8192/);
  });

  test('no more workgroups than a grid has', () => {
    const { message } = refusal(() =>
      plan({ m: 40, n: 40, k: 8 }, { ...GPU, maxComputeWorkgroupsPerDimension: 6 }, { kernel: 'matmul-plain' }),
    );
    expect(message).toMatch(/^matmul-plain\[.*\]: .*40 workgroups.*maxComputeWorkgroupsPerDimension is 6/);
  });
});

describe('layers side by side', () => {
  const { problem, operands } = problemOf({ m: 3, n: 160, k: 64 });
  const layers = [
    { begin: 0, count: 20, yOffset: 512 },
    { begin: 128, count: 32, yOffset: 64 },
  ];
  const packed = packedLayout(operands, GPU);

  test('one window over all of them, each with its own first element and row length', () => {
    const { main, dispatches } = makePlan({ problem: { ...problem, layers }, packed, caps: GPU });
    expect(dispatches.filter(({ shader }) => shader === main.shader)).toHaveLength(1);
    expect(main.bindings.y).toEqual({ buffer: 'y', offset: 256, size: 4 * (512 + 3 * 20 - 64) });
    const { y_base, y_pitch, part_1, y_base_1, y_pitch_1, part_2, part_3 } = main.uniforms;
    expect({ y_base, y_pitch, part_1, y_base_1, y_pitch_1 }).toEqual({ y_base: 448, y_pitch: 20, part_1: 128, y_base_1: 0, y_pitch_1: 32 });
    expect([part_2, part_3]).toEqual([0xffffffff, 0xffffffff]); // no column is as far
  });

  test('are refused where y cannot be written in place, or takes several windows', () => {
    const odd = [layers[0]!, { ...layers[1]!, yOffset: 63 }];
    expect(refusal(() => makePlan({ problem: { ...problem, layers: odd }, packed, caps: GPU })).message).toMatch(
      /of 2 layers: layers side by side need one window of whole quads/,
    );
    const narrow = { ...GPU, maxStorageBufferBindingSize: 1024 };
    expect(refusal(() => makePlan({ problem: { ...problem, layers }, packed, caps: narrow })).message).toMatch(/of 2 layers/);
  });
});

describe('loads', () => {
  const view = (dtype: View['dtype'], offset: number): View => ({ shape: [], strides: [], dtype, format: 'ND', offset });
  const seen = { loaded: 0, slabs: 0, cut: 0, tiled: 0 };
  const shapes = fc.record({
    n: fc.integer({ min: 1, max: 90 }),
    k: fc.integer({ min: 1, max: 150 }),
    bits: fc.constantFrom(...BITS),
    layout: fc.constantFrom<'NK' | 'KN' | 'NZ of NK' | 'NZ of KN'>('NK', 'KN', 'NZ of NK', 'NZ of KN'),
    scales: fc.constantFrom<'tensor' | 'channel' | 'NG' | 'GN'>('tensor', 'channel', 'NG', 'GN'),
    dtype: dtypes,
    packedScale: fc.boolean(),
    offset: fc.boolean(),
    bias: fc.constantFrom<'none' | 'one' | 'all'>('none', 'one', 'all'),
    quant: fc.constantFrom<'none' | 'float' | 'float+offset' | 'packed' | 'one'>('none', 'float', 'float+offset', 'packed', 'one'),
    first: fc.constantFrom(0, 1, 3, 100),
  });

  test('every code, scale, offset, bias and output scale goes where kernels read it, once', () => {
    fc.assert(
      fc.property(shapes, smallCaps, (shape, change) => {
        const caps: Caps = { ...GPU, ...change };
        // int4 come eight to a word along the axis that is contiguous.
        const { bits, layout, scales, first } = shape;
        const alongK = layout === 'NK' || layout === 'NZ of NK';
        const n = bits === 4 && !alongK ? 8 * Math.ceil(shape.n / 8) : shape.n;
        const k = bits === 4 && alongK ? 8 * Math.ceil(shape.k / 8) : shape.k;
        const grouped = (scales === 'NG' || scales === 'GN') && k > 32;
        const groups = grouped ? Math.ceil(k / 32) : 1;
        const int64 = shape.packedScale && !grouped && scales === 'channel';
        const columns = grouped
          ? scales === 'NG'
            ? { strideG: 1, strideN: groups }
            : { strideG: n, strideN: 1 }
          : { strideG: 0, strideN: scales === 'tensor' ? 0 : 1 };
        const scaleDtype = int64 ? 'int64' : shape.dtype;
        const offsetDtype = int64 ? 'int32' : shape.dtype;
        const biasDtype = shape.dtype === 'bfloat16' ? 'float32' : shape.dtype;
        const nz = layout === 'NZ of NK' ? 1 : layout === 'NZ of KN' ? 2 : 0;
        const operands: Operands = {
          n,
          k,
          bits,
          held: bits,
          mode: grouped ? 'group' : scales === 'tensor' ? 'tensor' : 'channel',
          groupSize: grouped ? 32 : k,
          groups,
          scaleDtype: int64 ? 'float32' : shape.dtype,
          shift: shape.offset ? 'offset' : 'none',
          codebook: 'none',
          permuted: false,
          inputScaled: false,
          biased: shape.bias !== 'none',
          requantized: shape.quant !== 'none',
          // A single column is a run along k either way.
          weight: { nz, ...(alongK || n === 1 ? { strideN: k, strideK: 1 } : { strideN: 1, strideK: n }) },
          scale: { dtype: scaleDtype, ...columns },
          offset: shape.offset ? { dtype: offsetDtype, ...columns } : undefined,
          bias: shape.bias === 'none' ? undefined : { dtype: biasDtype, strideG: 0, strideN: shape.bias === 'one' ? 0 : 1 },
          quant:
            shape.quant === 'none'
              ? undefined
              : { packed: shape.quant === 'packed', stride: shape.quant === 'one' ? 0 : 1, offset: shape.quant === 'float+offset' },
        };
        const views = {
          weight: view(bits === 4 ? 'int32' : 'int8', first),
          antiquantScale: view(scaleDtype, first),
          antiquantOffset: shape.offset ? view(offsetDtype, 2 * first) : undefined,
          bias: operands.bias && view(biasDtype, first),
          quantScale: operands.quant && view(shape.quant === 'packed' ? 'int64' : 'float32', first),
          quantOffset: shape.quant === 'float+offset' ? view('float32', first + 1) : undefined,
        };
        const width = bits === 4 ? 64 : 32;
        const [rows, across] = alongK ? [n, k] : [k, n];
        const codes = nz === 0 ? n * k : Math.ceil(across / width) * Math.ceil(rows / 16) * 16 * width;
        const columnCount = scales === 'tensor' && !grouped ? 1 : groups * n;
        const lengths = {
          weight: bits === 4 ? codes / 8 : codes,
          antiquantScale: columnCount,
          antiquantOffset: columnCount,
          bias: shape.bias === 'one' ? 1 : n,
          quantScale: shape.quant === 'one' ? 1 : n,
          quantOffset: n,
        };
        const packed = packedLayout(operands, caps);
        let dispatches: ReturnType<typeof loadSteps>;
        try {
          dispatches = loadSteps({ operands, packed, caps }, views);
        } catch (error) {
          expect(error).toBeInstanceOf(UnsupportedError);
          expect((error as Error).message).toMatch(/max\w+ is \d+|needs the features?/);
          return;
        }
        runLoad({ operands, packed, caps }, { views, lengths }, dispatches);
        seen.loaded++;
        seen.slabs += Number(packed.slabs.length > 1);
        seen.cut += Number(dispatches.filter(({ shader }) => shader === 'repack').length > packed.slabs.length);
        seen.tiled += Number(nz > 0);
      }),
      { seed: 3, numRuns: 600 },
    );
    for (const [sort, count] of Object.entries(seen)) expect(count, sort).toBeGreaterThan(30);
  });

  test.each([
    ['float32', 2048],
    ['float16', 1024],
  ] as const)('scales (G, N) longer than a binding are read some groups at a time: %s', (dtype, limit) => {
    const caps = { ...GPU, maxStorageBufferBindingSize: limit, minStorageBufferOffsetAlignment: 32 };
    const { operands: base } = problemOf({ m: 1, n: 80, k: 248, bits: 8, group: 32, dtype });
    const columns = { dtype, strideG: 80, strideN: 1 };
    const operands: Operands = { ...base, shift: 'offset', scale: columns, offset: columns };
    const views = { weight: view('int8', 0), antiquantScale: view(dtype, 5), antiquantOffset: view(dtype, 0) };
    const packed = packedLayout(operands, caps);
    const dispatches = loadSteps({ operands, packed, caps }, views);
    expect(dispatches.filter(({ bindings }) => bindings.out?.buffer === 'scale0').length).toBeGreaterThan(1);
    runLoad({ operands, packed, caps }, { views, lengths: { weight: 80 * 248, antiquantScale: 640, antiquantOffset: 640 } }, dispatches);
  });

  test('a row of scales (G, N) must fit a window', () => {
    const caps = { ...GPU, maxStorageBufferBindingSize: 2048, minStorageBufferOffsetAlignment: 32 };
    const { operands: base } = problemOf({ m: 1, n: 508, k: 64, bits: 8, group: 32 });
    const operands: Operands = { ...base, scale: { dtype: 'float32', strideG: 508, strideN: 1 } };
    const packed = packedLayout(operands, caps);
    const views = { weight: view('int8', 0), antiquantScale: view('float32', 0) };
    expect(refusal(() => loadSteps({ operands, packed, caps }, views)).message).toMatch(
      /^antiquantScale: .*20\d\d bytes.*BindingSize is 2048/,
    );
  });
});
