// The model that the panel holds in the Worker: opened from the page's own file, from files, or from a URL, and loaded again on another device
// after a loss.

import { openModel } from '../../../../src/files/open-file.js';
import { type Llm, type Progress, Llm as Runtime, type TensorFile } from '../../../../src/llm.js';
import { ownModel } from '../../../worker/own-model.js';
import type { JobContext } from '../../../worker/rpc.js';

/** Where a model comes from. Files may be the parts of a split model. */
export type From = { readonly own: true } | { readonly files: readonly File[] } | { readonly url: string };

/** How it is held; the rows of a table (controls.tsx) make it. */
export type Holding = Readonly<Record<string, number | string | boolean>>;

export interface Held {
  /** Counts models, so that an answer knows whose it is. */
  readonly id: number;
  readonly file: TensorFile;
  readonly bytes: number;
  readonly from: From;
  readonly holding: Holding;
  readonly llm: Llm;
  readonly device: GPUDevice;
}

let held: Held | undefined;
let count = 0;
function open(from: From, signal: AbortSignal): Promise<TensorFile> {
  if ('url' in from) return openModel(new URL(from.url), { signal });
  if ('files' in from) return openModel(from.files[0]!, { files: from.files, signal });
  return ownModel();
}

const sizeOf = ({ tensors }: TensorFile): number =>
  [...new Set([...tensors.values()].map(({ source }) => source))].reduce((sum, { size }) => sum + size, 0);

const megabytes = (count: number): string => (count / 1e6).toFixed(count < 1e8 ? 2 : 0);
const WORDS: Readonly<Partial<Record<Progress['phase'], string>>> = { read: 'read', pack: 'on the GPU' };

export const heldNow = (): number | undefined => held?.id;

/** Says bytes and seconds. */
function telling({ progress }: JobContext): (now: Progress) => void {
  const began = performance.now();
  return ({ phase, done, total }) => {
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const word = WORDS[phase];
    if (word) progress(phase === 'pack' ? done / total : undefined, `${megabytes(done)} of ${megabytes(total)} MB ${word}, ${seconds} s`);
  };
}

export interface LoadArgs {
  readonly from: From;
  readonly holding: Holding;
}

/** Loads a model in the place of the one before, which stays if the file cannot be opened. @throws what openModel and Llm.load throw */
export async function load({ from, holding }: LoadArgs, context: JobContext): Promise<Held> {
  const { signal } = context;
  context.progress(undefined, 'The header is read.');
  const file = await open(from, signal);
  context.progress(undefined, 'Waiting for the GPU, which other work may have.');
  const device = await context.device();
  held?.llm.destroy();
  held = undefined;
  const llm = await Runtime.load(file, { ...holding, device, signal, onProgress: telling(context) });
  held = { id: ++count, file, bytes: sizeOf(file), from, holding, llm, device };
  return held;
}

/** The model on the device of now. @throws Error for another model than the page means; what `load` throws */
export async function alive(id: number, context: JobContext): Promise<Held> {
  const device = await context.device();
  if (held?.id !== id) throw new Error('The model was replaced by another. Load it again.');
  if (held.device !== device) {
    const { file, holding } = held;
    const llm = await Runtime.load(file, { ...holding, device, signal: context.signal, onProgress: telling(context) });
    held = { ...held, llm, device };
  }
  return held;
}
