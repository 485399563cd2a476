// The test page's part of cache.spec.ts: loads a language model of a URL through the origin-private file system.
import { type CachedModel, Llm, type LlmStats } from '../src/llm.js';

export interface CacheReport {
  readonly cache: LlmStats['cache'];
  readonly ids: readonly number[];
  readonly error: string;
}

export async function loadCached(
  device: GPUDevice,
  url: string,
  { abortAfter }: { readonly abortAfter?: number } = {},
): Promise<CacheReport> {
  const controller = new AbortController();
  const onProgress = ({ done }: { readonly done: number }): void => {
    if (abortAfter !== undefined && done > abortAfter) controller.abort(new Error('enough'));
  };
  try {
    const llm = await Llm.load(url, { device, cache: true, onProgress, signal: controller.signal });
    const ids: number[] = [];
    for await (const { id } of llm.generate([1, 2, 3], { maxTokens: 4 })) ids.push(id);
    llm.destroy();
    return { cache: llm.stats.cache, ids, error: '' };
  } catch (error) {
    return { cache: undefined, ids: [], error: `${error}` };
  }
}

export const cachedModels = (): Promise<readonly CachedModel[]> => Llm.cached();
export const evictModel = (url: string): Promise<boolean> => Llm.evict(url);
