// Tensor: a GPUBuffer with a shape, strides, a dtype and a format.
import { fields, flag, oneOf, onlyFields, optional, reading, sizes, wholeNumber } from '../arguments/check.js';
import { isCompatible, markOf, notOurs, versionOf } from '../arguments/copies.js';
import { checkBuffer, checkDevice } from '../arguments/gpu-objects.js';
import { arrayKind, showValue } from '../arguments/show-value.js';
import { BYTES, type DType, encode16, type FloatDType, type Format, wholeWords } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { checkX, FLOATS } from '../problem/checks.js';
import { isContiguous, showShape, type View } from '../problem/view.js';
import { VERSION } from '../version.js';
import { BUFFER, makeBuffer, USAGE } from './buffers.js';
import { copyRows } from './copy.js';
import { assertAlive, whileAlive } from './device.js';
import { ends } from './ends.js';
import { allTaken, guarded, type Taken } from './guard.js';
import { rowMajor, spanOf, valuesOf } from './tensor-memory.js';

/** Data for `Tensor.from`. Float16Array where the engine has it. */
export type TensorData =
  | Float32Array
  | Uint16Array
  | Int8Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | { readonly [Symbol.toStringTag]: 'Float16Array'; readonly length: number; readonly buffer: ArrayBufferLike };

/** Kinds of data that each dtype accepts. */
const ACCEPTS: Readonly<Record<DType, readonly string[]>> = {
  float32: ['Float32Array'],
  float16: ['Float32Array', 'Uint16Array', 'Float16Array'],
  bfloat16: ['Float32Array', 'Uint16Array'],
  int8: ['Int8Array'],
  int32: ['Int32Array', 'Uint32Array'],
  int64: ['BigInt64Array', 'BigUint64Array'],
};

/** Shared by a tensor and its views. */
interface Storage {
  readonly buffer: GPUBuffer;
  /** What `destroy` does; nothing for a wrapped buffer. */
  readonly release: () => void;
  /** Rejects if the work that writes this tensor failed: refused, without memory, or with a shader that does not compile. */
  written: Taken | undefined;
  destroyed: boolean;
}

interface Init {
  readonly device: GPUDevice;
  readonly storage: Storage;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly dtype: DType;
  readonly format: Format;
  readonly offset: number;
}

const FORM = {
  shape: sizes,
  strides: optional(sizes),
  dtype: oneOf(...(Object.keys(BYTES) as DType[])),
  format: optional(oneOf<Format>('ND', 'FRACTAL_NZ')),
};
const FROM = fields(FORM);
const WRAP = onlyFields({ ...FORM, byteOffset: optional(wholeNumber(0)) });
/** The public fields of a tensor of another copy of the library. */
const FOREIGN = fields({ ...FORM, device: checkDevice, strides: sizes, offset: wholeNumber(0), buffer: checkBuffer, destroyed: flag });
/** Tensors of other copies → tensors of this copy over the same buffers. */
const adopted = new WeakMap<object, Tensor>();

function checkRank(shape: readonly number[], format: Format): void {
  if (shape.length === 0) throw new ArgumentError('shape', 'one or more whole numbers of at least 0', '[]');
  if (format === 'FRACTAL_NZ' && shape.length < 2)
    throw new ArgumentError('shape', 'two or more dimensions for FRACTAL_NZ', showShape(shape));
}

/**
 * A tensor on the GPU. Made by `Tensor.from` (copies data to the GPU), `Tensor.wrap` (wraps the caller's buffer) or a layer's `forward`.
 * @example const x = Tensor.from(device, new Float32Array(4 * 64), { shape: [4, 64], dtype: 'float16' });
 */
export class Tensor implements View {
  readonly device: GPUDevice;
  readonly shape: readonly number[];
  /** In elements. */
  readonly strides: readonly number[];
  readonly dtype: DType;
  readonly format: Format;
  /** First element, counted in elements from the start of `buffer`. */
  readonly offset: number;
  readonly #storage: Storage;

  private constructor(init: Init) {
    this.device = init.device;
    this.shape = init.shape;
    this.strides = init.strides;
    this.dtype = init.dtype;
    this.format = init.format;
    this.offset = init.offset;
    this.#storage = init.storage;
  }

  get buffer(): GPUBuffer {
    return this.#storage.buffer;
  }

  /** First element, in bytes from the start of `buffer`. */
  get byteOffset(): number {
    return this.offset * BYTES[this.dtype];
  }

  get destroyed(): boolean {
    return this.#storage.destroyed;
  }

  /**
   * Copies `data` to the GPU.
   * @param data Float32Array (rounded to nearest even for float16 and bfloat16), Float16Array, Uint16Array (raw bits of float16 or
   *   bfloat16), Int8Array, Int32Array or Uint32Array, BigInt64Array or BigUint64Array
   * @param options.shape row-major; for FRACTAL_NZ the logical shape, while data is the padded storage
   * @throws ArgumentError, UnsupportedError if the device allows no buffer of this size, DeviceLostError
   */
  static from(
    device: GPUDevice,
    data: TensorData,
    options: { readonly shape: readonly number[]; readonly dtype: DType; readonly format?: Format },
  ): Tensor {
    checkDevice(device);
    const { shape, dtype, format = 'ND', strides = rowMajor(shape) } = FROM(options, 'options');
    checkRank(shape, format);
    if (showShape(strides) !== showShape(rowMajor(shape)))
      throw new ArgumentError('strides', `none, or those of rows without gaps ${showShape(rowMajor(shape))}`, showShape(strides));
    const kind = arrayKind(data);
    if (kind === undefined || !ACCEPTS[dtype].includes(kind))
      throw new ArgumentError('data', `${ACCEPTS[dtype].join(' or ')} for ${dtype}`, showValue(data));
    const length = spanOf({ shape, strides, dtype, format });
    if (data.length !== length)
      throw new ArgumentError('data', `${length} elements for ${format} ${showShape(shape)}`, String(data.length));
    assertAlive(device);
    const bits =
      kind === 'Float32Array' && (dtype === 'float16' || dtype === 'bfloat16')
        ? encode16(data as Float32Array, dtype)
        : (data as Uint16Array);
    const what = `tensor ${dtype} ${showShape(shape)}`;
    const made = guarded(device, what, () => makeBuffer(device, { label: what, usage: BUFFER.tensor, data: bits }));
    return Tensor.own(device, made.result, { shape, dtype, format, written: made.errors });
  }

  /**
   * Wraps the caller's buffer without a copy; `destroy` leaves the buffer alone. It needs the usage STORAGE, and
   * COPY_SRC for `read`. Its size must reach the end of the 4-byte word that holds the last element.
   * @param options.strides in elements; row-major without it
   * @param options.byteOffset a multiple of the element's size
   * @throws ArgumentError, DeviceLostError
   */
  static wrap(
    device: GPUDevice,
    buffer: GPUBuffer,
    options: {
      readonly shape: readonly number[];
      readonly dtype: DType;
      readonly strides?: readonly number[];
      readonly byteOffset?: number;
      readonly format?: Format;
    },
  ): Tensor {
    checkDevice(device);
    checkBuffer(buffer);
    const { shape, dtype, strides = rowMajor(shape), byteOffset = 0, format = 'ND' } = WRAP(options, 'options');
    checkRank(shape, format);
    if (strides.length !== shape.length)
      throw new ArgumentError('strides', `${shape.length} whole numbers of at least 0`, showShape(strides));
    if (byteOffset % BYTES[dtype] !== 0)
      throw new ArgumentError('byteOffset', `a multiple of ${BYTES[dtype]} for ${dtype}`, String(byteOffset));
    const end = wholeWords(byteOffset + spanOf({ shape, strides, dtype, format }) * BYTES[dtype]);
    if (buffer.size < end)
      throw new ArgumentError('buffer', `at least ${end} bytes for ${showShape(shape)} at ${byteOffset}`, String(buffer.size));
    if ((buffer.usage & USAGE.STORAGE) === 0) throw new ArgumentError('buffer', 'the usage STORAGE', `usage ${buffer.usage}`);
    assertAlive(device);
    const storage: Storage = { buffer, release: () => {}, written: undefined, destroyed: false };
    return new Tensor({ device, storage, shape: [...shape], strides: [...strides], dtype, format, offset: byteOffset / BYTES[dtype] });
  }

  /**
   * @internal A tensor over a buffer of the library.
   * @param init.release called by `destroy`; without it `destroy` frees the buffer
   */
  static own(
    device: GPUDevice,
    buffer: GPUBuffer,
    init: Pick<Init, 'shape' | 'dtype'> & Partial<Pick<Init, 'format' | 'offset'> & Pick<Storage, 'release' | 'written'>>,
  ): Tensor {
    const { shape, dtype, format = 'ND', offset = 0, release = () => buffer.destroy(), written } = init;
    written?.catch(() => {}); // reported by read()
    const storage: Storage = { buffer, release, written, destroyed: false };
    return new Tensor({ device, storage, shape: [...shape], strides: rowMajor(shape), dtype, format, offset });
  }

  /** A view of the same buffer with the last two dimensions swapped. @throws ArgumentError for fewer than two dimensions */
  transpose(): Tensor {
    if (this.shape.length < 2) throw new ArgumentError('tensor', 'two or more dimensions to transpose', showShape(this.shape));
    const swap = (list: readonly number[]): number[] => [...list.slice(0, -2), list.at(-1)!, list.at(-2)!];
    const { device, dtype, format, offset } = this;
    return new Tensor({ device, storage: this.#storage, shape: swap(this.shape), strides: swap(this.strides), dtype, format, offset });
  }

  /**
   * The same numbers in row-major order: this tensor if it is contiguous, else a copy on the GPU. Enqueues.
   * @throws ArgumentError for a tensor that is not of floats, or whose rows are not in batches of equal rows; UnsupportedError if a row
   *   exceeds a binding; DeviceLostError
   */
  contiguous(): Tensor {
    this.assertUsable('tensor');
    if (this.format === 'ND' && isContiguous(this)) return this;
    const { device, shape, dtype } = this;
    if (!FLOATS.includes(dtype)) throw new ArgumentError('tensor', `dtype ${FLOATS.join(' or ')}`, dtype);
    const xDtype = dtype as FloatDType;
    const k = shape.at(-1)!;
    const { m, view: x } = checkX({ inFeatures: k, dtype: xDtype }, this);
    if (m * k === 0) return Tensor.from(device, new Float32Array(0), { shape, dtype });
    const { buffer, written } = copyRows(device, this.buffer, { m, k, xDtype, x });
    return Tensor.own(device, buffer, { shape, dtype, written: allTaken(this.written, written) });
  }

  /**
   * Reads the elements in row-major order of `shape`, for any strides and format: float16 and bfloat16 as numbers, int64 as BigInt64Array.
   * @throws ArgumentError if the tensor is destroyed or its buffer cannot be copied, ShaderError if the shader that writes it did not
   *   compile, GpuError if the GPU refused that work or the copy, UnsupportedError if there was no memory for either, DeviceLostError,
   *   ReadError if the file of the self-test of a layer's first call cannot be loaded
   */
  async read(): Promise<Float32Array | Int8Array | Int32Array | BigInt64Array> {
    this.assertUsable('tensor');
    const { device, buffer, dtype } = this;
    if ((buffer.usage & USAGE.COPY_SRC) === 0)
      throw new ArgumentError('tensor', 'a buffer with the usage COPY_SRC', `usage ${buffer.usage}`);
    const begin = Math.floor(this.byteOffset / 4) * 4;
    const span = spanOf(this);
    const size = wholeWords(this.byteOffset - begin + span * BYTES[dtype]);
    if (span === 0) {
      await whileAlive(device, Promise.resolve(this.#storage.written));
      return valuesOf(this, new ArrayBuffer(0));
    }
    const { result, errors } = guarded(device, 'read', () => {
      const staging = makeBuffer(device, { label: 'read', usage: BUFFER.staging, size });
      const encoder = device.createCommandEncoder({ label: 'antiquant read' });
      encoder.copyBufferToBuffer(buffer, begin, staging, 0, size);
      device.queue.submit([encoder.finish()]);
      return { staging, mapped: staging.mapAsync(1 /* GPUMapMode.READ */) };
    });
    const { staging, mapped } = result;
    mapped.catch(() => {}); // the error scope says more
    try {
      await whileAlive(device, allTaken(this.#storage.written, errors, mapped));
      const bytes = staging.getMappedRange().slice(this.byteOffset - begin, this.byteOffset - begin + span * BYTES[dtype]);
      return valuesOf(this, bytes);
    } finally {
      staging.destroy();
    }
  }

  /** Frees the buffer, unless it was wrapped. This tensor and its views can no longer be used. */
  destroy(): void {
    if (this.#storage.destroyed) return;
    this.#storage.destroyed = true;
    ends.count++;
    this.#storage.release();
  }

  /** @internal Rejects if the work that writes the tensor failed; undefined if only the caller can know. */
  get written(): Taken | undefined {
    return this.#storage.written;
  }

  /** @internal What the tensor shares with its views: one for all of them. */
  get storage(): object {
    return this.#storage;
  }

  /** @internal A view of the first `count` along the first axis. @throws ArgumentError if there are fewer */
  first(count: number, name: string): Tensor {
    const { device, shape, strides, dtype, format, offset } = this;
    if (shape[0]! < count) throw new ArgumentError(name, `a first axis of at least ${count}`, showShape(shape));
    return new Tensor({ device, storage: this.#storage, shape: [count, ...shape.slice(1)], strides, dtype, format, offset });
  }

  /** @internal From now on other work writes the tensor. */
  writtenBy(work: Taken): void {
    this.#storage.written = work;
  }

  /** @internal The version of the copy of this library that made it. */
  get [markOf('Tensor')](): string {
    return VERSION;
  }

  /**
   * @internal Checks that a caller's value is a tensor. Takes one of another copy of this library if the versions are compatible.
   * @throws ArgumentError, DeviceLostError
   */
  static given(value: unknown, name: string, device?: GPUDevice, expected = 'a Tensor'): Tensor {
    const own = typeof value === 'object' && value !== null && #storage in value;
    const tensor = own ? value : Tensor.#adopt(value, name, expected);
    tensor.assertUsable(name, device);
    return tensor;
  }

  static #adopt(value: unknown, name: string, expected: string): Tensor {
    const version = versionOf(value, 'Tensor', name);
    if (version === undefined || !isCompatible(version)) throw notOurs(name, { what: 'Tensor', expected }, value);
    // A tensor of this copy without its private fields: a proxy, as reactive frameworks make them.
    if (reading(name, () => value instanceof Tensor))
      throw new ArgumentError(name, expected, 'a Proxy of a Tensor: give the Tensor itself');
    const foreign = FOREIGN(value, name);
    if (foreign.destroyed) throw new ArgumentError(name, 'a live tensor', 'a destroyed one');
    const known = adopted.get(value as object);
    if (known) return known;
    const { device, buffer, shape, strides, dtype, format = 'ND', offset } = foreign;
    const storage: Storage = { buffer, release: () => {}, written: undefined, destroyed: false };
    const tensor = new Tensor({ device, storage, shape, strides, dtype, format, offset });
    adopted.set(value as object, tensor);
    return tensor;
  }

  /** @internal @throws ArgumentError, DeviceLostError */
  assertUsable(name: string, device = this.device): void {
    if (this.#storage.destroyed) throw new ArgumentError(name, 'a live tensor', 'a destroyed one');
    if (this.device !== device) throw new ArgumentError(name, "a tensor of the layer's device", 'one of another device');
    assertAlive(device);
  }
}
