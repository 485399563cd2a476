// Writes test/fixtures/llm/NAME.json: llama.cpp's logits for the small models of test/cases/llm-models.ts.
//
//   npm install --prefix node_modules/.cache/goldens --ignore-scripts --no-save node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1
//   node scripts/goldens/llm.mjs
//
// { logits: (3, vocabulary) float32 as base64 }: those behind the last tokens. llama.cpp's CPU rounds what a product reads to 8 bits, or to
// float16 beside weights of float16, and keys and values to float16. Beside weights of float32 it rounds neither: test/unit/llm/golden.test.ts
// holds the reference to these models closely, and to the others within what such rounding makes.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { load } from '../variant/asked.mjs';

const root = join(import.meta.dirname, '../..');
const from = createRequire(join(root, 'node_modules/.cache/goldens/package.json'));
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(from.resolve('node-llama-cpp')).href);
const { GOLDEN_IDS, GOLDEN_MODELS, GOLDEN_ROWS, isFloat32 } = await load('/test/cases/llm-models.ts');
const { modelConfig, modelFile } = await load('/test/support/model-file.ts');

const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error });
const folder = mkdtempSync(join(tmpdir(), 'llm-'));
const fixtures = join(root, 'test/fixtures/llm');
mkdirSync(fixtures, { recursive: true });

/** llama.cpp's logits behind the last tokens. */
async function rowsOf(path, vocabulary, cacheType) {
  const model = await llama.loadModel({ modelPath: path });
  const context = await model.createContext({
    contextSize: 64,
    threads: 2,
    flashAttention: false,
    experimentalKvCacheKeyType: cacheType,
    experimentalKvCacheValueType: cacheType,
  });
  const inputs = GOLDEN_IDS.map((id, i) =>
    i < GOLDEN_IDS.length - GOLDEN_ROWS ? id : [id, { generateNext: { logits: true, options: { temperature: 0 } } }],
  );
  const outputs = (await context.getSequence().controlledEvaluate(inputs)).filter(Boolean);
  const rows = new Float32Array(GOLDEN_ROWS * vocabulary).fill(Number.NEGATIVE_INFINITY);
  for (const [row, { next }] of outputs.entries()) for (const [id, logit] of next.logits) rows[row * vocabulary + id] = logit;
  await context.dispose();
  await model.dispose();
  if (outputs.length !== GOLDEN_ROWS || !rows.every(Number.isFinite)) throw new Error(`${path}: expected ${rows.length} finite numbers`);
  return rows;
}

try {
  for (const [name, options] of Object.entries(GOLDEN_MODELS)) {
    const path = join(folder, `${name}.gguf`);
    writeFileSync(path, modelFile(options));
    const rows = await rowsOf(path, modelConfig(options).vocabulary, isFloat32(options) ? 'F32' : 'F16');
    writeFileSync(join(fixtures, `${name}.json`), `${JSON.stringify({ logits: Buffer.from(rows.buffer).toString('base64') }, null, 2)}\n`);
    console.log(`${name}: ${rows.length} numbers from ${Math.min(...rows).toFixed(2)} to ${Math.max(...rows).toFixed(2)}`);
  }
} finally {
  rmSync(folder, { recursive: true });
  await llama.dispose();
}
process.exit(0);
