// The bench's ONNX graph of a GGUF file: onnxruntime's CPU finds in it the logits of the float64 reference, for a prompt, and a token at a time
// behind it on the cache that it left.
import * as ort from 'onnxruntime-web';
import { expect, test } from 'vitest';
import { onnxModel } from '../../../bench/llm/onnx-model.js';
import { llmReference } from '../../../src/reference/llm.js';
import { type ModelOptions, modelFile } from '../../support/model-file.js';
import { openedModel } from '../../support/model-weights.js';

ort.env.wasm.numThreads = 1;
const CONTEXT = 16;
const PROMPT = [5, 77, 200, 31, 9];
const MODELS: Readonly<Record<string, ModelOptions>> = {
  'qwen2 of Q4_0, tied: biases, halves': { architecture: 'qwen2', tied: true, type: 'Q4_0', seed: 3 },
  'llama of Q8_0 with divisors and a head: pairs': { architecture: 'llama', type: 'Q8_0', rope: { divisors: true }, seed: 4 },
};
const distance = (a: ArrayLike<number>, b: Float64Array): number => Math.hypot(...b.map((value, i) => a[i]! - value)) / Math.hypot(...b);

test.each(Object.entries(MODELS))('%s', async (_, options) => {
  const bytes = modelFile(options);
  const { config, weight } = await openedModel(bytes);
  const { layers, kvHeads, headWidth, vocabulary } = config;
  const model = await onnxModel(bytes, { context: CONTEXT });
  const session = await ort.InferenceSession.create(model, { executionProviders: ['wasm'], logSeverityLevel: 3 });
  const dims = [1, kvHeads, CONTEXT, headWidth];
  let past: Record<string, ort.Tensor> = Object.fromEntries(
    Array.from({ length: 2 * layers }, (_, i) => [
      `past.${i >> 1}.${i % 2 ? 'value' : 'key'}`,
      new ort.Tensor('float32', new Float32Array(kvHeads * CONTEXT * headWidth), dims),
    ]),
  );
  const run = async (ids: readonly number[], total: number) => {
    const out = await session.run({
      input_ids: new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
      seqlens_k: new ort.Tensor('int32', Int32Array.of(total - 1), [1]),
      total_sequence_length: new ort.Tensor('int32', Int32Array.of(total), []),
      ...past,
    });
    past = Object.fromEntries(Object.keys(past).map((name) => [name, out[name.replace('past', 'present')]!]));
    return { logits: out.logits!.data as Float32Array, id: Number((out.next_id!.data as BigInt64Array)[0]) };
  };
  const ids = [...PROMPT, 14, 222, 60];
  const want = llmReference(config, weight).forward(ids);
  for (let count = PROMPT.length; count <= ids.length; count++) {
    const rowOf = want.subarray((count - 1) * vocabulary, count * vocabulary);
    const { logits, id } = await run(count === PROMPT.length ? PROMPT : ids.slice(count - 1, count), count);
    expect(logits.length).toBe(vocabulary);
    expect(distance(logits, rowOf), `position ${count - 1}`).toBeLessThan(1e-5);
    expect(id).toBe(rowOf.indexOf(Math.max(...rowOf)));
  }
  await session.release();
});
