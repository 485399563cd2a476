// best: the greatest element of each row of a product, in place of y: greedy decoding reads a few bytes where it would read a vocabulary.

import { anything, onlyFields, optional, wholeNumber } from '../arguments/check.js';
import { checkPass } from '../arguments/gpu-objects.js';
import { ArgumentError } from '../errors.js';
import { allTaken } from '../gpu/guard.js';
import { Tensor } from '../gpu/tensor.js';
import { callOf, encodeProduct, type Product, run } from '../layer/calls.js';
import { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import { recycle, takeOutput } from '../layer/loaded-weights.js';
import { inputOf, type QuantizedRows } from '../layer/quantize-x.js';
import { checkBest, checkX } from '../problem/checks.js';
import { type ForwardOptions, scalesOf, sharesBuffer } from '../product/options.js';
import { addBestText } from '../wgsl/best-text.js';

/** The greatest element of each row. */
export interface BestRows {
  /** int32 (…): the column of each, or -1. */
  readonly ids: Tensor;
  /** float32 (…): the element itself, before it would be rounded to y's dtype. */
  readonly values: Tensor;
}

/** What counts, and what rows are multiplied by (`ProductOptions`). */
export interface BestOptions extends ForwardOptions {
  /** Only so many columns count, from the first on: those of a vocabulary that is padded. Default N. */
  readonly columns?: number | undefined;
}
const OPTIONS = onlyFields({ columns: optional(wholeNumber(1)), rowScale: optional(anything), inputScale: optional(anything) });
const INTO = onlyFields({ ids: anything, values: anything });

/**
 * The greatest of each row of x · W + bias, as float32 sums: y is neither rounded to its dtype nor written. Of equal ones the lowest column,
 * where -0 and 0 are equal; a row of -Infinity has id 0; a NaN in a column that counts makes id -1 and value NaN. Enqueues and does not wait.
 * With the same x buffer, and ids and values destroyed, the next call allocates nothing.
 * @param x (…, K), or its codes
 * @returns ids and values (…); of one x (K,) they are (1,)
 * @throws ArgumentError for an int8 y or a gated linear unit, UnsupportedError, ShaderError, DeviceLostError
 * @example const { ids } = best(head, x); // the next token of each row, on the GPU
 */
export function best(layer: LinearWeightQuant, x: Tensor | QuantizedRows, options: BestOptions = {}): BestRows {
  const asked = askedOf(layer, x, options);
  const { loaded, input, rows } = asked;
  const { device } = loaded;
  const shape = input.x.shape.length > 1 ? input.x.shape.slice(0, -1) : [1];
  const output = (dtype: 'int32' | 'float32'): Tensor => {
    const own = takeOutput(loaded, Math.max(4, 4 * rows.m));
    return Tensor.own(device, own.buffer, {
      shape,
      dtype,
      release: () => recycle(loaded, own),
      written: allTaken(own.ready, input.written),
    });
  };
  const made: BestRows = { ids: output('int32'), values: output('float32') };
  if (rows.m === 0) return made;
  try {
    const taken = run(device, 'best', { calls: [callOf(productInto(asked, made))], input });
    for (const one of [made.ids, made.values])
      one.writtenBy(allTaken(one.written, asked.scaled?.tensor.written, asked.inputScale?.written, taken));
    return made;
  } catch (error) {
    for (const one of [made.ids, made.values]) one.destroy();
    throw error;
  }
}

/**
 * Records into the caller's pass: ids and values of best(layer, x, options). With the same buffers and shapes as before it allocates nothing.
 * The pass's pipeline and bind group 0 are then others.
 * @param into ids int32 and values float32, contiguous, of an element for each row of x, in buffers of their own
 * @throws ArgumentError, UnsupportedError, ShaderError, DeviceLostError
 */
export function encodeBest(
  pass: GPUComputePassEncoder,
  layer: LinearWeightQuant,
  x: Tensor | QuantizedRows,
  into: BestRows,
  options: BestOptions = {},
): void {
  const product = bestProduct(layer, x, into, options);
  const target = checkPass(pass);
  if (product) encodeProduct(target, product);
}

/** @internal The product that `encodeBest` records; undefined for no rows. @throws ArgumentError, DeviceLostError */
export function bestProduct(
  layer: LinearWeightQuant,
  x: Tensor | QuantizedRows,
  into: BestRows,
  options: BestOptions,
): Product | undefined {
  const asked = askedOf(layer, x, options);
  const { loaded, input, rows, scaled, inputScale } = asked;
  const given = INTO(into, 'into');
  const [ids, values] = (['ids', 'values'] as const).map((name) => {
    const one = Tensor.given(given[name], name, loaded.device);
    checkBest(name, rows.m, one);
    if (sharesBuffer(input, one) || scaled?.tensor.buffer === one.buffer || inputScale?.buffer === one.buffer)
      throw new ArgumentError(name, 'another buffer than x and its factors', 'the same one');
    return one;
  }) as [Tensor, Tensor];
  if (values.buffer === ids.buffer) throw new ArgumentError('values', 'another buffer than ids', 'the same one');
  return rows.m === 0 ? undefined : productInto(asked, { ids, values });
}

// --------------------------------------------------------------------------------------------------------------- inside

/** Checks all but where ids and values go. @throws ArgumentError, DeviceLostError */
function askedOf(layer: LinearWeightQuant, x: Tensor | QuantizedRows, options: BestOptions) {
  addBestText();
  const { loaded } = LinearWeightQuant.given(layer, 'layer');
  const { n, glu, requantized } = loaded.weights;
  if (glu) throw new ArgumentError('layer', 'weights of one matrix', 'gate and up for a gated linear unit');
  if (requantized) throw new ArgumentError('layer', 'a y of floats', 'an int8 y');
  const { columns = n, ...scales } = OPTIONS(options, 'options') as BestOptions;
  if (columns > n) throw new ArgumentError('columns', `at most N = ${n}`, String(columns));
  const input = inputOf(x, loaded);
  const rows = checkX(loaded.spec, input.x);
  return { loaded, input, rows, columns, ...scalesOf(scales, { input, m: rows.m }) };
}

const productInto = (
  { loaded, input, rows, columns, scaled, inputScale }: ReturnType<typeof askedOf>,
  { ids, values }: BestRows,
): Product => ({
  loaded,
  request: { input, rows, y: {}, scaled, inputScale, best: { columns, ids: ids.offset, values: values.offset } },
  writes: [ids, values],
});
