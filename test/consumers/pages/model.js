// A language model: its logits after a prompt, and the text that it goes on with. In a Worker, and on the page for comparison.
import { Llm, LlmWorker } from 'antiquant/llm';

const PROMPT = 'And it came to pass';
/** The prompt's ids, for where no tokenizer can be imported. */
const IDS = [261, 17, 33, 4];

async function numbersOf(llm) {
  const logits = [...(await llm.logits(IDS))];
  let said = '';
  try {
    for await (const { text } of llm.complete(PROMPT, { maxTokens: 4, seed: 1 })) said += text;
  } catch (error) {
    said = error.name;
  }
  await llm.destroy();
  return { logits, said };
}

const file = (bytes) => new File([bytes], 'kjv.gguf');
export const inWorker = async (bytes, worker) => numbersOf(await LlmWorker.load(file(bytes), { worker }));
export const onPage = async (bytes) => numbersOf(await Llm.load(file(bytes)));
