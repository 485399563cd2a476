// The bench's sessions, its check of answers, and the ONNX model for its peer.
import { describe, expect, test } from 'vitest';
import { matMulNBitsModel } from '../../bench/onnx.js';
import { cellName } from '../../bench/results.js';
import { restrict, type Selection, select } from '../../bench/shapes.js';
import { TARGETS } from '../../bench/targets.js';
import { sampleRows } from '../../bench/truth.js';

const HOSTS: readonly Omit<Selection, 'mode'>[] = [
  { kind: 'swiftshader', f16: false, browser: true },
  { kind: 'lavapipe', f16: true, browser: true },
  { kind: 'lavapipe', f16: true, browser: false },
  { kind: 'gpu', f16: true, browser: false },
];

describe('the selection', () => {
  test('measures no product twice in a host', () => {
    for (const host of HOSTS)
      for (const mode of ['quick', 'full'] as const) {
        const names = select({ ...host, mode })
          .filter(({ extras }) => !extras.includes('wasm'))
          .flatMap((one) => one.rows.map((m) => cellName({ ...one, m })));
        expect(new Set(names).size).toBe(names.length);
      }
  });
  test('has products for every target, in some host of its kind', () => {
    for (const target of TARGETS) {
      const sessions = HOSTS.filter(({ kind }) => kind === target.kind).flatMap((host) => select({ ...host, mode: 'full' }));
      const cells = sessions.flatMap((one) => one.rows.map((m) => ({ ...one, m, bytes: 0, timings: [] })));
      expect(cells.some(target.cells), `${target.where}, ${target.what}, ${target.quantity}`).toBe(true);
    }
  });
  test('has whole blocks for the peer, and quads for the dense product', () => {
    for (const { k, n, group } of HOSTS.flatMap((host) => select({ ...host, mode: 'full' })))
      expect([k % (group || 32), n % 4]).toEqual([0, 0]);
  });
  test('can be restricted to products', () => {
    const sessions = select({ ...HOSTS[0]!, mode: 'full' });
    const some = restrict(sessions, (one, m) => cellName({ ...one, m }) === 'q8 g32 f32 896x4864 M=4');
    expect(some).toMatchObject([{ bits: 8, k: 896, rows: [4] }]);
  });
});

test('checked rows are the first ones, the last of each product, and some between', () => {
  expect(sampleRows([1])).toEqual([0]);
  expect(sampleRows([1, 4, 16])).toEqual([0, 1, 2, 3, 5, 9, 15]);
  expect(sampleRows([2, 128])).toEqual([0, 1, 2, 3, 47, 78, 127]);
});

// A reader of the same encoding, to see what the writer wrote.
type Message = Map<number, (number | Uint8Array)[]>;
function parse(bytes: Uint8Array): Message {
  const out: Message = new Map();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const value = varint();
    const field = (tag & 7) === 0 ? value : bytes.subarray(at, (at += value));
    out.set(tag >> 3, [...(out.get(tag >> 3) ?? []), field]);
  }
  return out;
}
const inner = (message: Message, field: number, i = 0): Message => parse(message.get(field)![i] as Uint8Array);
const textOf = (message: Message, field: number, i = 0): string => new TextDecoder().decode(message.get(field)![i] as Uint8Array);

test("the peer's model is one MatMulNBits node with a free M", () => {
  const o = { k: 256, n: 3, bits: 4, block: 128, dtype: 'float16', accuracyLevel: 4, zeroPoints: undefined } as const;
  const codes = Uint8Array.from({ length: 384 }, (_, i) => i);
  const scales = new Uint8Array(12).fill(7);
  const model = parse(matMulNBitsModel({ ...o, codes, scales }));
  const graph = inner(model, 7);
  const node = inner(graph, 1);
  expect([textOf(node, 4), textOf(node, 7)]).toEqual(['MatMulNBits', 'com.microsoft']);
  expect([0, 1, 2].map((i) => textOf(node, 1, i))).toEqual(['x', 'codes', 'scales']);
  const attributes = node.get(5)!.map((bytes) => parse(bytes as Uint8Array));
  expect(Object.fromEntries(attributes.map((a) => [textOf(a, 1), a.get(3)![0]]))).toEqual({
    K: 256,
    N: 3,
    bits: 4,
    block_size: 128,
    accuracy_level: 4,
  });
  const stored = inner(graph, 5);
  expect(stored.get(1)).toEqual([3, 2, 64]);
  expect(stored.get(9)![0]).toEqual(codes);
  expect(inner(graph, 5, 1).get(2)).toEqual([10]); // FLOAT16
  const shape = inner(inner(inner(inner(graph, 11), 2), 1), 2);
  expect([textOf(inner(shape, 1), 2), inner(shape, 1, 1).get(1)]).toEqual(['M', [256]]);
});
