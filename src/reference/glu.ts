// Gated linear units in float64, and how far a float32 kernel may be from them. docs/numerics.md derives it.
import type { Glu } from '../problem/glu.js';

const UNIT = 2 ** -24;
const LEAST_NORMAL = 2 ** -126;
/** No activation is steeper. */
const STEEPEST = 1.13;
/** Roundings of an activation, division and exp near 0 included, and those for each unit of what exp takes. */
const OF_ACTIVATION = 24;
const OF_EXP = 10;

/** As kernels have it: exp never overflows. */
const sigmoid = (z: number): number => 1 / (1 + Math.exp(Math.min(-z, 87)));

/** Of gate and up: what sigmoid takes, what it is multiplied by, and the last factor. */
const FORMS: Readonly<Record<Glu, (gate: number, up: number) => { readonly z: number; readonly gate: number; readonly up: number }>> = {
  silu: (gate, up) => ({ z: gate, gate, up }),
  gelu_tanh: (gate, up) => ({ z: 2 * Math.sqrt(2 / Math.PI) * (gate + 0.044715 * gate ** 3), gate, up }),
  swiglu_oai(given, up) {
    const gate = Math.min(given, 7);
    return { z: 1.702 * gate, gate, up: Math.min(Math.max(up, -7), 7) + 1 };
  },
};

/** Where float32 has an infinity in place of a sum, so has a kernel. */
const single = (sum: number): number => (Number.isFinite(Math.fround(sum)) ? sum : Math.fround(sum));

/** y of exact sums and their bounds, and its own bound before it is rounded. */
export function gated(
  glu: Glu,
  sums: { readonly gate: number; readonly up: number },
  bounds: { readonly gate: number; readonly up: number } = { gate: 0, up: 0 },
): readonly [value: number, bound: number] {
  const { z, gate, up } = FORMS[glu](single(sums.gate), single(sums.up));
  const s = sigmoid(z);
  const act = gate * s;
  const steps = OF_ACTIVATION + OF_EXP * (1 - s) * Math.min(Math.abs(z), 87);
  const ofAct = STEEPEST * bounds.gate + UNIT * steps * Math.abs(act) + LEAST_NORMAL * (2 + Math.abs(gate));
  const ofUp = bounds.up + UNIT * Math.abs(up) + LEAST_NORMAL;
  return [act * up, Math.abs(up) * ofAct + (Math.abs(act) + ofAct) * ofUp + LEAST_NORMAL];
}

/** The same of (M, 2 F) sums, whose columns `columns` names by column of y → (M, F). */
export function gatedRows(
  glu: Glu,
  { exact, bound, m, n }: { readonly exact: Float64Array; readonly bound: Float64Array; readonly m: number; readonly n: number },
  columns: (column: number) => readonly [gate: number, up: number],
): { readonly exact: Float64Array<ArrayBuffer>; readonly bound: Float64Array<ArrayBuffer>; readonly n: number } {
  const width = n / 2;
  const out = { exact: new Float64Array(m * width), bound: new Float64Array(m * width), n: width };
  for (let i = 0; i < m; i++)
    for (let c = 0; c < width; c++) {
      const [gate, up] = columns(c).map((at) => i * n + at) as [number, number];
      const at = i * width + c;
      [out.exact[at], out.bound[at]] = gated(glu, { gate: exact[gate]!, up: exact[up]! }, { gate: bound[gate]!, up: bound[up]! });
    }
  return out;
}
/** Gate before up, as in a file that has both in one matrix. */
export const halves =
  (n: number) =>
  (column: number): readonly [number, number] => [column, n / 2 + column];
/** In pairs that alternate, as kernels have them. */
export const pairs = (column: number): readonly [number, number] => {
  const gate = 4 * Math.floor(column / 2) + (column % 2);
  return [gate, gate + 2];
};
