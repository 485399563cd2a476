// The jobs of the panel "Bring a model": open files, look at a layer, quantize it again, run it. One model is open at a time. It stays in
// the Worker; the page gets rows, counts and small parts.

import { dequantize, type QuantizeReport } from '../../../../src/formats.js';
import { rowsOf } from '../../../../src/problem/matrix.js';
import { ownFile } from '../../../worker/own-model.js';
import { type JobContext, moved } from '../../../worker/rpc.js';
import { held } from './held.js';
import { copyPart, type LookArgs, look as lookAt, placeOf } from './look.js';
import { type Model, type OpenedModel, open as openFiles } from './open.js';
import { type RunArgs, run as runLayer } from './run.js';
import { makeSample } from './sample.js';
import { speaks } from './speaks.js';
import { forget, quantized, type Settings, type Size, sizeOf, type Target, weightsOf } from './weights.js';

let current: Model | undefined;

function modelOf({ model }: Pick<Target, 'model'>): Model {
  if (current?.id !== model) throw new Error('The file of this layer is no longer open');
  return current;
}

/** What is opened: files of the visitor's, the language model of this page, or a file that is made up. */
export type Given = { readonly files: readonly File[] } | { readonly own: true } | { readonly sample: true };

const filesOf = async (given: Given, context: JobContext): Promise<readonly File[]> =>
  'files' in given ? given.files : [await ('own' in given ? ownFile() : makeSample(context))];

export interface RequantizeArgs {
  readonly target: Target;
  readonly settings: Settings;
  /** First row of the part whose errors are returned. */
  readonly row: number;
  readonly column: number;
}
export interface Requantized extends Size {
  readonly args: RequantizeArgs;
  readonly report: QuantizeReport;
  readonly milliseconds: number;
  /** New value minus old value, for the part that `look` shows at the same corner. */
  readonly error: Float32Array<ArrayBuffer>;
}

async function requantize(args: RequantizeArgs, context: JobContext) {
  const { target, settings } = args;
  const model = modelOf(target);
  const { matrix, report, milliseconds } = await quantized(model, target, settings, context, 0.95);
  const size = sizeOf(model, target);
  const place = placeOf(size, args);
  const [before, after] = [0, 1].map(() => new Float32Array(place.rows * place.columns)) as [Float32Array, Float32Array<ArrayBuffer>];
  for await (const rows of weightsOf(model, target, context)) copyPart(before, place, rows, size.k);
  for (const { matrix: run, begin } of rowsOf(matrix, 2 ** 21))
    if (begin < place.row + place.rows && begin + run.n > place.row)
      copyPart(after, place, { begin, n: run.n, weights: dequantize(run) }, size.k);
  for (let i = 0; i < after.length; i++) after[i]! -= before[i]!;
  const result: Requantized = { ...size, args, report, milliseconds, error: after };
  return moved(result, [after.buffer]);
}

export const jobs = {
  /** @throws FormatError, UnsupportedError, ReadError */
  open: async (given: Given, context: JobContext): Promise<OpenedModel> => {
    const { model, opened } = await openFiles(await filesOf(given, context), context);
    forget();
    current = model;
    return opened;
  },
  /** Bits a weight here. @throws UnsupportedError without a GPU */
  held: (target: Pick<Target, 'model'>, context: JobContext) => held(modelOf(target), context),
  speaks: (target: Pick<Target, 'model'>, context: JobContext) => speaks(modelOf(target), context),
  look: (args: LookArgs, context: JobContext) => lookAt(modelOf(args.target), args, context),
  requantize,
  run: (args: RunArgs, context: JobContext) => runLayer(modelOf(args.target), args, context),
};
