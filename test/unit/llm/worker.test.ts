// LlmWorker's messages, with a model that is none: what they cannot carry, and the end of a stream whose function of the page never answers.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ArgumentError, DeviceLostError, FormatError } from '../../../src/errors.js';
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

describe('sequences of a worker', () => {
  /** A sequence of more pieces than the worker may be ahead. */
  function sequence() {
    const seen = { left: 0, destroyed: 0 };
    return {
      seen,
      destroy: () => void seen.destroyed++,
      async *generate() {
        try {
          for (let id = 0; id < 100; id++) yield { id };
        } finally {
          seen.left++;
        }
      },
    };
  }

  test('that end free what is theirs, though the worker waits for the page, and leave the others', async () => {
    const second = sequence();
    const first = { ...sequence(), fork: async () => second as unknown as Llm, reset: vi.fn() };
    const llm = await loaded(first);
    const fork = await llm.fork();
    const pieces = fork.generate([0]);
    expect((await pieces.next()).value).toEqual({ id: 0 });
    fork.destroy();
    await expect(async () => {
      for await (const _ of pieces);
    }).rejects.toThrow(ArgumentError);
    await vi.waitFor(() => expect(second.seen).toEqual({ left: 1, destroyed: 1 }));
    await llm.reset();
    expect(first.reset).toHaveBeenCalledTimes(1);
    expect(first.seen.destroyed).toBe(0);
    llm.destroy();
  });

  test('of which one is forked and destroyed meanwhile: the fork is what the model says', async () => {
    let made: ((llm: Llm) => void) | undefined;
    const second = { ...sequence(), reset: vi.fn() };
    const llm = await loaded({ ...sequence(), fork: () => new Promise<Llm>((resolve) => (made = resolve)) });
    const forking = llm.fork();
    llm.destroy();
    await vi.waitFor(() => expect(made).toBeDefined());
    made!(second as unknown as Llm);
    const fork = await forking;
    await fork.reset();
    expect(second.reset).toHaveBeenCalledTimes(1);
    fork.destroy();
    const refusing = await loaded({ fork: () => Promise.reject(new ArgumentError('llm', 'a live Llm', 'a destroyed one')) });
    await expect(refusing.fork()).rejects.toThrow(ArgumentError);
    expect(await refusing.hasTemplate().catch((error: Error) => error.message)).not.toMatch(/destroyed/); // it lives
    refusing.destroy();
  });

  test('end together with a worker that died', async () => {
    let own: Worker | undefined;
    vi.spyOn(Llm, 'load').mockResolvedValue({ ...sequence(), fork: async () => sequence() as unknown as Llm } as unknown as Llm);
    const llm = await LlmWorker.load(new Uint8Array(4), { worker: () => (own = worker()) });
    const fork = await llm.fork();
    own!.onerror!.call(own!, { message: 'out of memory' } as ErrorEvent);
    for (const one of [llm, fork]) {
      await expect(one.reset()).rejects.toThrow(DeviceLostError);
      await expect(one.fork()).rejects.toThrow(DeviceLostError);
      one.destroy();
    }
  });
});
