// The dispatches of best: every row once, its sums from the product before it, every binding within the device's limits.
import { expect, test } from 'vitest';
import { packedLayout } from '../../src/plan/packed-layout.js';
import { makePlan } from '../../src/plan/plan.js';
import { GPU, LAVAPIPE, LEAST, type ProblemSpec, problemOf } from '../support/problems.js';

const planOf = (spec: ProblemSpec, caps: typeof GPU, best: { readonly columns: number; readonly ids: number; readonly values: number }) => {
  const { problem, operands } = problemOf(spec);
  return makePlan({ problem: { ...problem, yDtype: 'float32', best }, packed: packedLayout(operands, caps), caps });
};

test.each([
  ['one window', { m: 3, n: 64, k: 64 }, GPU, 1],
  ['columns that are no whole quads', { m: 3, n: 63, k: 64 }, GPU, 1],
  ['k in splits', { m: 8, n: 256, k: 4096 }, GPU, 1],
  ['windows of rows, slabs of columns', { m: 50, n: 262, k: 256 }, { ...LAVAPIPE, maxStorageBufferBindingSize: 1 << 14 }, 4],
  ['a 16-bit x and the least device', { m: 9, n: 30, k: 96, dtype: 'float16' }, LEAST, 1],
] as const)('%s', (_, spec, caps, windows) => {
  const best = { columns: spec.n - 1, ids: 67, values: 131 };
  const { dispatches, scratch, asides } = planOf(spec, caps, best);
  const pitch = 4 * Math.ceil(spec.n / 4);
  const seen = { ids: [] as number[], values: [] as number[] };
  let splits = 0;
  for (const { shader, uniforms: u, bindings, workgroups } of dispatches) {
    expect(shader).not.toBe('round-rows');
    for (const { offset, size } of Object.values(bindings)) {
      expect(offset % caps.minStorageBufferOffsetAlignment).toBe(0);
      expect(size).toBeLessThanOrEqual(caps.maxStorageBufferBindingSize);
    }
    if (bindings.y) {
      expect(bindings.y.buffer).toBe('sums');
      expect([u.y_base, u.y_pitch]).toEqual([0, pitch]);
    }
    if (shader !== 'best-rows') continue;
    splits = u.splits!;
    expect(workgroups[0] * workgroups[1]).toBeGreaterThanOrEqual(u.rows!);
    expect([u.columns, u.pitch, u.split_pitch]).toEqual([best.columns, pitch / 4, (u.rows! * pitch) / 4]);
    expect(bindings.sums).toEqual({ buffer: 'sums', offset: 0, size: u.splits! * u.rows! * pitch * 4 });
    expect(bindings.sums!.size).toBeLessThanOrEqual(scratch.sums!);
    for (const name of ['ids', 'values'] as const) {
      const first = bindings[name]!.offset / 4 + u[`${name}_base`]! - best[name];
      expect(bindings[name]!.offset + bindings[name]!.size).toBe(4 * (best[name] + first + u.rows!));
      seen[name].push(...Array.from({ length: u.rows! }, (_, i) => first + i));
    }
  }
  const every = Array.from({ length: spec.m }, (_, i) => i);
  expect(seen).toEqual({ ids: every, values: every });
  expect(dispatches.filter(({ shader }) => shader === 'best-rows').length).toBeGreaterThanOrEqual(windows);
  expect(splits > 1).toBe(spec.k === 4096);
  expect(asides.map(({ shader }) => shader)).not.toContain('round-rows');
});
