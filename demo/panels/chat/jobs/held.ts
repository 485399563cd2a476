// The model that the panel holds in the Worker: of the page's own file, of files, or of a URL, whose bytes the browser keeps; and loaded again
// on another device after a loss.

import { openModel } from '../../../../src/files/open-file.js';
import { type Llm, type ModelFrom, type Progress, Llm as Runtime, type TensorFile } from '../../../../src/llm.js';
import { ownModel } from '../../../worker/own-model.js';
import type { JobContext } from '../../../worker/rpc.js';

/** Where a model comes from. Files may be the parts of a split model. */
export type From = { readonly own: true } | { readonly files: readonly File[] } | { readonly url: string };

/** How it is held; the rows of a table (controls.tsx) make it. */
export type Holding = Readonly<Record<string, number | string | boolean>>;

export interface Held {
  /** Counts models, so that an answer knows whose it is. */
  readonly id: number;
  readonly name: string;
  /** Its file of tensors, for who makes another model of it. A folder has none. */
  readonly file: () => Promise<TensorFile>;
  readonly from: From;
  readonly holding: Holding;
  readonly llm: Llm;
  readonly device: GPUDevice;
}

let held: Held | undefined;
let count = 0;
/** What Llm.load takes. */
function sourceOf(from: From): ModelFrom | Promise<ModelFrom> {
  if ('url' in from) return new URL(from.url);
  return 'files' in from ? from.files : ownModel();
}
function fileOf(from: From): Promise<TensorFile> {
  if ('url' in from) return openModel(new URL(from.url));
  return 'files' in from ? openModel(from.files[0]!, { files: from.files }) : ownModel();
}
function nameOf(from: From): string {
  if ('url' in from) return decodeURIComponent(new URL(from.url).pathname.split('/').filter(Boolean).at(-1) ?? from.url);
  return 'files' in from ? from.files[0]!.name : 'kjv.gguf';
}

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

const loadFrom = async (from: From, holding: Holding, device: GPUDevice, context: JobContext): Promise<Llm> =>
  Runtime.load(await sourceOf(from), {
    ...{ ...holding, device, signal: context.signal, onProgress: telling(context) },
    ...('url' in from && { cache: true }),
  });

/** Loads a model in the place of the one before, which stays if the file cannot be opened. @throws what Llm.estimate and Llm.load throw */
export async function load({ from, holding }: LoadArgs, context: JobContext): Promise<Held> {
  const { signal } = context;
  const source = await sourceOf(from);
  const name = nameOf(from);
  if (!('own' in from)) {
    context.progress(undefined, 'The header is read.');
    const { total } = await Runtime.estimate(source, { ...holding, signal });
    context.progress(undefined, `It takes ${megabytes(total)} MB of the GPU's memory. Waiting for the GPU, which other work may have.`);
  }
  const device = await context.device();
  held?.llm.destroy();
  held = undefined;
  const llm = await loadFrom(from, holding, device, context);
  held = { id: ++count, name, file: () => fileOf(from), from, holding, llm, device };
  return held;
}

/** The model on the device of now. @throws Error for another model than the page means; what `load` throws */
export async function alive(id: number, context: JobContext): Promise<Held> {
  const device = await context.device();
  if (held?.id !== id) throw new Error('The model was replaced by another. Load it again.');
  if (held.device !== device) {
    const { from, holding } = held;
    held = { ...held, llm: await loadFrom(from, holding, device, context), device };
  }
  return held;
}
