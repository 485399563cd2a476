// Every barrier of shaders/llm is needed, and no two lanes of a workgroup access the same address between two barriers. test/unit/races.test.ts
// says what the tool can see, and what it cannot. llm/pick folds by functions with arguments of each lane's, which it gets wrong.
import { describe, expect, test } from 'vitest';
import { detectRaces } from 'wgsl_reflect/wgsl_reflect.module.js';
import { addLlmShaders, llmShaders, uniformsOf } from '../../src/llm-kernels/shaders.js';
import type { Params } from '../../src/wgsl/preprocess.js';
import { readable, variantText } from '../support/problems.js';

addLlmShaders();

interface Case {
  readonly name: string;
  readonly params: Params;
  readonly values: Readonly<Record<string, number>>;
  readonly now: readonly number[];
  /** The same with fewer positions, for texts without a barrier. */
  readonly fewer?: readonly number[];
  /** Bytes of each buffer. */
  readonly sizes: Readonly<Record<string, number>>;
  /** What others stand for in the text: a smaller tile, so that there are two; a function of each lane's, which the tool gets wrong. */
  readonly replaced?: readonly (readonly [from: string, to: string])[];
  /** Workgroup memory that meets each barrier: what races without it. */
  readonly barriers: readonly (readonly string[])[];
}

const heads = {
  ...{ heads: 2, group: 1, capacity: 262, quads: 8, parts: 8, slices: 8, splits: 1, rotary: 32, low_base: 0, high_base: 4096 },
  ...{ width: 32, pairs: 16, window: 300 },
};
const cache = { k_cache: 262 * 2 * 128, v_cache: 262 * 2 * 128 };
/** Those of llm/keys.wgsl, in their order in the text. */
const OF_KEYS = [['scores'], ['part_tops'], ['tops'], ['scores'], ['scores'], ['part_tops', 'scores']];
const CASES: readonly Case[] = [
  {
    name: 'llm/attend',
    params: { E: 32, KV: 0, ROPE: 0, NORM: 1, PAD: 0, SINKS: 0, QUERIES: 1, LANES: 64, SPLIT: 0 },
    values: { ...heads, scale: 1, epsilon: 1 },
    now: [1, 258, 1],
    fewer: [1, 10, 1],
    sizes: { qkv: 6 * 128, angles: 8 * 16 * 258, ...cache, att: 2 * 128, norms: 256 },
    replaced: [
      ['const TILE = 2048u;', 'const TILE = 256u;'],
      ['other_quad(quad)', 'quad'],
    ],
    barriers: [...OF_KEYS, ['queries'], ['factors', 'queries'], ['queries'], ['queries']],
  },
  {
    name: 'llm/attend-rows',
    params: { E: 32, KV: 0, SINKS: 0, QUERIES: 2, LANES: 64 },
    values: heads,
    now: [1, 10, 2],
    sizes: { q: 4 * 128, ...cache, att: 4 * 128 },
    barriers: [...OF_KEYS, ['queries']],
  },
  {
    name: 'llm/rope-rows',
    params: { E: 32, KV: 0, ROPE: 0, NORM: 1, PAD: 0 },
    values: { ...heads, scale: 1, epsilon: 1 },
    now: [1, 0, 4],
    sizes: { qkv: 4 * 6 * 128, angles: 8 * 16 * 258, ...cache, q: 4 * 2 * 128, norms: 256 },
    barriers: [['squares']],
  },
  {
    name: 'llm/rms-rows',
    params: {},
    values: { quads: 70, lanes: 64, epsilon: 1 },
    now: [1, 0, 1],
    sizes: { x: 1120, weight: 1120, y: 1120 },
    barriers: [['sums']],
  },
  {
    name: 'llm/route',
    params: { SORTED: 0 },
    values: { quads: 9, lanes: 4, experts: 9, top: 3, parts: 64, epsilon: 1, scale: 1 },
    now: [1, 0, 1],
    sizes: { x: 144, weight: 144, router: 9 * 144 + 48, h: 144, ids: 12, weights: 12 },
    barriers: [['squares'], ['h'], ['sums'], ['logits'], ['broken']], // and what is chosen, by a function of each lane's
  },
  {
    name: 'llm/norm-add',
    params: {},
    values: { quads: 70, lanes: 64, epsilon: 1, scale: 2 },
    now: [1, 0, 1],
    sizes: { h: 1120, x: 1120, weight: 1120, next: 1120 },
    barriers: [['sums'], ['next_sums']],
  },
];

function run({ name, params, values, sizes }: Case, code: string, now: readonly number[]) {
  const shader = llmShaders.find((one) => one.name === name)!;
  const buffers = Object.fromEntries(
    shader.bindings
      .filter(({ when }) => when?.(params) ?? true)
      .map(({ name: of, binding, access }) => {
        if (of === 'params') return [binding, { uniform: uniformsOf(shader, values) }];
        if (of !== 'now') return [binding, new ArrayBuffer(sizes[of]!)];
        return [binding, access === 'uniform' ? { uniform: Uint32Array.from(now).buffer } : Uint32Array.from(now).buffer];
      }),
  );
  return detectRaces(readable(code), 'main', [1, 1, 1], { 0: buffers });
}

describe.each(CASES)('$name', (one) => {
  const { code: text } = variantText(one.name, one.params);
  const code = (one.replaced ?? []).reduce((now, [from, to]) => now.replace(from, to), text);
  test('has no race', () => {
    for (const [from] of one.replaced ?? []) expect(text.split(from)).toHaveLength(2); // or the test has lost its object
    const { races, errors } = run(one, code, one.now);
    expect({ races: races.slice(0, 3), errors }).toEqual({ races: [], errors: [] });
  });
  test('has one without any of its barriers', () => {
    const lines = code.split('\n');
    const barriers = lines.flatMap((line, i) => (/(workgroup|storage)Barrier\(\)/.test(line) ? [i] : []));
    const found = barriers.map((at) => {
      const { races } = run(one, lines.filter((_, i) => i !== at).join('\n'), one.fewer ?? one.now);
      return [...new Set(races.map(({ bufferId }) => bufferId))].sort();
    });
    expect(found).toEqual(one.barriers);
  });
});
