// llama.cpp in WebAssembly, by wllama: on WebGPU, or on one thread of the CPU.
import type { Speaker } from './decode.js';
import { promptIds } from './prompt.js';

/** What is used of wllama, which is installed for a bench only. */
interface Wllama {
  loadModelFromUrl(url: string, options: object): Promise<void>;
  createCompletion(options: object): Promise<AsyncIterable<unknown>>;
}
interface WllamaModule {
  Wllama: new (paths: object, options: object) => Wllama;
}

/** A stream ends at bytes that are no UTF-8, and at special tokens: ids of them are banned. */
const BANNED = Array.from({ length: 131 }, (_, i) => 128 + i);
/** The one letter that each id of a prompt is. */
const textOf = (ids: readonly number[]): string => String.fromCharCode(...ids);

export async function wllama(model: string, { context, gpu }: { readonly context: number; readonly gpu: boolean }): Promise<Speaker> {
  // From the root of the server, so that the bundler leaves it alone.
  const { Wllama } = (await import(/* @vite-ignore */ new URL('/wllama/index.js', location.href).href)) as WllamaModule;
  const one = new Wllama({ default: new URL('/wllama/wasm/wllama.wasm', location.href).href }, { suppressNativeLog: true });
  await one.loadModelFromUrl(model, { n_ctx: context, n_threads: 1, n_gpu_layers: gpu ? 999 : 0, useCache: false, seed: 1 });
  let seed = 0;
  let text = '';
  const answer = async (count: number): Promise<void> => {
    const stream = await one.createCompletion({
      prompt: text,
      max_tokens: count,
      temperature: 0,
      stream: true,
      cache_prompt: true,
      logit_bias: BANNED.map((id) => [id, false]),
    });
    for await (const _ of stream);
  };
  return {
    prompt(count) {
      text = textOf(promptIds(count, seed++));
      return answer(1);
    },
    decode: (count) => answer(count),
  };
}
