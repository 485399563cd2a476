// The language model's figures in words, for the page and for the report. Pure.
import { bytes, counted, milliseconds, short } from '../../ui/numbers.js';
import { voiceFigures } from './figures.js';
import type { LlmMeasured, Voice } from './jobs/llm-settings.js';

/** Numbers of tokens that differ a little. */
export const sizes = (list: readonly number[]): string => {
  const [least, most] = [Math.min(...list), Math.max(...list)];
  return least === most ? counted(least, 'token') : `${least} to ${counted(most, 'token')}`;
};

/** How it was measured, in a few sentences. */
export const conditionsOf = ({ model, tokens, rounds, software }: LlmMeasured): string =>
  [
    `${model.name}, ${model.architecture}, ${bytes(model.bytes)}; ${rounds} rounds in turns after one that compiles, by the clock of the Worker.`,
    `Texts of ${tokens.decode} tokens behind prompts of ${sizes(tokens.prompt)}, always the likeliest token; nothing is kept from prompt to prompt.`,
    'A token reads every weight, as this GPU holds it, and the keys and values before it.',
    ...(software ? ['On a software adapter these are times of the CPU.'] : []),
  ].join(' ');

export const VOICE_COLUMNS = ['Tokens a second', 'Prompt tokens a second', 'To the first token', 'Ours over it'] as const;

/** A row of a voice: speeds, the first token, and our speed of writing over its. */
export function voiceRow(voice: Voice, { voices, tokens }: LlmMeasured): string[] {
  const { decode, prompt, first } = voiceFigures(voice, tokens.prompt);
  const mine = voices.find(({ family }) => family === 'ours')!;
  const times = voice === mine ? '–' : `${short(voiceFigures(mine, tokens.prompt).decode / decode)} ×`;
  return [voice.name, short(decode), short(prompt), milliseconds(first), times];
}
