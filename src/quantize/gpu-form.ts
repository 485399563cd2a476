// What quantizing on the GPU makes: minmax for each output or group. Two names stand for usual forms.
import { anything, type Check, fields } from '../arguments/check.js';
import { showValue } from '../arguments/show-value.js';
import { ArgumentError } from '../errors.js';
import { checkForm, type QuantizeOptions, type Settings } from './options.js';

/** The options of `quantize` that `quantizeOnGpu` and `loadLayer` take. */
export type GpuQuantizeOptions = Pick<QuantizeOptions, 'bits' | 'mode' | 'groupSize' | 'symmetric' | 'scaleDtype'>;

/**
 * How float weights are quantized while they are loaded. `int8`: groups of 32 without zero points, as GGUF's Q8_0. `int4`: groups of 32 with
 * zero points.
 */
export type QuantizeForm = 'int8' | 'int4' | GpuQuantizeOptions;

type Size = Pick<Settings, 'n' | 'k'>;

const OPTIONS = fields({
  bits: anything,
  mode: anything,
  groupSize: anything,
  symmetric: anything,
  scaleDtype: anything,
}) as Check<GpuQuantizeOptions>;

/** @throws ArgumentError */
export function checkGpuForm(options: unknown, size: Size): Settings {
  const settings = checkForm({ ...OPTIONS(options, 'options'), n: size.n, k: size.k, method: 'minmax' });
  if (settings.mode === 'tensor') throw new ArgumentError('mode', 'channel or group', 'tensor');
  return settings;
}

/** Groups of 32 follow the sizes of weights closely: heads and embeddings lose more than other layers by a scale that is too large. */
const GROUP = 32;
const NAMED = {
  int8: { bits: 8, symmetric: true },
  int4: { bits: 4, symmetric: false }, // 15 steps are few: half of them would lie where a group has no weights
} as const;

/** The settings of a form for weights of a size. A name has one group for K below 32. @throws ArgumentError */
export function settingsFor(form: unknown, size: Size): Settings {
  if (typeof form === 'object' && form !== null) return checkGpuForm(form, size);
  const named = form === 'int8' || form === 'int4' ? NAMED[form] : undefined;
  if (!named) throw new ArgumentError('quantize', 'int8, int4 or options of quantizeOnGpu', showValue(form));
  return checkGpuForm({ ...named, groupSize: Math.min(GROUP, size.k) }, size);
}
