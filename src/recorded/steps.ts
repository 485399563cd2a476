// Steps as callers describe them: plain data.
import type { BestOptions } from '../epilogues/best.js';
import type { ExpertLayers } from '../experts/expert-layers.js';
import type { Routes } from '../experts/forward-experts.js';
import type { SortedPairs } from '../experts/sort-pairs.js';
import type { Tensor } from '../gpu/tensor.js';
import type { LinearWeightQuant } from '../layer/linear-weight-quant.js';
import type { QuantizedRows } from '../layer/quantize-x.js';
import type { ExpertOptions, ProductOptions, RowScaled } from '../product/options.js';

/** A value, or a function that gives it for a number of rows; it is called once for each number, by `recordSteps`. */
export type ForRows<T> = T | ((rows: number) => T);

/**
 * What `recordSteps` records. The first field says what it is:
 * `layer` a product, as `layer.encode(pass, x, y, { add, rowScale, inputScale, twin })`;
 * `layers` products that share x, as `encodeMany(pass, layers, x, ys, { rowScale, inputScale })`;
 * `experts` products with experts, as `encodeExperts(pass, experts, x, y, { ids, weights }, { add, twin })`. `sorted` must be sorted by a step before, of the same recording;
 * `sort` sorts pairs, as `encodeSortPairs`;
 * `quantize` quantizes x, as `encodeQuantizeRows`;
 * `gather` brings rows of a layer's weights to y, as `encodeGatherRows(pass, gather, ids, y)`. ids are those of the time of the replay.
 *   `counted: false` saves the dispatch that counts ids which name no row;
 * `best` leaves the greatest of each row of a product, as `encodeBest(pass, best, x, { ids, values }, { columns, rowScale })`;
 * `copy` copies floats of any strides into a contiguous y of the same shape and dtype;
 * `pipeline` a dispatch of your own.
 */
export type Step =
  | ({ readonly layer: LinearWeightQuant; readonly x: Tensor | QuantizedRows; readonly y: Tensor } & ProductOptions)
  | {
      readonly layers: readonly LinearWeightQuant[];
      readonly x: Tensor | QuantizedRows;
      readonly ys: readonly Tensor[];
      readonly rowScale?: RowScaled | undefined;
      readonly inputScale?: Tensor | undefined;
    }
  | ({ readonly experts: ExpertLayers; readonly x: Tensor; readonly y: Tensor } & Routes & ExpertOptions)
  | { readonly sort: SortedPairs }
  | { readonly quantize: QuantizedRows }
  | { readonly gather: LinearWeightQuant; readonly ids: Tensor; readonly y: Tensor; readonly counted?: boolean | undefined }
  | ({ readonly best: LinearWeightQuant; readonly x: Tensor | QuantizedRows; readonly ids: Tensor; readonly values: Tensor } & BestOptions)
  | { readonly copy: Tensor; readonly y: Tensor }
  | {
      readonly pipeline: GPUComputePipeline;
      /** Of groups 0, 1, … */
      readonly bindGroups: ForRows<readonly GPUBindGroup[]>;
      readonly workgroups: ForRows<readonly number[]>;
    };
