// The language model that the page carries, models/kjv.gguf. It is small: it is fetched once and stays in memory.
import { openModel } from '../../src/files/open-file.js';
import type { TensorFile } from '../../src/files/tensor-file.js';

let opened: Promise<TensorFile> | undefined;

/** @throws Error if it cannot be fetched */
export function ownModel(): Promise<TensorFile> {
  opened ??= open().catch((error: unknown) => {
    opened = undefined;
    throw error;
  });
  return opened;
}

async function open(): Promise<TensorFile> {
  const response = await fetch(new URL('../../models/kjv.gguf', import.meta.url));
  if (!response.ok) throw new Error(`The model of this page could not be fetched: the server answered ${response.status}`);
  return openModel(new File([await response.arrayBuffer()], 'kjv.gguf'));
}
