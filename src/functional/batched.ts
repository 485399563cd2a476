// The functional form with a weight for each batch: y[b] = x[b] · W[b], the experts of a block with ids 0, 1, 2, …
import { ArgumentError, UnsupportedError } from '../errors.js';
import { ExpertLayers } from '../experts/expert-layers.js';
import { forwardExperts } from '../experts/forward-experts.js';
import { Tensor } from '../gpu/tensor.js';
import { checkWeights } from '../problem/checks.js';
import type { LinearSpec, WeightTensors } from '../problem/problem.js';
import { type FunctionalOptions, functionalSpec } from '../problem/torch-arguments.js';
import { showShape, type View } from '../problem/view.js';

type Numbers = Pick<FunctionalOptions<Tensor>, 'antiquantGroupSize' | 'innerPrecise' | 'weightRounding' | 'outputDtype'>;

/** Has the call a weight for each batch? */
export const isBatched = ({ weight }: { readonly weight?: Tensor }): boolean => weight?.shape.length === 3;

/**
 * y (B, M, N) = x (B, M, K) · weight (B, K, N). Scales, offsets and biases have an axis of B in front, or one axis alone, which all batches
 * share.
 * @throws ArgumentError, UnsupportedError for a quantScale or weightRounding, DeviceLostError
 */
export function multiplyBatches(x: Tensor, tensors: WeightTensors<Tensor>, numbers: Numbers): Tensor {
  const { device } = x;
  const [batches = 0, rows = 0] = x.shape;
  const count = tensors.weight.shape[0]!;
  if (x.shape.length !== 3 || batches !== count || count === 0)
    throw new ArgumentError('x', `three dimensions (${count}, M, K), as weight has three`, showShape(x.shape));
  if (tensors.quantScale) throw new UnsupportedError('a weight for each batch', ['a quantScale: y is not requantized there']);
  if (numbers.weightRounding === 'dtype') throw new UnsupportedError('a weight for each batch', ["weightRounding 'dtype'"]);
  const entries = Object.entries(tensors).filter(([, tensor]) => tensor !== undefined) as [string, Tensor][];
  const batch = (b: number): { readonly spec: LinearSpec; readonly views: WeightTensors<View> } => {
    const own = Object.fromEntries(entries.map(([name, tensor]) => [name, ofBatch(name, tensor, { b, count })]));
    return functionalSpec<View>(
      ofBatch('x', x, { b, count }),
      { ...(own as unknown as WeightTensors<View>), ...numbers },
      (_, view) => view,
      transposed,
    );
  };
  const { spec, views } = batch(0);
  checkWeights(spec, views, { flipped: true }); // so that messages have the caller's orientation
  const { inFeatures, outFeatures, bias, antiquantOffset, antiquantGroupSize, dtype, outputDtype } = spec;
  const form = { inFeatures, outFeatures, bias, antiquantOffset, antiquantGroupSize, dtype, outputDtype };
  const experts = new ExpertLayers(device, { experts: count, ...form });
  const ids = Tensor.from(
    device,
    Int32Array.from({ length: count * rows }, (_, row) => Math.floor(row / rows)),
    { shape: [count, rows], dtype: 'int32' },
  );
  try {
    experts.loadViews(tensors, (b) => batch(b).views);
    return forwardExperts(experts, x, { ids });
  } finally {
    experts.destroy(); // submitted work keeps its buffers until it has run
    ids.destroy();
  }
}

/** A batch of a tensor; all of it if it has one axis. @throws ArgumentError */
function ofBatch(name: string, view: View, { b, count }: { readonly b: number; readonly count: number }): View {
  const { shape, strides, dtype, format, offset } = view;
  if (format !== 'ND') throw new ArgumentError(name, 'format ND, with a weight for each batch', format);
  if (shape.length === 1) return { shape, strides, dtype, format, offset };
  if (shape[0] !== count) throw new ArgumentError(name, `an axis of ${count} batches in front, or one axis alone`, showShape(shape));
  return { shape: shape.slice(1), strides: strides.slice(1), dtype, format, offset: offset + b * strides[0]! };
}

const transposed = (view: View): View => ({ ...view, shape: [...view.shape].reverse(), strides: [...view.strides].reverse() });
