// Callers' values in messages: showing them never throws.
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { arrayKind, showValue } from '../../../src/arguments/show-value.js';
import { ArgumentError } from '../../../src/errors.js';

const detached = new Float32Array(4);
structuredClone(detached.buffer, { transfer: [detached.buffer] });
const revoked = Proxy.revocable({}, {});
revoked.revoke();
const throwing = new Proxy(
  {},
  {
    get() {
      throw new Error('no');
    },
  },
);
class GPUAdapter {}

test.each<[string, unknown, string]>([
  ['undefined', undefined, 'undefined'],
  ['null', null, 'null'],
  ['a number', 1.5, '1.5'],
  ['a string is told from a number', '8', '"8"'],
  ['a long string', 'x'.repeat(200), `"${'x'.repeat(80)}…"`],
  ['a bigint', 3n, '3n'],
  ['a symbol', Symbol('s'), 'Symbol(s)'],
  ['a function', () => {}, 'a function'],
  ['an array', [1, 'a', [2], { b: 1 }], '[1, "a", an array, an object]'],
  ['holes', Object.assign(Array(3), { 0: 1, 2: 3 }), '[1, a hole, 3]'],
  ['a long array', Array(100).fill(1), '[1, 1, 1, 1, 1, 1, 1, 1, …]'],
  ['a typed array', new Int8Array(3), 'an Int8Array of 3'],
  ['a detached one', detached, 'a Float32Array whose memory was moved away'],
  ['a DataView', new DataView(new ArrayBuffer(5)), 'a DataView of 5'],
  ['an ArrayBuffer', new ArrayBuffer(5), 'an ArrayBuffer'],
  ['a promise', Promise.resolve(), 'a Promise'],
  ['an object of a class', new GPUAdapter(), 'a GPUAdapter'],
  ['a plain object', { a: 1 }, 'an object'],
  ['one of no class', Object.create(null), 'an object'],
  ['a revoked proxy', revoked.proxy, 'an object that cannot be read'],
  ['a proxy that throws', throwing, 'an object that cannot be read'],
  ['a class that lies', { constructor: { name: 5 } }, 'an object'],
])('%s', (_, value, text) => {
  expect(showValue(value)).toBe(text);
});

test('a typed array is known by what it is, of another realm too, and not by what it says', () => {
  expect(arrayKind(runInNewContext('new Float32Array(2)'))).toBe('Float32Array');
  expect(arrayKind({ [Symbol.toStringTag]: 'Float32Array' })).toBeUndefined();
  expect(arrayKind(new Proxy(new Float32Array(2), {}))).toBeUndefined();
  expect(arrayKind(detached)).toBe('Float32Array');
});

test('an error with such a value has a message', () => {
  expect(new ArgumentError('x', 'a number', showValue(detached)).message).toBe(
    'x: expected a number, got a Float32Array whose memory was moved away',
  );
});
