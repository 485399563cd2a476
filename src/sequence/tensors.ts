// The buffers of a sequence as tensors of the operator.
import { pairsWithin, type SortedPairs } from '../experts/sort-pairs.js';
import { Tensor } from '../gpu/tensor.js';
import type { Config, Experts } from '../llm/config.js';
import { STATE } from '../llm-kernels/state.js';
import { sortedWords } from '../problem/experts.js';
import { MOST_ROWS, qkvWidth, twinOffset } from './memory.js';
import type { TensorName } from './step-plan.js';

export interface Tensors {
  readonly device: GPUDevice;
  readonly byName: ReadonlyMap<TensorName, Tensor>;
  /**
   * Where the layers of one product go. `qkv`: q, k and v of rows, one behind the other, of one row side by side. `gateAndUp`: `act` and `up`.
   */
  readonly columns: Readonly<Record<'qkv' | 'gateAndUp', readonly Tensor[]>>;
  /** Of rows and experts, if there are many: of one row its route sorts them, of more a step. */
  readonly pairs: SortedPairs | undefined;
}

type Buffers = ReadonlyMap<string, GPUBuffer>;

function tensorsOf(
  device: GPUDevice,
  config: Config,
  buffers: Buffers,
  { rows, x }: { readonly rows: number; readonly x: string },
): Tensors {
  const { width, heads, kvHeads, headWidth, feedForward, vocabulary, experts } = config;
  const of = (buffer: string, shape: readonly number[], byteOffset = 0, dtype: 'float32' | 'int32' = 'float32'): Tensor =>
    Tensor.wrap(device, buffers.get(buffer)!, { shape, dtype, byteOffset });
  let at = 0;
  const qkv = [heads, kvHeads, kvHeads].map((count) => {
    const tensor = of('qkv', [rows, count * headWidth], 4 * at);
    at += rows * count * headWidth;
    return tensor;
  });
  const byName = new Map<TensorName, Tensor>([
    ['x', of(x, [rows, width])],
    ['h', of('h', [rows, width])],
    ['qkv', of('qkv', [rows, qkvWidth(config)])],
    ['att', of('att', [rows, heads * headWidth])],
    ['act', of('act', experts ? [rows, experts.top, feedForward] : [rows, feedForward])],
    ['ids', of('ids', [rows], 0, 'int32')],
  ]);
  const pairsOf = ({ count, top }: Experts): SortedPairs => {
    const ids = of('expertIds', [rows, top], 0, 'int32');
    byName.set('expertIds', ids);
    byName.set('expertWeights', of('expertWeights', [rows, top]));
    return pairsWithin(ids, count, of(rows === 1 ? 'tokenPairs' : 'rowPairs', [sortedWords(rows * top, count)], 0, 'int32'));
  };
  if (rows === 1) {
    byName.set('twin', of('stream', [1, width], twinOffset(config)));
    byName.set('logits', of('logits', [1, vocabulary]));
    byName.set('id', of('state', [1], 4 * STATE.id, 'int32'));
  }
  const up = buffers.has('up') ? [of('up', [rows, feedForward])] : [];
  return { device, byName, pairs: experts && pairsOf(experts), columns: { qkv, gateAndUp: [byName.get('act')!, ...up] } };
}

export const tokenTensors = (device: GPUDevice, config: Config, buffers: Buffers): Tensors =>
  tensorsOf(device, config, buffers, { rows: 1, x: 'stream' });
export const rowTensors = (device: GPUDevice, config: Config, buffers: Buffers): Tensors =>
  tensorsOf(device, config, buffers, { rows: MOST_ROWS, x: 'x' });
