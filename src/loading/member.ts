// A layer of a file while it is loaded: its pieces come one after the other, and go to the GPU.

import { Tensor } from '../gpu/tensor.js';
import type { GpuPiece } from '../layer/float-pieces.js';
import { LinearWeightQuant, type LinearWeightQuantOptions } from '../layer/linear-weight-quant.js';
import { abandonLoad, heldAs, type Load, loadPiece, type Place } from '../layer/load.js';
import { optionsFor } from '../layer/load-file.js';
import type { LoadedWeights } from '../layer/loaded-weights.js';
import { type PieceSource, reportOfAll } from '../layer/piece-source.js';
import { checkPlan, settingsOf } from '../layer/planning-options.js';
import { packedLayout } from '../plan/packed-layout.js';
import { checkOptions } from '../problem/checks.js';
import { type QuantizedMatrix, rowsOf } from '../problem/matrix.js';
import type { LoadLayersOptions } from './load-layers-options.js';
import { chunkBytes, matrixBytes } from './piece-size.js';
import type { Traffic } from './traffic.js';

/** What the members of a load have in common. */
export interface Context {
  readonly traffic: Traffic;
  readonly options: LoadLayersOptions;
  /** Tells that so many bytes of the file more were read, or taken by the GPU. */
  readonly tell: (phase: 'read' | 'pack', bytes: number) => void;
}

/** A piece in the loader's hands. */
interface Arrived {
  readonly piece: GpuPiece;
  /** Of its matrix, and of the file. */
  readonly bytes: number;
  readonly file: number;
}

export class Member {
  readonly layer: LinearWeightQuant;
  readonly source: PieceSource;
  readonly #context: Context;
  readonly #options: LinearWeightQuantOptions;
  readonly #pieces: AsyncGenerator<GpuPiece>;
  readonly #chunk: number;
  #bias: Tensor | undefined;
  #read = 0;
  /** Bytes on the GPU that floats are quantized in. */
  #reserved = 0;
  #next: Arrived | undefined;
  #load: Load | undefined;

  /** @throws ArgumentError, DeviceLostError */
  constructor(context: Context, source: PieceSource, bias: Float32Array<ArrayBuffer> | undefined) {
    const { traffic, options, tell } = context;
    this.source = source;
    this.#context = context;
    this.#options = optionsFor(source, bias !== undefined, options);
    this.layer = new LinearWeightQuant(traffic.device, this.#options);
    this.#bias = bias && Tensor.from(traffic.device, bias, { shape: [source.n], dtype: 'float32' });
    this.#chunk = chunkBytes(source, traffic.limits.piece);
    const onProgress = ({ done }: { readonly done: number }): void => {
      const bytes = done - this.#read;
      this.#read = done;
      traffic.take(bytes);
      tell('read', bytes);
    };
    this.#pieces = source.pieces({ chunkBytes: this.#chunk, signal: options.signal, onProgress });
  }

  /** Reads the next piece into the loader's hands, while the GPU takes what was sent before. @returns false after the last */
  async read(): Promise<boolean> {
    const { traffic } = this.#context;
    const before = this.#read;
    try {
      if (this.source.quantized && this.#reserved === 0) {
        const bytes = 2 * this.#chunk; // floats, their codes and grids, and what comes back, for all pieces in turn
        await traffic.reserve(bytes);
        this.#reserved = bytes;
      }
      const step = await this.#pieces.next();
      if (step.done) {
        this.#land();
        return false;
      }
      const bytes = matrixBytes(step.value.matrix);
      traffic.take(bytes);
      this.#next = { piece: step.value, bytes, file: this.#read - before };
      return true;
    } finally {
      traffic.drop(this.#read - before);
    }
  }

  /** The matrix of the piece in the loader's hands. */
  get matrix(): QuantizedMatrix | undefined {
    return this.#next?.piece.matrix;
  }

  /** What the layer is, by its first piece, or by that of a layer that is quantized in the same way. @throws UnsupportedError */
  kindBy(first: QuantizedMatrix): Pick<LoadedWeights, 'spec' | 'weights' | 'settings' | 'packed' | 'shared'> {
    const { device } = this.#context.traffic;
    const { plan, ...options } = this.#options;
    const settings = settingsOf(device, checkPlan(plan));
    const { caps } = settings;
    const { n, k, groupSize } = this.source;
    const outline = { caps, size: { n, k, groupSize }, biased: this.#bias !== undefined, requantized: false };
    const { weights } = heldAs(device, first, outline);
    return { spec: checkOptions(options), weights, settings, packed: packedLayout(weights, caps), shared: undefined };
  }

  /** Allocates for the layer, reads its pieces, of which the first may have been read before, and sends them. */
  async fill(place: Place = {}): Promise<Load> {
    if (!this.#next) await this.read();
    const bias = this.#bias ? { bias: this.#bias } : {};
    const load = this.layer.beginMatrix(this.#next!.piece.matrix, bias, this.source.groupSize, place);
    this.#load = load;
    do await this.#send(load, this.#next!);
    while (await this.read());
    this.#bias?.destroy();
    return load;
  }

  /** The layer is loaded, as far as the CPU knows. */
  end(): void {
    this.layer.endMatrix(this.#load!, reportOfAll([this.source]));
    this.#load = undefined;
  }

  /** Frees everything. */
  async abandon(): Promise<void> {
    if (this.#load) abandonLoad(this.#load);
    this.layer.destroy();
    this.#bias?.destroy();
    this.#next = undefined;
    await this.#pieces.return(undefined); // it may have buffers
    this.#land();
  }

  #land(): void {
    if (this.#reserved > 0) this.#context.traffic.land(this.#reserved);
    this.#reserved = 0;
  }

  /** Sends a piece in runs of rows: one that could not be cut in the file is cut here. */
  async #send(load: Load, { piece, bytes, file }: Arrived): Promise<void> {
    const { traffic, options, tell } = this.#context;
    const { matrix, n, k, codes } = piece;
    const parts = codes ? [{ matrix, begin: 0 }] : [...rowsOf(matrix, traffic.limits.piece)];
    for (const { matrix: part, begin } of parts) {
      const last = begin + part.n === matrix.n;
      const send = () => loadPiece(load, part, { n: n + begin, k }, { codes });
      await traffic.send(matrixBytes(part), send, () => last && tell('pack', file));
      options.signal?.throwIfAborted();
    }
    this.#next = undefined;
    traffic.drop(bytes);
  }
}
