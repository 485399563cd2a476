// Ids → pieces of text: whole characters, stop strings over several pieces, and why the last is the last.
import { expect, test } from 'vitest';
import type { GeneratedId, Piece } from '../../../src/runtime/options.js';
import { piecesOf } from '../../../src/runtime/pieces.js';
import { Detokenizer } from '../../../src/text/detokenizer.js';
import type { Tokenizer } from '../../../src/text/tokenizer.js';

/** ▁a, b, the two bytes of é, an end. */
const TOKENS = ['\u2581a', 'b', '<0xC3>', '<0xA9>', '</s>'];
const [A, B, FIRST, SECOND, END] = [0, 1, 2, 3, 4];
const table = { form: 'spaces', tokens: TOKENS, types: Uint8Array.of(1, 1, 6, 6, 3), addSpace: true } as const;
const tokenizer: Tokenizer = {
  encode: () => [],
  decode: () => '',
  stream: (options) => new Detokenizer(table, options),
  size: TOKENS.length,
  bytes: () => [],
  bos: undefined,
  stops: new Set([END]),
  names: {},
};

async function pieces(
  ids: readonly number[],
  { reason = 'length', stop = [], begins = true }: { reason?: 'stop' | 'length'; stop?: string[]; begins?: boolean } = {},
) {
  let closed = false;
  async function* source(): AsyncGenerator<GeneratedId> {
    try {
      for (const [i, id] of ids.entries()) yield i === ids.length - 1 ? { id, reason } : { id };
    } finally {
      closed = true;
    }
  }
  const got: Piece[] = [];
  for await (const piece of piecesOf(source(), { tokenizer, begins, stop })) got.push(piece);
  expect(closed).toBe(true); // whatever ended it
  return got;
}

test('text comes when its characters are whole, with all ids of it', async () => {
  expect(await pieces([A, FIRST, SECOND, B])).toEqual([
    { text: 'a', ids: [A] },
    { text: 'é', ids: [FIRST, SECOND] },
    { text: 'b', ids: [B], reason: 'length' },
  ]);
});

test('a space that encoding adds is left out where an answer begins', async () => {
  expect((await pieces([A], { begins: false }))[0]!.text).toBe(' a');
});

test('a character that is not whole at the end is U+FFFD', async () => {
  expect(await pieces([B, FIRST])).toEqual([
    { text: 'b', ids: [B] },
    { text: '\ufffd', ids: [FIRST], reason: 'length' },
  ]);
});

test('a stop id has no text, even if it is no control token', async () => {
  expect(await pieces([A, END], { reason: 'stop' })).toEqual([
    { text: 'a', ids: [A] },
    { text: '', ids: [END], reason: 'stop' },
  ]);
  expect((await pieces([A, B], { reason: 'stop' })).at(-1)).toEqual({ text: '', ids: [B], reason: 'stop' });
});

test('a stop string ends it, wherever pieces begin, and ids behind it do not come', async () => {
  expect(await pieces([A, B, A, B, B], { stop: ['b a'] })).toEqual([
    { text: 'a', ids: [A] },
    { text: '', ids: [B, A], reason: 'stop' },
  ]);
});

test('what was held back for a stop string comes at the end', async () => {
  expect(await pieces([A, B], { stop: ['b a'] })).toEqual([
    { text: 'a', ids: [A] },
    { text: 'b', ids: [B], reason: 'length' },
  ]);
});

test('an id that the tokenizer does not have has no text', async () => {
  expect(await pieces([A, 9, B])).toEqual([
    { text: 'a', ids: [A] },
    { text: 'b', ids: [9, B], reason: 'length' },
  ]);
});
