// The language model's bench in a page: scripts/bench/llm-browser.mjs calls `llmBench` and measures the CPU time of the browser's processes.
import { requestDevice } from '../../src/index.js';
import { Llm } from '../../src/llm.js';
import { type Speaker, speaker } from './decode.js';
import { type OrtSpeaker, onnxruntime } from './ort.js';
import { CONTEXT, promptIds } from './prompt.js';
import { wllama } from './wllama.js';

const speakers = new Map<string, Speaker>();
/** Ours, when it is loaded. */
let llm: Llm | undefined;

const MAKERS: Readonly<Record<string, (model: string) => Promise<Speaker>>> = {
  ours: async (model) => {
    llm = await Llm.load(model, { device: await requestDevice(), context: CONTEXT });
    await llm.prepare();
    return speaker(llm, CONTEXT);
  },
  'wllama WebGPU': (model) => wllama(model, { context: CONTEXT, gpu: true }),
  'wllama wasm': (model) => wllama(model, { context: CONTEXT, gpu: false }),
  'onnxruntime-web': (model) => onnxruntime(model, { context: CONTEXT, config: llm!.config }),
};

/** How far a peer's logits are from ours, as a part of their length; the last `decoded` ids are taken one at a time. */
async function apart(name: string, { count, decoded }: { readonly count: number; readonly decoded: number }): Promise<number> {
  const ids = promptIds(count);
  const theirs = await (speakers.get(name) as OrtSpeaker).logits(ids, decoded);
  const own = await llm!.logits(ids);
  return Math.hypot(...own.map((value, i) => theirs[i]! - value)) / Math.hypot(...own);
}

Object.assign(globalThis, {
  llmBench: {
    load: async (name: string, model: string) => void speakers.set(name, await MAKERS[name]!(new URL(model, location.href).href)),
    prompt: (name: string, count: number) => speakers.get(name)!.prompt(count),
    decode: (name: string, count: number) => speakers.get(name)!.decode(count),
    apart,
    inPieces: (name: string, rows: number) => (speakers.get(name) as OrtSpeaker).inPieces(rows),
  },
});
