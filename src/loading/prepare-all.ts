// prepareAll: what the first calls of many layers would wait for, all at once. A variant that several layers need is compiled and tested once.
import { anything, callback, dictionary, list, optional, reading } from '../arguments/check.js';
import { ArgumentError } from '../errors.js';
import { findingsOf } from '../gpu/device-findings.js';
import { preparePipelines } from '../gpu/pipeline.js';
import { selfTest } from '../gpu/self-test.js';
import { variantId } from '../kernels/kernel.js';
import { preparedTogether } from '../layer/layer-group.js';
import { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import { type LoadedWeights, planFor } from '../layer/loaded-weights.js';
import { checkPrepare, type PrepareOptions, prepareWeights, problemOf, readStored } from '../layer/prepare.js';
import type { Phase, Progress } from '../progress.js';

/** Options of `prepareAll`. */
export interface PrepareAllOptions extends PrepareOptions {
  /** Receives the shaders that have compiled, and the variants that were tested. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/**
 * `prepare` for many layers: compiles all their shaders for products of these numbers of rows, and tests each variant once, in parallel. Then it
 * measures, if `tune` asks for that, one layer after the other.
 * @param layers a list in the list is prepared for `forwardMany`: those of its layers that can share a dispatch are joined
 * @throws ArgumentError, UnsupportedError if no kernel works or there was no memory, GpuError, ShaderError, DeviceLostError, ReadError if the
 *   files of self-tests or tuning cannot be loaded
 * @example await prepareAll([[q, k, v], o, [gate, up], down], [1, 128], { onProgress: ({ phase, done, total }) => console.log(phase, done, total) });
 */
export async function prepareAll(
  layers: readonly (LinearWeightQuant | readonly LinearWeightQuant[])[],
  rows: readonly number[],
  options: PrepareAllOptions = {},
): Promise<void> {
  const { onProgress, ...rest } = dictionary(anything)(options, 'options');
  const [counts, checked] = checkPrepare(rows, rest);
  const tell = teller(optional(callback)(onProgress, 'onProgress') as PrepareAllOptions['onProgress']);
  const together = checkLayers(layers);
  const weights: LoadedWeights[] = [];
  for (const own of together) weights.push(...(own.length === 1 ? [own[0]!.loaded] : await preparedTogether(own)));
  const free = weights.find(({ settings }) => !settings.force); // a forced kernel needs no measured choice
  if (free) await readStored(free, checked);
  await compileAll(weights[0]!.device, weights, counts, tell);
  for (const loaded of weights) await prepareWeights(loaded, counts, checked);
}

/** Layers as lists; one that stands alone is a list of one. @throws ArgumentError, DeviceLostError */
function checkLayers(given: unknown): readonly (readonly LinearWeightQuant[])[] {
  const together = list(anything)(given, 'layers').map((entry, i) => {
    const argument = `layers[${i}]`;
    return reading(argument, () => Array.isArray(entry))
      ? list(LinearWeightQuant.given)(entry, argument)
      : [LinearWeightQuant.given(entry, argument)];
  });
  const empty = together.findIndex(({ length }) => length === 0);
  if (empty >= 0 || together.length === 0)
    throw new ArgumentError(empty >= 0 ? `layers[${empty}]` : 'layers', 'at least one layer', 'none');
  const devices = new Set(together.flat().map(({ loaded }) => loaded.device)); // throws if one is not loaded
  if (devices.size > 1) throw new ArgumentError('layers', 'layers of one device', 'layers of several');
  return together;
}

type Tell = (phase: Phase, id: string, work: Promise<unknown>) => Promise<void>;

/** Counts what is done of each phase, by id: planning may ask for more when a variant has failed. */
function teller(onProgress: PrepareAllOptions['onProgress']): Tell {
  const known = new Map<Phase, Set<string>>();
  const done = new Map<Phase, number>();
  return async (phase, id, work) => {
    const ids = known.get(phase) ?? new Set();
    known.set(phase, ids);
    if (ids.has(id)) return void (await work);
    ids.add(id);
    try {
      await work;
    } catch (error) {
      ids.delete(id); // another takes its place
      throw error;
    }
    done.set(phase, (done.get(phase) ?? 0) + 1);
    onProgress?.({ phase, done: done.get(phase)!, total: ids.size });
  };
}

/** Repeats until every plan's variant works here: a variant that fails its self-test is replaced by the next. */
async function compileAll(device: GPUDevice, weights: readonly LoadedWeights[], rows: readonly number[], tell: Tell): Promise<void> {
  const findings = findingsOf(device);
  for (;;) {
    const { changes } = findings;
    const plans = weights.flatMap((loaded) => rows.map((m) => ({ loaded, plan: planFor(loaded, problemOf(loaded, m)) })));
    const shaders = new Map(plans.flatMap(({ plan }) => plan.dispatches.map((one) => [variantId(one.shader, one.params), one] as const)));
    const compiled = Promise.all([...shaders].map(([id, one]) => tell('compile', id, preparePipelines(device, [one]))));
    compiled.catch(() => {}); // awaited below, unless a self-test disables the variant
    const tested = plans
      .filter(({ loaded }) => loaded.settings.selfTest)
      .map(({ plan }) => [variantId(plan.kernel, plan.params), plan] as const);
    await Promise.all([...new Map(tested)].map(([id, plan]) => tell('test', id, selfTest(device, [plan]))));
    if (findings.changes !== changes) continue;
    await compiled;
    return;
  }
}
