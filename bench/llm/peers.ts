// llama.cpp on the CPU, by node-llama-cpp: one thread.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Speaker } from './decode.js';
import { promptIds } from './prompt.js';

/** What is used of node-llama-cpp, which is installed for a bench only. */
interface Sequence {
  controlledEvaluate(input: readonly unknown[]): Promise<readonly ({ readonly next: { readonly token: number } } | undefined)[]>;
  clearHistory(): Promise<void>;
}
interface LlamaModule {
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{ createContext(options: object): Promise<{ getSequence(): Sequence }> }>;
  }>;
}

/** @param folder that node-llama-cpp is installed in */
export async function native(folder: string, path: string, context: number): Promise<Speaker> {
  const from = createRequire(join(folder, 'package.json'));
  const { getLlama } = (await import(/* @vite-ignore */ pathToFileURL(from.resolve('node-llama-cpp')).href)) as LlamaModule;
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: 1, logLevel: 'error' });
  const model = await llama.loadModel({ modelPath: path });
  const sequence = (await model.createContext({ contextSize: context, threads: 1, batchSize: 512 })).getSequence();
  const next = (id: number): unknown => [id, { generateNext: { token: true, options: { temperature: 0 } } }];
  let seed = 0;
  let [last, length] = [0, 0];
  let ids: number[] = [];
  const evaluate = async (list: readonly number[]): Promise<void> => {
    const out = await sequence.controlledEvaluate([...list.slice(0, -1), next(list.at(-1)!)]);
    last = out.at(-1)!.next.token;
    length += list.length;
  };
  return {
    async prompt(count) {
      await sequence.clearHistory();
      length = 0;
      ids = promptIds(count, seed++);
      await evaluate(ids);
    },
    async decode(count) {
      if (length + count > context) {
        await sequence.clearHistory();
        length = 0;
        await evaluate(ids);
      }
      for (let i = 0; i < count; i++) await evaluate([last]);
    },
  };
}
