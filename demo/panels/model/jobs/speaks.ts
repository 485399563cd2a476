// Is the opened file a language model that antiquant/llm runs? It is asked as Llm.load would be, from headers, settings and the tokenizer alone.
import { isMissing } from '../../../../src/errors.js';
import { Llm } from '../../../../src/llm.js';
import { openLanguageModel } from '../../../../src/model/open-language-model.js';
import type { JobContext } from '../../../worker/rpc.js';
import type { Model } from './open.js';

/** What it is, or why it cannot. */
export type Speaks = { readonly model: number } & (
  | {
      readonly architecture: string;
      readonly layers: number;
      readonly vocabulary: number;
      /** Has it a chat template? Else it goes on with a text. */
      readonly chats: boolean;
      /** Bytes of GPU memory, within a few percent. */
      readonly memory: number;
    }
  | { readonly why: string }
);

const OURS = ['FormatError', 'UnsupportedError', 'ReadError', 'ArgumentError'];

function whyNot(error: Error): string {
  if (isMissing(error) && (error as Error & { readonly file: string }).file === 'config.json')
    return 'There is no config.json beside the weights, so nothing says which architecture they are of';
  return error.message;
}

/** @throws the reason of the job's signal */
export async function speaks({ id, kind, files }: Model, { signal }: JobContext): Promise<Speaks> {
  if (kind !== 'gguf' && kind !== 'safetensors')
    return { model: id, why: 'A chat takes GGUF, or safetensors with config.json and tokenizer.json beside them' };
  try {
    const { total } = await Llm.estimate(files, { signal });
    const { config, tokenizer, templates } = await openLanguageModel(files, { signal });
    await tokenizer();
    const { architecture, layers, vocabulary } = config;
    return { model: id, architecture, layers, vocabulary, chats: (await templates()).size > 0, memory: total };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Error) || !OURS.includes(error.name)) throw error;
    return { model: id, why: whyNot(error) };
  }
}
