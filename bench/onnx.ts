// Writes an ONNX model of one MatMulNBits node as bytes, by the part of the protobuf encoding that it needs. Field numbers: onnx.proto.
import type { Bits } from '../src/problem/code-width.js';

type Field = Uint8Array;
const text = new TextEncoder();

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 128);
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A number (wire type 0), or bytes, text or a message (wire type 2). */
function field(number: number, value: number | string | Uint8Array): Field {
  if (typeof value === 'number') return Uint8Array.from([...varint(number * 8), ...varint(value)]);
  const bytes = typeof value === 'string' ? text.encode(value) : value;
  return join([Uint8Array.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes]);
}
const message = (...fields: Field[]): Uint8Array => join(fields);

export const ELEMENT = { float32: 1, uint8: 2, float16: 10 } as const;
type Element = keyof typeof ELEMENT;

const tensor = (name: string, type: Element, dims: readonly number[], raw: Uint8Array): Uint8Array =>
  message(...dims.map((size) => field(1, size)), field(2, ELEMENT[type]), field(8, name), field(9, raw));

const dim = (size: number | string): Field => field(1, typeof size === 'number' ? field(1, size) : field(2, size));
const valueInfo = (name: string, type: Element, dims: readonly (number | string)[]): Uint8Array =>
  message(field(1, name), field(2, field(1, message(field(1, ELEMENT[type]), field(2, message(...dims.map(dim)))))));

const INT = 2; // AttributeProto.type
const attribute = (name: string, value: number): Uint8Array => message(field(1, name), field(3, value), field(20, INT));

export interface MatMulNBits {
  readonly k: number;
  readonly n: number;
  readonly bits: Bits;
  /** Weights along K that share a scale; K is a multiple of it. */
  readonly block: number;
  readonly dtype: 'float32' | 'float16';
  /** 0: as x's type; 4: the peer may quantize x to int8. */
  readonly accuracyLevel: 0 | 4;
  /** (N, K) unsigned codes, the lowest bits first. */
  readonly codes: Uint8Array;
  /** (N, K / block) of dtype. */
  readonly scales: Uint8Array;
  /** (N, K / block) of `bits`, rows padded to bytes; without it the middle code is zero. */
  readonly zeroPoints: Uint8Array | undefined;
}

/** x (M, K) → y (M, N), with M free. */
export function matMulNBitsModel(o: MatMulNBits): Uint8Array<ArrayBuffer> {
  const blocks = o.k / o.block;
  const inputs = ['x', 'codes', 'scales', ...(o.zeroPoints ? ['zeroPoints'] : [])];
  const attributes = { K: o.k, N: o.n, bits: o.bits, block_size: o.block, accuracy_level: o.accuracyLevel };
  const node = message(
    ...inputs.map((name) => field(1, name)),
    field(2, 'y'),
    field(3, 'product'),
    field(4, 'MatMulNBits'),
    ...Object.entries(attributes).map(([name, value]) => field(5, attribute(name, value))),
    field(7, 'com.microsoft'),
  );
  const graph = message(
    field(1, node),
    field(2, 'bench'),
    field(5, tensor('codes', 'uint8', [o.n, blocks, (o.block * o.bits) / 8], o.codes)),
    field(5, tensor('scales', o.dtype, [o.n, blocks], o.scales)),
    ...(o.zeroPoints ? [field(5, tensor('zeroPoints', 'uint8', [o.n, Math.ceil((blocks * o.bits) / 8)], o.zeroPoints))] : []),
    field(11, valueInfo('x', o.dtype, ['M', o.k])),
    field(12, valueInfo('y', o.dtype, ['M', o.n])),
  );
  const opset = (domain: string, version: number): Field => field(8, message(field(1, domain), field(2, version)));
  return message(field(1, 9), field(7, graph), opset('', 19), opset('com.microsoft', 1)) as Uint8Array<ArrayBuffer>;
}
