// The dispatches of gatherRows: every format within eight storage buffers, every row in one window, every window within a binding.
import { expect, test } from 'vitest';
import { BYTES } from '../../src/dtype.js';
import { UnsupportedError } from '../../src/errors.js';
import { packedLayout } from '../../src/plan/packed-layout.js';
import { type RowsAsked, rowSteps } from '../../src/plan/row-steps.js';
import { LEGAL_FORMATS } from '../../src/problem/weight-format.js';
import { GPU, problemOf } from '../support/problems.js';

const M = 50;

function stepsOf(
  format: (typeof LEGAL_FORMATS)[number],
  { permuted, inputScaled }: { readonly permuted: boolean; readonly inputScaled: boolean },
  asked: Omit<RowsAsked, 'm'>,
  maxStorageBufferBindingSize = 1 << 14,
) {
  const spec = { m: 1, k: 256, n: 260, group: 32, permuted, format: { ...format, bits: format.held } };
  const { operands } = problemOf(spec);
  const weights = { ...operands, inputScaled };
  const caps = { ...GPU, maxStorageBufferBindingSize };
  return { weights, caps, steps: rowSteps({ weights, packed: packedLayout(weights, caps), caps }, { m: M, ...asked }) };
}

test('every format binds at most eight buffers, and some of them bind eight', () => {
  const counts = LEGAL_FORMATS.flatMap((format) =>
    [false, true].flatMap((permuted) =>
      [false, true].flatMap((inputScaled) =>
        stepsOf(format, { permuted, inputScaled }, { ids: 0, y: 0, yDtype: 'float32' }).steps.map(
          ({ bindings }) => Object.keys(bindings).length,
        ),
      ),
    ),
  );
  expect(Math.max(...counts)).toBe(8);
});

test.each(['float32', 'float16', 'bfloat16'] as const)('%s: windows hold every row once, and every element of it', (yDtype) => {
  const asked = { ids: 67, y: 131, yDtype };
  const { steps, weights, caps } = stepsOf(LEGAL_FORMATS[0]!, { permuted: false, inputScaled: false }, asked);
  const slabs = new Map<number, number[]>(); // by their first columns: rows, in order
  const counted: number[] = [];
  for (const { shader, uniforms: u, bindings } of steps) {
    for (const { offset, size } of Object.values(bindings)) {
      expect(offset % caps.minStorageBufferOffsetAlignment).toBe(0);
      expect(size).toBeLessThanOrEqual(caps.maxStorageBufferBindingSize);
    }
    const ofIds = bindings.ids!;
    const base = ofIds.offset / 4 - asked.ids + (shader === 'count-outside' ? u.base! : u.ids_base!);
    const rows = shader === 'count-outside' ? u.count! : u.count! / weights.k;
    const list = Array.from({ length: rows }, (_, i) => base + i);
    expect(ofIds.offset + ofIds.size).toBe(4 * (asked.ids + base + rows));
    if (shader === 'count-outside') {
      counted.push(...list);
      continue;
    }
    const first = bindings.y!.offset / BYTES[yDtype] + u.first!;
    expect(first).toBe(asked.y + base * weights.k);
    expect(u.first_word).toBe(Math.floor((u.first! * BYTES[yDtype]) / 4));
    expect(bindings.y!.offset + bindings.y!.size).toBe(Math.ceil(((first + u.count!) * BYTES[yDtype]) / 4) * 4);
    slabs.set(u.begin!, [...(slabs.get(u.begin!) ?? []), ...list]);
  }
  const every = Array.from({ length: M }, (_, i) => i);
  expect(counted).toEqual(every);
  expect(slabs.size).toBeGreaterThan(1);
  for (const list of slabs.values()) expect(list).toEqual(every);
});

test('a row that exceeds a binding', () => {
  const make = (bytes: number) =>
    stepsOf(LEGAL_FORMATS[0]!, { permuted: false, inputScaled: false }, { ids: 0, y: 0, yDtype: 'float32' }, bytes);
  expect(make(1024 + GPU.minStorageBufferOffsetAlignment).steps.length).toBeGreaterThan(M);
  expect(() => make(1020 + GPU.minStorageBufferOffsetAlignment)).toThrow(UnsupportedError);
});
