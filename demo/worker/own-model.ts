// The language model that the page carries, models/kjv.gguf. It is small: it is fetched once and stays in memory.
import { openModel } from '../../src/files/open-file.js';
import type { TensorFile } from '../../src/files/tensor-file.js';

let fetched: Promise<File> | undefined;
let opened: Promise<TensorFile> | undefined;

/** @throws Error if it cannot be fetched */
export function ownFile(): Promise<File> {
  fetched ??= fetchIt().catch((error: unknown) => {
    fetched = undefined;
    throw error;
  });
  return fetched;
}

/** @throws Error if it cannot be fetched */
export function ownModel(): Promise<TensorFile> {
  opened ??= ownFile()
    .then((file) => openModel(file))
    .catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
  return opened;
}

async function fetchIt(): Promise<File> {
  const response = await fetch(new URL('../../models/kjv.gguf', import.meta.url));
  if (!response.ok) throw new Error(`The model of this page could not be fetched: the server answered ${response.status}`);
  return new File([await response.arrayBuffer()], 'kjv.gguf');
}
