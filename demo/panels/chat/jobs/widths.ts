// The same model with its matrices quantized once more, in fewer bits: what the text becomes.
import { capsOf } from '../../../../src/gpu/device.js';
import { Llm } from '../../../../src/llm.js';
import { type CodeBits, widthOf } from '../../../../src/problem/code-width.js';
import type { QuantizeForm } from '../../../../src/quantize/gpu-form.js';
import { piecesOf } from '../../../../src/runtime/pieces.js';
import type { JobContext } from '../../../worker/rpc.js';
import { errorMessage } from '../../../worker/rpc.js';
import { alive, type Held } from './held.js';
import { inBits, isMade } from './requantized.js';
import { type Prompt, promptIds, readShort, type SpeakArgs } from './speak.js';

export interface WidthsArgs {
  readonly model: number;
  readonly prompt: Prompt;
  readonly options: SpeakArgs['options'];
  readonly bits: readonly CodeBits[];
}

/** A text of one width. `bits` 0: the file as it is. */
export interface OfWidth {
  readonly bits: CodeBits | 0;
  readonly text: string;
  /** Its first ids that are those of the file as it is. */
  readonly alike: number;
  readonly ids: readonly number[];
  /** Nats an id that this width gives to the text of the file as it is. */
  readonly surprise: number;
  /** Why there is no text. */
  readonly problem?: string;
}

/** A model, and the device that it is on. */
type OnDevice = Pick<Held, 'llm' | 'device'>;

/** The logits before each id of `answer`. A software adapter computes them row by row, in the shaders of a token: it compiles no others. */
async function* logitsBefore({ llm, device }: OnDevice, prompt: readonly number[], answer: readonly number[]) {
  const all = [...prompt, ...answer];
  if (capsOf(device).software) {
    for (let i = 0; i < answer.length; i++) yield await llm.logits(all.slice(0, prompt.length + i));
    return;
  }
  const logits = await llm.logits(all.slice(0, -1), { all: true });
  const { vocabulary } = llm.config;
  for (let i = 0; i < answer.length; i++) yield logits.subarray((prompt.length - 1 + i) * vocabulary, (prompt.length + i) * vocabulary);
}

/** Of each id of `answer`, −ln of its probability behind those before it; the mean. */
async function surpriseOf(one: OnDevice, prompt: readonly number[], answer: readonly number[]): Promise<number> {
  if (answer.length === 0) return 0;
  let sum = 0;
  let next = 0;
  for await (const row of logitsBefore(one, prompt, answer)) {
    const id = answer[next++]!;
    let top = -Infinity;
    for (const logit of row) if (logit > top) top = logit;
    let total = 0;
    for (const logit of row) total += Math.exp(logit - top);
    sum += top + Math.log(total) - row[id]!;
  }
  return sum / answer.length;
}

/** Sends a part for each width, the file as it is first. @throws what Llm.load and Llm.generate throw for the file as it is */
export async function widths(
  { model, prompt, options, bits }: WidthsArgs,
  context: JobContext<OfWidth>,
): Promise<{ readonly count: number }> {
  const { signal, progress } = context;
  const held = await alive(model, context);
  const { tokenizer, ids: begin } = await promptIds(held, prompt);
  const answerOf = async (llm: Llm): Promise<{ readonly text: string; readonly ids: number[] }> => {
    const ids: number[] = [];
    let text = '';
    await readShort({ llm, device: held.device }, begin, signal);
    const source = llm.generate(begin, { ...options, stops: [...tokenizer.stops], signal });
    for await (const piece of piecesOf(source, { tokenizer, begins: 'messages' in prompt, stop: [] })) {
      text += piece.text;
      ids.push(...piece.ids);
    }
    return { text, ids };
  };
  let plain: readonly number[] = [];
  for (const [i, width] of ([0, ...bits] as const).entries()) {
    const name = width === 0 ? 'the file as it is' : `${width} bits`;
    const told = (share: number, doing: string): void => progress((i + share) / (bits.length + 1), `${name}: ${doing}`);
    told(0, 'loading');
    let llm = held.llm;
    try {
      if (width !== 0)
        llm = await Llm.load(await inBits(await held.file(), width, signal), {
          ...held.holding,
          device: held.device,
          ...(isMade(width) && { quantize: widthOf(width).name as QuantizeForm }),
          signal,
          onProgress: ({ phase, done, total }) => told((0.7 * done) / total, phase === 'pack' ? 'quantizing' : 'reading'),
        });
      told(0.75, 'writing');
      const { text, ids } = await answerOf(llm);
      if (width === 0) plain = ids;
      const alike = ids.findIndex((id, at) => id !== plain[at]);
      told(0.9, 'judging');
      const surprise = await surpriseOf({ llm, device: held.device }, begin, plain);
      context.part({ bits: width, text, ids, alike: alike < 0 ? ids.length : alike, surprise });
    } catch (error) {
      if (width === 0 || signal.aborted) throw error;
      context.part({ bits: width, text: '', ids: [], alike: 0, surprise: Number.NaN, problem: errorMessage(error).message });
    } finally {
      if (llm !== held.llm) llm.destroy();
    }
  }
  return { count: bits.length + 1 };
}
