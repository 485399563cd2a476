// Tuning: the measured candidates, the choice from times, plans with measured choices and disabled variants, and stored records.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { kernels } from '../../src/kernels/index.js';
import { variantId } from '../../src/kernels/kernel.js';
import { type Findings, NO_FINDINGS, problemClass, type Tuned } from '../../src/plan/findings.js';
import { packedLayout } from '../../src/plan/packed-layout.js';
import { makePlan } from '../../src/plan/plan.js';
import { PRECISE } from '../../src/problem/accuracy.js';
import type { Caps } from '../../src/problem/caps.js';
import { candidates, MOST_CANDIDATES } from '../../src/tuning/candidates.js';
import { decide, survivors } from '../../src/tuning/decide.js';
import { parseRecords, storeKey } from '../../src/tuning/records.js';
import { defaultStore, fileStore } from '../../src/tuning/stores.js';
import { VERSION } from '../../src/version.js';
import { sources } from '../../src/wgsl/sources.js';
import { GPU, LAVAPIPE, type ProblemSpec, problemOf, SWIFTSHADER } from '../support/problems.js';

const SHAPE = { n: 256, k: 512, group: 32 };
const of = (m: number, caps: Caps, change: Partial<ProblemSpec> = {}) => {
  const { problem, operands } = problemOf({ ...SHAPE, m, ...change });
  return { problem, packed: packedLayout(operands, caps) };
};
const plan = (m: number, caps: Caps, findings: Partial<Findings>) => {
  const { problem, packed } = of(m, caps);
  return makePlan({ problem, packed, caps }, { findings: { ...NO_FINDINGS, ...findings } });
};
const idOf = ({ kernel, params }: { readonly kernel: string; readonly params: Readonly<Record<string, number>> }) =>
  variantId(kernel, params);

describe('candidates', () => {
  test.each([
    ['GPU', GPU],
    ['lavapipe', LAVAPIPE],
    ['SwiftShader', SWIFTSHADER],
  ] as const)('%s: the planner’s own first, each once, not many, all as asked for', (_, caps) => {
    for (const m of [1, 2, 4, 16, 100, 512]) {
      const { problem, packed } = of(m, caps);
      const all = candidates({ problem, packed, caps });
      expect(idOf(all[0]!.plan)).toBe(idOf(plan(m, caps, {})));
      expect(all.length).toBeGreaterThan(1);
      expect(all.length).toBeLessThanOrEqual(MOST_CANDIDATES);
      expect(new Set(all.map((one) => idOf(one.plan))).size).toBe(all.length);
      for (const { kernel, tile, plan } of all) expect([plan.kernel, plan.params]).toEqual([kernel, { ...plan.params, ...tile }]);
    }
  });
  test('none is disabled, none less exact than the layer allows', () => {
    const { problem, packed } = of(4, GPU);
    const [own, second] = candidates({ problem, packed, caps: GPU }).map((one) => idOf(one.plan));
    const without = candidates({ problem, packed, caps: GPU }, { ...NO_FINDINGS, disabled: new Map([[own!, 'broken']]) });
    expect(without.map((one) => idOf(one.plan))).not.toContain(own);
    expect(idOf(without[0]!.plan)).toBe(idOf(plan(4, GPU, { disabled: new Map([[own!, 'broken']]) })));
    // A kernel that rounds x is only for innerPrecise 1.
    const kernel = kernels.find(({ name }) => second!.startsWith(name))!;
    const rounding = { ...PRECISE, xStep: 1 / 254, xRun: 32 };
    Object.assign(kernel, { accuracy: () => rounding });
    try {
      const names = (innerPrecise: number) =>
        candidates({ problem: { ...problem, innerPrecise }, packed, caps: GPU })
          .slice(1)
          .map((one) => one.kernel);
      expect(names(0)).not.toContain(kernel.name);
      expect(names(1)).toContain(kernel.name);
    } finally {
      delete (kernel as { accuracy?: unknown }).accuracy;
    }
  });
});

describe('the decision', () => {
  test('takes what is faster by more than noise, by ratios within rounds', () => {
    expect(
      decide([
        [10, 20, 10],
        [5, 10, 5],
      ]),
    ).toEqual({ index: 1, ratio: 0.5 }); // prettier-ignore
    expect(
      decide([
        [10, 20, 10],
        [9.8, 19.6, 9.8],
      ]),
    ).toEqual({ index: 0, ratio: 1 });
    expect(
      decide([
        [10, 10, 10, 10],
        [5, 5, 12, 12],
        [9, 9, 9, 9],
      ]),
    ).toEqual({ index: 2, ratio: 0.9 });
    expect(
      decide([
        [10, 10, 10],
        [8, 8, 8],
        [7, 7, 7],
      ]),
    ).toEqual({ index: 2, ratio: 0.7 });
  });
  test('says nothing after too few rounds, nor of what was dropped', () => {
    expect(decide([[10, 10]])).toBeUndefined();
    expect(decide([[]])).toBeUndefined();
    expect(decide([[10, 10, 10], [1]])).toEqual({ index: 0, ratio: 1 });
  });
  test('drops the hopeless, never the first', () => {
    expect(survivors([[40], [10], [14], [16]], [0, 1, 2, 3])).toEqual([0, 1, 2]);
  });
});

describe('a plan', () => {
  const entry = (kernel: string, tile: Tuned['tile'], ratio = 0.41): Tuned => ({ kernel, tile, ratio, candidates: 7, date: '2026-11-24' });
  const tuned = (one: Tuned, m = 3) => new Map([[problemClass(of(m, GPU).problem, GPU), one]]);
  const tiled = entry('matmul-tiled', { ROWS: 2 });

  test('takes what was measured, for rows up to the same power of two, and says so', () => {
    const { kernel, params, verdicts } = plan(3, GPU, { tuned: tuned(tiled) });
    expect([kernel, params.ROWS]).toEqual(['matmul-tiled', 2]);
    expect(verdicts).toEqual([
      { kernel: 'matmul-tiled', verdict: 'tuned', reason: "0.41 of the default's time, measured on 2026-11-24 among 7 candidates" },
    ]);
    expect([4, 5, 2].map((m) => plan(m, GPU, { tuned: tuned(tiled) }).kernel)).toEqual(['matmul-tiled', 'matmul-prefill', 'matmul-decode']);
    expect(
      [513, 5000].map((m) => plan(m, GPU, { tuned: tuned(entry('matmul-rows', { ROWS: 4, LOADS: 2, LANES: 16 }), 700) }).kernel),
    ).toEqual(['matmul-rows', 'matmul-rows']); // prettier-ignore
  });
  test('keeps its own choice where nothing was faster, and says so', () => {
    const { kernel, verdicts } = plan(3, GPU, { tuned: tuned(entry('matmul-rows', {}, 1)) });
    expect(kernel).toBe('matmul-decode');
    expect(verdicts.at(-1)).toMatchObject({
      verdict: 'tuned',
      reason: expect.stringMatching(/; none of 7 candidates was faster on 2026-11-24$/),
    });
  });
  test('does not believe what it cannot do, what is unknown or disabled, or what is asked for otherwise', () => {
    const own = idOf(plan(3, GPU, {}));
    for (const one of [
      entry('matmul-magic', {}),
      entry('matmul-table', { ROWS: 1, LANES: 64, TRICK: 0 }), // today matmul-codebook
      entry('matmul-decode', { ROWS: 4, LANES: 64, SLICES: 4, STEP: 1, TRICK: 0 }), // today UNROLL
      entry('matmul-tiled', { ROWS: 3 }),
      entry('matmul-rows', { ROWS: 8, LOADS: 4, LANES: 64 }),
    ])
      expect(idOf(plan(3, GPU, { tuned: tuned(one) }))).toBe(own);
    const id = idOf(plan(3, GPU, { tuned: tuned(tiled) }));
    expect(idOf(plan(3, GPU, { tuned: tuned(tiled), disabled: new Map([[id, 'broken']]) }))).toBe(own);
    const { problem, packed } = of(3, GPU);
    expect(
      makePlan({ problem, packed, caps: GPU }, { force: { kernel: 'matmul-plain' }, findings: { ...NO_FINDINGS, tuned: tuned(tiled) } })
        .kernel,
    ).toBe('matmul-plain');
    for (const change of [
      { permuted: true },
      { inputScaled: true },
      { codebook: 'table' },
      { shift: 'minimum' },
      { scaleDtype: 'bfloat16' },
    ] as const)
      expect(problemClass({ ...problem, ...change }, GPU)).not.toBe(problemClass(problem, GPU));
    expect(problemClass({ ...problem, innerPrecise: 1 }, GPU)).not.toBe(problemClass(problem, GPU));
    expect(problemClass(problem, { ...GPU, subgroups: false })).not.toBe(problemClass(problem, GPU));
  });
  test('skips disabled variants; with none left it names them', () => {
    const disabled = new Map<string, string>();
    const seen: string[] = [];
    for (let i = 0; i < kernels.length; i++) {
      let next: ReturnType<typeof plan>;
      try {
        next = plan(3, GPU, { disabled });
      } catch (error) {
        expect(String(error)).toMatch(/matmul-plain: failed/);
        break;
      }
      seen.push(next.kernel);
      disabled.set(idOf(next), 'failed');
    }
    expect(seen).toContain('matmul-plain');
    expect(new Set(seen).size).toBe(seen.length);
  });
});

describe('what is kept', () => {
  const home = mkdtempSync(join(tmpdir(), 'antiquant-store-'));
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(home, { recursive: true, force: true });
  });

  test('the version is the package’s', () => {
    expect(VERSION).toBe(JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')).version);
  });
  test('the key names version, kernels and adapter, and changes with any line of shaders/ that runs, not with a comment', () => {
    const key = storeKey('mesa llvmpipe');
    expect(key).toMatch(new RegExp(`^antiquant ${VERSION} [0-9a-f]{16} mesa llvmpipe$`));
    const texts = sources as Record<string, string>;
    const before = texts['lib/weights.wgsl']!;
    try {
      texts['lib/weights.wgsl'] = `${before}fn unused() {}\n`;
      expect(storeKey('mesa llvmpipe')).not.toBe(key);
      texts['lib/weights.wgsl'] = before.replace('\n', ' // a remark\n');
      expect(storeKey('mesa llvmpipe')).toBe(key);
    } finally {
      texts['lib/weights.wgsl'] = before;
    }
    // A file or a tile under another name: what was stored for the old one is never met.
    delete texts['lib/weights.wgsl'];
    texts['lib/codes.wgsl'] = before;
    try {
      expect(storeKey('mesa llvmpipe')).not.toBe(key);
    } finally {
      delete texts['lib/codes.wgsl'];
      texts['lib/weights.wgsl'] = before;
    }
    const [kernel] = kernels as unknown as [{ tiles: unknown }];
    const { tiles } = kernel;
    kernel.tiles = [{ OTHER: 1 }];
    try {
      expect(storeKey('mesa llvmpipe')).not.toBe(key);
    } finally {
      kernel.tiles = tiles;
    }
    expect(storeKey('mesa llvmpipe')).toBe(key);
  });
  test('of a foreign or broken value only what is sound', () => {
    const sound: Tuned = { kernel: 'a', tile: { ROWS: 1 }, ratio: 0.5, candidates: 2, date: '2026-11-24' };
    expect(parseRecords({ a: sound, b: { ...sound, ratio: 'x' }, c: null, d: { ...sound, tile: { ROWS: '1' } }, e: 3 })).toEqual({
      a: sound,
    });
    for (const value of [undefined, null, 3, 'x', [sound], new Map()]) expect(parseRecords(value)).toEqual({});
  });
  test('in a file under $XDG_CACHE_HOME, written whole; a corrupt one is as good as none', async () => {
    vi.stubEnv('XDG_CACHE_HOME', home);
    const store = defaultStore()!;
    expect(await store.get('a')).toBeUndefined();
    await store.set('a', { x: 1 });
    await store.set('b', [2]);
    expect([await store.get('a'), await fileStore().get('b')]).toEqual([{ x: 1 }, [2]]);
    const file = join(home, 'antiquant', 'tuning.json');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ a: { x: 1 }, b: [2] });
    writeFileSync(file, '{"a": {"x"');
    expect(await store.get('a')).toBeUndefined();
    await store.set('c', 3);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ c: 3 });
  });
});
