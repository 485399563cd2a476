// The plan of a token and of prompts, the buffers, the chunks and the growth of the cache, as data.
import { describe, expect, test } from 'vitest';
import type { ArchitectureName } from '../../../src/llm/architectures.js';
import { cacheBytes } from '../../../src/llm-kernels/attention.js';
import { expertLayout } from '../../../src/plan/expert-layout.js';
import { makePlan } from '../../../src/plan/plan.js';
import {
  bufferSizes,
  CLASSES,
  cacheSizes,
  cacheTotal,
  capacityFor,
  chunksOf,
  codesBytes,
  codesOf,
  growth,
  headsOf,
  INTEGER_CLASSES,
  keeps,
  slotsOf,
  twinOffset,
} from '../../../src/sequence/memory.js';
import { headSteps, type PlanStep, promptSteps, rowSteps, tokenSteps } from '../../../src/sequence/step-plan.js';
import { GPU, LAVAPIPE } from '../../support/devices.js';
import { modelConfig } from '../../support/model-file.js';
import { problemOf } from '../../support/problems.js';

const L = 3;
const ARCHITECTURES = ['llama', 'qwen2', 'qwen3', 'smollm3', 'phi3'] as const;
const planning = (architecture: ArchitectureName, caps = GPU, capacity = 1024) =>
  ({ config: modelConfig({ architecture }), kv: 'f16', capacity, caps }) as const;

/** What a step needs, and where it puts what it makes. */
function nameOf(step: PlanStep): string {
  if ('gather' in step) return 'gather';
  if ('sort' in step) return 'sort';
  if ('dispatch' in step) return step.dispatch.shader.name;
  return ('product' in step ? step.product : step.experts).split('.')[0]!;
}

describe.each(ARCHITECTURES)('%s', (architecture) => {
  test('a token takes five steps a layer, and three more', () => {
    const steps = tokenSteps(planning(architecture));
    expect(steps.length).toBe(5 * L + 3); // and its choice
    const layer = ['qkv', 'llm/attend', 'o', 'gateUp', 'down'];
    expect(steps.map(nameOf)).toEqual(['gather', 'llm/rms-rows', ...layer, ...layer, ...layer, 'head']);
    // Whoever reads the twin takes the factor of the norm, and nobody else; a twin is left before it is read.
    const products = steps.filter((step) => 'product' in step);
    for (const { x, scaled } of products) expect(scaled).toBe(x === 'twin' ? true : undefined);
    for (const { product, twin, add } of products) {
      const residual = /^(o|down)\./.test(product);
      expect([twin, add]).toEqual(residual ? [true, true] : [undefined, undefined]);
    }
  });

  test('where norms are dispatches it takes two more a layer', () => {
    const steps = tokenSteps(planning(architecture, LAVAPIPE));
    expect(steps.length).toBe(7 * L + 3);
    expect(steps.every((step) => !('product' in step) || (!step.twin && !step.scaled && step.x !== 'twin'))).toBe(true);
  });

  test('beyond 2,048 positions splits are joined, one dispatch more a layer', () => {
    const steps = tokenSteps(planning(architecture, GPU, 4096));
    expect(steps.length).toBe(6 * L + 3);
    expect(steps.map(nameOf).filter((name) => name === 'llm/attend-join').length).toBe(L);
    expect(cacheSizes(modelConfig({ architecture }), 'f16', 2048).parts).toBe(0);
    expect(cacheSizes(modelConfig({ architecture }), 'f16', 4096).parts).toBe(4 * 8 * 8 * 34); // splits, heads, sums with total and top
  });

  test('a gate and an up of two products take one step more', () => {
    const apart = new Set([1]);
    for (const caps of [GPU, LAVAPIPE]) {
      const plain = planning(architecture, caps);
      const names = tokenSteps({ ...plain, apart }).map(nameOf);
      const want = tokenSteps(plain).map(nameOf);
      const second = want.indexOf('gateUp', want.indexOf('gateUp') + 1);
      expect(names).toEqual([...want.slice(0, second), 'gateAndUp', 'llm/glu-rows', ...want.slice(second + 1)]);
      const rows = promptSteps({ ...plain, apart }, 16);
      expect(rows.length).toBe(promptSteps(plain, 16).length + 1);
      expect(rows.find((step) => 'dispatch' in step && step.dispatch.shader.name === 'llm/glu-rows')).toMatchObject({
        dispatch: { bytes: { act: 4 * 16 * plain.config.feedForward } },
      });
      const { up, act } = bufferSizes(plain.config, 64, true);
      expect(up).toBe(act);
    }
    expect('up' in bufferSizes(planning(architecture).config, 64)).toBe(false);
  });

  test('a row of a prompt takes the steps of a token, but for its id and the head', () => {
    for (const caps of [GPU, LAVAPIPE]) {
      const steps = rowSteps(planning(architecture, caps));
      const token = tokenSteps(planning(architecture, caps));
      expect(steps[0]).toEqual({ gather: 'embedding', ids: 'ids', y: 'x' });
      expect(steps.slice(1).map(nameOf)).toEqual(token.slice(1, steps.length).map(nameOf));
      expect(token.slice(steps.length).map(nameOf)).toEqual(caps.software ? ['llm/rms-rows', 'head'] : ['head']);
    }
  });

  test('rows of a prompt take eight steps a layer, and their head two', () => {
    for (const rows of CLASSES.slice(1)) expect(promptSteps(planning(architecture), rows).length).toBe(8 * L + 1);
    expect(headSteps(modelConfig({ architecture }), GPU).length).toBe(2);
  });
});

describe('with experts', () => {
  const architecture = 'qwen3moe';
  const layer = ['qkv', 'llm/attend', 'o', 'llm/route', 'gateUp', 'down'];
  test('a token takes six steps a layer, and three more', () => {
    const steps = tokenSteps(planning(architecture));
    expect(steps.length).toBe(6 * L + 3); // and its choice
    expect(steps.map(nameOf)).toEqual(['gather', 'llm/rms-rows', ...layer, ...layer, ...layer, 'head']);
    // The route norms what it reads; behind down a norm is a twin.
    for (const step of steps) {
      if ('product' in step) expect([step.twin, step.scaled]).toEqual([undefined, step.x === 'twin' ? true : undefined]);
      if ('experts' in step) {
        const { summed, twin } = step;
        expect([summed, twin]).toEqual(step.experts.startsWith('down') ? [true, true] : [undefined, undefined]);
      }
    }
  });
  test('each of them is one dispatch on a GPU: gate and up of all experts, down with its sum', () => {
    const { width, feedForward, experts } = modelConfig({ architecture });
    const { count, top } = experts!;
    const dispatches = (n: number, k: number, more: object) => {
      const { problem } = problemOf({ m: top, n, k, bits: 4, dtype: 'float32', group: 32 });
      const ofPairs = { count, perRow: 1, ids: undefined, ...more };
      const asked = { ...problem, adds: 'summed' in more, experts: ofPairs };
      return makePlan({ problem: asked, packed: expertLayout(problem.weights, count, GPU).packed, caps: GPU }).dispatches.length;
    };
    expect(dispatches(2 * feedForward, width, {})).toBe(1);
    expect(dispatches(width, feedForward, { summed: { top, weights: 0, by: 'rows' } })).toBe(1);
  });
  test('where norms are dispatches it takes another before q, k and v', () => {
    const steps = tokenSteps(planning(architecture, LAVAPIPE));
    expect(steps.length).toBe(7 * L + 3);
    expect(steps.every((step) => !('twin' in step))).toBe(true);
  });
  test('rows of a prompt take nine steps a layer', () => {
    const [first, ...rest] = promptSteps(planning(architecture), 16).map(nameOf);
    const rows = ['llm/rms-rows', 'qkv', 'llm/rope-rows', 'llm/attend-rows', 'o', 'llm/route', 'sort', 'gateUp', 'down'];
    expect([first, ...rest]).toEqual(['gather', ...rows, ...rows, ...rows]);
  });
});

describe.each([...ARCHITECTURES, 'gemma2', 'gemma3', 'qwen3moe', 'gpt-oss'] as const)('%s', (architecture) => {
  test('a kernel has at most eight storage buffers, of names that there are, and of their size', () => {
    const config = modelConfig({ architecture, rope: { base: 1e6 } });
    const context = 1024;
    const norms = ['attentionNorm', 'feedForwardNorm', ...(config.postNorms ? ['postAttentionNorm', 'postFeedForwardNorm'] : [])];
    const vectors = ['outputNorm', ...Array.from({ length: L }, (_, i) => norms.map((name) => `${name}.${i}`)).flat()];
    const cache = Array.from({ length: L }, (_, i) => ({ i, ...cacheSizes(config, 'f16', context, i) }));
    const sizes: Record<string, number> = {
      ...bufferSizes(config, context),
      ...Object.fromEntries(vectors.map((name) => [name, 4 * config.width])),
      ...Object.fromEntries(cache.flatMap(({ i, k, v }) => [[`k.${i}`, k] as const, [`v.${i}`, v] as const])),
      ...Object.fromEntries(Array.from({ length: L }, (_, i) => [`router.${i}`, 4 * (config.experts?.count ?? 0) * (config.width + 1)])), // eight
      ...Object.fromEntries(Array.from({ length: L }, (_, i) => [`sinks.${i}`, config.sinks ? 4 * config.heads : 0])),
      ...Object.fromEntries(Array.from({ length: L }, (_, i) => [`norms.${i}`, config.qkNorms ? 8 * config.headWidth : 0])),
    };
    let seen = 0;
    for (const caps of [GPU, LAVAPIPE])
      for (const plan of [
        tokenSteps({ ...planning(architecture, caps), config }),
        promptSteps({ ...planning(architecture, caps), config }, 64),
        headSteps(config, caps),
      ])
        for (const step of plan) {
          if (!('dispatch' in step)) continue;
          const { shader, params, bytes } = step.dispatch;
          const bound = shader.bindings.filter(({ when }) => when?.(params) ?? true);
          expect(bound.filter(({ access }) => access !== 'uniform').length).toBeLessThanOrEqual(8);
          // No buffer is read and written by one dispatch.
          const bufferOf = (name: string): string => step.buffers[name] ?? name;
          const written = bound.filter(({ access }) => access === 'write').map(({ name }) => bufferOf(name));
          expect(bound.filter(({ name, access }) => access === 'read' && written.includes(bufferOf(name)))).toEqual([]);
          expect(new Set(written).size).toBe(written.length);
          for (const { name } of bound) {
            if (name === 'params' || name === 'now') continue;
            expect(sizes[bufferOf(name)], name).toBeGreaterThanOrEqual(bytes[name]!);
            seen++;
          }
        }
    expect(seen).toBeGreaterThan(50);
  });
});

describe.each([
  ['gemma2', 1], // the cap of logits
  ['gemma3', 0],
] as const)('%s', (architecture, more) => {
  const layer = ['qkv', 'llm/attend', 'o', 'llm/norm-add', 'gateUp', 'down', 'llm/norm-add'];
  const end = ['head', ...(more ? ['llm/cap'] : [])];

  test.each([GPU, LAVAPIPE])('a token takes seven steps a layer, and three more, on any adapter', (caps) => {
    const steps = tokenSteps(planning(architecture, caps));
    expect(steps.map(nameOf)).toEqual(['gather', 'llm/rms-rows', ...layer, ...layer, ...layer, ...end]);
    for (const step of steps) if ('product' in step) expect([step.add, step.twin, step.scaled]).toEqual([undefined, undefined, undefined]);
  });

  test('each sum makes the norm that comes next, and the first has the scale of the embedding', () => {
    const steps = tokenSteps(planning(architecture));
    const sums = steps.flatMap((step) => ('dispatch' in step && step.dispatch.shader.name === 'llm/norm-add' ? [step] : []));
    expect(sums.map(({ buffers }) => [buffers.weight, buffers.next])).toEqual(
      [0, 1, 2].flatMap((i) => [
        [`postAttentionNorm.${i}`, `feedForwardNorm.${i}`],
        [`postFeedForwardNorm.${i}`, i < 2 ? `attentionNorm.${i + 1}` : 'outputNorm'],
      ]),
    );
    expect(sums.map(({ dispatch }) => new Float32Array(dispatch.uniforms)[3])).toEqual([16, 1, 1, 1, 1, 1]); // √256
    const [first] = steps.flatMap((step) => ('dispatch' in step ? [step.dispatch] : []));
    expect(new Float32Array(first!.uniforms)[2]).toBe(Math.fround(Math.fround(1e-6) / 256));
  });

  test('rows of a prompt take eight steps a layer and one more, and their head two', () => {
    for (const rows of CLASSES) expect(promptSteps(planning(architecture), rows).length).toBe(8 * L + 2);
    expect(headSteps(modelConfig({ architecture }), GPU).map(nameOf)).toEqual(['llm/rms-rows', ...end]);
  });

  test('layers with a window have their own attention, angles where they differ, and no join', () => {
    const config = modelConfig({ architecture, window: 700, rope: { base: 1e6 }, sizes: { layers: 6 } });
    const steps = tokenSteps({ ...planning(architecture, GPU, 4096), config });
    const every = architecture === 'gemma3' ? 6 : 2;
    const attends = steps.flatMap((step) => ('dispatch' in step && step.dispatch.shader.name === 'llm/attend' ? [step] : []));
    expect(attends.map(({ dispatch }) => dispatch.workgroups[1])).toEqual([0, 1, 2, 3, 4, 5].map((i) => ((i + 1) % every === 0 ? 8 : 1)));
    expect(attends.map(({ buffers }) => buffers.angles)).toEqual(
      [0, 1, 2, 3, 4, 5].map((i) => (architecture === 'gemma3' && i < 5 ? 'localAngles' : undefined)),
    );
    expect(bufferSizes(config, 1024).localAngles).toBe(architecture === 'gemma3' ? bufferSizes(config, 1024).angles : 0);
  });
});

test('layers of smollm3 turn, but every fourth', () => {
  const config = modelConfig({ architecture: 'smollm3', sizes: { layers: 8 } });
  expect([0, 1, 2, 3, 4, 5, 6, 7].map((layer) => headsOf(config, 'f16', 64, layer).rotary)).toEqual([32, 32, 32, 0, 32, 32, 32, 0]);
});

test('one product makes q, k and v of phi3', () => {
  const rows = promptSteps(planning('phi3'), 16).flatMap((step) => ('dispatch' in step ? [step.dispatch] : []));
  const { uniforms } = rows.find(({ shader }) => shader.name === 'llm/rope-rows')!;
  expect([...new Uint32Array(uniforms).subarray(12, 16)]).toEqual([12, 12, 8, 10]); // side by side in each row
});

describe('rings', () => {
  const config = modelConfig({ architecture: 'gemma2', window: 100 }); // windows in layers 0 and 2
  test('have a window and the rows of a chunk', () => {
    expect([0, 1, 2].map((layer) => slotsOf(config, 128, layer))).toEqual([128, 128, 128]);
    expect([0, 1, 2].map((layer) => slotsOf(config, 4096, layer))).toEqual([164, 4096, 164]);
    const { k } = cacheSizes(config, 'f16', 4096, 0);
    expect(k).toBe(2 * 32 * 164 * 2);
    expect(cacheTotal(config, 'f16', 4096)).toEqual({
      cache: 2 * (2 * k + 2 * 32 * 4096 * 2),
      parts: cacheSizes(config, 'f16', 4096, 1).parts,
    });
  });
  test('keep what a sequence goes on with, unless it goes back by more than a chunk', () => {
    const at = (position: number, written: number, capacity = 4096) => keeps(config, position, { capacity, written });
    expect(at(128, 128, 128)).toBe(true);
    expect(at(0, 164)).toBe(true);
    expect(at(0, 165)).toBe(false);
    expect([at(1000, 1000), at(935, 1000), at(934, 1000)]).toEqual([true, true, false]); // 836 … 999 are there; 935 meets 836 … 935
    expect(keeps(modelConfig({ architecture: 'llama' }), 0, { capacity: 4096, written: 4096 })).toBe(true);
  });
});

test('the twin begins where a binding may', () => {
  expect(twinOffset({ width: 256 })).toBe(1024);
  expect(twinOffset({ width: 260 })).toBe(1280);
});

describe('chunks of a prompt', () => {
  test('have all rows, in classes that hold them, padded in the last alone', () => {
    for (const software of [false, true])
      for (let rows = 1; rows < 700; rows++) {
        const chunks = chunksOf(rows, { software });
        expect(chunks.reduce((sum, chunk) => sum + chunk.rows, 0)).toBe(rows);
        chunks.forEach((chunk, i) => {
          expect(CLASSES).toContain(chunk.of);
          if (i < chunks.length - 1) expect(chunk.rows).toBe(chunk.of);
          else expect(chunk.rows).toBeLessThanOrEqual(chunk.of);
        });
      }
  });
  test('are padded on GPUs, which read the weights once a chunk, and split where rows cost', () => {
    const classes = (rows: number, software: boolean) => chunksOf(rows, { software }).map(({ of }) => of);
    expect(classes(255, false)).toEqual([64, 64, 64, 64]);
    expect(classes(17, false)).toEqual([64]);
    expect(classes(17, true)).toEqual([16, 1]);
    expect(classes(64, true)).toEqual([64]);
    expect(classes(1, true)).toEqual([1]);
  });
});

describe('the cache', () => {
  test('doubles up to the context', () => {
    expect([1, 256, 257, 1000, 3000].map((positions) => capacityFor(positions, 3000))).toEqual([256, 256, 512, 1024, 3000]);
    expect(capacityFor(10, 24)).toBe(24);
  });
  test.each(['f32', 'f16'] as const)('of %s keeps every position when it grows', (kv) => {
    const config = modelConfig({ architecture: 'llama' });
    const number = kv === 'f16' ? 2 : 4;
    const [from, to, used] = [8, 24, 5];
    const { kvHeads, headWidth: e } = config;
    // Where a number of K and of V lies (attention.ts).
    const places = {
      k: (capacity: number, head: number, position: number, i: number) => ((head * (e / 4) + (i >> 2)) * capacity + position) * 4 + (i & 3),
      v: (capacity: number, head: number, position: number, i: number) => (head * capacity + position) * e + i,
    };
    for (const what of ['k', 'v'] as const) {
      const before = Int32Array.from({ length: kvHeads * e * from }, (_, i) => i + 1);
      const after = new Int32Array(kvHeads * e * to);
      expect(before.length * number).toBe(cacheBytes(headsOf(config, kv, from)));
      for (const run of growth(config, what, { kv, from, to, used })) {
        const begin = run.from / number;
        after.set(before.subarray(begin, begin + run.size / number), run.to / number);
      }
      for (let head = 0; head < kvHeads; head++)
        for (let position = 0; position < to; position++)
          for (let i = 0; i < e; i++) {
            const want = position < used ? before[places[what](from, head, position, i)] : 0;
            if (after[places[what](to, head, position, i)] !== want) throw new Error(`${what} ${head} ${position} ${i}`);
          }
    }
    expect(growth(config, 'k', { kv, from, to, used: 0 })).toEqual([]);
  });
  test('of int8 keeps every position and its factor when it grows', () => {
    const config = modelConfig({ architecture: 'llama' });
    const { kvHeads, headWidth: e } = config;
    const [from, to, used] = [8, 24, 5];
    for (const what of ['k', 'v'] as const) {
      const before = Uint8Array.from({ length: cacheBytes(headsOf(config, 'q8', from)) }, (_, i) => 1 + (i % 255));
      const after = new Uint8Array(cacheBytes(headsOf(config, 'q8', to)));
      expect(before.length).toBe(kvHeads * from * (e + 4));
      for (const { from: begin, to: at, size } of growth(config, what, { kv: 'q8', from, to, used })) {
        expect([begin % 4, at % 4, size % 4]).toEqual([0, 0, 0]); // as copies need
        after.set(before.subarray(begin, begin + size), at);
      }
      const places = (capacity: number, head: number, position: number): number[] => [
        ...Array.from({ length: e }, (_, i) =>
          what === 'k' ? ((head * (e / 4) + (i >> 2)) * capacity + position) * 4 + (i & 3) : (head * capacity + position) * e + i,
        ),
        ...[0, 1, 2, 3].map((byte) => kvHeads * e * capacity + 4 * (head * capacity + position) + byte),
      ];
      for (let head = 0; head < kvHeads; head++)
        for (let position = 0; position < to; position++) {
          const want = position < used ? places(from, head, position).map((at) => before[at]) : new Array(e + 4).fill(0);
          expect(places(to, head, position).map((at) => after[at])).toEqual(want);
        }
    }
  });
});

describe('prompts of integers', () => {
  test('every product of a prompt may read codes, and none of a token or the head; nothing else is other', () => {
    for (const architecture of ['llama', 'gemma2', 'phi3', 'qwen3moe'] as const) {
      const plain = planning(architecture);
      const rows = promptSteps({ ...plain, integers: true }, 16);
      expect(rows.map((step) => ('integers' in step ? (({ integers: _, ...rest }) => rest)(step) : step))).toEqual(promptSteps(plain, 16));
      expect(rows.flatMap((step) => ('product' in step ? [step.integers] : []))).toEqual(
        promptSteps(plain, 16).flatMap((step) => ('product' in step ? [true] : [])),
      );
      expect(tokenSteps({ ...plain, integers: true })).toEqual(tokenSteps(plain));
      expect(promptSteps(plain, 16).some((step) => 'integers' in step)).toBe(false);
    }
  });

  test('chunks have no class of one row', () => {
    for (let rows = 1; rows < 300; rows++) {
      const chunks = chunksOf(rows, LAVAPIPE, INTEGER_CLASSES);
      expect(chunks.reduce((sum, chunk) => sum + chunk.rows, 0)).toBe(rows);
      for (const { rows: own, of } of chunks) {
        expect([4, 16, 64]).toContain(of);
        expect(own).toBeLessThanOrEqual(of);
      }
    }
  });

  test('codes are those of what products read, by the bits that weights are held in', () => {
    const all = [
      ['qkv.0', 4],
      ['qkv.0', 8],
      ['o.1', 4],
      ['gateUp.0', 4],
      ['gateAndUp.1', 5],
      ['down.0', 8],
      ['head', 6],
      ['embedding', 6],
    ] as const;
    expect([...codesOf(all)].sort()).toEqual(['codes.act.8', 'codes.att.4', 'codes.h.4', 'codes.h.5', 'codes.h.8']);
    expect(
      codesOf([
        ['q.0', 4],
        ['gate.0', 4],
        ['up.3', 4],
        ['k.0', 4],
      ] as const).size,
    ).toBe(1);
    const config = { ...modelConfig({ architecture: 'llama' }), width: 896, heads: 14, headWidth: 64, feedForward: 4864 };
    // 12 words of each 32 numbers, a row at a multiple of 256 bytes.
    expect(codesBytes(config, 'codes.h.4')).toBe(64 * 256 * Math.ceil((48 * 28) / 256));
    expect(codesBytes(config, 'codes.att.4')).toBe(codesBytes(config, 'codes.h.8'));
    expect(codesBytes(config, 'codes.act.4')).toBe(64 * 256 * Math.ceil((48 * 152) / 256));
  });
});
