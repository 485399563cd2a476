// Ids that come one by one → text that is whole, up to a stop string.
import { StopStrings } from '../text/detokenizer.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { GeneratedId, Piece } from './options.js';

export interface PiecesOptions {
  readonly tokenizer: Tokenizer;
  /** Does an answer begin, so that the space that encoding adds is left out? */
  readonly begins: boolean;
  /** Strings that end it; they are not part of the text. */
  readonly stop: readonly string[];
}

/** @throws ArgumentError for a stop string that is none; what `ids` throws */
export async function* piecesOf(
  source: AsyncIterable<GeneratedId>,
  { tokenizer, begins, stop }: PiecesOptions,
): AsyncGenerator<Piece, void> {
  const strings = new StopStrings(stop);
  const stream = tokenizer.stream({ begins });
  let ids: number[] = [];
  for await (const { id, reason } of source) {
    ids.push(id);
    let text = reason === 'stop' || id >= tokenizer.size ? '' : strings.push(stream.push(id)); // the text of a stop id is no answer
    if (reason) text += strings.push(stream.end());
    const met = strings.stopped !== undefined;
    if (reason && !met) text += strings.end();
    const why = met ? 'stop' : reason;
    if (text === '' && !why) continue;
    yield { text, ids, ...(why && { reason: why }) };
    if (why) return;
    ids = [];
  }
}
