// antiquant run [MODEL] PROMPT: a language model answers on the GPU, or goes on with a text.
import { UnsupportedError } from '../src/formats.js';
import { Llm, type Piece, type SamplingOptions } from '../src/llm.js';
import { type Command, choice, type Given, type Io, whole } from './command.js';
import type { RunDocument } from './documents.js';
import { embeddedModel } from './embedded-model.js';
import { EXIT, UsageError } from './exit.js';
import { HEADER, headersOf } from './headers.js';
import { askingOf, locate, shownAs } from './open.js';
import { jsonText } from './print.js';
import { progress } from './progress.js';

export const runModel: Command = {
  name: 'run',
  summary:
    'Answers PROMPT with a language model on the GPU, of a GGUF file or a Hugging Face folder; without a chat template, goes on with it. Without MODEL, by the small model of this package.',
  takes: ['[MODEL]', 'PROMPT'],
  options: {
    'max-tokens': { type: 'string', value: 'N', help: 'the most tokens of the answer; 256' },
    temp: { type: 'string', value: 'X', help: 'temperature: 0 (default) takes the likeliest token, more draws one' },
    seed: { type: 'string', value: 'N', help: 'of the draws; 1' },
    'top-k': { type: 'string', value: 'N', help: 'draws among the N likeliest tokens; all' },
    'top-p': { type: 'string', value: 'X', help: 'draws among the likeliest tokens that together have probability X, 0 to 1; 1' },
    'min-p': { type: 'string', value: 'X', help: 'draws among tokens at least X times as likely as the likeliest, 0 to 1; 0' },
    'repeat-penalty': {
      type: 'string',
      value: 'X',
      help: 'divides the logits of tokens of prompt and answer, and multiplies negative ones; 1, also at --temp 0',
    },
    raw: { type: 'boolean', help: 'goes on with PROMPT as it is, whatever template the file has' },
    context: { type: 'string', value: 'N', help: 'the most tokens of prompt and answer; 4096, or what the model was trained for' },
    kv: { type: 'string', value: 'NAME', help: 'what keys and values are held as: f16 (default), f32 or q8' },
    ...HEADER,
  },
  notes: [
    'Needs the packages webgpu (a GPU in Node), @huggingface/tokenizers and, for chat templates, @huggingface/jinja, installed beside this one or where the command runs.',
    '--top-k, --top-p and --min-p are applied in this order, and need a --temp above 0.',
    'Text goes to stdout as it comes; with --json it comes at the end, in one document with ids, times and memory.',
  ],
  async run({ paths, given }, io) {
    const { signal } = io;
    const [prompt, from = ownModel(paths)] = [...paths].reverse();
    const maxTokens = whole(given, 'max-tokens', { least: 0, otherwise: 256 });
    const options = { maxTokens, ...samplingOf(given), seed: whole(given, 'seed', { least: 0, otherwise: 1 }), signal };
    const context = given.context === undefined ? undefined : whole(given, 'context', { least: 1, otherwise: 1 });
    const kv = choice(given, 'kv', ['f16', 'f32', 'q8'], 'f16');
    const headers = headersOf(given);
    const place = await locate(from);
    const gpu = await io.findDevice();
    if ('why' in gpu) throw new UnsupportedError('run', [gpu.why]);
    const llm = await loaded(place, { device: gpu.device, context, kv, fetch: askingOf(place, { headers, signal }).fetch }, io);
    try {
      const chats = !given.raw && (await llm.hasTemplate());
      const pieces = chats ? llm.chat([{ role: 'user', content: prompt! }], options) : llm.complete(prompt!, options);
      const { text, ids, reason } = await told(pieces, given.json ? () => {} : io.out);
      const { stats } = llm;
      const { memory, dispatchesPerToken, notes } = llm.explain();
      const document: RunDocument = {
        command: 'run',
        file: shownAs(place),
        gpu: gpu.adapter,
        prompt: prompt!,
        chat: chats,
        text,
        ids,
        reason,
        promptTokens: stats.promptTokens,
        seconds: { load: stats.loadMs / 1000, prompt: stats.promptMs / 1000, answer: stats.decodeMs / 1000 },
        dispatchesPerToken,
        memory,
        notes,
      };
      if (given.json) io.out(jsonText(document));
      else io.err(`\n${summaryOf(document)}\n`);
      return EXIT.fine;
    } finally {
      llm.destroy();
    }
  },
};

/** The package's model, unless a model was named and the prompt was forgotten. @throws UsageError, UnsupportedError */
function ownModel([prompt]: readonly string[]): string {
  if (/^https?:\/\/|\.gguf$/i.test(prompt!)) throw new UsageError(`run: expected PROMPT after ${prompt}`);
  return embeddedModel();
}

interface Interval {
  /** In words. */
  readonly expected: string;
  readonly holds: (value: number) => boolean;
}
const AT_LEAST_0: Interval = { expected: 'a number of at least 0', holds: (value) => value >= 0 && value < Number.POSITIVE_INFINITY };
const SHARE: Interval = { expected: 'a number from 0 to 1', holds: (value) => value >= 0 && value <= 1 };
const FACTOR: Interval = { expected: 'a number above 0', holds: (value) => value > 0 && value < Number.POSITIVE_INFINITY };

/** @throws UsageError */
function numberOf(given: Given, name: string, { expected, holds }: Interval): number | undefined {
  const text = given[name];
  if (text === undefined) return undefined;
  const value = String(text).trim() === '' ? Number.NaN : Number(text);
  if (!holds(value)) throw new UsageError(`--${name}: expected ${expected}, got ${text}`);
  return value;
}

/** @throws UsageError */
function samplingOf(given: Given): SamplingOptions {
  return {
    temperature: numberOf(given, 'temp', AT_LEAST_0) ?? 0,
    topK: given['top-k'] === undefined ? undefined : whole(given, 'top-k', { least: 1, otherwise: 1 }),
    topP: numberOf(given, 'top-p', SHARE),
    minP: numberOf(given, 'min-p', SHARE),
    repetitionPenalty: numberOf(given, 'repeat-penalty', FACTOR),
  };
}

async function loaded(from: string, options: NonNullable<Parameters<typeof Llm.load>[1]>, io: Io): Promise<Llm> {
  let bar: ReturnType<typeof progress> | undefined;
  let done = 0;
  try {
    return await Llm.load(from, {
      ...options,
      signal: io.signal,
      onProgress(now) {
        if (now.phase !== 'pack') return;
        bar ??= progress(now.total, io);
        bar.add(now.done - done, 'weights');
        done = now.done;
      },
    });
  } finally {
    bar?.end();
  }
}

/** Hands pieces out as they come. */
async function told(pieces: AsyncIterable<Piece>, out: (text: string) => void): Promise<Pick<RunDocument, 'text' | 'ids' | 'reason'>> {
  let text = '';
  const ids: number[] = [];
  let reason: RunDocument['reason'] = 'length';
  for await (const piece of pieces) {
    text += piece.text;
    ids.push(...piece.ids);
    reason = piece.reason ?? reason;
    out(piece.text);
  }
  out('\n');
  return { text, ids, reason };
}

function summaryOf({ ids, promptTokens, seconds, reason }: RunDocument): string {
  const rate = (tokens: number, time: number): string => (time > 0 ? `${(tokens / time).toFixed(1)} a second` : '');
  return [
    `loaded in ${seconds.load.toFixed(1)} s`,
    `prompt: ${promptTokens} tokens, ${rate(promptTokens, seconds.prompt)}`,
    `answer: ${ids.length} tokens, ${rate(ids.length, seconds.answer)} (${reason})`,
  ].join('; ');
}
