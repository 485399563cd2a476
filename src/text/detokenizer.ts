// Ids → text. Tokens are bytes, and a character may be cut between them; text is handed out as soon as its characters are whole.

import { flag, onlyFields, optional } from '../arguments/check.js';
import { showValue } from '../arguments/show-value.js';
import { ArgumentError } from '../errors.js';
import { TOKEN } from './vocabulary.js';

/** How tokens are written: bytes as characters of their own (GPT-2), or text with ▁ for a space (SentencePiece). */
export interface TokenTable {
  readonly form: 'bytes' | 'spaces';
  readonly tokens: readonly string[];
  readonly types: Uint8Array;
  /** Encoding puts a space before each run of text, which decoding takes away. */
  readonly addSpace: boolean;
}

/** How ids become text. */
export interface DetokenizerOptions {
  /** Show control tokens, such as `<|im_end|>`, as text. Default: false. */
  readonly special?: boolean;
  /** Whether text begins here, so that the space which encoding adds is left out. False for text that goes on. Default: true. */
  readonly begins?: boolean;
}

/** GPT-2's characters for bytes: printable ones of Latin-1 stand for themselves, the others for 256 and after, in order. */
const BYTE_OF: ReadonlyMap<string, number> = (() => {
  const of = new Map<string, number>();
  const plain = (byte: number): boolean => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  let next = 256;
  for (let byte = 0; byte < 256; byte++) of.set(String.fromCharCode(plain(byte) ? byte : next++), byte);
  return of;
})();

const OPTIONS = onlyFields({ special: optional(flag), begins: optional(flag) });
const encoder = new TextEncoder();
const SPACE = 0x20;

/** Added tokens are text as it is, but some of SentencePiece's are runs of spaces. */
const plainText = ({ form, tokens }: TokenTable, id: number): string =>
  form === 'spaces' ? tokens[id]!.replaceAll('\u2581', ' ') : tokens[id]!;

/** The bytes of a token that is made of bytes. */
function bytesOf(table: TokenTable, id: number): Uint8Array<ArrayBuffer> {
  const { form, tokens, types } = table;
  const token = tokens[id]!;
  const type = types[id];
  if (type === TOKEN.unused) return new Uint8Array();
  if (type === TOKEN.byte) return Uint8Array.of(Number.parseInt(token.slice(3, 5), 16));
  if (form === 'spaces') return encoder.encode(plainText(table, id));
  const bytes = Array.from(token, (char) => BYTE_OF.get(char));
  // An added token that the file does not mark as one.
  return bytes.every((byte) => byte !== undefined) ? Uint8Array.from(bytes) : encoder.encode(token);
}

/** What each id adds to a text: none of control tokens, which are no text, and of unused ones. Encoding's own space is part of it. */
export function tokenBytes(table: TokenTable): Uint8Array<ArrayBuffer>[] {
  return table.tokens.map((_, id) => {
    const type = table.types[id];
    if (type === TOKEN.control || type === TOKEN.unknown) return new Uint8Array();
    return type === TOKEN.user ? encoder.encode(plainText(table, id)) : bytesOf(table, id);
  });
}

/** Turns ids into text as they come. */
export class Detokenizer {
  readonly #table: TokenTable;
  readonly #special: boolean;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #begins: boolean;

  /** @throws ArgumentError */
  constructor(table: TokenTable, options: DetokenizerOptions = {}) {
    const { special = false, begins = true } = OPTIONS(options, 'options');
    this.#table = table;
    this.#special = special;
    this.#begins = begins;
  }

  /**
   * The text that is whole with this id: perhaps none. Bytes that are no UTF-8 become U+FFFD.
   * @throws ArgumentError for an id that is no token
   */
  push(id: number): string {
    const { tokens, types, addSpace } = this.#table;
    if (!Number.isInteger(id) || id < 0 || id >= tokens.length)
      throw new ArgumentError('id', `an id below ${tokens.length}`, showValue(id));
    const type = types[id];
    if (type === TOKEN.control || type === TOKEN.unknown || type === TOKEN.user) {
      this.#begins = true;
      const text = type === TOKEN.user ? plainText(this.#table, id) : this.#special ? tokens[id]! : '';
      return this.#decoder.decode() + text;
    }
    const bytes = bytesOf(this.#table, id);
    const added = addSpace && this.#begins && bytes[0] === SPACE;
    if (bytes.length > 0) this.#begins = false;
    return this.#decoder.decode(added ? bytes.subarray(1) : bytes, { stream: true });
  }

  /** What is left: U+FFFD if a character was begun and not ended. */
  end(): string {
    return this.#decoder.decode();
  }
}

/**
 * Cuts text before the stop string that is the first to be complete, wherever pieces of text begin and end. Text that may still become a
 * stop string is held back.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';
  #stopped: string | undefined;

  /** @throws ArgumentError for an empty string, or half a character */
  constructor(stops: readonly string[]) {
    stops.forEach((stop, i) => {
      if (typeof stop !== 'string' || stop === '' || /\p{Cs}/u.test(stop))
        throw new ArgumentError(`stop[${i}]`, 'a string of whole characters, not empty', showValue(stop));
    });
    this.#stops = [...stops];
  }

  /** The stop string that was met. Text after it is dropped. */
  get stopped(): string | undefined {
    return this.#stopped;
  }

  /** The text that cannot belong to a stop string. */
  push(text: string): string {
    if (this.#stopped !== undefined) return '';
    const all = this.#held + text;
    let best: { readonly stop: string; readonly end: number } | undefined;
    for (const stop of this.#stops) {
      const end = all.indexOf(stop) + stop.length;
      if (end < stop.length) continue;
      if (!best || end < best.end || (end === best.end && stop.length > best.stop.length)) best = { stop, end };
    }
    if (best) {
      this.#stopped = best.stop;
      this.#held = '';
      return all.slice(0, best.end - best.stop.length);
    }
    const kept = Math.max(0, ...this.#stops.map((stop) => overlap(all, stop)));
    this.#held = all.slice(all.length - kept);
    return all.slice(0, all.length - kept);
  }

  /** The text that was held back, when no more follows. */
  end(): string {
    const left = this.#held;
    this.#held = '';
    return left;
  }
}

/** Length of the longest end of `text` that `stop` begins with. */
function overlap(text: string, stop: string): number {
  let length = Math.min(text.length, stop.length - 1);
  while (length > 0 && !text.endsWith(stop.slice(0, length))) length--;
  return length;
}
