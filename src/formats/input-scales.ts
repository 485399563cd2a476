// A scale of each input beside a layer's weights, which x is multiplied by: torchao's act_pre_scale, ModelOpt's pre_quant_scale.
import { FormatError } from '../errors.js';
import { asFloats, at, elementsIn, type RawTensor, requireDtype } from '../files/raw-tensor.js';
import type { QuantizedMatrix } from '../problem/matrix.js';
import { showShape } from '../problem/view.js';

/** Checks its shape, if there is one: (K), (1, K), or one number for all inputs. @throws FormatError */
export function requireInputScale(tensor: RawTensor | undefined, k: number): void {
  if (!tensor) return;
  requireDtype(tensor, 'F16', 'BF16', 'F32');
  const { shape } = tensor;
  const count = elementsIn(shape);
  if (shape.length > 2 || (count !== 1 && (count !== k || shape.at(-1) !== k)))
    throw new FormatError(at(tensor, 'shape'), `(${k},), (1, ${k}) or one number`, showShape(shape));
}

/** The matrix's field. Both libraries round x · scale to x's dtype, which is not done here. @throws FormatError */
export function inputScaleOf(tensor: RawTensor | undefined, k: number): Pick<QuantizedMatrix, 'inputScale'> {
  if (!tensor) return {};
  const values = asFloats(tensor);
  return { inputScale: values.length === k ? values : new Float32Array(k).fill(values[0]!) };
}
