// Measures the language model of this page, wllama beside it where it is asked for, and the rate of copying as many bytes as a token reads. All
// write behind the same texts, in turns, by one clock.
import type { Contender } from '../../../../bench/contender.js';
import { copies } from '../../../../bench/limits.js';
import { measureCell, type Pace } from '../../../../bench/measure.js';
import { limitRate } from '../../../../bench/report.js';
import { findLayers } from '../../../../src/formats.js';
import { capsOf } from '../../../../src/index.js';
import { Llm, type Tokenizer } from '../../../../src/llm.js';
import { VERSION } from '../../../../src/version.js';
import { ownFile, ownModel } from '../../../worker/own-model.js';
import type { JobContext } from '../../../worker/rpc.js';
import { heldBitsOf } from '../../model/jobs/held.js';
import { readFirst } from '../../model/jobs/read-first.js';
import { CONTEXT, type LlmMeasured, TOKENS, type Voice, WLLAMA_FILES, type WllamaOn } from './llm-settings.js';
import { type Writing, wllama } from './wllama.js';

export interface LlmArgs {
  readonly rounds: number;
  readonly peers: readonly WllamaOn[];
  /** Folder of wllama's files. */
  readonly folder: string;
}

const NAMES: Readonly<Record<WllamaOn, string>> = { webgpu: 'wllama on WebGPU', wasm: 'wllama on the CPU' };
const SAMPLE: Pick<Pace, 'sample'> = { sample: 30 };

/** One that writes behind a text. Resolves with the milliseconds until the first token, those from it to the last, and the number of tokens. */
interface Writer {
  readonly name: string;
  readonly family: Voice['family'];
  run(
    text: string,
    count: number,
    signal: AbortSignal,
  ): Promise<{ readonly first: number; readonly rest: number; readonly tokens: number }>;
  destroy(): Promise<void>;
}

async function ours(llm: Llm): Promise<Writer> {
  const tokenizer = await llm.tokenizer();
  return {
    name: 'antiquant',
    family: 'ours',
    async run(text, count, signal) {
      llm.reset();
      const ids = tokenizer.encode(text);
      const began = performance.now();
      let [first, last, tokens] = [0, 0, 0];
      for await (const _ of llm.generate(ids, { maxTokens: count, temperature: 0, signal })) {
        last = performance.now();
        if (tokens++ === 0) first = last;
      }
      return { first: first - began, rest: last - first, tokens };
    },
    destroy: async () => llm.destroy(),
  };
}

const writerOf = (name: string, made: Writing): Writer => ({
  name,
  family: 'wllama',
  async run(text, count, signal) {
    const began = performance.now();
    let [first, last] = [0, 0];
    const tokens = await made.write(text, count, signal, () => {
      last = performance.now();
      first ||= last;
    });
    return { first: first - began, rest: last - first, tokens };
  },
  destroy: made.destroy,
});

/** Words of the vocabulary in an order that a seed makes, as a text of so many tokens: no two texts begin alike, so that nothing is kept. */
function textsOf(tokenizer: Tokenizer, tokens: number, count: number): string[] {
  const words = Array.from({ length: tokenizer.size }, (_, id) => tokenizer.decode([id])).filter((text) => /^ [a-z]{2,}$/.test(text));
  let state = 1;
  const word = (): string => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return words[Math.floor((state / 2 ** 32) * words.length)]!;
  };
  return Array.from({ length: count }, () => {
    let text = 'And';
    for (;;) {
      const longer = text + word();
      if (tokenizer.encode(longer).length > tokens) return text;
      text = longer;
    }
  });
}

/** Bytes of all matrices as the device holds them: the head is the embedding, and each is read once a token. */
async function weightBytes(device: GPUDevice, signal: AbortSignal): Promise<number> {
  const { layers } = await findLayers(await ownModel(), { signal });
  let sum = 0;
  for (const layer of layers) sum += (heldBitsOf(await readFirst(layer, signal), layer, capsOf(device)) * layer.n * layer.k) / 8;
  return sum;
}

async function copyRate(device: GPUDevice, bytes: number, rounds: number, signal: AbortSignal): Promise<number> {
  const engine = {
    device,
    browser: true,
    wait: async (used: GPUDevice): Promise<void> => void (await used.queue.onSubmittedWorkDone()),
    ort: () => Promise.reject(new Error('copying needs no peer')),
  };
  const contenders: readonly Contender[] = copies(engine, bytes);
  const timings = await measureCell(contenders, {
    m: 1,
    pace: { rounds, ...SAMPLE },
    judge: () => ({}),
    signal,
    say: () => {},
    note: () => {},
    inScope: (work) => work(),
  });
  return limitRate({ m: 1, k: 0, n: 0, bits: 8, group: 0, dtype: 'float32', offset: false, bytes, timings }, 'copy');
}

/** @throws what Llm.load and Llm.generate throw; a peer's errors become notes */
export async function measureLlm({ rounds, peers, folder }: LlmArgs, context: JobContext): Promise<LlmMeasured> {
  const { signal, progress } = context;
  const began = performance.now();
  progress(0, 'The language model is loaded.');
  const device = await context.device();
  const file = await ownFile();
  const llm = await Llm.load(await ownModel(), { device, context: CONTEXT, signal });
  const writers: Writer[] = [await ours(llm)];
  const notes: string[] = [];
  try {
    for (const [i, on] of peers.entries()) {
      const told = (share: number, text: string): void => progress(0.05 + (0.2 * (i + share)) / peers.length, text);
      told(0, `${NAMES[on]} is loaded.`);
      try {
        writers.push(writerOf(NAMES[on], await wllama(on, { folder, signal, progress: told })));
      } catch (error) {
        signal.throwIfAborted();
        notes.push(`${NAMES[on]} did not run: ${(error as Error).message}`);
      }
    }
    const tokenizer = await llm.tokenizer();
    const texts = textsOf(tokenizer, TOKENS.prompt, rounds + 1);
    const sizes = texts.map((text) => tokenizer.encode(text).length);
    const times = new Map(writers.map(({ name }) => [name, { first: [] as number[], decode: [] as number[] }]));
    // Round 0 compiles, and is not counted.
    for (let round = 0; round <= rounds; round++) {
      const order = writers.map((_, i) => writers[(i + round) % writers.length]!);
      for (const writer of order) {
        progress(
          0.3 + (0.6 * round) / (rounds + 1),
          round === 0 ? `${writer.name}: compiled and warmed up` : `${writer.name}: round ${round} of ${rounds}`,
        );
        await context.breathe();
        const { first, rest, tokens } = await writer.run(texts[round]!, TOKENS.decode + 1, signal);
        signal.throwIfAborted();
        if (round === 0) continue;
        const list = times.get(writer.name)!;
        list.first.push(first);
        list.decode.push(rest / Math.max(1, tokens - 1));
      }
    }
    progress(0.9, 'Copying is timed.');
    const { memory, capacity, dispatchesPerToken } = llm.explain();
    const middle = sizes[1]! + TOKENS.decode / 2;
    const bytes = { weights: await weightBytes(device, signal), cache: (memory.cache / capacity) * middle };
    const copy = await copyRate(device, bytes.weights + bytes.cache, rounds, signal);
    const { architecture, layers } = llm.config;
    return {
      model: { name: file.name, bytes: file.size, architecture, layers },
      tokens: { prompt: sizes.slice(1), decode: TOKENS.decode },
      rounds,
      voices: writers.map(({ name, family }) => ({ name, family, ...times.get(name)! })),
      notes,
      dispatches: dispatchesPerToken,
      bytes,
      copy,
      memory,
      loadMs: llm.stats.loadMs,
      versions: { antiquant: VERSION, ...(peers.length > 0 && { wllama: WLLAMA_FILES.version }) },
      software: capsOf(device).software,
      isolated: globalThis.crossOriginIsolated,
      date: new Date().toISOString(),
      seconds: (performance.now() - began) / 1000,
    };
  } finally {
    for (const writer of writers) await writer.destroy().catch(() => {});
  }
}
