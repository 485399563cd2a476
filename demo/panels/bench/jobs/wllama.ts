// wllama, which is llama.cpp in WebAssembly, from the page's site: on WebGPU, or on one thread of the CPU. It runs in the Worker that may compile
// WebAssembly, and starts a Worker of its own.
import { ownFile } from '../../../worker/own-model.js';
import { download, type LoadOptions } from './download.js';
import { CONTEXT, WLLAMA_FILES, type WllamaOn } from './llm-settings.js';

type WllamaModule = typeof import('@wllama/wllama');

interface Realm {
  Worker: typeof Worker;
  readonly trustedTypes?: { createPolicy(name: string, rules: object): { createScriptURL(url: string): unknown } };
}

let loaded: Promise<WllamaModule> | undefined;

/** Where Trusted Types are enforced, wllama's Worker needs the address of its blob as an object of the only policy that there may be. */
function trustBlobs(): void {
  const realm = globalThis as unknown as Realm;
  const policy = realm.trustedTypes?.createPolicy('antiquant', {
    createScriptURL: (url: string) => {
      if (url.startsWith(`blob:${location.origin}/`)) return url;
      throw new TypeError(`expected a blob of this site, got ${url}`);
    },
  });
  if (!policy) return;
  const trusted = (url: string): string => policy.createScriptURL(url) as string;
  const Plain = realm.Worker;
  realm.Worker = class extends Plain {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(trusted(String(url)), options);
    }
  };
}

async function load({ folder, progress, signal }: LoadOptions): Promise<WllamaModule> {
  const { script, wasm } = WLLAMA_FILES;
  // It fetches this itself, without progress: then it is in the browser's cache.
  await download(`${folder}${wasm.file}`, wasm.bytes, signal, (got) =>
    progress(got / wasm.bytes, `wllama: ${(got / 1e6).toFixed(1)} of ${(wasm.bytes / 1e6).toFixed(1)} MB`),
  );
  const made = (await import(/* @vite-ignore */ `${folder}${script.file}`)) as WllamaModule;
  trustBlobs();
  return made;
}

export interface Writing {
  /** Goes on with a text that nothing is kept of, and tells of what comes. Resolves with the number of tokens. */
  write(text: string, count: number, signal: AbortSignal, told: () => void): Promise<number>;
  destroy(): Promise<void>;
}

/** What it is asked for, and who hears its log. */
interface Loading {
  readonly on: WllamaOn;
  readonly folder: string;
  readonly heard?: (line: string) => void;
}

/** @throws Error if it cannot run the model */
async function open({ Wllama }: WllamaModule, { on, folder, heard }: Loading): Promise<InstanceType<WllamaModule['Wllama']>> {
  const log = (...words: readonly unknown[]): void => heard?.(words.map(String).join(' '));
  const options = { suppressNativeLog: !heard, logger: { debug: log, log, warn: log, error: log } };
  const one = new Wllama({ default: `${folder}${WLLAMA_FILES.wasm.file}` }, options);
  one.setCompat(null); // else some browsers would fetch another build from a CDN
  const placed = { n_ctx: CONTEXT, n_threads: 1, n_gpu_layers: on === 'webgpu' ? 999 : 0, seed: 1 };
  try {
    await one.loadModel([await ownFile()], { ...placed, ...(heard && { log_level: 1 }) });
    return one;
  } catch (error) {
    await one.exit().catch(() => {});
    throw error;
  }
}

/** Without a GPU that it can use, llama.cpp computes on the CPU and says so in its log alone, which costs time: it is loaded once to be heard. */
async function checkGpu(module: WllamaModule, folder: string): Promise<void> {
  let gpu = false;
  const heard = (line: string): void => {
    gpu ||= /assigned to device WebGPU/.test(line);
  };
  await (await open(module, { on: 'webgpu', folder, heard })).exit();
  if (!gpu) throw new Error('llama.cpp found no GPU here that it can use; it needs shader-f16');
}

/** @throws Error if it cannot be loaded, or cannot run the model there */
export async function wllama(on: WllamaOn, options: LoadOptions): Promise<Writing> {
  loaded ??= load(options).catch((error: unknown) => {
    loaded = undefined;
    throw error;
  });
  const made = await loaded;
  const { folder } = options;
  if (on === 'webgpu') await checkGpu(made, folder);
  const one = await open(made, { on, folder });
  return {
    async write(text, count, signal, told) {
      const asked = { prompt: text, max_tokens: count, temperature: 0, cache_prompt: true, ignore_eos: true, abortSignal: signal };
      const stream = await one.createCompletion({ ...asked, stream: true });
      let tokens = 0;
      for await (const { timings } of stream) {
        told();
        tokens = timings?.predicted_n ?? tokens;
      }
      return tokens;
    },
    destroy: () => one.exit(),
  };
}
