// Floats of a byte: E4M3 and E8M0, as numbers and as codes. Rules: OCP 8-bit Floating Point 1.0; OCP Microscaling Formats 1.0.

import { FormatError } from '../errors.js';
import { at, type RawTensor, requireDtype } from '../files/raw-tensor.js';
import { E4M3_VALUES } from '../problem/weight-format.js';
import { padRows } from './code-words.js';
import { bytesOf } from './layer-parts.js';

/** E8M0: 2^(e - 127), and NaN for 255. */
const POWERS = Float32Array.from({ length: 256 }, (_, e) => (e === 255 ? Number.NaN : 2 ** (e - 127)));

/** The names that files have for bytes of a scale that is a power of two. */
export const POWER_DTYPES = ['U8', 'F8_E8M0'];

/** The numbers of bytes. @throws FormatError for one that `holds` refuses */
function valuesOf(tensor: RawTensor, values: Float32Array, refused: (byte: number) => string | undefined): Float32Array<ArrayBuffer> {
  const bytes = bytesOf(tensor);
  const out = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) {
    const why = refused(bytes[i]!);
    if (why) throw new FormatError(at(tensor, `element ${i}`), why, `byte ${bytes[i]}`);
    out[i] = values[bytes[i]!]!;
  }
  return out;
}

/** Bytes of E8M0 as numbers. @throws FormatError for NaN */
export function asPowers(tensor: RawTensor): Float32Array<ArrayBuffer> {
  requireDtype(tensor, ...POWER_DTYPES);
  return valuesOf(tensor, POWERS, (byte) => (byte === 255 ? 'a power of two, no NaN' : undefined));
}

/** Scales of E4M3, which have no sign, as numbers. @throws FormatError for NaN and for a sign */
export function asScalesE4m3(tensor: RawTensor): Float32Array<ArrayBuffer> {
  requireDtype(tensor, 'F8_E4M3', 'U8');
  return valuesOf(tensor, E4M3_VALUES, (byte) => (byte > 126 ? 'a scale of E4M3, without a sign and no NaN' : undefined));
}

/** F8_E4M3 (N, K) → codes. @throws FormatError for NaN */
export function codesOfE4m3(tensor: RawTensor, n: number, k: number): Uint32Array<ArrayBuffer> {
  requireDtype(tensor, 'F8_E4M3');
  const bytes = bytesOf(tensor);
  for (let i = 0; i < bytes.length; i++)
    if ((bytes[i]! & 127) === 127) throw new FormatError(at(tensor, `element ${i}`), 'a finite number', `NaN, byte ${bytes[i]}`);
  return padRows(bytes, n, k);
}
