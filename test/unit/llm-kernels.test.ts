// The tables of src/llm-kernels/shaders.ts against shaders/llm, and what the noise of tokens is made of.
import { describe, expect, test } from 'vitest';
import { ResourceType, WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';
import { ArgumentError, UnsupportedError } from '../../src/errors.js';
import { storageBindings } from '../../src/kernels/fits.js';
import { variantId } from '../../src/kernels/kernel.js';
import {
  attendDispatches,
  attendRowsDispatch,
  cacheBytes,
  type Heads,
  paddedWidth,
  ropeDispatch,
  splitsOf,
} from '../../src/llm-kernels/attention.js';
import { capDispatch } from '../../src/llm-kernels/cap.js';
import { gluDispatch } from '../../src/llm-kernels/glu.js';
import { pickDispatch } from '../../src/llm-kernels/pick.js';
import { normAddDispatch, rmsDispatch } from '../../src/llm-kernels/rms.js';
import { addLlmShaders, llmShaders, STEP_BYTES, stepWords } from '../../src/llm-kernels/shaders.js';
import { sources } from '../../src/wgsl/sources.js';
import { llmVariants } from '../cases/llm-variants.js';
import { GPU, readable, variantText } from '../support/problems.js';

addLlmShaders();
const variants = llmVariants();

/** Bytes of the variables of a workgroup: `array<T, N>` of numbers, vectors and structs. */
function workgroupBytes(code: string): number {
  const numbers = new Map<string, number>();
  const evaluate = (text: string): number => {
    const filled = text.replace(/\b[A-Z]\w*\b/g, (name) => String(numbers.get(name))).replace(/(\d)u\b/g, '$1');
    expect(filled).toMatch(/^[\d\s()+*/-]+$/);
    return Number(new Function(`return Math.floor(${filled})`)());
  };
  for (const [, name, text] of code.matchAll(/^const (\w+) = ([^;]+);/gm))
    if (/^[A-Z0-9\su()+*/]+$/.test(text!) && !text!.includes('0x')) numbers.set(name!, evaluate(text!));
  const sizes: Readonly<Record<string, number>> = { f32: 4, u32: 4, 'vec4<f32>': 16, 'atomic<u32>': 4, Choice: 8, Sum: 12, Search: 48 };
  let sum = 0;
  for (const [, type, count] of code.matchAll(/^var<workgroup> \w+: array<([\w<>]+), ([^;]+)>;/gm)) sum += sizes[type!]! * evaluate(count!);
  expect(code.match(/^var<workgroup>/gm)?.length ?? 0).toBe(code.match(/^var<workgroup> \w+: array</gm)?.length ?? 0);
  return sum;
}

describe('bindings, uniforms and sizes of every variant', () => {
  test.each(llmShaders)('$name', (shader) => {
    const mine = variants.filter((variant) => variant.shader === shader);
    expect(mine.length).toBeGreaterThan(0);
    for (const { params } of mine) {
      const id = variantId(shader.name, params);
      const { code } = variantText(shader.name, params);
      const reflected = new WgslReflect(readable(code));
      const found = [...reflected.uniforms, ...reflected.storage].map(({ name, group, binding, access, resourceType }) => ({
        ...{ name, group, binding },
        access: resourceType === ResourceType.Uniform ? 'uniform' : access === 'read_write' ? 'write' : access,
      }));
      const wanted = shader.bindings.filter(({ when }) => when?.(params) ?? true);
      expect(
        found.sort((a, b) => a.binding - b.binding),
        id,
      ).toEqual(wanted.map(({ name, binding, access }) => ({ name, group: 0, binding, access })));
      const members = reflected.uniforms.find(({ name }) => name === 'params')!.members!;
      const plain = members.filter(({ name }) => name !== shader.list?.name).map(({ name, type, offset }) => [name, type.name, offset]);
      expect(plain, id).toEqual(shader.uniforms.map((name, i) => [name, shader.floats.includes(name) ? 'f32' : 'u32', 4 * i]));
      if (shader.list) expect(members.at(-1)!.offset, id).toBe(16 * Math.ceil(shader.uniforms.length / 4));
      expect(storageBindings(shader, params), id).toBeLessThanOrEqual(8);
      expect(workgroupBytes(code), id).toBeLessThanOrEqual(16384);
      expect(params.LANES ?? 64, id).toBeLessThanOrEqual(256);
    }
  });
});

test('every file of shaders/llm is part of some variant, and no page without them has one', () => {
  const files = Object.keys(sources).filter((file) => file.startsWith('llm/'));
  expect(files.length).toBeGreaterThan(llmShaders.length);
  const used = new Set(variants.flatMap(({ shader, params }) => variantText(shader.name, params).places.map(({ file }) => file)));
  expect(files.filter((file) => !used.has(file))).toEqual([]);
});

const HEADS: Heads = { heads: 14, kvHeads: 2, width: 64, rope: 'halves', kv: 'f16', capacity: 4096 };
const one = (given: Partial<Heads>, positions = 100, splits?: number) =>
  attendDispatches({ ...HEADS, ...given }, { software: false, positions, ...(splits !== undefined && { splits }) });

test('a token is one dispatch up to 2,048 positions, and another that joins splits beyond', () => {
  expect(one({}, 2048).map(({ shader, workgroups }) => [shader.name, ...workgroups])).toEqual([['llm/attend', 14, 1]]);
  expect(one({}, 2049).map(({ shader, workgroups }) => [shader.name, ...workgroups])).toEqual([
    ['llm/attend', 14, 5],
    ['llm/attend-join', 14, 1],
  ]);
  expect([2048, 2049, 4096, 32768, 10 ** 6].map(splitsOf)).toEqual([1, 5, 8, 64, 64]);
});

test('a workgroup takes queries of one head of the cache: as many as fit on a CPU, one on a GPU', () => {
  const queries = (group: number, width: number, software: boolean) =>
    attendDispatches({ ...HEADS, heads: 2 * group, width }, { software, positions: 8 })[0]!.params.QUERIES;
  expect([1, 2, 3, 4, 5, 6, 7, 8, 9, 12].map((group) => queries(group, 64, true))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 3, 6]);
  expect([1, 4, 6, 7, 8].map((group) => queries(group, 256, true))).toEqual([1, 4, 3, 1, 4]);
  expect([1, 7, 8].map((group) => queries(group, 64, false))).toEqual([1, 1, 1]);
});

test('sizes of buffers', () => {
  expect(cacheBytes(HEADS)).toBe(2 * 4096 * 64 * 2);
  expect(cacheBytes({ ...HEADS, kv: 'f32' })).toBe(2 * 4096 * 64 * 4);
  const tables = 8 * 32 * (256 + 16);
  const cache = { k_cache: cacheBytes(HEADS), v_cache: cacheBytes(HEADS) };
  expect(one({})[0]!.bytes).toEqual({ qkv: 4 * 18 * 64, angles: tables, ...cache, att: 4 * 14 * 64, clamped: 4 });
  expect(ropeDispatch({ ...HEADS, kv: 'f32', normEpsilon: 1 }, { rows: 5, caps: GPU }).bytes).toMatchObject({
    qkv: 4 * 5 * 18 * 64,
    norms: 512,
    q: 4 * 5 * 14 * 64,
  });
  expect(stepWords({ running: 1, position: 2, rows: 3 })).toEqual(Uint32Array.of(1, 2, 3));
  expect(stepWords({ running: 1, position: 2, rows: 3 }).byteLength).toBe(STEP_BYTES);
});

test.each([
  ['heads', () => one({ heads: 15 })],
  ['heads', () => one({ heads: 0 })],
  ['kvHeads', () => one({ kvHeads: 1.5 })],
  ['rotary', () => one({ rotary: 21 })],
  ['rotary', () => one({ rotary: -2 })],
  ['rotary', () => one({ rotary: 72 })],
  ['capacity', () => one({ capacity: 0 })],
  ['angles.low', () => one({ angles: { low: -1, high: 0 } })],
  ['scale', () => one({ scale: NaN })],
  ['cap', () => one({ cap: -1 })],
  ['cap', () => one({ cap: Infinity })],
  ['window', () => one({ window: 0 })],
  ['capacity', () => one({ window: 65, capacity: 64, positions: 66 })],
  ['capacity', () => one({ capacity: 64, positions: 65 })],
  ['positions', () => one({ window: 64, capacity: 64, positions: 99 }, 100)],
  ['rows', () => attendRowsDispatch({ ...HEADS, window: 60, capacity: 64, positions: 99 }, { rows: 6 })],
  ['rows', () => ropeDispatch({ ...HEADS, window: 60, capacity: 64, positions: 99 }, { rows: 6, caps: GPU })],
  ['vocabulary', () => capDispatch({ vocabulary: 0, cap: 1 }, GPU)],
  ['cap', () => capDispatch({ vocabulary: 1, cap: 0 }, GPU)],
  ['width', () => normAddDispatch({ rows: 1, width: 2, epsilon: 0, scale: 1 })],
  ['normEpsilon', () => one({ normEpsilon: Infinity })],
  ['positions', () => one({}, 4097)],
  ['splits', () => one({}, 9, 0)],
  ['rows', () => attendRowsDispatch(HEADS, { rows: 0 })],
  ['rows', () => ropeDispatch(HEADS, { rows: NaN, caps: GPU })],
  ['width', () => rmsDispatch({ rows: 1, width: 6, epsilon: 0 })],
  ['width', () => gluDispatch({ rows: 1, width: 0, glu: 'silu' })],
  ['rows', () => gluDispatch({ rows: 1.5, width: 1, glu: 'silu' })],
  ['vocabulary', () => pickDispatch({ vocabulary: 0, context: 1, limit: 1, stops: [], temperature: 0, seed: 0 })],
  ['temperature', () => pickDispatch({ vocabulary: 1, context: 1, limit: 1, stops: [], temperature: NaN, seed: 0 })],
  ['temperature', () => pickDispatch({ vocabulary: 1, context: 1, limit: 1, stops: [], temperature: 1e-40, seed: 0 })],
  ['stops', () => pickDispatch({ vocabulary: 1, context: 1, limit: 1, stops: new Array(17).fill(0), temperature: 0, seed: 0 })],
] as const)('a wrong %s is refused by its name', (argument, work) => {
  expect(work).toThrow(ArgumentError);
  expect(work).toThrow(new RegExp(`^${argument}: expected `));
});

test('heads of a width that no kernel has are unsupported', () => {
  expect(() => one({ width: 7, rotary: 6 })).toThrow(UnsupportedError);
  expect(() => cacheBytes({ ...HEADS, width: 258 })).toThrow(/heads of 258 elements; there are kernels for even numbers up to 256/);
  // 2 · 52 that turn, with their padding, and 154 more
  expect(() => cacheBytes({ ...HEADS, width: 254, rotary: 100 })).toThrow(/heads of 254 elements/);
  expect(() => cacheBytes({ ...HEADS, width: 254, rotary: 96 })).not.toThrow();
});

test('heads are padded to the next width, those that turn by halves to whole quads of either', () => {
  const padded = (width: number, rope: Heads['rope'] = 'halves', rotary = width) => Object.values(paddedWidth({ width, rope, rotary }));
  expect(padded(4)).toEqual([32, 8]);
  expect(padded(64)).toEqual([64, 64]);
  expect(padded(100)).toEqual([128, 104]);
  expect(padded(100, 'pairs')).toEqual([128, 100]);
  expect(padded(96, 'halves', 36)).toEqual([128, 40]);
  expect(padded(96, 'halves', 0)).toEqual([96, 0]);
  expect(cacheBytes({ ...HEADS, width: 100 })).toBe(2 * 4096 * 128 * 2);
  expect(one({ width: 64 })[0]!.params.PAD).toBe(0);
  expect(one({ width: 64, rotary: 32 })[0]!.params.PAD).toBe(0);
  expect(one({ width: 64, rotary: 20 })[0]!.params.PAD).toBe(1);
  expect(one({ width: 62, rope: 'pairs' })[0]!.params.PAD).toBe(1);
  expect(one({ width: 62 })[0]!.bytes).toMatchObject({ qkv: 4 * 18 * 62, att: 4 * 14 * 62 });
});

test('a window needs no more splits than its keys, whatever the positions', () => {
  const ring = { window: 1024, capacity: 1088, positions: 32768 };
  expect(one(ring, 32768)).toHaveLength(1);
  expect(one({ ...ring, window: 4096, capacity: 4160 }, 32768)[0]!.workgroups).toEqual([14, 8]);
  expect(one(ring, 32768)[0]!.bytes).toMatchObject({ k_cache: 2 * 1088 * 64 * 2, angles: 8 * 32 * (256 + 128) });
});
