// LlmWorker's messages, with a model that is none: what they cannot carry, and the end of a stream whose function of the page never answers.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ArgumentError, FormatError } from '../../../src/errors.js';
import { carriedError, carriedOptions, errorOf } from '../../../src/llm-worker/carried.js';
import { LlmWorker } from '../../../src/llm-worker/llm-worker.js';
import { READY } from '../../../src/llm-worker/messages.js';
import { Llm } from '../../../src/runtime/llm.js';
import type { GenerateOptions } from '../../../src/runtime/options.js';
import { channelWorker, closeChannels } from '../../support/llm-worker.js';

const worker = (): Worker => channelWorker();

/** Loads what stands for a model. */
async function loaded(model: Partial<Llm>): Promise<LlmWorker> {
  vi.spyOn(Llm, 'load').mockResolvedValue({ config: {}, context: 64, kv: 'f16', ...model } as unknown as Llm);
  return LlmWorker.load(new Uint8Array(4), { worker });
}
afterEach(() => {
  vi.restoreAllMocks();
  closeChannels();
});

describe('errors', () => {
  test('keep class, message and fields', () => {
    const error = errorOf(structuredClone(carriedError(new ArgumentError('ids', 'some', 'none'))));
    expect(error).toBeInstanceOf(ArgumentError);
    expect(error).toMatchObject({ name: 'ArgumentError', message: 'ids: expected some, got none', argument: 'ids', got: 'none' });
  });

  test('carry fields that messages refuse as text, so that they arrive', () => {
    const given = Object.assign(new FormatError({ file: 'a', field: 'b' }, 'c', 'd'), { cause: () => {}, response: { retry() {} } });
    const error = errorOf(structuredClone(carriedError(given)));
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({ file: 'a', expected: 'c', cause: expect.any(String), response: expect.any(String) });
  });

  test('that are none have their text', () => {
    expect(carriedError('text').message).toBe('text');
    expect(typeof carriedError(Object.create(null)).message).toBe('string');
  });

  test('of a model end their call, whatever they hold', async () => {
    const llm = await loaded({
      prepare: () => Promise.reject(Object.assign(new Error('no'), { cause: () => {} })),
    });
    await expect(llm.prepare()).rejects.toThrow('no');
    llm.destroy();
  });
});

describe('arguments', () => {
  test.each([null, 5, 'text'])('options that are %j are refused', async (options) => {
    expect(() => carriedOptions(options)).toThrow(ArgumentError);
    await expect(LlmWorker.load(new Uint8Array(4), options as never)).rejects.toThrow('options: expected an object');
  });

  test('what no message carries is an ArgumentError', async () => {
    await expect(LlmWorker.load((() => {}) as never, { worker })).rejects.toThrow(/^load: expected arguments that a message carries, got /);
    const llm = await loaded({});
    await expect(llm.render([{ role: 'user', content: (() => {}) as never }])).rejects.toThrow(ArgumentError);
    llm.destroy();
  });

  test('an address that is no URL is an ArgumentError, which does not show it', async () => {
    vi.stubGlobal('location', { href: 'https://example.org/page' });
    try {
      await expect(LlmWorker.load('https://[secret', { worker })).rejects.toThrow(/^from: expected a URL, got text that is none$/);
    } finally {
      vi.unstubAllGlobals();
    }
  });
});

test('a signal that comes with the first message of a worker ends the worker', async () => {
  const controller = new AbortController();
  const terminated = vi.fn();
  const start = (): Worker => {
    const own = { onmessage: null, terminate: terminated } as unknown as Worker;
    setTimeout(() => {
      own.onmessage!({ data: READY } as MessageEvent);
      controller.abort(new Error('enough'));
    });
    return own;
  };
  await expect(LlmWorker.load(new Uint8Array(4), { worker: start, signal: controller.signal })).rejects.toThrow('enough');
  expect(terminated).toHaveBeenCalledTimes(1);
});

test('a loop that ends early ends, though a function of the page never answers', { timeout: 5000 }, async () => {
  let left = 0;
  const llm = await loaded({
    async *generate(_ids: ArrayLike<number>, { sampler, signal }: GenerateOptions = {}) {
      try {
        yield { id: 1 };
        const never = sampler!([{ id: 2, logit: 0 }]);
        const aborted = new Promise<never>((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason)));
        yield { id: await Promise.race([never, aborted]) };
      } finally {
        left++;
      }
    },
  });
  let asked = 0;
  const sampler = (): Promise<number> => {
    asked++;
    return new Promise(() => {});
  };
  for await (const { id } of llm.generate([0], { sampler })) {
    expect(id).toBe(1);
    await vi.waitFor(() => expect(asked).toBe(1));
    break;
  }
  expect(left).toBe(1);
  llm.destroy();
});

test('functions and signals of calls that take none are refused, not dropped', async () => {
  const llm = await loaded({ logits: async () => new Float32Array(1) });
  await expect(llm.logits([1], { all: () => true } as never)).rejects.toThrow('all: expected none, since logits takes no such option');
  await expect(llm.logits([1], { signal: new AbortController().signal } as never)).rejects.toThrow(ArgumentError);
  expect(await llm.logits([1], { all: false })).toEqual(new Float32Array(1));
  llm.destroy();
});
