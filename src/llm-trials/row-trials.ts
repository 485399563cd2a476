// Trials of what meets whole rows: norms, gated units, the route of experts, the cap of logits. Pure.
import { capDispatch } from '../llm-kernels/cap.js';
import { gluDispatch } from '../llm-kernels/glu.js';
import { normAddDispatch, rmsDispatch, routeDispatch } from '../llm-kernels/rms.js';
import type { Caps } from '../problem/caps.js';
import { sortedPairs } from '../problem/experts.js';
import { glu, multiply, rmsNorm, routed } from '../reference/llm.js';
import type { Params } from '../wgsl/preprocess.js';
import { EPSILON, floatsOf, type LlmTrial, noise, poison, trial } from './trial.js';

export function ofRms(): LlmTrial {
  const [rows, width] = [3, 264]; // more quads than lanes, and no whole number of them
  const [x, weight] = [noise(1, rows * width), noise(2, width)];
  const y = rmsNorm(x, weight, EPSILON);
  y.fill(NaN, (rows - 1) * width);
  return trial(
    rmsDispatch({ rows, width, epsilon: EPSILON }),
    { running: 1, position: 0, rows: rows - 1 },
    {
      given: { x: floatsOf(x), weight: floatsOf(weight), y: poison(4 * rows * width) },
      wanted: { y: { of: 'f32', values: y } },
    },
  );
}

export function ofNormAdd(): LlmTrial {
  const [rows, width, scale] = [3, 264, 0.5];
  const [h, x, weight, next] = [1, 2, 3, 4].map((salt) => noise(salt, salt < 3 ? rows * width : width)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const normed = rmsNorm(h, weight, EPSILON);
  const sum = x.map((value, i) => scale * value + normed[i]!);
  const again = rmsNorm(sum, next, EPSILON);
  for (const values of [sum, again]) values.fill(NaN, (rows - 1) * width);
  return trial(
    normAddDispatch({ rows, width, epsilon: EPSILON, scale }),
    { running: 1, position: 0, rows: rows - 1 },
    {
      given: { h: floatsOf(h), x: floatsOf(x), weight: floatsOf(weight), next: floatsOf(next) },
      wanted: { x: { of: 'f32', values: sum }, h: { of: 'f32', values: again } },
    },
  );
}

export function ofGlu(): LlmTrial {
  const [rows, width] = [3, 70]; // more than lanes, and no whole number of them
  const [gate, up] = [noise(1, rows * width), noise(2, rows * width)];
  const act = glu(gate, up);
  act.fill(NaN, (rows - 1) * width);
  return trial(
    gluDispatch({ rows, width, glu: 'silu' }),
    { running: 1, position: 0, rows: rows - 1 },
    { given: { act: floatsOf(gate), up: floatsOf(up) }, wanted: { act: { of: 'f32', values: act } } },
  );
}

/** Two rows and a padded one, or one row whose pairs are sorted; more experts than groups of four. */
export function ofRoute({ SORTED }: Params): LlmTrial {
  const [width, count, top, scale] = [264, 13, 3, 1.5];
  const sorted = SORTED === 1;
  const [rows, valid] = sorted ? [1, 1] : [3, 2];
  const [x, weight, router, biases] = [
    noise(1, rows * width),
    noise(2, width),
    noise(3, count * width),
    noise(4, 4 * Math.ceil(count / 4)),
  ];
  const h = rmsNorm(x, weight, EPSILON);
  const chosen = Array.from({ length: valid }, (_, row) =>
    routed(
      multiply(h.subarray(row * width, (row + 1) * width), router.map(inSixteenths), width).map((z, expert) => z + biases[expert]!),
      { top, scale },
    ),
  ).flat();
  h.fill(NaN, valid * width);
  const padding = new Array<number>((rows - valid) * top);
  const ids = [...chosen.map(({ id }) => id), ...padding.fill(2 ** 32 - 1)];
  const weights = [...chosen.map((one) => one.weight), ...padding.fill(0)];
  const pairs = Float64Array.from(sortedPairs(ids.slice(0, top), count));
  pairs.fill(NaN, 4 * (count + 2), 5 * (count + 2)); // a list of sort-pairs'
  return trial(
    routeDispatch({ count, top, scale }, { rows, width, epsilon: EPSILON, sorted }),
    { running: 1, position: 0, rows: valid },
    {
      given: {
        ...{ x: floatsOf(x), weight: floatsOf(weight), router: floatsOf([...router.map(inSixteenths), ...biases]) },
        ...{ h: poison(4 * rows * width), weights: poison(4 * rows * top) },
        ...(sorted ? { sorted: poison(4 * pairs.length) } : { ids: poison(4 * rows * top) }),
      },
      wanted: {
        h: { of: 'f32', values: h },
        weights: { of: 'f32', values: Float64Array.from(weights) },
        ...(sorted ? { sorted: { of: 'u32', values: pairs } } : { ids: { of: 'u32', values: Float64Array.from(ids) } }),
      },
    },
  );
}
/** So that weights are no zeros. */
const inSixteenths = (value: number): number => value / 16;

export function ofCap(_: Params, caps: Caps): LlmTrial {
  const [vocabulary, cap] = [271, 1.5]; // more quads than lanes, and no whole number of them
  const z = noise(1, 4 * Math.ceil(vocabulary / 4));
  return trial(
    capDispatch({ vocabulary, cap }, caps),
    { running: 1, position: 0, rows: 1 },
    { given: { z: floatsOf(z) }, wanted: { z: { of: 'f32', values: z.map((value) => cap * Math.tanh(value / cap)) } } },
  );
}
