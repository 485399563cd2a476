// Text of ids that come one by one: whole characters only, however tokens cut them; and stop strings, however pieces cut them.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StopStrings } from '../../../src/text/detokenizer.js';
import { makeTokenizer, type Tokenizer } from '../../../src/text/tokenizer.js';
import { ADDED, goldens, gpt2, llama2 } from '../../support/vocabularies.js';

const gpt2Tokenizer = await makeTokenizer(gpt2());
const llama2Tokenizer = await makeTokenizer(await llama2(ADDED));
/** GPT-2's first 256 tokens are bytes, in the order of the characters that stand for them. */
const GPT2_BYTES = [...range(0x21, 0x7f), ...range(0xa1, 0xad), ...range(0xae, 0x100), ...range(0, 0x21), ...range(0x7f, 0xa1), 0xad];
function range(begin: number, end: number): number[] {
  return Array.from({ length: end - begin }, (_, i) => begin + i);
}
const byteOf: readonly (readonly [string, Tokenizer, (byte: number) => number])[] = [
  ['gpt2', gpt2Tokenizer, (byte) => GPT2_BYTES.indexOf(byte)],
  ['llama2', llama2Tokenizer, (byte) => byte + 3],
];
const bytesOf = (text: string): number[] => [...new TextEncoder().encode(text)];

function streamed(tokenizer: Tokenizer, ids: readonly number[], options = {}): string[] {
  const stream = tokenizer.stream(options);
  return [...ids.map((id) => stream.push(id)), stream.end()];
}

describe.each(byteOf)('%s', (_, tokenizer, idOf) => {
  test('pieces of every text are whole characters, and make the text', () => {
    for (const text of goldens.texts) {
      const pieces = streamed(tokenizer, tokenizer.encode(text));
      expect(pieces.join('')).toBe(text);
      expect(pieces.filter((piece) => /[\ufffd\p{Cs}]/u.test(piece))).toEqual([]);
      expect(pieces.at(-1)).toBe('');
    }
  });

  test('the bytes of ids make every text; control tokens have none', () => {
    const bytes = tokenizer.bytes();
    expect(bytes).toHaveLength(tokenizer.size);
    for (const text of goldens.texts) {
      const joined = Buffer.concat(tokenizer.encode(text).map((id) => bytes[id]!)).toString();
      // SentencePiece's encoding puts a space before the text.
      expect([text, ` ${text}`]).toContain(joined);
    }
    for (let byte = 0; byte < 256; byte++) expect([...bytes[idOf(byte)]!]).toEqual([byte]);
    for (const id of tokenizer.stops) expect(bytes[id]).toHaveLength(0);
    if (tokenizer.bos !== undefined) expect(bytes[tokenizer.bos]).toHaveLength(0);
  });

  test('so they are where each byte is a token', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 30 }), (text) => {
        const pieces = streamed(tokenizer, bytesOf(text).map(idOf), { begins: false });
        // A character comes with its last byte, and not later.
        const wanted = Array.from(text).flatMap((char) => [
          ...bytesOf(char)
            .slice(1)
            .map(() => ''),
          char,
        ]);
        expect(pieces).toEqual([...wanted, '']);
      }),
    );
  });

  test('bytes that are no UTF-8 become U+FFFD', () => {
    const of = (...bytes: readonly number[]) => streamed(tokenizer, bytes.map(idOf), { begins: false });
    expect(of(0xff, 0x41)).toEqual(['\ufffd', 'A', '']);
    expect(of(0x80)).toEqual(['\ufffd', '']);
    expect(of(0xe4, 0xb8)).toEqual(['', '', '\ufffd']);
    expect(of(0xf0, 0x9f, 0x41)).toEqual(['', '', '\ufffdA', '']);
    expect(of(0xc3, 0xc3, 0xa9)).toEqual(['', '\ufffd', 'é', '']);
  });

  test('a control token ends a character, and shows where asked for', () => {
    const end = [...tokenizer.stops][0]!;
    const name = tokenizer.names.eos_token;
    expect(streamed(tokenizer, [idOf(0xc3), end, idOf(0x41)])).toEqual(['', '\ufffd', 'A', '']);
    expect(streamed(tokenizer, [idOf(0x42), end, idOf(0x41)], { special: true })).toEqual(['B', name, 'A', '']);
  });

  test('a stream can be used again after its end', () => {
    const stream = tokenizer.stream({ begins: false });
    expect([stream.push(idOf(0xe4)), stream.end(), stream.push(idOf(0x41)), stream.end()]).toEqual(['', '\ufffd', 'A', '']);
  });
});

test('the space that encoding adds is left out where text begins, and only there', () => {
  const ids = llama2Tokenizer.encode('Hello  world', { addBos: false });
  expect(streamed(llama2Tokenizer, ids).join('')).toBe('Hello  world');
  expect(streamed(llama2Tokenizer, ids, { begins: false }).join('')).toBe(' Hello  world');
  expect(llama2Tokenizer.decode(llama2Tokenizer.encode(' Hello'))).toBe(' Hello');
  expect(llama2Tokenizer.decode(llama2Tokenizer.encode('<|plain|>a  <|plain|> b'))).toBe('<|plain|>a  <|plain|> b');
});

test('unused tokens are no text', async () => {
  const given = await llama2();
  const types = [...(given['tokenizer.ggml.token_type'] as number[])];
  types[15043] = 5;
  const tokenizer = await makeTokenizer({ ...given, 'tokenizer.ggml.token_type': types });
  expect(tokenizer.decode([15043, 263])).toBe('a');
  expect(tokenizer.encode('Hello')).not.toContain(15043);
  expect(tokenizer.decode(tokenizer.encode('Hello'))).toBe('Hello');
});

describe('stop strings', () => {
  /** Pushes pieces; the text that came out, and the stop string. */
  function run(stops: readonly string[], pieces: readonly string[]) {
    const strings = new StopStrings(stops);
    const out = pieces.map((piece) => strings.push(piece));
    return { out, end: strings.end(), stopped: strings.stopped };
  }

  test.each([
    { pieces: ['a<|e', 'nd|>b'], out: ['a', ''], end: '', stopped: '<|end|>' },
    { pieces: ['a<|e', 'nx'], out: ['a', '<|enx'], end: '', stopped: undefined },
    { pieces: ['<', '|', 'end', '|', '>'], out: ['', '', '', '', ''], end: '', stopped: '<|end|>' },
    { pieces: ['<<|end', '|>'], out: ['<', ''], end: '', stopped: '<|end|>' },
    { pieces: ['a', '<|end|>', 'b', 'c'], out: ['a', '', '', ''], end: '', stopped: '<|end|>' },
    { pieces: ['a<|'], out: ['a'], end: '<|', stopped: undefined },
    { pieces: ['x<|end|>y<|end|>'], out: ['x'], end: '', stopped: '<|end|>' },
    { pieces: ['', 'ab', ''], out: ['', 'ab', ''], end: '', stopped: undefined },
  ])('$pieces', ({ pieces, ...wanted }) => expect(run(['<|end|>'], pieces)).toEqual(wanted));

  test('the one that is complete first counts; of two that end together the longer', () => {
    expect(run(['abcd', 'c'], ['xabcd'])).toEqual({ out: ['xab'], end: '', stopped: 'c' });
    expect(run(['bc', 'abc'], ['xab', 'cd'])).toEqual({ out: ['x', ''], end: '', stopped: 'abc' });
    expect(run(['a', 'ab'], ['xab'])).toEqual({ out: ['x'], end: '', stopped: 'a' });
  });

  test('none: all text passes at once', () => expect(run([], ['a', 'b'])).toEqual({ out: ['a', 'b'], end: '', stopped: undefined }));

  test('any text, stop strings and pieces: as if it was read letter by letter', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '🙂'), minLength: 1, maxLength: 5 });
    const pieces = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c', '🙂'), maxLength: 6 }), { maxLength: 8 });
    fc.assert(
      fc.property(fc.array(word, { maxLength: 4 }), pieces, (stops, given) => {
        const text = given.join('');
        let wanted = text;
        let stopped: string | undefined;
        for (let end = 1; end <= text.length && stopped === undefined; end++) {
          stopped = stops.filter((stop) => text.slice(0, end).endsWith(stop)).sort((a, b) => b.length - a.length)[0];
          if (stopped !== undefined) wanted = text.slice(0, end - stopped.length);
        }
        const strings = new StopStrings(stops);
        let out = '';
        let taken = '';
        for (const piece of given) {
          out += strings.push(piece);
          taken += piece;
          // What is held back begins a stop string, and is no longer than need be.
          const held = strings.stopped === undefined ? taken.slice(out.length) : '';
          const most = Math.max(0, ...stops.flatMap((stop) => range(0, stop.length).filter((n) => taken.endsWith(stop.slice(0, n)))));
          expect(held.length).toBe(strings.stopped === undefined ? most : 0);
        }
        expect({ text: out + strings.end(), stopped: strings.stopped }).toEqual({ text: wanted, stopped });
      }),
      { numRuns: 2000 },
    );
  });

  test('an empty one, or half a character, is refused', () => {
    expect(() => new StopStrings([''])).toThrow('stop[0]: expected a string of whole characters, not empty, got ""');
    expect(() => new StopStrings(['a', '\ud83d'])).toThrow('stop[1]: expected a string of whole characters');
    expect(() => new StopStrings([5 as never])).toThrow('stop[0]: expected a string of whole characters, not empty, got 5');
  });

  test('over tokens that cut characters', () => {
    const strings = new StopStrings(['🙂🙂']);
    const pieces = streamed(
      gpt2Tokenizer,
      bytesOf('a🙂b🙂🙂c').map((byte) => GPT2_BYTES.indexOf(byte)),
    );
    expect(pieces.map((piece) => strings.push(piece)).join('') + strings.end()).toBe('a🙂b');
    expect(strings.stopped).toBe('🙂🙂');
  });
});
