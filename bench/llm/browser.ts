// The language model's bench in a page: scripts/bench/llm-browser.mjs calls `llmBench` and measures the CPU time of the browser's processes.
import { requestDevice } from '../../src/index.js';
import { Llm } from '../../src/llm.js';
import { type Speaker, speaker } from './decode.js';
import { wllama } from './wllama.js';

const CONTEXT = 512;
const speakers = new Map<string, Speaker>();

const MAKERS: Readonly<Record<string, (model: string) => Promise<Speaker>>> = {
  ours: async (model) => {
    const llm = await Llm.load(model, { device: await requestDevice(), context: CONTEXT });
    await llm.prepare();
    return speaker(llm, CONTEXT);
  },
  'wllama WebGPU': (model) => wllama(model, { context: CONTEXT, gpu: true }),
  'wllama wasm': (model) => wllama(model, { context: CONTEXT, gpu: false }),
};

Object.assign(globalThis, {
  llmBench: {
    load: async (name: string, model: string) => void speakers.set(name, await MAKERS[name]!(new URL(model, location.href).href)),
    prompt: (name: string, count: number) => speakers.get(name)!.prompt(count),
    decode: (name: string, count: number) => speakers.get(name)!.decode(count),
  },
});
