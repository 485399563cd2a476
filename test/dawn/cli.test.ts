// antiquant verify with a GPU: quantize's output passes, and one wrong code on the way to the GPU is found.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { DoctorDocument } from '../../cli/documents.js';
import { findDevice } from '../../cli/gpu.js';
import { verifyLayer } from '../../cli/verify-layer.js';
import { findLayers, openModel } from '../../src/formats.js';
import { requestDevice } from '../../src/gpu/device.js';
import { Llm } from '../../src/llm.js';
import { sources } from '../../src/wgsl/sources.js';
import { call, folder, put, putModel } from '../support/call-cli.js';
import { gpu } from '../support/dawn.js';
import { makeGguf } from '../support/files.js';
import { modelParts } from '../support/model-file.js';
import { filesOf, folderParts } from '../support/model-folder.js';

const at = folder();

test('the optional package is found', async () => {
  expect(await findDevice()).toHaveProperty('adapter');
});

test.each([
  ['compressed-tensors', '4', 'float32', 'minmax'],
  ['torch_npu', '4', 'float16', 'hqq'],
  ['torch_npu', '8', 'bfloat16', 'minmax'],
])('quantize → verify: %s, %s bits, x of %s', async (scheme, bits, dtype, method) => {
  const device = await requestDevice({ gpu });
  const out = at(`${scheme}-${bits}.safetensors`);
  const argv = ['quantize', putModel(at('in.safetensors')), out, '--scheme', scheme, '--bits', bits, '--method', method, '--group', '64'];
  expect((await call(argv)).code).toBe(0);
  const { code, json, err } = await call(['verify', out, '--dtype', dtype, '--rows', '3', '--json'], {
    findDevice: async () => ({ device, adapter: 'the test’s' }),
  });
  expect(code, err).toBe(0);
  expect(json().gpu).toBe('the test’s');
  expect(json().layers).toHaveLength(4);
  for (const { gpu: product, n } of json().layers) {
    expect(product.outside).toBe(0);
    expect(product.elements).toBe(3 * n);
    expect(product.worst).toBeGreaterThan(0); // something was compared
    expect(product.worst).toBeLessThanOrEqual(1);
  }

  // A file that is not the same for the GPU as for the reference.
  const { layers } = await findLayers(await openModel(out), { config: { group_size: 64 } });
  let made = 0;
  const source: (typeof layers)[0] = {
    ...layers[0]!,
    make(tensors, size) {
      const matrix = layers[0]!.make(tensors, size);
      if (made++ > 0) matrix.codes[5]! ^= 1 << 6; // the reference was made first
      return matrix;
    },
  };
  const options = { rows: 3, seed: 1, dtype: 'float32', device, signal: new AbortController().signal } as const;
  expect(await verifyLayer(source, options)).toMatchObject({ ok: false, gpu: { outside: 3, at: { output: expect.any(Number) } } });
  device.destroy();
});

test('run: text as it comes, or a document; a template where the file has one', async () => {
  const device = await requestDevice({ gpu });
  const io = { findDevice: async () => ({ device, adapter: 'the test’s' }) };
  const { metadata, tensors } = modelParts({ architecture: 'llama', seed: 5, sizes: { layers: 1, feedForward: 256 } });
  const plain = put(at('plain.gguf'), makeGguf(tensors, { metadata }));
  metadata.set('tokenizer.chat_template', ['STRING', '{{ messages[0].content }}<|turn|>']);
  const chat = put(at('chat.gguf'), makeGguf(tensors, { metadata }));

  const llm = await Llm.load(plain, { device });
  const tokenizer = await llm.tokenizer();
  const answer = async (prompt: readonly number[], more = {}): Promise<number[]> => {
    const ids: number[] = [];
    for await (const { id } of llm.generate(prompt, { maxTokens: 9, stops: [...tokenizer.stops], ...more })) ids.push(id);
    return ids;
  };
  const said = await call(['run', plain, 'the rain', '--max-tokens', '9', '--json'], io);
  expect(said.code, said.err).toBe(0);
  const ids = await answer(tokenizer.encode('the rain'));
  expect(said.json()).toMatchObject({ command: 'run', chat: false, ids, reason: 'length', gpu: 'the test’s', promptTokens: 8 });
  const { text } = said.json();
  const streamed = await call(['run', plain, 'the rain', '--max-tokens', '9'], io);
  expect(streamed.out.trimEnd()).toBe(text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c: string) => (c === '\n' ? c : '\ufffd')).trimEnd());
  expect(streamed.err).toMatch(/prompt: 8 tokens, .* a second; answer: 9 tokens, .* \(length\)/);

  const drawn = await call(['run', plain, 'the rain', '--max-tokens', '9', '--temp', '1.5', '--seed', '3', '--json'], io);
  expect(drawn.json().ids).toEqual(await answer(tokenizer.encode('the rain'), { temperature: 1.5, seed: 3 }));
  const cut = ['--top-k', '40', '--top-p', '0.8', '--min-p', '0.02', '--repeat-penalty', '1.3'];
  const few = await call(['run', plain, 'the rain', '--max-tokens', '9', '--temp', '1.5', '--seed', '3', ...cut, '--json'], io);
  const how = { temperature: 1.5, seed: 3, topK: 40, topP: 0.8, minP: 0.02, repetitionPenalty: 1.3 };
  expect(few.json().ids).toEqual(await answer(tokenizer.encode('the rain'), how));
  expect(few.json().ids).not.toEqual(drawn.json().ids);

  const answered = await call(['run', chat, 'hi', '--max-tokens', '9', '--json'], io);
  expect(answered.json()).toMatchObject({ chat: true, ids: await answer([...tokenizer.encode('hi'), 258]) });
  const raw = await call(['run', chat, 'hi', '--max-tokens', '9', '--json', '--raw'], io);
  expect(raw.json()).toMatchObject({ chat: false, ids: await answer(tokenizer.encode('hi')) });

  const files = filesOf(folderParts({ type: 'qwen2', format: 'AWQ', shards: 2 }));
  mkdirSync(at('qwen'));
  for (const [name, bytes] of files) put(join(at('qwen'), name), bytes);
  const folded = await call(['run', at('qwen'), 'hi', '--max-tokens', '5', '--json'], io);
  expect(folded.code, folded.err).toBe(0);
  expect(folded.json()).toMatchObject({ chat: true, promptTokens: 4, file: expect.stringMatching(/model.safetensors.index.json$/) });

  const own = await call(['run', 'And God said', '--max-tokens', '9', '--json'], io);
  expect(own.json()).toMatchObject({ file: expect.stringMatching(/kjv\.gguf$/), chat: false, reason: 'length' });
  expect(own.json().ids.length).toBe(9);

  const bench = await call(['bench-llm', plain, '--prompt', '9', '--tokens', '5', '--rounds', '2', '--json'], io);
  const { tokensPerSecond } = bench.json();
  expect(bench.json()).toMatchObject({ command: 'bench-llm', prompt: 9, tokens: 5, rounds: 2, gpu: 'the test’s' });
  expect(tokensPerSecond.median).toBeGreaterThan(0);
  expect(tokensPerSecond.least).toBeLessThanOrEqual(tokensPerSecond.most);
  expect((await call(['bench-llm', plain, '--prompt', '9', '--tokens', '5', '--rounds', '1'], io)).out).toMatch(
    /an answer of 5: [\d.]+ tokens a second/,
  );

  expect((await call(['run', plain, 'hi'])).code).toBe(4); // no GPU
  expect((await call(['run', plain, 'hi', '--context', '4000'], io)).err).toContain('context: expected at most 2048');
  llm.destroy();
  device.destroy();
});

test('doctor: the adapter, right variants, and one that does not compile', { timeout: 300_000 /* it compiles them */ }, async () => {
  const texts = sources as Record<string, string>;
  const before = texts['matmul-plain.wgsl']!;
  const once = async () => {
    const device = await requestDevice({ gpu });
    const { code, err, json } = await call(['doctor', '--quick', '--json'], {
      findDevice: async () => ({ device, adapter: 'the test’s' }),
    });
    device.destroy();
    return { code, err, document: json() as DoctorDocument };
  };
  const { code, err, document } = await once();
  expect(code, err).toBe(0);
  const { gpu: found, selfTest, copyBytesPerSecond } = document;
  expect(found).toMatchObject({ adapter: 'the test’s', limits: { maxComputeInvocationsPerWorkgroup: expect.any(Number) } });
  expect(found!.features).toEqual([...found!.features].sort());
  expect(selfTest).toMatchObject({ subset: 'quick', failed: [], kernels: { 'matmul-plain': 1 } });
  expect(selfTest!.variants).toBe(Object.values(selfTest!.kernels).reduce((a, b) => a + b));
  expect(copyBytesPerSecond).toBeGreaterThan(1e6);
  expect(copyBytesPerSecond).toBeLessThan(1e14);

  texts['matmul-plain.wgsl'] = `${before}\nconst broken: u32 = 1.5;`;
  try {
    const { code, document } = await once();
    expect(code).toBe(1);
    expect(document.selfTest!.failed).toEqual([
      expect.objectContaining({ variant: expect.stringMatching(/^matmul-plain\[/), expected: 'to compile' }),
    ]);
  } finally {
    texts['matmul-plain.wgsl'] = before;
  }
});
