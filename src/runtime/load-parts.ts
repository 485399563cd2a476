// What Llm.load makes of a file: the model on the GPU. Llm imports this file on demand: bundlers put it, and all that opens and runs models, into
// a separate file.
import { ArgumentError } from '../errors.js';
import type { CacheStats } from '../files/cached-source.js';
import { capsOf, logTo, requestDevice } from '../gpu/device.js';
import type { Config } from '../llm/config.js';
import type { KvDType } from '../llm-kernels/attention.js';
import { hubUrl } from '../loading/hub-url.js';
import { cacheOf } from '../loading/kept-files.js';
import { loggedFetch } from '../log.js';
import type { LanguageModel } from '../model/language-model.js';
import { type ModelFrom, openLanguageModel } from '../model/open-language-model.js';
import { Runner } from '../sequence/runner.js';
import { fusesNorms } from '../sequence/step-plan.js';
import { loadWeights, type ModelWeights } from '../sequence/weights.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { checkRoom, estimateOf, type LlmEstimate } from './estimate.js';
import type { LlmOptions } from './options.js';

/** Positions of a sequence, if nobody says. */
const CONTEXT = 4096;

/** The parts of a loaded model, and of a sequence of it. */
export interface Parts {
  readonly device: GPUDevice;
  /** Is the device ours to destroy? */
  readonly owned: boolean;
  /** Of all sequences of the weights: how many there are, the last of which ends weights and such a device; and the tokenizer once it is asked for. */
  readonly shared: { users: number; tokenizer: Promise<Tokenizer> | undefined };
  readonly model: LanguageModel;
  readonly weights: ModelWeights;
  readonly runner: Runner;
  readonly context: number;
  readonly kv: KvDType;
  readonly fusedNorms: boolean;
  readonly cache: CacheStats | undefined;
  /** What float matrices became, in words. */
  readonly form: string;
  readonly loadMs: number;
}

/** Of `cache` for what comes from no server. */
const NOT_KEPT: CacheStats = { cached: 0, fetched: 0, stored: 0, off: 'only models of URLs are kept' };

/** @throws ArgumentError */
function contextOf({ contextLength, rope }: Config, asked: number | undefined): number {
  const context = asked ?? Math.min(CONTEXT, contextLength, rope.original ?? Infinity);
  if (context > contextLength)
    throw new ArgumentError('context', `at most ${contextLength}, what the model was trained for`, String(context));
  return context;
}

/** The form that float matrices were given, in words. */
const formOf = (quantize: LlmOptions['quantize'] = 'int8'): string =>
  typeof quantize === 'string' ? `${quantize} in groups of 32` : `codes of ${quantize.bits} bits`;

/** Opens a model, which reads its headers and settings, through the cache of files if that is asked for. */
async function opened(from: ModelFrom, { cache = false, fetch: given, logger, signal }: LlmOptions) {
  signal?.throwIfAborted();
  const fetch = loggedFetch(given, logger);
  const place = typeof from === 'string' ? hubUrl(from) : from;
  const store = cache ? await cacheOf(place, { fetch, signal }) : undefined;
  return { store, model: await openLanguageModel(place, { signal, fetch, fetched: store?.open }) };
}

/** @param options that were checked. @throws as Llm.load; all is then freed */
export async function loadParts(from: ModelFrom, options: LlmOptions): Promise<Parts> {
  const began = performance.now();
  const { device: given, context: asked, kv = 'f16', quantize, innerPrecise, cache = false, onProgress, logger, signal } = options;
  const { store, model } = await opened(from, options);
  const { config } = model;
  const context = contextOf(config, asked);
  const how = { context, kv, quantize, innerPrecise };
  estimateOf(model, { ...how, wide: false }); // throws if no kernel has such heads, or floats cannot become that
  const device = given ?? (await requestDevice());
  if (logger) logTo(device, logger);
  let weights: ModelWeights | undefined;
  let runner: Runner | undefined;
  try {
    const caps = capsOf(device);
    const fusedNorms = fusesNorms(config, caps);
    await checkRoom(device, model, estimateOf(model, { ...how, wide: caps.wideCodes }), { kv, caps });
    weights = await loadWeights(device, model, { context, fused: fusedNorms, quantize, onProgress, signal });
    runner = await Runner.make(device, config, weights, { context, kv, integers: innerPrecise === 1 });
    await store?.settled();
    signal?.throwIfAborted(); // while kernels were compiled
    return {
      ...{ device, model, weights, runner, context, kv, fusedNorms },
      owned: given === undefined,
      shared: { users: 1, tokenizer: undefined },
      cache: store?.stats ?? (cache ? { ...NOT_KEPT } : undefined),
      form: formOf(quantize),
      loadMs: performance.now() - began,
    };
  } catch (error) {
    runner?.destroy();
    weights?.destroy();
    if (!given) device.destroy();
    throw error;
  }
}

/** @param options that were checked. @throws as Llm.estimate */
export async function estimateFrom(from: ModelFrom, options: LlmOptions): Promise<LlmEstimate> {
  const { device, context: asked, kv = 'f16', quantize, innerPrecise } = options;
  const { store, model } = await opened(from, options);
  await store?.settled();
  const wide = device !== undefined && capsOf(device).wideCodes;
  return estimateOf(model, { context: contextOf(model.config, asked), kv, wide, quantize, innerPrecise });
}
