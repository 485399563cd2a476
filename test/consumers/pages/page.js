import { files, product, quantized } from './main.js';
import { inWorker } from './model.js';
import { workers } from './workers.js';

const all = async () => {
  const bytes = await (await fetch('/kjv.gguf')).arrayBuffer();
  const small = { ...(await product()), ...(await quantized(workers.quantize)), ...(await files(bytes)) };
  return { ...small, ...(await inWorker(bytes, workers.llm)) };
};
globalThis.result = await all().catch((error) => ({ error: `${error.name}: ${error.message}` }));
