// What a screen reader hears of a text that comes in pieces: sentences and lines, when they are whole, not every token.
import { signal } from '@preact/signals';

/** The last of what was said, each with a number of its own. */
export const said = signal<readonly { readonly key: number; readonly text: string }[]>([]);
let waiting = '';
let count = 0;
const KEPT = 3;
/** A sentence without an end is said in parts of so many letters. */
const LONG = 160;

function speak(text: string): void {
  if (text.trim() !== '') said.value = [...said.peek(), { key: ++count, text }].slice(-KEPT);
}

export function say(text: string): void {
  waiting += text;
  const end = Math.max(...['. ', '? ', '! ', '; ', ': ', '\n'].map((mark) => waiting.lastIndexOf(mark)));
  const at = end >= 0 ? end + 1 : waiting.length > LONG ? waiting.lastIndexOf(' ') : -1;
  if (at <= 0) return;
  speak(waiting.slice(0, at));
  waiting = waiting.slice(at);
}

/** The text has ended. */
export function saidAll(): void {
  speak(waiting);
  waiting = '';
}
