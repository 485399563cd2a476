// A language model of a GGUF file, or of all files of a split one.
import type { TensorFile } from '../files/tensor-file.js';
import { architectureOf } from '../llm/architectures.js';
import { readConfig } from '../llm/config.js';
import { findTensors } from '../llm/model-tensors.js';
import { ggufTemplates } from '../text/template.js';
import { makeTokenizer } from '../text/tokenizer.js';
import { findMatrices } from './find-matrices.js';
import type { LanguageModel } from './language-model.js';

/** @throws FormatError, UnsupportedError; the reason of `signal` */
export async function ggufModel(file: TensorFile, signal?: AbortSignal): Promise<LanguageModel> {
  const config = readConfig(file);
  findTensors(file, config, 'gguf'); // all of its rules, before anything is read
  return {
    file,
    config,
    ...(await findMatrices(file, config, { source: 'gguf', own: architectureOf(config.architecture).names, signal })),
    notes: [],
    tokenizer: () => makeTokenizer(file.metadata, { file: file.name }),
    templates: async () => ggufTemplates(file.metadata, file.name),
  };
}
