// Whole models on a device: logits and ids of the float64 reference, whatever the chunks of the prompt and the tokens of a submit; the cache
// that is kept; ends of all kinds; wrong use.
import { afterAll, describe, expect, test, vi } from 'vitest';
import { byteSource } from '../../src/files/byte-source.js';
import { openGguf } from '../../src/files/gguf.js';
import { ArgumentError, DeviceLostError, requestDevice, UnsupportedError } from '../../src/index.js';
import { GpuError, Llm } from '../../src/llm.js';
import { draw } from '../../src/llm-kernels/noise.js';
import { llmReference } from '../../src/reference/llm.js';
import { gpu } from '../support/dawn.js';
import { makeGguf } from '../support/files.js';
import { llmDevice } from '../support/llm-kernels.js';
import { apart, BOUND, checkIds, checkRows, idsOf, loadModel } from '../support/llm-run.js';
import { type ModelOptions, modelFile, modelParts } from '../support/model-file.js';
import { openedModel } from '../support/model-weights.js';

const device = await llmDevice();

const SIZES = { layers: 2, feedForward: 256 };
const MODELS: Readonly<Record<string, ModelOptions>> = {
  'llama Q4_0': { architecture: 'llama', type: 'Q4_0', seed: 31, sizes: SIZES, rope: { divisors: true } },
  'llama Q4_K, Q6_K': { architecture: 'llama', type: 'Q4_K', types: { v: 'Q6_K', down: 'Q6_K', head: 'Q6_K' }, seed: 32, sizes: SIZES },
  'qwen2 Q8_0, tied': { architecture: 'qwen2', type: 'Q8_0', tied: true, seed: 33, sizes: SIZES },
  'qwen3 Q4_0, tied to Q6_K': {
    architecture: 'qwen3',
    type: 'Q4_0',
    types: { embedding: 'Q6_K' },
    tied: true,
    seed: 34,
    sizes: { ...SIZES, headWidth: 64 },
  },
};
const PROMPT = Array.from({ length: 21 }, (_, i) => (i * 37 + 3) % 256);

const alive: Llm[] = [];
afterAll(() => {
  for (const llm of alive) llm.destroy();
});
async function load(options: ModelOptions, more: object = {}): Promise<Llm> {
  const llm = await loadModel(device, options, more);
  alive.push(llm);
  return llm;
}
const first = load(MODELS['llama Q4_0']!);
const fileOf = async (...[tensors, metadata]: readonly [Parameters<typeof makeGguf>[0], ReturnType<typeof modelParts>['metadata']]) =>
  openGguf(await byteSource(makeGguf(tensors, { metadata }), { name: 'made.gguf' }));

describe.each(Object.entries(MODELS))('%s', (_, options) => {
  test('logits are those of float64, and ids where its two largest differ by more than the bound', async () => {
    const { config, weight } = await openedModel(modelFile(options));
    const llm = options === MODELS['llama Q4_0'] ? await first : await load(options);
    const all = await llm.logits(PROMPT, { all: true });
    const reference = llmReference(config, weight);
    const want = reference.forward(PROMPT);
    checkRows(all, want, config.vocabulary);
    expect(await llm.logits(PROMPT)).toEqual(all.subarray(-config.vocabulary)); // the last row, of whatever chunk

    llm.reset();
    const ids = await idsOf(llm, PROMPT, { maxTokens: 24 });
    expect(ids.length).toBe(24);
    expect(llm.position).toBe(PROMPT.length + 23);
    checkIds(ids, want.subarray(-config.vocabulary), (id) => reference.forward([id]));
    // What decoding left in the cache is what a prompt would leave.
    const after = [...PROMPT, ...ids];
    const kept = await llm.logits(after);
    llm.reset();
    expect(apart(kept, Float64Array.from(await llm.logits(after)))).toBeLessThan(BOUND);
  });
});

/** Dispatches of a prompt of one row. */
async function rowsDispatches(llm: Llm): Promise<number> {
  await llm.logits([1]); // recorded and tested
  const spy = vi.spyOn(GPUComputePassEncoder.prototype, 'dispatchWorkgroups');
  await llm.logits([2]);
  const count = spy.mock.calls.length;
  spy.mockRestore();
  return count;
}

test('on a device that says it is a GPU norms take no dispatch: five a layer and four', {
  timeout: 300_000 /* it compiles GPUs' texts */,
}, async () => {
  const own = await requestDevice({ gpu });
  Object.defineProperty(own, 'adapterInfo', { value: { vendor: 'none', architecture: '', device: '', description: '' } });
  for (const name of ['llama Q4_K, Q6_K', 'qwen2 Q8_0, tied', 'qwen3 Q4_0, tied to Q6_K']) {
    const options = { ...MODELS[name]!, vocabulary: 264 }; // whole quads: rows of another length are rounded in a dispatch of their own
    const { config, weight } = await openedModel(modelFile(options));
    const llm = await load(options, { device: own });
    const mixed = name === 'llama Q4_K, Q6_K'; // v is a product of its own
    // Rows of ids are gathered; the first norm; the head; the choice.
    expect(llm.explain()).toMatchObject({ fusedNorms: true, dispatchesPerToken: (mixed ? 6 : 5) * config.layers + 4 });
    // A row of a prompt takes the kernels of a token: the row gathered, the first norm; the last norm, the head.
    if (!mixed) expect(await rowsDispatches(llm)).toBe(5 * config.layers + 4);
    const prompt = [3]; // software adapters take minutes to compile the kernels of many rows
    const ids = await idsOf(llm, prompt, { maxTokens: 12 });
    const reference = llmReference(config, weight);
    let logits = reference.forward(prompt);
    for (const id of ids) {
      expect(logits[id]!).toBeGreaterThanOrEqual(Math.max(...logits) - 2 * BOUND * Math.hypot(...logits));
      logits = reference.forward([id]);
    }
    llm.destroy();
  }
  own.destroy();
});

describe('a sequence', () => {
  test('has the same ids whatever the chunks of the prompt and the tokens of a submit', async () => {
    const llm = await first;
    const want = await idsOf(llm, PROMPT, { maxTokens: 12, tokensPerSubmit: 1 });
    for (const tokensPerSubmit of [8, undefined]) {
      llm.reset();
      expect(await idsOf(llm, PROMPT, { maxTokens: 12, tokensPerSubmit })).toEqual(want);
    }
    for (const cuts of [[1, 2, 3, 4, 5], [20], [4, 20], [17]]) {
      llm.reset();
      for (const cut of cuts) await llm.logits(PROMPT.slice(0, cut));
      expect(llm.position).toBe(cuts.at(-1));
      expect(await idsOf(llm, PROMPT, { maxTokens: 12 })).toEqual(want);
    }
  });

  test('samples as the CPU does from its logits, and the same seed gives the same ids', async () => {
    const llm = await first;
    const how = { maxTokens: 10, temperature: 1.3, seed: 77 };
    llm.reset();
    const ids = await idsOf(llm, PROMPT, { ...how, tokensPerSubmit: 1 });
    llm.reset();
    expect(await idsOf(llm, PROMPT, { ...how, tokensPerSubmit: 8 })).toEqual(ids);
    expect(await idsOf(llm, PROMPT, { ...how, seed: 78 })).not.toEqual(ids);
    const all = await llm.logits([...PROMPT, ...ids], { all: true });
    const { vocabulary } = llm.config;
    const drawn = ids.map((_, i) => {
      const row = PROMPT.length - 1 + i;
      return draw(all.subarray(row * vocabulary, (row + 1) * vocabulary), { temperature: 1.3, seed: 77, position: row + 1 });
    });
    expect(drawn).toEqual(ids);
  });

  test('ends at a stop id, at maxTokens, or when the context is full', async () => {
    const llm = await first;
    const want = await idsOf(llm, PROMPT, { maxTokens: 12 });
    const stop = want[4]!;
    const at = want.indexOf(stop);
    for (const tokensPerSubmit of [1, 8]) {
      llm.reset();
      const got = [];
      for await (const one of llm.generate(PROMPT, { maxTokens: 12, stops: [stop], tokensPerSubmit })) got.push(one);
      expect(got).toEqual([...want.slice(0, at).map((id) => ({ id })), { id: stop, reason: 'stop' }]);
      // Tokens of the submit behind the stop changed nothing.
      expect(await idsOf(llm, [...PROMPT, ...want.slice(0, at + 1)], { maxTokens: 11 - at })).toEqual(want.slice(at + 1));
    }
    const last = [];
    for await (const one of llm.generate(PROMPT, { maxTokens: 3 })) last.push(one.reason);
    expect(last).toEqual([undefined, undefined, 'length']);
    expect(await idsOf(llm, PROMPT, { maxTokens: 0 })).toEqual([]);
    const small = await load(MODELS['llama Q4_0']!, { context: 24 });
    const full = [];
    for await (const one of small.generate(PROMPT)) full.push(one);
    expect(full).toEqual([...want.slice(0, 3).map((id) => ({ id })), { id: want[3], reason: 'length' }]);
    expect(small.position).toBe(24);
    small.destroy();
  });

  test('keeps what the next prompt begins with, and a longer cache what it had', async () => {
    const llm = await load(MODELS['llama Q4_0']!);
    const turn = await idsOf(llm, PROMPT, { maxTokens: 6 });
    const before = llm.stats.promptTokens;
    const second = [...PROMPT, ...turn, 7, 8, 9];
    const got = await idsOf(llm, second, { maxTokens: 4 });
    expect(llm.stats.promptTokens - before).toBe(4); // the last id of the first turn, and the new ones
    llm.reset();
    expect(await idsOf(llm, second, { maxTokens: 4 })).toEqual(got);
    // Beyond 256 positions the cache grows: within a prompt, and between tokens.
    const long = Array.from({ length: 250 }, (_, i) => (i * 91 + 5) % 256);
    const grown = await idsOf(llm, long, { maxTokens: 12, tokensPerSubmit: 8 });
    expect(llm.explain().capacity).toBe(512);
    const wide = await load(MODELS['llama Q4_0']!);
    await wide.logits(Array.from({ length: 300 }, (_, i) => i % 256)); // 512 positions from the beginning
    wide.reset();
    expect(await idsOf(wide, long, { maxTokens: 12 })).toEqual(grown);
    wide.destroy();
    llm.destroy();
  });

  test('goes beyond 2,048 positions, where splits of the keys are joined', async () => {
    const options: ModelOptions = { architecture: 'llama', seed: 37, sizes: { layers: 1, feedForward: 256, contextLength: 4096 } };
    const { config, weight } = await openedModel(modelFile(options));
    const llm = await load(options);
    const prompt = Array.from({ length: 2046 }, (_, i) => (i * 53 + (i >> 5)) % 256);
    const ids = await idsOf(llm, prompt, { maxTokens: 6, tokensPerSubmit: 2 }); // the cache grows between tokens
    expect(llm.explain().capacity).toBe(4096);
    expect(llm.explain().variants).toMatchObject({ 'llm/attend-join[E=32,SINKS=0]': 1 });
    const reference = llmReference(config, weight);
    let logits = reference.forward(prompt).subarray(-config.vocabulary);
    for (const id of ids) {
      expect(logits[id]!).toBeGreaterThanOrEqual(Math.max(...logits) - 2 * BOUND * Math.hypot(...logits));
      logits = reference.forward([id]);
    }
    expect(apart(await llm.logits([...prompt, ...ids]), logits)).toBeLessThan(BOUND);
    llm.destroy();
  });

  test('knows nothing of another on the same device', async () => {
    const [one, other] = [await first, await load(MODELS['qwen2 Q8_0, tied']!)];
    const [want, wanted] = [await idsOf(one, PROMPT, { maxTokens: 10 }), await idsOf(other, PROMPT, { maxTokens: 10 })];
    one.reset();
    const [a, b] = [one.generate(PROMPT, { maxTokens: 10, tokensPerSubmit: 2 }), other.generate(PROMPT, { maxTokens: 10 })];
    const got: number[][] = [[], []];
    for (let i = 0; i < 10; i++) for (const [j, each] of [a, b].entries()) got[j]!.push(((await each.next()).value as { id: number }).id);
    expect(got).toEqual([want, wanted]);
    await Promise.all([a.return(), b.return()]);
    other.destroy();
  });

  test('makes nothing and writes nothing between tokens', async () => {
    const llm = await first;
    await idsOf(llm, PROMPT, { maxTokens: 2 });
    const { submits } = llm.stats;
    const spies = [
      ...(['createBuffer', 'createBindGroup', 'createComputePipeline', 'createShaderModule'] as const).map((name) =>
        vi.spyOn(device, name),
      ),
      vi.spyOn(device.queue, 'writeBuffer'),
    ];
    const encoders = vi.spyOn(device, 'createCommandEncoder');
    const calls = (): number => spies.reduce((sum, { mock }) => sum + mock.calls.length, 0);
    const running = llm.generate(PROMPT, { maxTokens: 40, tokensPerSubmit: 4 });
    await running.next();
    const before = calls();
    expect(before).toBeGreaterThan(0); // the spies see the prompt
    for await (const _ of running);
    expect(calls()).toBe(before);
    expect(llm.stats.submits - submits).toBe(11); // the first id, and 39 by fours
    expect(encoders.mock.calls.length).toBeLessThanOrEqual(12);
    vi.restoreAllMocks();
  });

  test('needs no shader that prepare has not made', async () => {
    const llm = await load(MODELS['llama Q4_0']!);
    await llm.prepare();
    const made = vi.spyOn(device, 'createShaderModule');
    for (const rows of [1, 4, 16, 64, 100])
      await idsOf(
        llm,
        Array.from({ length: rows }, (_, i) => (i + rows) % 256),
        { maxTokens: 1 },
      );
    expect(made.mock.calls.length).toBeLessThanOrEqual(1); // of the choice
    vi.restoreAllMocks();
    llm.destroy();
  });

  test('goes on after an early end, and after a signal', async () => {
    const llm = await first;
    const want = await idsOf(llm, PROMPT, { maxTokens: 12 });
    llm.reset();
    for await (const { id } of llm.generate(PROMPT, { maxTokens: 12 })) {
      expect(id).toBe(want[0]);
      break;
    }
    expect(await idsOf(llm, PROMPT, { maxTokens: 12 })).toEqual(want);
    const abort = new AbortController();
    const seen: number[] = [];
    await expect(async () => {
      for await (const { id } of llm.generate(PROMPT, { maxTokens: 12, signal: abort.signal })) {
        seen.push(id);
        if (seen.length === 3) abort.abort(new Error('enough'));
      }
    }).rejects.toThrow('enough');
    expect(seen).toEqual(want.slice(0, 3));
    expect(await idsOf(llm, [...PROMPT, ...seen], { maxTokens: 9 })).toEqual(want.slice(3));
  });

  test('holds keys and values as halves', async () => {
    const { config, weight } = await openedModel(modelFile(MODELS['qwen2 Q8_0, tied']!));
    const llm = await load(MODELS['qwen2 Q8_0, tied']!, { kv: 'f16' });
    const distance = apart(await llm.logits(PROMPT), llmReference(config, weight).forward(PROMPT).subarray(-config.vocabulary));
    expect(distance).toBeLessThan(2e-3);
    expect(distance).toBeGreaterThan(BOUND); // halves, indeed
    await idsOf(llm, PROMPT, { maxTokens: 2 });
    expect(llm.stats.clamped).toBe(0);
    llm.destroy();
    const { metadata, tensors } = modelParts(MODELS['qwen2 Q8_0, tied']!);
    const huge = tensors.map((one) =>
      one.name === 'blk.0.attn_v.bias' ? { ...one, bytes: new Uint8Array(new Float32Array(64).fill(1e6).buffer) } : one,
    );
    const clamping = await Llm.load(await fileOf(huge, metadata), { device });
    await idsOf(clamping, PROMPT, { maxTokens: 2 });
    expect(clamping.stats.clamped).toBe(64 * (PROMPT.length + 1)); // the last id has no value yet
    clamping.destroy();
  });
});

test('holds keys and values as int8, as a reference that rounds likewise; and less memory', async () => {
  const options = MODELS['qwen3 Q4_0, tied to Q6_K']!;
  const { config, weight } = await openedModel(modelFile(options));
  const last = (logits: Float64Array): Float64Array => logits.subarray(-config.vocabulary);
  const roundHead = (head: Float64Array): Float64Array => {
    const scale = Math.fround(Math.max(...head.map(Math.abs)) / 127);
    return head.map((x) => Math.round(x / scale) * scale);
  };
  const llm = await load(options, { kv: 'q8' });
  const logits = await llm.logits(PROMPT);
  const plain = apart(logits, last(llmReference(config, weight).forward(PROMPT)));
  const likewise = apart(logits, last(llmReference(config, weight, { roundHead }).forward(PROMPT)));
  expect(plain).toBeGreaterThan(1e-3); // int8, indeed
  expect(plain).toBeLessThan(3e-2);
  // A code whose quotient lies next to a half may be the next one: a step of one number of one head.
  expect(likewise).toBeLessThan(1e-3);
  // The same ids whatever the chunks, and in a cache that has grown: codes of a row do not hang on its chunk, but for such a step.
  const grown = await load(options, { kv: 'q8' });
  for await (const _ of grown.generate(PROMPT, { maxTokens: 300 }));
  const long = [...PROMPT, ...Array.from({ length: 280 }, (_, i) => (i * 7) % 250)];
  expect(apart(await grown.logits(long), Float64Array.from(await llm.logits(long)))).toBeLessThan(2e-3);
  const halves = await load(options, { kv: 'f16' });
  const bytes = (one: Llm): number => one.explain().memory.cache / one.explain().capacity;
  expect(bytes(llm) / bytes(halves)).toBe((config.headWidth + 4) / (2 * config.headWidth));
  for (const one of [llm, grown, halves]) one.destroy();
});

describe('text', () => {
  test('comes in pieces, and ends before a stop string', async () => {
    const llm = await first;
    const tokenizer = await llm.tokenizer();
    const pieces = [];
    for await (const piece of llm.complete('the rain', { maxTokens: 16 })) pieces.push(piece);
    const ids = pieces.flatMap((piece) => piece.ids);
    const want = await idsOf(llm, tokenizer.encode('the rain'), { maxTokens: 16, stops: [...tokenizer.stops] });
    expect(ids).toEqual(want);
    const text = pieces.map((piece) => piece.text).join('');
    expect(text).toBe(tokenizer.decode(pieces.at(-1)!.reason === 'stop' ? want.slice(0, -1) : want, { begins: false }));
    expect(pieces.slice(0, -1).every(({ reason }) => reason === undefined)).toBe(true);
    const stop = text.slice(3, 5);
    let cut = '';
    let reason: string | undefined;
    for await (const piece of llm.complete('the rain', { maxTokens: 16, stop: [stop] })) {
      cut += piece.text;
      reason = piece.reason;
    }
    expect([cut, reason]).toEqual([text.slice(0, text.indexOf(stop)), 'stop']);
  });

  test('of a conversation is that of the rendered template', async () => {
    const { metadata, tensors } = modelParts(MODELS['llama Q4_0']!);
    metadata.set('tokenizer.chat_template', [
      'STRING',
      '{% for m in messages %}<|turn|>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|turn|>{% endif %}',
    ]);
    const llm = await Llm.load(await fileOf(tensors, metadata), { device, kv: 'f32' });
    const tokenizer = await llm.tokenizer();
    const prompt = tokenizer.encode('<|turn|>hi<|turn|>', { special: true });
    expect(prompt.filter((id) => id === 258).length).toBe(2);
    const ids: number[] = [];
    for await (const piece of llm.chat([{ role: 'user', content: 'hi' }], { maxTokens: 5 })) ids.push(...piece.ids);
    expect(ids).toEqual(await idsOf(llm, prompt, { maxTokens: 5, stops: [...tokenizer.stops] }));
    expect(await llm.render([{ role: 'user', content: 'hi' }])).toBe('<|turn|>hi<|turn|>');
    await expect((await first).render([])).rejects.toThrow(UnsupportedError);
    await expect(async () => {
      for await (const _ of (await first).chat([{ role: 'user', content: 'hi' }]));
    }).rejects.toThrow(UnsupportedError);
    llm.destroy();
  });
});

describe('wrong use', () => {
  test('of arguments', async () => {
    const llm = await first;
    const wrong: readonly [unknown, object, string][] = [
      [[], {}, 'ids: expected at least one id'],
      [[1, 259], {}, 'ids[1]: expected a whole number from 0 to 258'],
      [[1.5], {}, 'ids[0]'],
      [new Array(2049).fill(1), {}, 'ids: expected at most 2048'],
      [[1], { maxTokens: -1 }, 'maxTokens'],
      [[1], { temperature: -1 }, 'temperature'],
      [[1], { temperature: 1e-60 }, 'temperature'],
      [[1], { seed: 2 ** 32 }, 'seed'],
      [[1], { stops: [259] }, 'stops[0]'],
      [[1], { stops: Array.from({ length: 17 }, (_, i) => i) }, 'stops: expected at most 16'],
      [[1], { maxtokens: 1 }, 'maxtokens'],
    ];
    for (const [ids, options, message] of wrong) {
      expect(() => llm.generate(ids as number[], options), message).toThrow(ArgumentError);
      expect(() => llm.generate(ids as number[], options), message).toThrow(message);
    }
    await expect(llm.logits([])).rejects.toThrow(ArgumentError);
    await expect(load(MODELS['llama Q4_0']!, { context: 4096 })).rejects.toThrow('context: expected at most 2048');
  });

  test('of one model by two calls', async () => {
    const llm = await first;
    const one = llm.generate(PROMPT, { maxTokens: 4 });
    await one.next();
    await expect(llm.generate(PROMPT, { maxTokens: 4 }).next()).rejects.toThrow('llm: expected one call at a time');
    await expect(llm.logits(PROMPT)).rejects.toThrow('one call at a time');
    expect(() => llm.reset()).toThrow('one call at a time');
    await one.return();
    expect((await idsOf(llm, PROMPT, { maxTokens: 4 })).length).toBe(4);
  });

  test('of a model that was destroyed, before or meanwhile', async () => {
    const llm = await load(MODELS['llama Q4_0']!);
    const running = llm.generate(PROMPT, { maxTokens: 1000 });
    await running.next();
    llm.destroy();
    await expect(async () => {
      for await (const _ of running);
    }).rejects.toThrow(/llm: expected a live Llm/);
    llm.destroy();
    await expect(async () => idsOf(llm, PROMPT)).rejects.toThrow(ArgumentError);
    await expect(llm.logits(PROMPT)).rejects.toThrow(ArgumentError);
    expect(() => llm.explain()).toThrow(ArgumentError);
  });

  test('a lost device ends it with a DeviceLostError', async () => {
    const own = await requestDevice({ gpu });
    const file = await openGguf(await byteSource(modelFile(MODELS['llama Q4_0']!), { name: 'model.gguf' }));
    const llm = await Llm.load(file, { device: own, kv: 'f32' });
    const running = llm.generate(PROMPT, { maxTokens: 1000 });
    await running.next();
    own.destroy();
    await expect(async () => {
      for await (const _ of running);
    }).rejects.toThrow(DeviceLostError);
    await expect(idsOf(llm, PROMPT)).rejects.toThrow(DeviceLostError);
    llm.destroy();
  });

  test('weights that make NaN are said', async () => {
    const { metadata, tensors } = modelParts(MODELS['llama Q4_0']!);
    const huge = tensors.map((one) =>
      one.name === 'output_norm.weight' ? { ...one, bytes: new Uint8Array(new Float32Array(256).fill(3e38).buffer) } : one,
    );
    const llm = await Llm.load(await fileOf(huge, metadata), { device, kv: 'f32' });
    await expect(idsOf(llm, PROMPT, { maxTokens: 3 })).rejects.toThrow(GpuError);
    llm.destroy();
  });

  test('models that cannot be served are refused before their weights are read', async () => {
    const unread = async (options: ModelOptions, message: RegExp): Promise<void> => {
      const file = await openGguf(await byteSource(modelFile(options), { name: 'model.gguf' }));
      const onProgress = (): void => {
        throw new Error('weights were read');
      };
      await expect(Llm.load(file, { device, onProgress })).rejects.toThrow(UnsupportedError);
      await expect(Llm.load(file, { device, onProgress })).rejects.toThrow(message);
    };
    await unread({ architecture: 'llama', sizes: { ...SIZES, heads: 1, kvHeads: 1, headWidth: 512 } }, /heads of 512 elements/);
  });

  test('gate and up of two types are two products, and floats may have biases', async () => {
    const mixed: ModelOptions = { architecture: 'llama', types: { up: 'Q8_0' }, seed: 38, sizes: SIZES };
    const { config, weight } = await openedModel(modelFile(mixed));
    const llm = await load(mixed);
    const reference = llmReference(config, weight);
    let logits = reference.forward(PROMPT).subarray(-config.vocabulary);
    expect(apart(await llm.logits(PROMPT), logits)).toBeLessThan(BOUND);
    for await (const { id } of llm.generate(PROMPT, { maxTokens: 6 })) {
      expect(logits[id]!).toBeGreaterThanOrEqual(Math.max(...logits) - 2 * BOUND * Math.hypot(...logits));
      logits = reference.forward([id]);
    }
    expect(llm.explain().notes).toEqual([expect.stringContaining('gate and up are two products in layers 0, 1: bits differs: 4 and 8')]);
    const glus = Object.entries(llm.explain().variants).filter(([name]) => name.startsWith('llm/glu-rows'));
    expect(glus.map(([, count]) => count)).toEqual([config.layers]);
    llm.destroy();
    const floats: ModelOptions = { architecture: 'qwen2', type: 'F16', seed: 39, sizes: SIZES };
    const other = await openedModel(modelFile(floats));
    const biased = await load(floats);
    const distance = apart(
      await biased.logits(PROMPT),
      llmReference(other.config, other.weight).forward(PROMPT).subarray(-other.config.vocabulary),
    );
    expect(distance).toBeLessThan(0.03);
    biased.destroy();
  });

  test('float matrices become int8, and are said', async () => {
    const options: ModelOptions = { architecture: 'llama', type: 'F16', tied: true, seed: 36, sizes: { ...SIZES, layers: 1 } };
    const { config, weight } = await openedModel(modelFile(options));
    const llm = await load(options);
    const distance = apart(await llm.logits(PROMPT), llmReference(config, weight).forward(PROMPT).subarray(-config.vocabulary));
    expect(distance).toBeLessThan(0.03); // 127 steps for a block's largest weight: half a percent of each product's size
    expect(llm.explain().notes).toEqual([expect.stringContaining('int8 in groups of 32: token_embd.weight, blk.0.attn_q.weight')]);
    llm.destroy();
  });

  test('a load that ends early frees what it made', async () => {
    const abort = new AbortController();
    const file = await openGguf(await byteSource(modelFile(MODELS['llama Q4_0']!), { name: 'model.gguf' }));
    const made: GPUBuffer[] = [];
    const create = device.createBuffer.bind(device);
    const freed = new Set<GPUBuffer>();
    device.createBuffer = (descriptor) => {
      const buffer = create(descriptor);
      const destroy = buffer.destroy.bind(buffer);
      made.push(buffer);
      buffer.destroy = () => {
        freed.add(buffer);
        destroy();
      };
      return buffer;
    };
    try {
      let told = 0;
      const onProgress = (): void => {
        if (++told === 9) abort.abort(new Error('enough'));
      };
      await expect(Llm.load(file, { device, onProgress, signal: abort.signal })).rejects.toThrow('enough');
      expect(made.length).toBeGreaterThan(5);
      expect(made.filter((buffer) => !freed.has(buffer)).map(({ label }) => label)).toEqual([]);
    } finally {
      device.createBuffer = create;
    }
  });
});
