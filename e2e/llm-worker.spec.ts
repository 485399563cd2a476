// LlmWorker in a browser: the page's thread stays free, and the text is that of an Llm in the page.
import { expect, test } from '@playwright/test';

interface Text {
  readonly own: string;
  readonly theirs: string;
  /** The beginning, by a second sequence in the worker, behind the end of the first. */
  readonly forked: string;
  readonly workers: number;
  readonly tokens: number;
  /** The longest time for which the page stood still, in ms. */
  readonly longest: number;
}

test('the model of the package in a Worker, which finds its script', async ({ page }) => {
  await page.goto('/e2e/page.html');
  const got = await page.evaluate(async (): Promise<Text> => {
    const { Llm, LlmWorker } = (await import(/* @vite-ignore */ `${location.origin}/src/llm.ts`)) as typeof import('../src/llm.js');
    let workers = 0;
    const Real = globalThis.Worker;
    globalThis.Worker = class extends Real {
      constructor(url: string | URL, init?: WorkerOptions) {
        super(url, init);
        workers++;
      }
    };
    const textOf = async (one: { complete: import('../src/llm.js').Llm['complete'] }, maxTokens = 60): Promise<string> => {
      let text = '';
      for await (const piece of one.complete('In the beginning ', { maxTokens, temperature: 0.8, seed: 1 })) text += piece.text;
      return text;
    };
    const inWorker = await LlmWorker.load('../models/kjv.gguf'); // relative to the page
    let [longest, last] = [0, performance.now()];
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    });
    const theirs = await textOf(inWorker);
    clearInterval(timer);
    const { tokens } = await inWorker.stats();
    const fork = await inWorker.fork();
    inWorker.destroy();
    const forked = await textOf(fork, 8);
    fork.destroy();
    const llm = await Llm.load('/models/kjv.gguf');
    const own = await textOf(llm);
    llm.destroy();
    return { own, theirs, forked, workers, tokens, longest };
  });
  console.log(`60 tokens in a worker; the page stood still for ${got.longest.toFixed(0)} ms at most`);
  expect(got).toMatchObject({ theirs: got.own, workers: 1, tokens: 60 });
  expect(got.forked).not.toBe('');
  expect(got.own.startsWith(got.forked)).toBe(true);
  expect(got.own.length).toBeGreaterThan(40);
});
