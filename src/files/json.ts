// JSON of strangers. JSON.parse would keep the last of two members with one name and sort names that look like numbers: here duplicates are
// errors, objects are Maps in the order of the file (so that `__proto__` is a name like others), and nesting is bounded.
import { type FileLocation, FormatError } from '../errors.js';
import { clip } from './show.js';

export type Json = string | number | boolean | null | readonly Json[] | ReadonlyMap<string, Json>;

export interface JsonPlace {
  readonly at: FileLocation & { readonly file: string };
  /** The tensor that a member belongs to, by the names on the way to it, for messages. */
  readonly tensorOf?: (path: readonly string[]) => string | undefined;
}

const DEEPEST = 32;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const WORDS: ReadonlyMap<string, boolean | null> = new Map([
  ['true', true],
  ['false', false],
  ['null', null],
]);

/** Bytes of UTF-8 → a value. @throws FormatError, also for what JSON.parse takes: duplicate names, a byte order mark, deep nesting */
export function parseJson(bytes: Uint8Array, { at, tensorOf }: JsonPlace): Json {
  let source: string;
  try {
    source = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new FormatError(at, 'UTF-8', 'other bytes');
  }
  const path: string[] = [];
  let i = 0;

  const wrong = (expected: string): FormatError =>
    new FormatError(at, `JSON, ${expected} at character ${i}`, i < source.length ? JSON.stringify(source.slice(i, i + 12)) : 'its end');
  const space = (): number => {
    for (;;) {
      const code = source.charCodeAt(i);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return code;
      i++;
    }
  };
  const string = (): string => {
    const begin = i++;
    let escaped = false;
    for (; ; i++) {
      const code = source.charCodeAt(i);
      if (code === QUOTE) break;
      if (code === BACKSLASH) {
        escaped = true;
        i++;
      } else if (!(code >= 0x20)) throw wrong('a character of a string'); // NaN at the end, too
    }
    i++;
    if (!escaped) return source.slice(begin + 1, i - 1);
    try {
      const read = JSON.parse(source.slice(begin, i)) as string;
      if (!/\p{Cs}/u.test(read)) return read; // \ud800 alone is no character
    } catch {
      // not escaped as it should be
    }
    i = begin;
    throw wrong('a string');
  };
  const members = (depth: number): ReadonlyMap<string, Json> => {
    const out = new Map<string, Json>();
    i++;
    if (space() === 0x7d) {
      i++;
      return out;
    }
    for (;;) {
      if (space() !== QUOTE) throw wrong('a name in quotes');
      const name = string();
      path.push(name);
      if (out.has(name)) {
        const tensor = tensorOf?.(path);
        throw new FormatError({ ...at, tensor: tensor && clip(tensor) }, 'each name once', `${JSON.stringify(clip(name))} twice`);
      }
      if (space() !== 0x3a) throw wrong('a colon');
      i++;
      out.set(name, value(depth));
      path.pop();
      const after = space();
      if (after !== 0x2c && after !== 0x7d) throw wrong('a comma or }');
      i++;
      if (after === 0x7d) return out;
    }
  };
  const items = (depth: number): readonly Json[] => {
    const out: Json[] = [];
    i++;
    if (space() === 0x5d) {
      i++;
      return out;
    }
    for (;;) {
      out.push(value(depth));
      const after = space();
      if (after !== 0x2c && after !== 0x5d) throw wrong('a comma or ]');
      i++;
      if (after === 0x5d) return out;
    }
  };
  const value = (depth: number): Json => {
    if (depth === DEEPEST) throw wrong(`no more than ${DEEPEST} levels`);
    const code = space();
    if (code === 0x7b) return members(depth + 1);
    if (code === 0x5b) return items(depth + 1);
    if (code === QUOTE) return string();
    NUMBER.lastIndex = i;
    const number = NUMBER.exec(source)?.[0];
    if (number !== undefined) {
      i += number.length;
      return Number(number);
    }
    for (const [word, meaning] of WORDS)
      if (source.startsWith(word, i)) {
        i += word.length;
        return meaning;
      }
    throw wrong('a value');
  };

  const result = value(0);
  space();
  if (i < source.length) throw wrong('nothing more');
  return result;
}

/** Maps → objects without a prototype, so that no name means more than itself. */
export function plain(value: Json): unknown {
  if (Array.isArray(value)) return value.map(plain);
  return value instanceof Map ? record([...value].map(([name, member]) => [name, plain(member)])) : value;
}

export function record(entries: Iterable<readonly [string, unknown]>): Record<string, unknown> {
  const out: Record<string, unknown> = Object.create(null);
  for (const [name, value] of entries) out[name] = value;
  return out;
}
