// For runtimes without pages: prints what it finds. `dawn` as the first word brings WebGPU where there is none; `worker`: there are Workers.
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { files, product, quantized } from './main.js';
import { inWorker } from './model.js';

const [, , gguf, ...words] = process.argv;
if (words.includes('dawn')) {
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  globalThis.dawn = create([]); // reachable for the life of the process
  Object.defineProperty(globalThis.navigator, 'gpu', { value: globalThis.dawn });
}
const bytes = readFileSync(gguf);
const small = { ...(await product()), ...(await quantized()), ...(await files(new Uint8Array(bytes))) };
const { logits, said } = words.includes('worker') ? await inWorker(bytes) : { logits: [0], said: '-' };
console.log(JSON.stringify({ ...small, finite: logits.every((one) => Number.isFinite(one)), said }));
process.exit(0);
