// matmul-subgroup-matrix without subgroup matrices: its three matrix operations are replaced by plain WGSL, so that all other parts run
// (tiles, offsets, barriers, groups, edges), but not a matrix unit. Where an adapter has subgroup matrices, the case table runs the kernel.
import { afterAll, describe, expect, test } from 'vitest';
import { requestDevice } from '../../src/index.js';
import { matmulSubgroupMatrix } from '../../src/kernels/matmul-subgroup-matrix.js';
import type { Caps } from '../../src/problem/caps.js';
import type { Params } from '../../src/wgsl/preprocess.js';
import { sources } from '../../src/wgsl/sources.js';
import { type Case, makeCase } from '../cases/cases.js';
import { valuesOf } from '../cases/engines.js';
import { runCase } from '../cases/run-case.js';
import { sliced } from '../cases/slice.js';
import { gpu } from '../support/dawn.js';

const FILE = 'matmul-subgroup-matrix.wgsl';
const original = sources[FILE]!;

function replaced(text: string, from: string | RegExp, to: string): string {
  const result = text.replace(from, to);
  expect(result, `${from} is no longer in shaders/${FILE}`).not.toBe(text);
  return result;
}

/**
 * A matrix of x or w is where it was loaded from, because its tile stays until it has been multiplied; one of y is dealt out to the
 * lanes. Subgroups are `width` neighbouring lanes, whatever the device's own are.
 */
function written(text: string, width: number): string {
  const swaps: readonly (readonly [string | RegExp, string])[] = [
    ['enable chromium_experimental_subgroup_matrix;\n', ''],
    [/alias Left = .*\n/, 'struct Left { at: u32, pitch: u32 }\n'],
    [/alias Right = .*\n/, 'struct Right { at: u32, pitch: u32 }\n'],
    [/alias Result = .*\n/, `alias Result = array<f32, M_SIZE * N_SIZE / ${width}u>;\nvar<private> lane: u32;\n`],
    [/subgroupMatrixLoad<(Left|Right), \w+>\(&\w+, /g, '$1('],
    [/subgroupMatrixMultiplyAccumulate/g, 'multiply'],
    [/subgroupMatrixStore<row_major>\(&sums, /g, 'put('],
    [/,\n\s*@builtin\(subgroup_id\) subgroup: u32/, ''],
    [/\n\) \{\n {2}let tile/, `\n) {\n  let subgroup = index / ${width}u;\n  lane = index % ${width}u;\n  let tile`],
    [
      /@compute/,
      `fn multiply(left: Left, right: Right, sum: Result) -> Result {
        var result = sum;
        for (var i = 0u; i < M_SIZE * N_SIZE / ${width}u; i++) {
          let e = i * ${width}u + lane;
          for (var k = 0u; k < K_SIZE; k++) {
            result[i] += f32(x_tile[left.at + e / N_SIZE * left.pitch + k]) * f32(w_tile[right.at + e % N_SIZE * right.pitch + k]);
          }
        }
        return result;
      }
      fn put(at: u32, matrix: Result, pitch: u32) {
        for (var i = 0u; i < M_SIZE * N_SIZE / ${width}u; i++) {
          let e = i * ${width}u + lane;
          sums[at + e / N_SIZE * pitch + e % N_SIZE] = matrix[i];
        }
      }
      @compute`,
    ],
  ];
  const code = swaps.reduce((whole, [from, to]) => replaced(whole, from, to), text);
  // A software adapter would unroll all loops into each other and compile for seconds; this factor is 1, which it does not know.
  return replaced(code, /; (\w+ < [^;&]+); (\w+\+\+|k \+= K_SIZE)\)/g, '; $1 * min(params.m, 1u); $2)');
}

const pretend = (tile: Params, width: number): Partial<Caps> => ({
  subgroupMatrix: [{ componentType: 'f16', resultComponentType: 'f32', M: tile.M_SIZE!, N: tile.N_SIZE!, K: tile.K_SIZE! }],
  maxSubgroupSize: width,
});
const G32 = { mode: 'group', groupSize: 32 } as const;
const matrixCase = (change: Partial<Case>, tile: Params, width: number): Case =>
  makeCase({
    m: 70,
    k: 96,
    n: 84,
    dtype: 'float16',
    ...G32,
    data: 'exact',
    ...change,
    force: { kernel: 'matmul-subgroup-matrix', tile },
    caps: pretend(tile, width),
  });

/** As wide as the tile has them, and half: then the second half of them only fills tiles and adds. */
const WIDTHS = [64, 32];
const [square] = matmulSubgroupMatrix.tiles as readonly [Params];
const all: readonly (readonly [number, Case])[] = [
  ...matmulSubgroupMatrix.tiles.flatMap((tile) =>
    WIDTHS.filter((width) => 4 * width <= tile.LANES!).map((width, i) => {
      const change = (tile.M_SIZE! + tile.N_SIZE!) % 16 === i ? ({ bits: 4, k: 200 } as const) : ({ bits: 8, k: 180, bias: true } as const);
      return [width, matrixCase({ ...change, offset: width === 32 }, tile, width)] as const;
    }),
  ),
  ...(
    [
      { m: 1, n: 4, k: 8, mode: 'channel', groupSize: 0 },
      { m: 64, n: 64, k: 32, bits: 8, mode: 'channel', groupSize: 0 },
      { m: 33, n: 20, k: 72, mode: 'channel', groupSize: 0, offset: true },
      { k: 256, mode: 'group', groupSize: 128, offset: true, data: 'random' },
      { k: 320, mode: 'group', groupSize: 96, data: 'random' },
      { k: 1024, bits: 8, mode: 'tensor', groupSize: 0, data: 'random' },
      { bits: 8, k: 77, n: 13, yOffset: 3, offset: true, bias: true },
      { x: 'transposed' },
      { quant: 'float32+offset', bits: 8, bias: true },
      { m: 9, n: 24, data: 'special', offset: true, bias: true },
      { m: 9, n: 24, data: 'special', bits: 8 },
    ] as const
  ).map((change) => [32, matrixCase(change, square, 32)] as const),
];
const cases = sliced(all, ([width, c]) => ({ ...valuesOf(c), width, tile: JSON.stringify(c.force?.tile) }));

describe('with its matrix operations written out', async () => {
  const device = await requestDevice({ gpu });
  const own = sources as Record<string, string>;
  afterAll(() => {
    own[FILE] = original;
  });
  // Pipelines are cached by the variant's id, so each width of subgroups gets another device.
  const devices = new Map([...WIDTHS].map((width) => [width, width === 32 ? Promise.resolve(device) : requestDevice({ gpu })]));
  test.each(cases.map(([width, c]) => [`subgroups of ${width}: ${c.name}`, width, c] as const))('%s', async (_, width, c) => {
    own[FILE] = written(original, width);
    const report = await runCase((await devices.get(width))!, c);
    expect(report.failures).toEqual([]);
    expect(report.variants.some((id) => id.startsWith('matmul-subgroup-matrix['))).toBe(true);
  });
});
