// Small writers of the containers for tests of readers, and sources that count and misbehave. Unlike the library's writers they also write
// invalid files.
import { GGML_TYPES } from '../../src/files/ggml-types.js';
import { guardedSource } from '../../src/files/guarded-source.js';
import type { Resolver } from '../../src/files/shards.js';
import type { ByteSource } from '../../src/files/tensor-file.js';

export interface MadeTensor {
  readonly name: string;
  /** safetensors' name, or GGUF's. */
  readonly dtype: string;
  /** Row-major, outermost first, in every container. */
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** `bytes` of zeros, whatever the shape would take. */
export const zeros = (name: string, dtype: string, shape: readonly number[], bytes: number): MadeTensor => ({
  name,
  dtype,
  shape,
  bytes: new Uint8Array(bytes),
});

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A safetensors file of any header, as text, and any data. `length` is what its first 8 bytes say. */
export function rawSafetensors(
  header: string,
  data: Uint8Array = new Uint8Array(0),
  length: bigint | undefined = undefined,
): Uint8Array<ArrayBuffer> {
  const text = utf8(header);
  const first = new Uint8Array(8);
  new DataView(first.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  return concat([first, text, data]);
}

export function makeSafetensors(tensors: readonly MadeTensor[], metadata?: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  const members = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  let at = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [at, (at += bytes.length)] })}`);
  }
  const header = `{${members.join(',')}}`;
  const padded = header.padEnd(header.length + ((8 - (utf8(header).length % 8)) % 8), ' ');
  return rawSafetensors(padded, concat(tensors.map(({ bytes }) => bytes)));
}

/** model.safetensors.index.json and its shards, by name. */
export function makeShards(shards: readonly (readonly MadeTensor[])[]): Map<string, Uint8Array<ArrayBuffer>> {
  const name = (i: number): string => `model-${String(i + 1).padStart(5, '0')}-of-${String(shards.length).padStart(5, '0')}.safetensors`;
  const map = Object.fromEntries(shards.flatMap((tensors, i) => tensors.map((tensor) => [tensor.name, name(i)])));
  const size = shards.flat().reduce((sum, { bytes }) => sum + bytes.length, 0);
  const index = concat([utf8(JSON.stringify({ metadata: { total_size: size }, weight_map: map }))]);
  return new Map([
    ['model.safetensors.index.json', index],
    ...shards.map((tensors, i): [string, Uint8Array<ArrayBuffer>] => [name(i), makeSafetensors(tensors)]),
  ]);
}

const GGUF_TYPES = [
  'UINT8',
  'INT8',
  'UINT16',
  'INT16',
  'UINT32',
  'INT32',
  'FLOAT32',
  'BOOL',
  'STRING',
  'ARRAY',
  'UINT64',
  'INT64',
  'FLOAT64',
];
/** [type, value]; of an array [`ARRAY`, [type of elements, elements]]. */
export type GgufValue = readonly [type: string, value: unknown];

export interface GgufOptions {
  readonly metadata?: Iterable<readonly [string, GgufValue]>;
  readonly version?: number;
  readonly alignment?: number;
}

export function number(bytes: number, write: (view: DataView) => void): Uint8Array {
  const out = new Uint8Array(bytes);
  write(new DataView(out.buffer));
  return out;
}
export const u32 = (value: number): Uint8Array => number(4, (view) => view.setUint32(0, value, true));
export const u64 = (value: number | bigint): Uint8Array =>
  number(8, (view) => view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true));
export const ggufString = (text: string | Uint8Array): Uint8Array => {
  const bytes = typeof text === 'string' ? utf8(text) : text;
  return concat([u64(bytes.length), bytes]);
};

export function ggufValue([type, value]: GgufValue): Uint8Array {
  if (type === 'STRING') return ggufString(value as string);
  if (type === 'ARRAY') {
    const [of, elements] = value as [string, readonly unknown[]];
    return concat([u32(GGUF_TYPES.indexOf(of)), u64(elements.length), ...elements.map((element) => ggufValue([of, element]))]);
  }
  const bits = Number(/\d+/.exec(type)?.[0] ?? 8);
  if (type.startsWith('FLOAT'))
    return number(bits / 8, (view) =>
      bits === 32 ? view.setFloat32(0, value as number, true) : view.setFloat64(0, value as number, true),
    );
  return u64(BigInt(value as number)).slice(0, bits / 8);
}

/** By name of type: [number, elements of a block, bytes of a block]. */
export const ggmlType = (name: string): readonly [id: number, elements: number, bytes: number] => {
  for (const [id, type] of GGML_TYPES) if (type.name === name) return [id, type.elements, type.bytes];
  throw new Error(`no type ${name}`);
};

/** The parts of a GGUF's header, to be put together by makeGguf or, wrongly, by a test. */
export const ggufHead = (version: number, tensors: number | bigint, keys: number | bigint): Uint8Array =>
  concat([utf8('GGUF'), u32(version), u64(tensors), u64(keys)]);
export const ggufKey = (key: string, value: GgufValue): Uint8Array =>
  concat([ggufString(key), u32(GGUF_TYPES.indexOf(value[0])), ggufValue(value)]);
/** Dimensions are here in GGUF's own order. */
export const ggufInfo = (name: string, dimensions: readonly (number | bigint)[], type: number, offset: number | bigint): Uint8Array =>
  concat([ggufString(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset)]);

export function makeGguf(
  tensors: readonly MadeTensor[],
  { metadata = [], version = 3, alignment }: GgufOptions = {},
): Uint8Array<ArrayBuffer> {
  const pairs = [...metadata];
  if (alignment !== undefined) pairs.push(['general.alignment', ['UINT32', alignment]]);
  const pad = alignment ?? 32;
  const padded = (size: number): number => Math.ceil(size / pad) * pad;
  const infos: Uint8Array[] = [];
  const data: Uint8Array[] = [];
  let at = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    infos.push(ggufInfo(name, [...shape].reverse(), ggmlType(dtype)[0], at));
    const part = new Uint8Array(padded(bytes.length));
    part.set(bytes);
    data.push(part);
    at += part.length;
  }
  const head = concat([ggufHead(version, tensors.length, pairs.length), ...pairs.map(([key, value]) => ggufKey(key, value)), ...infos]);
  return concat([head, new Uint8Array(padded(head.length) - head.length), ...data]);
}

const TVM: Readonly<Record<string, string>> = { F32: 'float32', F16: 'float16', BF16: 'float32', U32: 'uint32', I8: 'int8', U8: 'uint8' };

/** ndarray-cache.json and its shards. BF16 is written as TVM does: dtype float32, format f32-to-bf16. */
export function makeMlc(shards: readonly (readonly MadeTensor[])[]): Map<string, Uint8Array<ArrayBuffer>> {
  const records = shards.map((tensors, i) => {
    let at = 0;
    const inner = tensors.map(({ name, dtype, shape, bytes }) => ({
      name,
      shape,
      dtype: TVM[dtype],
      format: dtype === 'F32' ? 'raw' : 'f32-to-bf16',
      nbytes: bytes.length,
      byteOffset: (at += bytes.length) - bytes.length,
    }));
    return { dataPath: `params_shard_${i}.bin`, format: 'raw-shard', nbytes: at, records: inner, md5sum: '' };
  });
  const index = concat([utf8(JSON.stringify({ metadata: { ParamSize: shards.flat().length, ParamBytes: 1.5 }, records }))]);
  return new Map([
    ['ndarray-cache.json', index],
    ...shards.map((tensors, i): [string, Uint8Array<ArrayBuffer>] => [`params_shard_${i}.bin`, concat(tensors.map(({ bytes }) => bytes))]),
  ]);
}

/** What a source was asked for. */
export interface Asked {
  bytes: number;
  reads: number;
  /** The most at once. */
  largest: number;
}

/** Memory that counts what is read of it, all in one `asked` if several share it. */
export function counting(
  bytes: Uint8Array,
  name = 'memory',
  asked: Asked = { bytes: 0, reads: 0, largest: 0 },
): ByteSource & { readonly asked: Asked } {
  const source = guardedSource(name, bytes.length, async (begin, end) => {
    asked.bytes += end - begin;
    asked.reads++;
    asked.largest = Math.max(asked.largest, end - begin);
    return new Uint8Array(bytes.subarray(begin, end));
  });
  return { ...source, asked };
}

/** Files by name, as a model in several has them. */
export const fromMap =
  (files: ReadonlyMap<string, Uint8Array>, asked?: Asked): Resolver =>
  (name) => {
    const bytes = files.get(name);
    if (!bytes) throw new Error(`the test has no file ${name}`);
    return counting(bytes, name, asked);
  };

/** Bytes 0, 1, 2, … from a start, so that every part of every tensor is its own. */
export const counted = (length: number, from = 0): Uint8Array<ArrayBuffer> => Uint8Array.from({ length }, (_, i) => (from + i * 7) & 255);
