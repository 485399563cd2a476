// The arguments of loadLayers.
import { anything, fields, list, onlyFields, property, reading } from '../arguments/check.js';
import { ArgumentError } from '../errors.js';
import { watched } from '../files/given.js';
import type { TensorInfo } from '../files/tensor-file.js';
import type { LayerSource } from '../formats/layer-source.js';
import type { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import type { LoadOptions } from '../layer/load-file.js';
import { isTensor, type PieceSource, sourceOf } from '../layer/piece-source.js';

/** How layers of a file are read and multiplied. `quantize` is for the float tensors among them. */
export type LoadLayersOptions = Omit<LoadOptions, 'chunkBytes' | 'bias'>;

/** A float tensor (N, K) of a file, which `quantize` is for, with its bias, a tensor (N,). */
export interface FloatLayer {
  readonly weight: TensorInfo;
  readonly bias?: TensorInfo | undefined;
}

/** Layers of files. Those of a list in the list read the same x, and are loaded side by side. */
export type LayersToLoad = readonly (LayerSource | TensorInfo | FloatLayer | readonly (LayerSource | TensorInfo | FloatLayer)[])[];

/** A layer for each source. */
export type LayersOf<T extends readonly unknown[]> = { -readonly [I in keyof T]: LinearWeightQuant };

/** The loaded layers, in lists as the sources were. */
export type LoadedLayers<T extends LayersToLoad> = {
  -readonly [I in keyof T]: T[I] extends readonly unknown[] ? LayersOf<T[I]> : LinearWeightQuant;
};

/** The fields of the options; what reads them checks them further. */
export const LOAD_FIELDS = {
  ...watched,
  dtype: anything,
  innerPrecise: anything,
  weightRounding: anything,
  plan: anything,
  quantize: anything,
};
const OPTIONS = fields(LOAD_FIELDS);

/** @throws ArgumentError */
export const checkLoadOptions = (options: unknown): LoadLayersOptions => OPTIONS(options, 'options') as LoadLayersOptions;

const FLOATS = onlyFields({ weight: anything, bias: anything });
const isFloatLayer = (source: unknown): source is FloatLayer =>
  typeof source === 'object' && source !== null && property(source, 'weight', 'source') !== undefined;

/** Layers that read the same x, or one. */
export interface SourceList {
  readonly sources: readonly PieceSource[];
  /** Was it a list in the list? */
  readonly listed: boolean;
}

/** All sources are checked before anything is read. @throws ArgumentError, UnsupportedError */
export function checkSources(device: GPUDevice, given: unknown, { quantize, plan }: LoadLayersOptions): readonly SourceList[] {
  const some = (value: unknown, argument: string): readonly unknown[] => {
    const all = list(anything)(value, argument);
    if (all.length === 0) throw new ArgumentError(argument, 'at least one layer', 'none');
    return all;
  };
  return some(given, 'sources').map((entry, i) => {
    const argument = `sources[${i}]`;
    const listed = reading(argument, () => Array.isArray(entry));
    const sources = (listed ? some(entry, argument) : [entry]).map((one) => {
      if (isFloatLayer(one)) {
        const { weight, bias } = FLOATS(one, argument) as unknown as FloatLayer;
        return sourceOf(device, weight, { plan, quantize, bias });
      }
      return sourceOf(device, one as LayerSource | TensorInfo, { plan, quantize: isTensor(one) ? quantize : undefined });
    });
    return { sources, listed };
  });
}
