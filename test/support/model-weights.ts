// A model file with its weights as float64, decoded weight by weight by gguf-decoder.ts: independent of src/formats and the packed layout.
import { decode16 } from '../../src/dtype.js';
import { byteSource } from '../../src/files/byte-source.js';
import { openGguf } from '../../src/files/gguf.js';
import { readTensor } from '../../src/files/open-file.js';
import type { RawTensor } from '../../src/files/raw-tensor.js';
import type { TensorFile } from '../../src/files/tensor-file.js';
import { type Config, readConfig } from '../../src/llm/config.js';
import { findTensors } from '../../src/llm/model-tensors.js';
import type { Role } from '../../src/llm/names.js';
import type { Weight } from '../../src/reference/llm.js';
import { decode } from './gguf-decoder.js';

function numbersOf({ dtype, bytes }: RawTensor): Float64Array {
  const copy = bytes.slice().buffer; // aligned
  if (dtype === 'F32') return new Float64Array(new Float32Array(copy));
  if (dtype === 'F16') return new Float64Array(decode16(new Uint16Array(copy), 'float16'));
  return new Float64Array(decode(dtype, bytes));
}

export interface OpenedModel {
  readonly file: TensorFile;
  readonly config: Config;
  /** By role; for llmReference. */
  readonly weight: Weight;
}

/** Opens a GGUF file in memory and reads all of it. */
export async function openedModel(bytes: Uint8Array<ArrayBuffer>): Promise<OpenedModel> {
  const file = await openGguf(await byteSource(bytes, { name: 'model.gguf' }));
  const config = readConfig(file);
  const weights = new Map<string, Float64Array>();
  for (const [role, info] of findTensors(file, config, 'gguf')) weights.set(role, numbersOf(await readTensor(info)));
  const weight = (role: string): Float64Array => {
    const found = weights.get(role as Role);
    if (!found) throw new Error(`the model has no ${role}`);
    return found;
  };
  return { file, config, weight };
}
