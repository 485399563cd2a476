// The targets of the bench: the ratio to the fastest right onnxruntime-web GPU variant, the share of the adapter's limits, and accuracy.
// A target is a filter of cells and a number; report.ts evaluates it.
import type { AdapterKind, Cell } from './results.js';

export type Quantity =
  | 'ratio' // to the fastest right GPU peer
  | 'ratio without subgroups'
  | 'ratio to wasm'
  | 'share of copy'
  | 'share of multiply-add'
  | 'error'
  | 'M=4 / M=1';

export interface Target {
  readonly where: string;
  readonly what: string;
  readonly kind: AdapterKind;
  readonly quantity: Quantity;
  readonly cells: (cell: Cell) => boolean;
  /** Least geometric mean over cells; for errors and M=4 / M=1 the largest value of any cell. */
  readonly mean: number;
  /** Least value of any cell. */
  readonly floor?: number;
}

type Filter = (cell: Cell) => boolean;
const f32: Filter = (c) => c.dtype === 'float32';
const f16: Filter = (c) => c.dtype === 'float16';
const group =
  (size: number): Filter =>
  (c) =>
    c.group === size && !c.offset;
const rows =
  (from: number, to: number): Filter =>
  (c) =>
    c.m >= from && c.m <= to;
const both =
  (...filters: Filter[]): Filter =>
  (c) =>
    filters.every((filter) => filter(c));
const ONE = rows(1, 1);
const FEW = rows(2, 16);
const MANY = rows(128, Number.POSITIVE_INFINITY);
const square: Filter = (c) => c.k === 2048 && c.n === 2048 && c.bits === 4;

const NAMES = ['SwiftShader', 'lavapipe', 'GPU'] as const;
const KINDS: Readonly<Record<(typeof NAMES)[number], AdapterKind>> = { SwiftShader: 'swiftshader', lavapipe: 'lavapipe', GPU: 'gpu' };

type Regime = readonly [what: string, filter: Filter, mean: number, floor?: number];
const targets = (name: (typeof NAMES)[number], label: string, quantity: Quantity, filter: Filter, ...regimes: Regime[]): Target[] =>
  regimes.map(([what, regime, mean, floor]) => ({
    where: `${name}${label && `, ${label}`}`,
    what,
    kind: KINDS[name],
    quantity,
    cells: both(filter, regime),
    mean,
    ...(floor !== undefined && { floor }),
  }));

const g32 = group(32);
const g128 = group(128);
const any: Filter = () => true;

export const TARGETS: readonly Target[] = [
  ...targets(
    'SwiftShader',
    'f32, g32',
    'ratio',
    both(f32, g32),
    ['M = 1', ONE, 10, 6],
    ['M = 2–16', FEW, 6, 3.5],
    ['M ≥ 128', MANY, 4.5, 4],
  ),
  ...targets(
    'lavapipe',
    'f32, g32',
    'ratio',
    both(f32, g32),
    ['M = 1', ONE, 8, 5],
    ['M = 2–16', FEW, 4.5, 2.5],
    ['M ≥ 128', MANY, 2.8, 2.4],
  ),
  ...targets(
    'lavapipe',
    'f16, g32',
    'ratio',
    both(f16, g32),
    ['M = 1', ONE, 10, 7],
    ['M = 2–16', FEW, 15, 10],
    ['M ≥ 128', MANY, 5.5, 4.5],
  ),
  ...targets('lavapipe', 'g128', 'ratio', g128, ['M = 1', ONE, 12], ['M = 2–16', FEW, 18], ['M ≥ 128', MANY, 5]),
  ...targets('SwiftShader', 'g128', 'ratio', g128, ['M = 1', ONE, 12], ['M = 2–16', FEW, 20], ['M ≥ 128', MANY, 7.5]),
  ...targets(
    'SwiftShader',
    'q4 g32 2048²',
    'ratio without subgroups',
    both(f32, g32, square),
    ['M = 1', ONE, 6],
    ['M = 16', rows(16, 16), 2],
    ['M ≥ 128', MANY, 1.8],
  ),
  ...targets(
    'lavapipe',
    'q4 g32 2048²',
    'ratio without subgroups',
    both(f32, g32, square),
    ['M = 1', ONE, 5],
    ['M = 16', rows(16, 16), 1.4],
    ['M ≥ 128', MANY, 1.3],
  ),
  ...targets(
    'lavapipe',
    '2 threads',
    'ratio to wasm',
    both(f32, g32),
    ['M = 1', ONE, 8],
    ['M = 4', rows(4, 4), 5],
    ['M = 16', rows(16, 16), 2],
    ['M ≥ 128', MANY, 1.1],
  ),
  ...targets('lavapipe', 'g32', 'share of copy', g32, ['M = 1', ONE, 0.75]),
  ...targets('SwiftShader', 'g32', 'share of copy', g32, ['M = 1', ONE, 0.45]),
  ...targets('lavapipe', 'g32', 'share of multiply-add', g32, ['M ≥ 128', MANY, 0.33]),
  ...targets('SwiftShader', 'g32', 'share of multiply-add', g32, ['M ≥ 128', MANY, 0.14]),
  ...targets('GPU', '', 'share of copy', any, ['M = 1', ONE, 0.8]),
  ...targets('GPU', '', 'M=4 / M=1', any, ['M = 4', rows(4, 4), 1.25]),
  ...targets('GPU', '', 'share of multiply-add', any, ['M ≥ 128', MANY, 0.7]),
  ...NAMES.flatMap((name) => [
    ...targets(name, 'f32', 'error', f32, ['every M', any, 2e-6]),
    ...(name === 'SwiftShader' ? [] : targets(name, 'f16', 'error', f16, ['every M', any, 1e-3])),
  ]),
];
