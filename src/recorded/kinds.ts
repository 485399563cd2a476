// The kinds of steps, by their first field: each checks a caller's step, and says what the step reads, writes and dispatches.
import {
  anything,
  type Check,
  flag,
  list,
  object,
  oneOf,
  onlyFields,
  optional,
  property,
  reading,
  refuse,
  text,
  wholeNumber,
  withMethods,
} from '../arguments/check.js';
import { notOurs } from '../arguments/copies.js';
import type { FloatDType } from '../dtype.js';
import { bestProduct } from '../epilogues/best.js';
import { ArgumentError } from '../errors.js';
import { ExpertLayers } from '../experts/expert-layers.js';
import { productOf } from '../experts/forward-experts.js';
import { areWithin, assertSorted, checkIds, type SortedPairs, sortingOf } from '../experts/sort-pairs.js';
import { capsOf } from '../gpu/device.js';
import type { Taken } from '../gpu/guard.js';
import { Tensor } from '../gpu/tensor.js';
import { type Product, planProduct } from '../layer/calls.js';
import { productsOf } from '../layer/layer-group.js';
import { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import type { LoadedWeights } from '../layer/loaded-weights.js';
import { firstQuantized, isQuantized, type QuantizedRows, quantizingOf } from '../layer/quantize-x.js';
import { copySteps } from '../plan/copy-steps.js';
import type { Dispatch } from '../plan/dispatch.js';
import type { Plan } from '../plan/plan.js';
import { checkX, FLOATS } from '../problem/checks.js';
import { isContiguous, showShape } from '../problem/view.js';
import { ofSquares, type RowScaled } from '../product/options.js';
import { gatheringOf } from '../rows/gather-rows.js';

/** Dispatches of the library, to be recorded. */
export interface Planned {
  readonly dispatches: readonly Dispatch[];
  /** Bytes of scratch buffers, by role. */
  readonly scratch: Readonly<Record<string, number>>;
  /** The buffers that the other roles stand for. */
  readonly buffer: (role: string) => GPUBuffer | undefined;
  /** Of a product: its plan, whose variant is tested, and its weights. */
  readonly product?: { readonly plan: Plan; readonly loaded: LoadedWeights };
  /** Called once it is recorded: rejects if what it uses failed. */
  readonly sound?: () => Taken;
  /** Called whenever it is encoded, with the promise of what is then written. */
  readonly encoded?: (work: Taken) => void;
}

/** A dispatch of the caller's. */
export interface OwnDispatch {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroups: readonly GPUBindGroup[];
  readonly workgroups: readonly number[];
}
export type Part = Planned | OwnDispatch;

/** How the tensors of all steps are cut. */
export interface Cut {
  /** Undefined: the tensors as they are. */
  readonly rows: number | undefined;
  /** Pairs that steps have sorted → the part of them that this number sorts. */
  readonly sorted: Map<SortedPairs, SortedPairs>;
}

/** A step that was checked. */
export interface CheckedStep {
  readonly reads: readonly Tensor[];
  readonly writes: readonly Tensor[];
  /** Whose weights it reads. */
  readonly owners: readonly (LinearWeightQuant | ExpertLayers)[];
  /** Checks the step against what its objects are now. @throws ArgumentError, UnsupportedError, ShaderError, DeviceLostError */
  readonly parts: (cut: Cut) => readonly Part[];
}

/** The device, and the numbers of rows that are recorded. */
interface Context {
  readonly device: GPUDevice;
  readonly rows: readonly (number | undefined)[];
}
type Kind = (step: unknown, context: Context) => CheckedStep;

/** A tensor whose end this copy of the library sees. */
const tensor: Check<Tensor> = (value, argument) => {
  const own = Tensor.given(value, argument);
  if (own !== value) throw notOurs(argument, { what: 'Tensor', expected: 'a Tensor of this copy of the library' }, value);
  return own;
};
const input: Check<Tensor | QuantizedRows> = (value, argument) => (isQuantized(value) ? value : tensor(value, argument));
const inputTensors = (x: Tensor | QuantizedRows): readonly Tensor[] => (isQuantized(x) ? [x.x, x.codes] : [x as Tensor]);

const first = (of: Tensor, { rows }: Cut, argument: string): Tensor => (rows === undefined ? of : of.first(rows, argument));
const firstInput = (x: Tensor | QuantizedRows, cut: Cut): Tensor | QuantizedRows => {
  if (!isQuantized(x)) return first(x as Tensor, cut, 'x');
  return cut.rows === undefined ? x : firstQuantized(x, cut.rows, 'x');
};

function ofDevice(device: GPUDevice, owner: LinearWeightQuant | ExpertLayers, argument: string): void {
  if (owner.device !== device) throw new ArgumentError(argument, "one of the recording's device", 'one of another device');
}

function planned(product: Product): Planned {
  const { plan, buffer } = planProduct(product);
  return { dispatches: plan.dispatches, scratch: plan.scratch, buffer, product: { plan, loaded: product.loaded } };
}

const rowScale: Check<RowScaled> = (value, argument) =>
  ofSquares(value) ? { ...value, rms: tensor(value.rms, `${argument}.rms`) } : tensor(value, argument);
const firstScale = (scale: RowScaled | undefined, cut: Cut): RowScaled | undefined =>
  scale && (ofSquares(scale) ? { ...scale, rms: first(scale.rms, cut, 'rowScale.rms') } : first(scale, cut, 'rowScale'));
/** The tensor that factors of rows are, or are made of. */
const scaleTensors = (scale: RowScaled | undefined): readonly Tensor[] => (scale ? [ofSquares(scale) ? scale.rms : scale] : []);
const LAYER = onlyFields({
  layer: LinearWeightQuant.given,
  x: input,
  y: tensor,
  add: optional(tensor),
  rowScale: optional(rowScale),
  inputScale: optional(tensor),
  twin: optional(tensor),
});
const LAYERS = onlyFields({
  layers: list(LinearWeightQuant.given),
  x: input,
  ys: list(tensor),
  rowScale: optional(rowScale),
  inputScale: optional(tensor),
});
const EXPERTS = onlyFields({
  experts: ExpertLayers.given,
  x: tensor,
  y: tensor,
  ids: optional(tensor),
  sorted: optional(anything),
  weights: optional(tensor),
  add: optional(tensor),
  twin: optional(tensor),
});
const SORT = onlyFields({ sort: anything });
const QUANTIZE = onlyFields({ quantize: anything });
const GATHER = onlyFields({ gather: LinearWeightQuant.given, ids: tensor, y: tensor, counted: optional(flag) });
const BEST = onlyFields({
  best: LinearWeightQuant.given,
  x: input,
  ids: tensor,
  values: tensor,
  columns: optional(wholeNumber(1)),
  rowScale: optional(rowScale),
  inputScale: optional(tensor),
});
const COPY = onlyFields({ copy: tensor, y: tensor });
const OWN = onlyFields({ pipeline: withMethods('a GPUComputePipeline', 'getBindGroupLayout'), bindGroups: anything, workgroups: anything });

const bindGroup: Check<GPUBindGroup> = (value, argument) => {
  text(property(object(value, argument), 'label', argument), `${argument}.label`);
  return value as GPUBindGroup;
};
const bindGroups = list(bindGroup);
const grid: Check<readonly number[]> = (value, argument) => {
  const sizes = list(wholeNumber(0))(value, argument);
  return sizes.length >= 1 && sizes.length <= 3 ? sizes : refuse(argument, 'one to three whole numbers', value);
};

/** Errors of a layer name it by the step's field. */
function asField<T>(field: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof ArgumentError) || error.argument !== 'layer') throw error;
    throw new ArgumentError(field, error.expected, error.got);
  }
}

/** Copies all of `from` to `to`. @throws ArgumentError, UnsupportedError, DeviceLostError */
function copying(from: Tensor, to: Tensor, device: GPUDevice): readonly Planned[] {
  from.assertUsable('copy', device);
  to.assertUsable('y', device);
  const dtype = oneOf<FloatDType>(...(FLOATS as readonly FloatDType[]))(from.dtype, 'copy.dtype');
  if (to.dtype !== dtype) throw new ArgumentError('y', `dtype ${dtype}`, to.dtype);
  if (showShape(to.shape) !== showShape(from.shape)) throw new ArgumentError('y', `shape ${showShape(from.shape)}`, showShape(to.shape));
  if (!isContiguous(to) || to.format !== 'ND')
    throw new ArgumentError('y', 'a contiguous tensor', `${to.format} strides ${showShape(to.strides)}`);
  if (to.buffer === from.buffer) throw new ArgumentError('y', 'another buffer than copy', 'the same one');
  const k = from.shape.at(-1)!;
  const { m, view: x } = checkX({ inFeatures: k, dtype }, from);
  if (m * k === 0) return [];
  const buffers: Readonly<Record<string, GPUBuffer>> = { x: from.buffer, y: to.buffer };
  return [{ ...copySteps({ m, k, xDtype: dtype, x, yOffset: to.offset }, capsOf(device)), buffer: (role) => buffers[role] }];
}

export const kinds: Readonly<Record<string, Kind>> = {
  layer(step, { device }) {
    const { layer, x, y, add, rowScale: scale, inputScale, twin } = LAYER(step, 'options');
    ofDevice(device, layer, 'layer');
    return {
      reads: [...inputTensors(x), ...(add ? [add] : []), ...scaleTensors(scale), ...(inputScale ? [inputScale] : [])],
      writes: twin ? [y, twin] : [y],
      owners: [layer],
      parts(cut) {
        const product = layer.product(firstInput(x, cut), first(y, cut, 'y'), {
          add: add && first(add, cut, 'add'),
          twin: twin && first(twin, cut, 'twin'),
          rowScale: firstScale(scale, cut),
          inputScale,
        });
        return product ? [planned(product)] : [];
      },
    };
  },
  layers(step, { device }) {
    const { layers, x, ys, rowScale: scale, inputScale } = LAYERS(step, 'options');
    for (const [i, layer] of layers.entries()) ofDevice(device, layer, `layers[${i}]`);
    return {
      reads: [...inputTensors(x), ...scaleTensors(scale), ...(inputScale ? [inputScale] : [])],
      writes: ys,
      owners: layers,
      parts(cut) {
        const own = ys.map((y, i) => first(y, cut, `ys[${i}]`));
        return productsOf(layers, firstInput(x, cut), own, { rowScale: firstScale(scale, cut), inputScale }).map(planned);
      },
    };
  },
  experts(step, { device }) {
    const { experts, x, y, ids, sorted, weights, add, twin } = EXPERTS(step, 'options');
    ofDevice(device, experts, 'experts');
    if ((ids === undefined) === (sorted === undefined))
      throw new ArgumentError('experts', 'either ids or sorted beside them', 'both or none');
    const pairs = sorted as SortedPairs;
    if (!ids) assertSorted(pairs, 'sorted', device);
    else checkIds(ids, device);
    return {
      reads: [x, ...(ids ? [ids] : [pairs.ids, pairs.sorted]), ...(weights ? [weights] : []), ...(add ? [add] : [])],
      writes: twin ? [y, twin] : [y],
      owners: [experts],
      parts(cut) {
        const own = cut.sorted.get(pairs) ?? (pairs && cut.rows === undefined && areWithin(pairs) ? pairs : undefined);
        if (!ids && !own) throw new ArgumentError('sorted', 'pairs that a step before this one sorts', 'pairs that none of them sorts');
        const ofPairs = { weights: weights && first(weights, cut, 'weights') };
        const routes = ids ? { ids: first(ids, cut, 'ids'), ...ofPairs } : { sorted: own!, ...ofPairs };
        const options = { add: add && first(add, cut, 'add'), twin: twin && first(twin, cut, 'twin') };
        const product = productOf(experts, first(x, cut, 'x'), { y: first(y, cut, 'y'), routes, options });
        return product ? [planned(product)] : [];
      },
    };
  },
  sort(step, { device }) {
    const pairs = SORT(step, 'options').sort as SortedPairs;
    assertSorted(pairs, 'sort', device);
    return {
      reads: [pairs.ids],
      writes: [pairs.sorted],
      owners: [],
      parts({ rows, sorted }) {
        const { first: part, ...sorting } = sortingOf(pairs, device, { argument: 'sort', count: rows });
        sorted.set(pairs, part);
        return [sorting];
      },
    };
  },
  quantize(step, { device }) {
    const { quantize } = QUANTIZE(step, 'options');
    const rows = quantize as QuantizedRows;
    quantizingOf(rows, device, 'quantize'); // throws if it is none
    return {
      reads: [rows.x],
      writes: [rows.codes],
      owners: [],
      parts: (cut) => [quantizingOf(cut.rows === undefined ? rows : firstQuantized(rows, cut.rows, 'quantize'), device, 'quantize')],
    };
  },
  gather(step, { device }) {
    const { gather, ids, y, counted = true } = GATHER(step, 'options');
    ofDevice(device, gather, 'gather');
    return {
      reads: [ids],
      writes: [y],
      owners: [gather],
      parts(cut) {
        const work = asField('gather', () => gatheringOf(gather, { ids: first(ids, cut, 'ids'), y: first(y, cut, 'y'), counted }));
        return work ? [work] : [];
      },
    };
  },
  best(step, { device }) {
    const { best, x, ids, values, columns, rowScale: scale, inputScale } = BEST(step, 'options');
    ofDevice(device, best, 'best');
    return {
      reads: [...inputTensors(x), ...scaleTensors(scale), ...(inputScale ? [inputScale] : [])],
      writes: [ids, values],
      owners: [best],
      parts(cut) {
        const into = { ids: first(ids, cut, 'ids'), values: first(values, cut, 'values') };
        const product = asField('best', () =>
          bestProduct(best, firstInput(x, cut), into, { columns, rowScale: firstScale(scale, cut), inputScale }),
        );
        return product ? [planned(product)] : [];
      },
    };
  },
  copy(step, { device }) {
    const { copy, y } = COPY(step, 'options');
    return {
      reads: [copy],
      writes: [y],
      owners: [],
      parts: (cut) => copying(first(copy, cut, 'copy'), first(y, cut, 'y'), device),
    };
  },
  pipeline(step, context) {
    const { pipeline, bindGroups: groups, workgroups } = OWN(step, 'options');
    const of = <T>(check: Check<T>, value: unknown, argument: string, rows: number | undefined): T =>
      check(typeof value === 'function' ? reading(argument, () => value(rows)) : value, argument);
    const byRows = new Map(
      context.rows.map((rows): readonly [number | undefined, OwnDispatch] => [
        rows,
        {
          pipeline: pipeline as GPUComputePipeline,
          bindGroups: of(bindGroups, groups, 'bindGroups', rows),
          workgroups: of(grid, workgroups, 'workgroups', rows),
        },
      ]),
    );
    return { reads: [], writes: [], owners: [], parts: ({ rows }) => [byRows.get(rows)!] };
  },
};
