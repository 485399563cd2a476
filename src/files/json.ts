// Reads untrusted JSON from bytes. Objects become Maps in the file's order, so that `__proto__` is a plain name; a repeated name is an
// error; levels and values are limited. Long objects are read member by member without building a tree.
import { bytes as bytesGiven, fields, optional, reading, text } from '../arguments/check.js';
import { type FileLocation, FormatError } from '../errors.js';
import type { Steps } from './pace.js';
import { clip } from './show.js';

export type Json = string | number | boolean | null | readonly Json[] | ReadonlyMap<string, Json>;

export interface JsonPlace {
  readonly at: FileLocation & { readonly file: string };
  /** Read like Python's json: with NaN, Infinity and -Infinity; of two members of one name the last counts. */
  readonly python?: boolean;
}

const DEEPEST = 32;
const MOST_FIELDS = 64;
const [QUOTE, BACKSLASH, COMMA, COLON, OPEN, CLOSE, LIST, END] = [0x22, 0x5c, 0x2c, 0x3a, 0x7b, 0x7d, 0x5b, 0x5d];
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const WORDS: readonly (readonly [word: string, meaning: number | boolean | null, python: boolean])[] = [
  ['true', true, false],
  ['false', false, false],
  ['null', null, false],
  ['NaN', Number.NaN, true],
  ['Infinity', Number.POSITIVE_INFINITY, true],
  ['-Infinity', Number.NEGATIVE_INFINITY, true],
];

const isDigit = (code: number | undefined): boolean => code !== undefined && code >= 0x30 && code <= 0x39;
/** A character of numbers and words. */
const isPart = (code: number | undefined): boolean =>
  isDigit(code) ||
  (code !== undefined && ((code | 0x20) >= 0x61 ? (code | 0x20) <= 0x7a : code === 0x2b || code === 0x2d || code === 0x2e));

export type JsonReader = ReturnType<typeof openJson>;

/** A reader of one value. Each function takes the next part of the bytes. @throws FormatError for invalid JSON */
export function openJson(bytes: Uint8Array, { at, python = false }: JsonPlace) {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const loose = new TextDecoder();
  let i = 0;
  /** Number of open containers. */
  let depth = 0;

  const wrong = (expected: string): FormatError => {
    const got = i < bytes.length ? JSON.stringify(loose.decode(bytes.subarray(i, i + 12))) : 'its end';
    return new FormatError(at, `JSON, ${expected} at byte ${i}`, got);
  };
  const space = (): number | undefined => {
    for (;;) {
      const code = bytes[i];
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return code;
      i++;
    }
  };
  const take = (code: number, expected: string): void => {
    if (space() !== code) throw wrong(expected);
    i++;
  };
  const decoded = (begin: number, end: number): string => {
    try {
      return strict.decode(bytes.subarray(begin, end));
    } catch {
      throw new FormatError(at, 'UTF-8', 'other bytes');
    }
  };
  const string = (): string => {
    const begin = i++;
    let escaped = false;
    /** OR of all bytes: without the highest bit, the text is ASCII. */
    let bits = 0;
    for (; ; i++) {
      const code = bytes[i];
      if (code === QUOTE) break;
      if (code === BACKSLASH) {
        escaped = true;
        i++;
      } else if (code === undefined || code < 0x20) throw wrong('a character of a string');
      bits |= code;
    }
    i++;
    const short = bits < 0x80 && !escaped && i - begin < 256;
    const text = short ? String.fromCharCode.apply(null, bytes.subarray(begin + 1, i - 1) as never) : decoded(begin + 1, i - 1);
    if (!escaped) return text;
    try {
      const read = JSON.parse(`"${text}"`) as string;
      if (!/\p{Cs}/u.test(read)) return read; // \ud800 alone is no character
    } catch {
      // a wrong escape
    }
    i = begin;
    throw wrong('a string');
  };
  /** The next value, which is not a container. */
  const scalar = (): string | number | boolean | null => {
    if (bytes[i] === QUOTE) return string();
    const begin = i;
    // Most are whole numbers, which need no text.
    let number = 0;
    for (; isDigit(bytes[i]); i++) number = 10 * number + bytes[i]! - 0x30;
    const plain = i > begin && i - begin < 16 && (bytes[begin] !== 0x30 || i - begin === 1);
    if (plain && !isPart(bytes[i])) return number;
    while (isPart(bytes[i])) i++;
    const text = loose.decode(bytes.subarray(begin, i));
    if (NUMBER.test(text)) return Number(text);
    const word = WORDS.find(([name, , only]) => name === text && (python || !only));
    if (word) return word[1];
    i = begin;
    throw wrong('a value');
  };
  const isContainer = (code: number | undefined): boolean => code === OPEN || code === LIST;
  const enter = (): void => {
    if (++depth > DEEPEST) throw wrong(`no more than ${DEEPEST} levels`);
    i++;
  };
  /** Does the container have another member? */
  const more = (close: number, first: boolean): boolean => {
    const code = space();
    if (code === close) {
      i++;
      depth--;
      return false;
    }
    if (first) return true;
    take(COMMA, close === CLOSE ? 'a comma or }' : 'a comma or ]');
    return true;
  };
  const nameOf = (): string => {
    if (space() !== QUOTE) throw wrong('a name in quotes');
    const name = string();
    take(COLON, 'a colon');
    return name;
  };
  const twice = (name: string, tensor: string | undefined): FormatError =>
    new FormatError({ ...at, tensor: tensor && clip(tensor) }, 'each name once', `${JSON.stringify(clip(name))} twice`);

  const reader = {
    at,
    wrong,
    /** Is the next value an object? */
    isObject: (): boolean => space() === OPEN,
    /** The next value, with at most `most` values inside. @param tensor the tensor it describes, for messages */
    value(most: number, tensor?: string): Json {
      let left = most;
      const any = (): Json => {
        if (left-- === 0) throw wrong(`no more than ${most} values`);
        const code = space();
        if (!isContainer(code)) return scalar();
        enter();
        if (code === LIST) {
          const items: Json[] = [];
          while (more(END, items.length === 0)) items.push(any());
          return items;
        }
        const members = new Map<string, Json>();
        while (more(CLOSE, members.size === 0)) {
          const name = nameOf();
          if (members.has(name) && !python) throw twice(name, tensor);
          members.set(name, any());
        }
        return members;
      };
      return any();
    },
    /** Reads the members of a short object: `each` reads each value. @param tensor as in `value` */
    fields(each: (name: string) => void, tensor?: string): void {
      if (space() !== OPEN) throw wrong('an object');
      enter();
      const seen: string[] = [];
      while (more(CLOSE, seen.length === 0)) {
        const name = nameOf();
        if (seen.includes(name)) throw twice(name, tensor);
        if (seen.push(name) > MOST_FIELDS) throw wrong(`no more than ${MOST_FIELDS} members`);
        each(name);
      }
    },
    /** Reads the members of an object; `each` reads each value, at once or in steps. @param has tells whether a name came before */
    *members(each: (name: string) => Steps<void> | undefined, has: (name: string) => boolean, tensor = false): Steps<void> {
      if (space() !== OPEN) throw wrong('an object');
      enter();
      for (let first = true; more(CLOSE, first); first = false) {
        const name = nameOf();
        if (has(name)) throw twice(name, tensor ? name : undefined);
        const steps = each(name);
        if (steps) yield* steps;
        yield;
      }
    },
    /** Reads the items of an array; `each` reads each, at once or in steps. */
    *items(each: (index: number) => Steps<void> | undefined): Steps<void> {
      if (space() !== LIST) throw wrong('an array');
      enter();
      for (let index = 0; more(END, index === 0); index++) {
        const steps = each(index);
        if (steps) yield* steps;
        yield;
      }
    },
    /** Skips a value of any size. */
    *skip(): Steps<void> {
      const around: number[] = [];
      /** The container has no member yet. */
      let first = false;
      do {
        const close = around.at(-1);
        if (close !== undefined && !more(close, first)) {
          around.pop();
          first = false;
          continue;
        }
        if (close === CLOSE) nameOf();
        const code = space();
        first = isContainer(code);
        if (first) {
          enter();
          around.push(code === OPEN ? CLOSE : END);
        } else scalar();
        yield;
      } while (around.length > 0);
    },
    /** @throws FormatError if anything but white space follows */
    end(): void {
      space();
      if (i < bytes.length) throw wrong('nothing more');
    },
  };
  return reader;
}

/** Removes a byte order mark. */
export const withoutMark = (bytes: Uint8Array): Uint8Array =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;

const CONFIG = fields({ name: optional(text) });

/** Limit of values: many times those of real configurations. */
const MOST_VALUES = 2 ** 18;

/**
 * Parses a configuration like Python's json: bare NaN and Infinity are numbers, of two members of one name the last counts, a byte order
 * mark is skipped. Objects have no prototype.
 * @throws FormatError
 * @example findLayers(file, { config: parseConfig(await (await fetch('config.json')).text()) });
 */
export function parseConfig(json: string | Uint8Array, options: { readonly name?: string } = {}): unknown {
  const { name = 'configuration' } = CONFIG(options, 'options');
  const bytes = withoutMark(
    typeof json === 'string' ? new TextEncoder().encode(json) : reading('json', () => bytesGiven(json, 'json').slice()),
  );
  const reader = openJson(bytes, { at: { file: name, field: 'JSON' }, python: true });
  const value = reader.value(MOST_VALUES);
  reader.end();
  return plain(value);
}

/** Maps → objects without a prototype, so that no name has a special meaning. */
export function plain(value: Json): unknown {
  if (Array.isArray(value)) return value.map(plain);
  return value instanceof Map ? record([...value].map(([name, member]) => [name, plain(member)])) : value;
}

export function record(entries: Iterable<readonly [string, unknown]>): Record<string, unknown> {
  const out: Record<string, unknown> = Object.create(null);
  for (const [name, value] of entries) out[name] = value;
  return out;
}
