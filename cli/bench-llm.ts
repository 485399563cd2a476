// antiquant bench-llm [MODEL]: how fast a language model reads a prompt and answers on this machine's GPU.
import { UnsupportedError } from '../src/formats.js';
import { Llm } from '../src/llm.js';
import { type Command, choice, whole } from './command.js';
import type { BenchLlmDocument } from './documents.js';
import { embeddedModel } from './embedded-model.js';
import { EXIT } from './exit.js';
import { HEADER, headersOf } from './headers.js';
import { open } from './open.js';
import { jsonText } from './print.js';

export const benchLlm: Command = {
  name: 'bench-llm',
  summary: 'Measures how fast a GGUF language model reads a prompt and answers. Without MODEL, the small model of this package.',
  takes: ['[MODEL]'],
  options: {
    prompt: { type: 'string', value: 'N', help: 'tokens of the prompt; 128' },
    tokens: { type: 'string', value: 'N', help: 'tokens of the answer; 64' },
    rounds: { type: 'string', value: 'N', help: 'how often; 5. One more before them, which compiles, does not count' },
    kv: { type: 'string', value: 'NAME', help: 'what keys and values are held as: f16 (default), f32 or q8' },
    ...HEADER,
  },
  notes: [
    'Needs the package webgpu. Ids of the prompt are drawn; nothing stops the answer. Figures are medians, with the least and the most.',
  ],
  async run({ paths, given }, io) {
    const { signal } = io;
    const asked = {
      prompt: whole(given, 'prompt', { least: 1, otherwise: 128 }),
      tokens: whole(given, 'tokens', { least: 2, otherwise: 64 }),
      rounds: whole(given, 'rounds', { least: 1, otherwise: 5 }),
    };
    const kv = choice(given, 'kv', ['f16', 'f32', 'q8'], 'f16');
    const opened = await open(paths[0] ?? embeddedModel(), { headers: headersOf(given), signal });
    const gpu = await io.findDevice();
    if ('why' in gpu) throw new UnsupportedError('bench-llm', [gpu.why]);
    const llm = await Llm.load(opened.file, { device: gpu.device, kv, signal });
    try {
      const rounds: Round[] = [];
      for (let i = 0; i <= asked.rounds; i++) rounds.push(await round(llm, asked, signal));
      const [, ...counted] = rounds;
      const { memory, dispatchesPerToken, notes } = llm.explain();
      const document: BenchLlmDocument = {
        command: 'bench-llm',
        file: opened.from,
        gpu: gpu.adapter,
        ...asked,
        loadSeconds: llm.stats.loadMs / 1000,
        promptTokensPerSecond: spread(counted.map(({ prompt }) => prompt)),
        tokensPerSecond: spread(counted.map(({ answer }) => answer)),
        dispatchesPerToken,
        memory,
        notes,
      };
      io.out(given.json ? jsonText(document) : textOf(document));
      return EXIT.fine;
    } finally {
      llm.destroy();
    }
  },
};

/** Tokens a second. */
interface Round {
  readonly prompt: number;
  readonly answer: number;
}

async function round(
  llm: Llm,
  { prompt, tokens }: { readonly prompt: number; readonly tokens: number },
  signal: AbortSignal,
): Promise<Round> {
  llm.reset(); // nothing of the round before is kept
  const { promptMs, promptTokens, tokens: before } = llm.stats;
  const ids = Array.from({ length: prompt }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 0).map((draw) => draw % llm.config.vocabulary);
  let [first, last] = [0, 0];
  for await (const { id: _ } of llm.generate(ids, { maxTokens: tokens, signal })) {
    last = performance.now();
    first ||= last;
  }
  const { stats } = llm;
  const answered = stats.tokens - before - 1; // the first comes with the prompt
  return { prompt: (1000 * (stats.promptTokens - promptTokens)) / (stats.promptMs - promptMs), answer: (1000 * answered) / (last - first) };
}

function spread(list: readonly number[]): BenchLlmDocument['tokensPerSecond'] {
  const sorted = [...list].sort((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)]!, least: sorted[0]!, most: sorted.at(-1)! };
}

function textOf({
  file,
  gpu,
  prompt,
  tokens,
  promptTokensPerSecond,
  tokensPerSecond,
  dispatchesPerToken,
  loadSeconds,
}: BenchLlmDocument): string {
  const shown = ({ median, least, most }: BenchLlmDocument['tokensPerSecond']): string =>
    `${median.toFixed(1)} tokens a second (${least.toFixed(1)} to ${most.toFixed(1)})`;
  return [
    `${file} on ${gpu}`,
    `loaded in ${loadSeconds.toFixed(1)} s; ${dispatchesPerToken} dispatches a token`,
    `a prompt of ${prompt}: ${shown(promptTokensPerSecond)}`,
    `an answer of ${tokens}: ${shown(tokensPerSecond)}`,
    '',
  ].join('\n');
}
