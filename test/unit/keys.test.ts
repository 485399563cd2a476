// Cache keys contain all data: each field is changed in turn, and the key must change.
import { describe, expect, test } from 'vitest';
import { dispatchKey } from '../../src/layer/layer-group.js';
import { problemClass } from '../../src/plan/findings.js';
import { checkOptions } from '../../src/problem/checks.js';
import { keyOf, sameData } from '../../src/problem/key.js';
import type { Problem } from '../../src/problem/problem.js';
import { GPU, problemOf } from '../support/problems.js';

type Data = { readonly [name: string]: unknown };
const isData = (value: unknown): value is Data => typeof value === 'object' && value !== null;

/** Another legal value of the same kind. */
const other = (name: string, value: unknown): unknown => {
  if (name === 'bits' || name === 'held') return value === 4 ? 8 : 4;
  if (name === 'scaleDtype' || name === 'weightDtype') return value === 'bfloat16' ? 'float16' : 'bfloat16';
  if (name === 'shift') return value === 'zero' ? 'offset' : 'zero';
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  if (value === undefined) return 1;
  return `${value}'`;
};

/** The data with one field changed, for every field at any depth, by its path. */
function* changes(data: Data, path = ''): Generator<readonly [path: string, changed: Data]> {
  for (const [name, value] of Object.entries(data)) {
    const at = path ? `${path}.${name}` : name;
    const put = (next: unknown): Data => (Array.isArray(data) ? (data.with(Number(name), next) as never) : { ...data, [name]: next });
    if (isData(value)) for (const [where, next] of changes(value, at)) yield [where, put(next)];
    else yield [at, put(other(name, value))];
  }
}

/** The fields whose change does not change the key. */
const unseen = <T extends object>(data: T, key: (data: T) => string): string[] =>
  [...changes(data as unknown as Data)].filter(([, changed]) => key(changed as T) === key(data)).map(([path]) => path);

const problem: Problem = {
  ...problemOf({ m: 3, n: 64, k: 128, group: 32, offset: true, quant: true, xDigits: 1 }).problem,
  layers: [{ begin: 0, count: 64, yOffset: 0 }],
  best: { columns: 60, ids: 1, values: 2 },
};

test('keyOf and sameData see every field of a problem, at any depth, and agree', () => {
  const all = [...changes(problem as unknown as Data)];
  expect(all.length).toBeGreaterThan(25);
  expect(unseen(problem, keyOf)).toEqual([]);
  expect(all.filter(([, changed]) => sameData(problem, changed)).map(([path]) => path)).toEqual([]);
  expect(sameData(problem, structuredClone(problem))).toBe(true);
});

test('order does not count, undefined counts as absent, kinds are told apart', () => {
  expect(keyOf({ a: 1, b: [2, 'x'] })).toBe(keyOf({ b: [2, 'x'], c: undefined, a: 1 }));
  expect(sameData({ a: 1, b: [2] }, { b: [2], c: undefined, a: 1 })).toBe(true);
  const different = [{ a: 1 }, { a: '1' }, { a: true }, { a: null }, { a: [1] }, { a: { 0: 1 } }, { a: Number.NaN }, {}, { b: 1 }];
  expect(new Set(different.map(keyOf)).size).toBe(different.length);
  for (const a of different) for (const b of different) expect(sameData(a, b)).toBe(a === b);
  expect(keyOf({ a: 'x=1 b' })).not.toBe(keyOf({ a: 'x', b: 1 }));
});

describe('layers that share a dispatch', () => {
  const spec = checkOptions({ inFeatures: 128, outFeatures: 64, antiquantGroupSize: 32, antiquantOffset: true, quantScale: true });
  const layer = { spec, weights: problem.weights, settings: { caps: GPU, force: { kernel: 'k', tile: { ROWS: 1 } }, selfTest: true } };

  test('agree in everything but what is each one’s own', () => {
    expect(unseen(layer, dispatchKey)).toEqual([
      'spec.bias',
      'spec.antiquantOffset',
      'spec.quantOffset',
      'spec.antiquantGroupSize',
      'spec.outFeatures',
      'weights.n',
      'weights.mode',
      'weights.biased',
    ]);
  });
});

describe('problems that share a measured choice', () => {
  // 65 columns, or a y that starts at element 1, take another kernel's Y; x of float32 has the same X wherever it lies.
  test('agree in everything but where x and y lie', () => {
    const known = unseen(problem, (one) => problemClass(one, GPU));
    expect(known).toEqual([
      'm', // 3 and 4 are up to the same power of two
      'xDigits',
      'x.offset',
      'x.batchRows',
      'x.strideB',
      'x.strideM',
      'x.strideK',
      'yOffset',
      'yPitch',
      'layers.0.begin',
      'best.columns',
      'best.ids',
      'best.values',
    ]);
  });
  test('on devices that agree in everything', () => {
    expect(unseen(GPU, (caps) => problemClass(problem, caps))).toEqual([]);
  });
});
